/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/registrar_peer.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <unistd.h>

#include "state/cleanup.h"

/* Older headers lack it. */
#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

#define GROUPS_FIRST 64 /* a guess that is right for most */

static int read_groups(int connection, struct peer *p)
{
	socklen_t size = GROUPS_FIRST * sizeof(gid_t);
	CLEANUP_FREE gid_t *groups = malloc(size);

	if (!groups)
		return -ENOMEM;
	while (getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0) {
		gid_t *more;

		if (errno != ERANGE) /* else @size says how much it takes */
			return -errno;
		more = realloc(groups, size);
		if (!more)
			return -ENOMEM;
		groups = more;
	}
	p->n_groups = size / sizeof(gid_t);
	p->groups = TAKE_PTR(groups);
	return 0;
}

int peer_read(int connection, struct peer *ret)
{
	struct peer p = PEER_NONE;
	struct ucred cred;
	socklen_t size = sizeof(cred);
	int r;

	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	p.uid = cred.uid;
	p.gid = cred.gid;
	r = read_groups(connection, &p);
	if (r < 0)
		return r;

	*ret = p;
	return 0;
}

void peer_done(struct peer *p)
{
	free(p->groups);
	*p = PEER_NONE;
}

/* These two return what was before, also when they fail. -1 changes nothing. */
static int set_fs_ids(uid_t uid, gid_t gid)
{
	setfsgid(gid);
	setfsuid(uid);
	return (uid_t)setfsuid((uid_t)-1) == uid && (gid_t)setfsgid((gid_t)-1) == gid ? 0 : -EPERM;
}

int peer_become(const struct peer *p)
{
	if (setgroups(p->n_groups, p->groups) < 0)
		return -errno;
	return set_fs_ids(p->uid, p->gid);
}

int peer_leave(void)
{
	return set_fs_ids(geteuid(), getegid());
}
