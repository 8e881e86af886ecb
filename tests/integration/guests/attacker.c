/* SPDX-License-Identifier: BSD-3-Clause */
/* attacker ATTACK ARG… [/ ATTACK ARG…]…
 *
 * Tries what a local user may try against the state, and prints for each ARG of each ATTACK a line
 * "ATTACK ARG: done" or with the name of the errno instead of "done".
 *
 *   open PIN…          opens it for reading and writing, or
 *   open-write PIN…    for writing alone
 *   through-read PIN…  opens it for reading, and changes it by whatever takes that descriptor:
 *                      the line says "done" if any of that worked
 *   freeze PIN…        opens it for writing, and freezes the map for ever
 *   empty PIN…         and deletes its entries
 *   overwrite PIN…     and writes zeros under the key 0
 *   fill IP PORT PIN…  and puts a listener on IP:PORT into all slots
 *   by-id ID…          opens the map with that id
 *   pin PIN PATH…      pins the map of PIN at PATH
 *   create PATH…       makes a folder, link PIN PATH…, symlink TARGET PATH…
 *   remove PATH…       removes it: unlink() and rmdir()
 *   rename PATH…       to PATH with an x behind it
 *   replace PIN PATH…  renames PIN to PATH
 *   mode MODE PATH…    chmod()
 *   own PATH…          chown() to itself
 *   lock PATH…         opens it and takes the lock of it
 *   hold IP PORT PIN…  opens the PINs for writing and prints "holding"; when a signal SIGUSR1
 *                      comes, puts a listener on IP:PORT into all slots of them, as "fill" does
 *   serve              greets TCP clients of the listener with "attacker", does not return
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "guest.h"

#define SLOTS 16

static int listener = -1;

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int open_pin(const char *path, unsigned flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)path;
	attr.file_flags = flags;
	return bpf(BPF_OBJ_GET, &attr);
}

static int pin(int fd, const char *path)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)path;
	attr.bpf_fd = (unsigned)fd;
	return bpf(BPF_OBJ_PIN, &attr);
}

static int by_id(const char *id)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_id = (unsigned)strtoul(id, NULL, 10);
	return bpf(BPF_MAP_GET_FD_BY_ID, &attr);
}

/* ---- what is done with a map ---- */

static int freeze(int fd)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (unsigned)fd;
	return bpf(BPF_MAP_FREEZE, &attr);
}

static int element(enum bpf_cmd cmd, int fd, uint32_t index, const void *value)
{
	static char key[512]; /* as long as any */
	union bpf_attr attr;

	memcpy(key, &index, sizeof(index));
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (unsigned)fd;
	attr.key = (uintptr_t)key;
	if (cmd != BPF_MAP_DELETE_ELEM)
		attr.value = (uintptr_t)value;
	return bpf(cmd, &attr);
}

static int overwrite(int fd)
{
	static const char zeros[65536];

	return element(BPF_MAP_UPDATE_ELEM, fd, 0, zeros);
}

static int lookup_and_delete(int fd)
{
	static char value[65536];

	return element(BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, 0, value);
}

/* Returns 0 when any was deleted. */
static int empty(int fd)
{
	int r = -1, failure = 0;

	for (uint32_t i = 0; i < SLOTS; i++) {
		if (element(BPF_MAP_DELETE_ELEM, fd, i, NULL) == 0)
			r = 0;
		else
			failure = errno;
	}
	errno = failure;
	return r;
}

static int fill(int fd)
{
	uint64_t value = (uint64_t)listener;
	int r = -1, failure = 0;

	for (uint32_t i = 0; i < SLOTS; i++) {
		if (element(BPF_MAP_UPDATE_ELEM, fd, i, &value) == 0)
			r = 0;
		else
			failure = errno;
	}
	errno = failure;
	return r;
}

/* ---- attacks ---- */

static int any_change(const char *path)
{
	static int (*const changes[])(int) = { overwrite, lookup_and_delete, empty, freeze };
	int fd = open_pin(path, BPF_F_RDONLY), r = -1, failure = 0;

	if (fd < 0)
		return -1;
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		if (changes[i](fd) == 0)
			r = 0;
		else if (errno != EPERM)
			failure = errno;
	}
	close(fd);
	errno = failure ? failure : EPERM;
	return r;
}

static int with_pin(const char *path, int (*change)(int fd))
{
	int fd = open_pin(path, 0), r, saved;

	if (fd < 0)
		return -1;
	r = change ? change(fd) : 0;
	saved = errno;
	close(fd);
	errno = saved;
	return r;
}

static int pin_at(const char *from, const char *path)
{
	int fd = open_pin(from, 0);

	return fd < 0 ? -1 : pin(fd, path);
}

static int renamed(const char *path)
{
	char to[PATH_MAX];

	snprintf(to, sizeof(to), "%sx", path);
	return rename(path, to);
}

static int lock(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -1 : flock(fd, LOCK_EX | LOCK_NB);
}

/* Attacks on one thing. */
static const struct {
	const char *name;
	int (*attack)(const char *path);
} simple[] = {
	{ "through-read", any_change }, { "by-id", by_id }, { "remove", remove },
	{ "rename", renamed },          { "lock", lock },
};

/* Attacks that need something beside. */
static const struct {
	const char *name;
	int (*attack)(const char *with, const char *path);
} double_[] = {
	{ "pin", pin_at },
	{ "link", link },
	{ "symlink", symlink },
	{ "replace", rename },
};

static int attack(const char *name, const char *with, const char *path)
{
	for (size_t i = 0; i < sizeof(simple) / sizeof(*simple); i++)
		if (!strcmp(name, simple[i].name))
			return simple[i].attack(path);
	for (size_t i = 0; i < sizeof(double_) / sizeof(*double_); i++)
		if (!strcmp(name, double_[i].name))
			return double_[i].attack(with, path);
	if (!strcmp(name, "open"))
		return with_pin(path, NULL);
	if (!strcmp(name, "open-write"))
		return open_pin(path, BPF_F_WRONLY);
	if (!strcmp(name, "freeze"))
		return with_pin(path, freeze);
	if (!strcmp(name, "empty"))
		return with_pin(path, empty);
	if (!strcmp(name, "overwrite"))
		return with_pin(path, overwrite);
	if (!strcmp(name, "fill"))
		return with_pin(path, fill);
	if (!strcmp(name, "create"))
		return mkdir(path, 0777);
	if (!strcmp(name, "mode"))
		return chmod(path, (mode_t)strtoul(with, NULL, 8));
	if (!strcmp(name, "own"))
		return chown(path, getuid(), getgid());
	guest_die(name);
}

static void print_result(const char *name, const char *object, int r)
{
	printf("%s %s: %s\n", name, object, r < 0 ? strerrorname_np(errno) : "done");
}

static void listen_on(const char *ip, const char *port)
{
	listener = guest_tcp(ip, (uint16_t)strtoul(port, NULL, 10), false);
	if (listen(listener, 16) < 0)
		guest_die("listen");
}

/* With descriptors that were opened before something happened. */
static void hold(char **pins)
{
	int fds[16], n = 0, signal;
	sigset_t set;

	for (; pins[n] && n < 16; n++) {
		fds[n] = open_pin(pins[n], 0);
		if (fds[n] < 0)
			guest_die(pins[n]);
	}
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	puts("holding");
	if (sigwait(&set, &signal) != 0)
		guest_die("sigwait");
	for (int i = 0; i < n; i++)
		print_result("hold", pins[i], fill(fds[i]));
}

/* One attack with its arguments, up to a NULL. */
static void run(char **args)
{
	const char *name = *args++, *with = NULL;

	if (!strcmp(name, "serve")) {
		puts("serving");
		for (;;)
			guest_serve_one(listener, "attacker");
	}
	if (!strcmp(name, "fill") || !strcmp(name, "hold")) {
		listen_on(args[0], args[1]);
		args += 2;
	}
	if (!strcmp(name, "hold")) {
		hold(args);
		return;
	}
	if (!strcmp(name, "mode"))
		with = *args++;
	for (size_t i = 0; i < sizeof(double_) / sizeof(*double_); i++)
		if (!strcmp(name, double_[i].name))
			with = *args++;
	for (; *args; args++)
		print_result(name, *args, attack(name, with, *args));
}

int main(int argc, char **argv)
{
	int first = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i <= argc; i++) {
		if (argv[i] && strcmp(argv[i], "/"))
			continue;
		argv[i] = NULL;
		if (i > first)
			run(argv + first);
		first = i + 1;
	}
}
