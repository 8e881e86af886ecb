/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that tests start: servers in the background, commands to their end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** How to start a program. All of it optional but @argv. */
struct process_options {
	const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
	const char *const *env;  /* "NAME=value" added to the test's environment, NULL-terminated */
	uid_t uid;               /* not 0: setgroups(0), setgid, setuid to it: no capability left */
	gid_t gid;               /* with @uid; 0: same number as @uid */
	bool no_new_privs;
	const char *netns; /* path of a network namespace to enter, as `ip netns exec` would
			      (new mount namespace, fresh sysfs) */
	int pass_fd;       /* > 0: this descriptor becomes number 3 of the program, all above
			      closed */
};

struct process; /* opaque; stdout and stderr go to private temporary files */

/** Starts it in the background. Fails the test when it cannot be started. */
struct process *process_start(const struct process_options *options);

pid_t process_pid(const struct process *p);

/** Waits (inotify or poll, no sleeping) until what it has printed on stderr or stdout holds @text;
 * fails the test after 2 minutes or when the process ends before. */
void process_wait_output(struct process *p, const char *text);

/** The same, but a process that ends before fails nothing: then it returns false. */
bool process_wait_output_or_end(struct process *p, const char *text);

/** Waits until a TCP listener (or UDP socket) of the namespace has the local port @port; fails
 * the test after 2 minutes. */
void process_wait_port(struct process *p, const char *protocol, uint16_t port);

/** Everything printed so far; valid until the next call or process_stop(). */
const char *process_stdout(struct process *p);
const char *process_stderr(struct process *p);

/** Waits for its end, up to 2 minutes; the exit status, or 128 + signal. */
int process_wait(struct process *p);

/** Sends it @signal if it still runs. */
void process_signal(struct process *p, int signal);

/** Ends it with @signal if it still runs, waits, frees. Exit status as process_wait(). */
int process_stop(struct process *p, int signal);
void process_stopp(struct process **p); /* SIGKILL, for CLEANUP() */

/** The outcome of a command. Free with command_done(). */
struct command_result {
	int status; /* exit status, or 128 + signal */
	char *out, *err;
};
void command_done(struct command_result *r);

/** Runs a program to its end. */
struct command_result command_run(const struct process_options *options);

/** Runs isomer-loader with the arguments, up to a NULL. */
struct command_result loader(const char *arg, ...) __attribute__((sentinel));

/** The same, and fails the test with what it printed when it does not exit with 0. */
void loader_ok(const char *arg, ...) __attribute__((sentinel));

/** `isomer-loader register-pid`, of the socket of process @pid that is bound to @ip and @port; as
 * loader_ok(). */
void loader_register(pid_t pid, const char *label, const char *protocol, const char *ip,
		     uint16_t port);

/** Paths of what was built: from ISOMER_LOADER and ISOMER_PRELOAD in the environment, else as
 * compiled in. */
const char *loader_path(void);
const char *preload_path(void);
