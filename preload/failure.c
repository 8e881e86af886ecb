/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/failure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload/describe.h"
#include "state/cleanup.h"
#include "state/parse.h"
#include "state/state.h"

/* What a line is about. */
struct about {
	const struct failure *f;
	const struct config *config;
	const char *label;
	const struct isomer_socket *s;
};

int failure_errno(const struct failure *f)
{
	bool not_there = f->stage == FAILURE_STATE || f->stage == FAILURE_LABEL;

	return not_there && f->error == -ENOENT ? ENOENT : EACCES;
}

/* "isomer-loader", with what makes it find the same state. */
static void add_loader(struct report *line, const struct about *a)
{
	bool elsewhere = strcmp(a->config->bpffs, ISOMER_BPFFS_DEFAULT) != 0;

	report_add(line, "isomer-loader %s%s%s", elsewhere ? "--bpffs " : "",
		   elsewhere ? a->config->bpffs : "", elsewhere ? " " : "");
}

/* Why the registrar did not answer. */
static void add_registrar(struct report *line, const struct about *a, int error)
{
	const char *path = a->config->registrar;

	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
	case -ECONNRESET:
		report_add(line, "no registrar is at %s: run '", path);
		add_loader(line, a);
		report_add(line, "registrar' as root");
		break;
	case -EACCES:
		report_add(line, "uid %u may not connect to the registrar at %s", geteuid(), path);
		break;
	case -EAFNOSUPPORT:
	case -EPERM:
		report_add(line,
			   "this process is kept from Unix sockets, by which it would reach the "
			   "registrar at %s (systemd: RestrictAddressFamilies=)",
			   path);
		break;
	case -ETIMEDOUT:
	case -EBUSY:
		report_add(line, "the registrar at %s has too much to do", path);
		break;
	case -EPROTO:
		report_add(line,
			   "what answers at %s is no registrar of this library's version; use the "
			   "library and the loader of one version",
			   path);
		break;
	default:
		report_add(line, "the registrar at %s cannot be asked (errno %d)", path, -error);
	}
}

static void add_register_pid(struct report *line, const struct about *a)
{
	if (a->f->registrar < 0) {
		report_add(line, "; ");
		add_registrar(line, a, a->f->registrar);
		report_add(line, ", or");
	} else {
		report_add(line, ";");
	}
	report_add(line, " run '");
	add_loader(line, a);
	report_add(line, "register-pid %d %s ", getpid(), a->label);
	describe_operands(line, a->s);
	report_add(line, "' as root");
}

static void add_kernel(struct report *line, const struct about *a)
{
	report_add(line, "the kernel keeps bpf() from unprivileged users (before Linux 5.19, "
			 "kernel.unprivileged_bpf_disabled)");
	add_register_pid(line, a);
}

static void add_load(struct report *line, const struct about *a)
{
	report_add(line, "; run '");
	add_loader(line, a);
	report_add(line, "load' as root in that namespace");
}

static void explain_socket(struct report *line, const struct about *a)
{
	if (a->f->error == -EMEDIUMTYPE)
		report_add(line,
			   "it is an MPTCP socket, which the kernel cannot dispatch; make the "
			   "server use plain TCP (Go: GODEBUG=multipathtcp=0)");
	else
		report_add(line, "the socket could not be examined (errno %d)", -a->f->error);
}

static void explain_seccomp(struct report *line, const struct about *a)
{
	if (a->f->error > 0)
		report_add(line, "a seccomp filter is in force, under which bpf() could kill the "
				 "server");
	else
		report_add(line,
			   "/proc/thread-self/status cannot be read (errno %d), so that a "
			   "seccomp filter may be in force",
			   -a->f->error);
	add_register_pid(line, a);
}

static bool is_missing(const char *path)
{
	struct stat sb;

	return stat(path, &sb) < 0 && errno == ENOENT;
}

/* open() with O_PATH of "." asks for nothing but the right to search the folder. */
static bool is_closed(const char *folder)
{
	CLEANUP_FD int outer = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), inner = -1;

	if (outer >= 0)
		inner = openat(outer, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return inner < 0 && errno == EACCES;
}

/* Is it the folder that is not trusted, rather than bpf() that is refused? */
static bool is_foreign(const char *path)
{
	struct stat sb;

	return lstat(path, &sb) == 0 &&
	       (!S_ISDIR(sb.st_mode) || (sb.st_uid != 0 && sb.st_uid != geteuid()) ||
		(sb.st_mode & (S_IWGRP | S_IWOTH)));
}

static void explain_missing(struct report *line, const struct about *a)
{
	if (is_missing(a->config->bpffs)) {
		report_add(line,
			   "%s does not exist; set ISOMER_BPFFS to the BPF filesystem of "
			   "isomer-loader",
			   a->config->bpffs);
		return;
	}
	report_add(line, "network namespace %llu has no dispatcher below %s",
		   (unsigned long long)a->f->netns_inode, a->config->bpffs);
	add_load(line, a);
}

static void explain_denied(struct report *line, const struct about *a, const char *path)
{
	const char *bpffs = a->config->bpffs;

	if (is_closed(bpffs))
		report_add(line,
			   "uid %u may not search %s; run 'chmod o+x %s' as root, or mount it "
			   "with mode=0711",
			   geteuid(), bpffs, bpffs);
	else
		report_add(line, "uid %u is denied access to %s", geteuid(), path);
}

/* It sees other mounts than this process. */
static void explain_answered_state(struct report *line, const struct about *a)
{
	unsigned long long inode = a->f->netns_inode;

	if (a->f->error != -ENOENT && a->f->error != -ESTALE && a->f->error != -EXDEV) {
		report_add(line,
			   "the registrar cannot use the dispatcher of network namespace %llu "
			   "(errno %d)",
			   inode, -a->f->error);
		return;
	}
	report_add(line, "the registrar finds no dispatcher of network namespace %llu", inode);
	add_load(line, a);
}

static void explain_own_state(struct report *line, const struct about *a)
{
	const char *bpffs = a->config->bpffs;
	char path[ISOMER_FOLDER_SIZE];

	if (isomer_state_path(bpffs, a->f->netns_inode, path) < 0)
		path[0] = '\0';
	switch (a->f->error) {
	case -ENOENT:
		explain_missing(line, a);
		break;
	case -EMEDIUMTYPE:
		report_add(line,
			   "no BPF filesystem is mounted on %s; run 'mount -t bpf -o mode=0711 "
			   "bpf %s' as root",
			   bpffs, bpffs);
		add_load(line, a);
		break;
	case -EACCES:
		explain_denied(line, a, path);
		break;
	case -EPERM:
		if (!is_foreign(path)) {
			add_kernel(line, a);
			break;
		}
		report_add(line,
			   "%s is not trusted, for it belongs to another user or others may "
			   "write to it",
			   path);
		add_load(line, a);
		report_add(line, ", which moves it aside");
		break;
	case -EPROTO:
		report_add(line,
			   "%s is not of schema %d, which this library knows; use the library "
			   "and the loader of one version",
			   path, ISOMER_SCHEMA);
		break;
	default:
		report_add(line, "%s cannot be read (errno %d)", path, -a->f->error);
	}
}

static void explain_state(struct report *line, const struct about *a)
{
	if (a->f->registrar > 0) {
		explain_answered_state(line, a);
		return;
	}
	explain_own_state(line, a);
	/* Where there is none, what was said is the remedy. */
	if (a->f->registrar < 0 && a->f->registrar != -ENOENT && a->f->error != -EPERM) {
		report_add(line, "; and ");
		add_registrar(line, a, a->f->registrar);
	}
}

static void explain_netns(struct report *line, const struct about *a)
{
	switch (a->f->error) {
	case -EXDEV:
		report_add(line,
			   "the socket is not of the network namespace that the dispatcher in "
			   "%llu%s serves; make sockets in the namespace that the server runs in, "
			   "or renew what a dead one has left",
			   (unsigned long long)a->f->netns_inode, ISOMER_FOLDER_SUFFIX);
		add_load(line, a);
		break;
	case -EOPNOTSUPP:
		report_add(line, "this kernel (before Linux 5.14) does not tell to which network "
				 "namespace a socket belongs");
		add_register_pid(line, a);
		break;
	default:
		report_add(line, "the network namespace is not known (errno %d)", -a->f->error);
	}
}

static void explain_label(struct report *line, const struct about *a)
{
	uid_t uid = a->f->registrar > 0 ? a->f->uid : geteuid();

	switch (a->f->error) {
	case -ENOENT:
		report_add(line, "the dispatcher does not know this label; run '");
		add_loader(line, a);
		report_add(line, "bind %s %s PREFIX PORT' as root", a->label,
			   isomer_protocol_name(a->s->protocol));
		break;
	case -EACCES:
		report_add(line, "uid %u has no grant for this label; run '", uid);
		add_loader(line, a);
		report_add(line, "grant %s %u' as root", a->label, uid);
		break;
	case -EPERM:
		add_kernel(line, a);
		break;
	default:
		report_add(line, "the slots of the label cannot be opened (errno %d)",
			   -a->f->error);
	}
}

static void explain_slots(struct report *line, const struct about *a)
{
	switch (a->f->error) {
	case -EPERM:
		report_add(line, "the slots of the label are frozen; run '");
		add_loader(line, a);
		report_add(line, "revoke %s' as root and grant it anew", a->label);
		break;
	case -EBUSY:
		report_add(line,
			   "another user of BPF socket maps, or a kernel module, has the socket");
		break;
	default:
		report_add(line, "the kernel does not take the socket (errno %d)", -a->f->error);
	}
}

static void explain_address(struct report *line, const struct about *a)
{
	if (a->f->error == -EPERM)
		report_add(line, "no binding leads the address that a client used to this label");
	else if (a->f->error == -EXDEV)
		report_add(line, "the server has left the socket's network namespace");
	else
		report_add(line, "the address that a client used cannot be bound (errno %d)",
			   -a->f->error);
}

static void explain_registrar(struct report *line, const struct about *a)
{
	add_registrar(line, a, a->f->error);
}

static void (*const explain[])(struct report *, const struct about *) = {
	[FAILURE_SOCKET] = explain_socket,   [FAILURE_SECCOMP] = explain_seccomp,
	[FAILURE_STATE] = explain_state,     [FAILURE_NETNS] = explain_netns,
	[FAILURE_LABEL] = explain_label,     [FAILURE_SLOTS] = explain_slots,
	[FAILURE_ADDRESS] = explain_address, [FAILURE_REGISTRAR] = explain_registrar,
};

static void report(const struct about *a, const char *before, const char *consequence)
{
	const struct failure *f = a->f;
	struct report line;
	int saved = errno;

	if (!report_first_time((unsigned)f->stage << 16 | (unsigned)(f->error & 0xffff), a->label))
		return;

	report_begin(&line);
	report_add(&line, "%s ", before);
	describe_socket(&line, a->s);
	report_add(&line, " under '%s'%s: ", a->label, consequence);
	explain[f->stage](&line, a);
	report_end(&line);
	errno = saved;
}

void failure_report(const struct failure *f, const struct config *config, const char *label,
		    const struct isomer_socket *s, const char *consequence)
{
	report(&(struct about){ f, config, label, s }, "cannot register", consequence);
}

void failure_report_answer(const struct failure *f, const struct config *config, const char *label,
			   const struct isomer_socket *s)
{
	report(&(struct about){ f, config, label, s }, "cannot send an answer of", "");
}
