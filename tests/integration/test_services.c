/* SPDX-License-Identifier: BSD-3-Clause */
/* Services as they are run in production: started as docs/servers.md says, restarted, reloaded and
 * upgraded in place while clients connect. Nobody is refused, and nobody else gets their traffic.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/load.h"
#include "integration/server.h"
#include "integration/service.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"

#define HEADING     "Services"
#define WEB         "127.0.0.2"
#define TLS         "127.0.0.3"
#define OTHER_PORT  8081 /* of the instance that takes over */
#define HTTP        "GET / HTTP/1.0\r\nHost: test\r\n\r\n"
#define CONNECTIONS 20 /* between one change and the next */

/* A service, clients of its label, and a server that has no business with them. */
struct scene {
	struct service_row row;
	struct process *process;
	struct load *load;
	int other;
};

static void bind_web(struct scene *s, void **state, const char *test, const char *program)
{
	*s = (struct scene){ .other = -1 };
	netns_or_skip(state);
	server_need(program);
	service_row(HEADING, test, &s->row);
	service_prepare();
	loader_ok("load", "--max-destinations", "64", NULL);
	loader_ok("bind", "web", "tcp", WEB, "80", NULL);
	s->other = tcp_listen_dual(80);
	assert_return_code(s->other, -s->other);
}

static struct load *clients(const char *ip, uint16_t port, const char *request,
			    const char *expected)
{
	return load_start(&(struct load_options){ ip, port, request, expected });
}

/* What the library says of a service that it is in. */
#define REGISTERED " under 'web': ipv4 slot "

/* Starts the service, and when it has printed @ready its clients. */
static void start(struct scene *s, const char *ready, const char *request, const char *expected)
{
	s->process = service_start(&s->row, SERVICE_PORT, 0);
	process_wait_output(s->process, ready);
	s->load = clients(WEB, 80, request, expected);
}

/* A new instance on another local port takes over, and the old one ends. */
static void restart(struct scene *s, const char *ready)
{
	struct process *new = service_start(&s->row, OTHER_PORT, 0);

	process_wait_output(new, ready);
	load_more(s->load, CONNECTIONS);
	server_stop(s->process, SIGTERM);
	load_more(s->load, CONNECTIONS);
	s->process = new;
}

static void end(struct scene *s)
{
	load_stop(s->load);
	assert_false(net_readable(s->other, 0));
	close(s->other);
	server_stop(s->process, SIGKILL);
}

static void tell(pid_t pid, int signal)
{
	assert_return_code(kill(pid, signal), errno);
}

static unsigned count(const char *text, const char *word)
{
	unsigned n = 0;

	while ((text = strstr(text, word))) {
		text += strlen(word);
		n++;
	}
	return n;
}

/* Waits until the service has printed @word @n times on stderr, while its clients go on. */
static void wait_count(struct scene *s, const char *word, unsigned n)
{
	while (count(process_stderr(s->process), word) < n)
		load_more(s->load, 1);
}

/* ---- nginx ---- */

/* Waits for what nginx's process @pid says. */
static void wait_of(struct scene *s, pid_t pid, const char *what)
{
	char text[128];

	snprintf(text, sizeof(text), "[notice] %d#%d: %s", (int)pid, (int)pid, what);
	wait_count(s, text, 1);
}

/* The last process that nginx says to have started as @name, once it is not @former. */
static pid_t wait_started(struct scene *s, const char *name, pid_t former)
{
	for (;;) {
		const char *text = process_stderr(s->process);
		pid_t pid = former;

		while ((text = strstr(text, name))) {
			text += strlen(name);
			pid = (pid_t)strtol(text, NULL, 10);
		}
		if (pid != former)
			return pid;
		load_more(s->load, 1);
	}
}

static bool has_library(pid_t pid)
{
	char path[64], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, "libisomer_preload.so");
	fclose(f);
	return found;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], line[128] = "";
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (!parent && fgets(line, sizeof(line), f))
		(void)sscanf(line, "PPid: %d", &parent);
	fclose(f);
	return parent;
}

static pid_t upgrade_nginx(struct scene *s, pid_t master, pid_t former)
{
	pid_t pid;

	tell(master, SIGUSR2);
	pid = wait_started(s, "start new binary process ", former);
	wait_of(s, pid, "start worker process ");
	load_more(s->load, CONNECTIONS);
	return pid;
}

/* Returns its master: what was started has ended, as services do that go to the background. */
static pid_t start_nginx(struct scene *s, void **state, const char *test, struct load **ret_tls)
{
	bind_web(s, state, test, "nginx");
	loader_ok("bind", "tls", "tcp", TLS, "443", NULL);
	s->process = service_start(&s->row, SERVICE_PORT, 0);
	server_wait_registered(s->process, "web");
	server_wait_registered(s->process, "tls");
	s->load = clients(WEB, 80, HTTP, "the page of web");
	*ret_tls = clients(TLS, 443, HTTP, "the page of tls");
	assert_int_equal(process_wait(s->process), 0);
	return parent_of(wait_started(s, "start worker process ", 0));
}

static void end_nginx(struct scene *s, struct load *tls)
{
	load_more(tls, CONNECTIONS);
	load_stop(tls);
	end(s);
}

static void nginx_is_reloaded_upgraded_and_rolled_back(void **state)
{
	pid_t master, second, third;
	struct load *tls;
	char gone[64];
	struct scene s;

	master = start_nginx(&s, state, __func__, &tls);
	tell(master, SIGHUP);
	wait_of(&s, master, "signal 17 (SIGCHLD) received"); /* an old worker is gone */
	load_more(s.load, CONNECTIONS);

	/* The new one is not what was hoped for: back to the old one, whose workers have ended. */
	second = upgrade_nginx(&s, master, 0);
	tell(master, SIGWINCH);
	wait_of(&s, master, "signal 28 (SIGWINCH) received");
	load_more(s.load, CONNECTIONS);
	tell(master, SIGHUP);
	load_more(s.load, CONNECTIONS);
	tell(second, SIGQUIT);
	snprintf(gone, sizeof(gone), "new binary process %d exited with code 0", (int)second);
	wait_of(&s, master, gone);
	load_more(s.load, CONNECTIONS);

	third = upgrade_nginx(&s, master, second);
	assert_true(has_library(third)); /* for the listeners of its next configuration */
	tell(master, SIGQUIT);
	wait_of(&s, master, "exit");
	load_more(s.load, CONNECTIONS);
	assert_return_code(kill(third, 0), errno);
	end_nginx(&s, tls);
}

/* The configuration that is looked at has a listener on another port, as before a reload. */
static struct command_result check_edited_nginx(bool library)
{
	CLEANUP_FREE char *preload = NULL;
	struct command_result r;

	assert_true(asprintf(&preload, "LD_PRELOAD=%s", preload_path()) > 0);
	r = command_run(&(struct process_options){
		.argv = (const char *const[]){ "/bin/sh", "-c",
					       "cd " SERVICE_FOLDER
					       " && sed s/8080/8081/ nginx.conf >edited.conf"
					       " && exec nginx -t -p . -c edited.conf",
					       NULL },
		.env = (const char *const[]){ "ISOMER_LOG=info", library ? preload : NULL,
					      "ISOMER_LABEL=web", NULL },
	});
	if (r.status != 0 || !strstr(r.err, "test is successful"))
		fail_msg("nginx -t: exit status %d\n%s", r.status, r.err);
	return r;
}

static void nginx_checks_a_configuration_without_moving_a_connection(void **state)
{
	struct command_result r;
	struct load *tls;
	struct scene s;

	(void)start_nginx(&s, state, __func__, &tls);
	for (int i = 0; i < 5; i++) {
		r = check_edited_nginx(false);
		assert_null(strstr(r.err, "isomer: "));
		command_done(&r);
		load_more(s.load, 2);
	}
	load_stop(tls);
	load_stop(s.load);

	/* Had the library been around the check, too, it would have had the traffic meanwhile. */
	r = check_edited_nginx(true);
	assert_non_null(strstr(r.err, "127.0.0.1:8081 under 'web': ipv4 slot "));
	command_done(&r);
	s.load = clients(WEB, 80, HTTP, "the page of web");
	end(&s);
}

/* ---- others ---- */

static void redis_is_restarted(void **state)
{
	struct scene s;

	bind_web(&s, state, __func__, "redis-server");
	start(&s, REGISTERED, "PING\r\nQUIT\r\n", "+PONG\r\n");
	restart(&s, REGISTERED);
	end(&s);
}

static void gunicorn_is_reloaded_and_upgraded(void **state)
{
	struct scene s;

	bind_web(&s, state, __func__, "gunicorn");
	start(&s, REGISTERED, HTTP, "the page of python");
	wait_count(&s, "Booting worker", 2);
	tell(process_pid(s.process), SIGHUP);
	wait_count(&s, "Worker exiting", 2);
	load_more(s.load, CONNECTIONS);

	tell(process_pid(s.process), SIGUSR2);
	wait_count(&s, "Booting worker", 6); /* two before, two after the reload, two of the new */
	load_more(s.load, CONNECTIONS);
	assert_int_equal(server_stop(s.process, SIGTERM), 0);
	load_more(s.load, CONNECTIONS);
	load_stop(s.load);
	assert_false(net_readable(s.other, 0));
	close(s.other);
}

static void node_cluster_is_reloaded_and_restarted(void **state)
{
	struct scene s;

	bind_web(&s, state, __func__, "node");
	start(&s, REGISTERED, HTTP, "the page of node");
	tell(process_pid(s.process), SIGHUP);
	process_wait_output(s.process, "reloaded");
	load_more(s.load, CONNECTIONS);
	restart(&s, REGISTERED);
	end(&s);
}

static void java_is_restarted(void **state)
{
	struct scene s;

	bind_web(&s, state, __func__, "java");
	start(&s, REGISTERED, HTTP, "the page of java");
	restart(&s, REGISTERED);
	end(&s);
}

static void socat_is_restarted(void **state)
{
	struct scene s;

	bind_web(&s, state, __func__, "socat");
	start(&s, REGISTERED, NULL, "the page of socat");
	restart(&s, REGISTERED);
	end(&s);
}

/* ---- programs that the library does not reach ---- */

static void go_server_is_reloaded_and_restarted(void **state)
{
	static const char ready[] = "Server is ready to receive web requests.";
	struct scene s;

	bind_web(&s, state, __func__, "prometheus");
	start(&s, ready, "GET /-/healthy HTTP/1.0\r\n\r\n", "Healthy");
	tell(process_pid(s.process), SIGHUP);
	wait_count(&s, "Completed loading of configuration file", 2);
	restart(&s, ready);
	end(&s);
}

static void static_server_is_restarted(void **state)
{
	struct scene s;

	bind_web(&s, state, __func__, "sh");
	start(&s, "ready", NULL, "guest");
	restart(&s, "ready");
	end(&s);
}

/* ---- socket activation ---- */

static void socket_activated_service_is_reloaded(void **state)
{
	struct scene s;

	bind_web(&s, state, __func__, "systemd-socket-activate");
	start(&s, REGISTERED, HTTP, "the page of python");
	wait_count(&s, "Booting worker", 1);
	tell(process_pid(s.process), SIGHUP);
	wait_count(&s, "Worker exiting", 1);
	load_more(s.load, CONNECTIONS);
	end(&s);
}

/* The socket is systemd's, and outlives the service: who comes between two instances waits. */
static void service_with_the_socket_of_a_unit_is_restarted(void **state)
{
	CLEANUP_FD int fd = -1;
	struct scene s;

	bind_web(&s, state, __func__, "gunicorn");
	fd = tcp_listen("127.0.0.1", SERVICE_PORT);
	assert_return_code(fd, -fd);
	s.process = service_start(&s.row, SERVICE_PORT, fd);
	server_wait_registered(s.process, "web");
	s.load = clients(WEB, 80, HTTP, "the page of python");
	for (int i = 0; i < 3; i++) {
		server_stop(s.process, SIGTERM);
		s.process = service_start(&s.row, SERVICE_PORT, fd);
		load_more(s.load, CONNECTIONS);
	}
	end(&s);
}

static void rows_and_tests_agree(void **state);

static const struct CMUnitTest tests[] = {
	netns_test(nginx_is_reloaded_upgraded_and_rolled_back),
	netns_test(nginx_checks_a_configuration_without_moving_a_connection),
	netns_test(redis_is_restarted),
	netns_test(gunicorn_is_reloaded_and_upgraded),
	netns_test(node_cluster_is_reloaded_and_restarted),
	netns_test(java_is_restarted),
	netns_test(socat_is_restarted),
	netns_test(go_server_is_reloaded_and_restarted),
	netns_test(static_server_is_restarted),
	netns_test(socket_activated_service_is_reloaded),
	netns_test(service_with_the_socket_of_a_unit_is_restarted),
	cmocka_unit_test(rows_and_tests_agree),
};

static void rows_and_tests_agree(void **state)
{
	(void)state;
	service_rows_match(HEADING, tests, sizeof(tests) / sizeof(*tests), __func__);
}

int main(void)
{
	return cmocka_run_group_tests_name("services", tests, NULL, NULL);
}
