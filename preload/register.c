/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/register.h"

#include <errno.h>
#include <netinet/in.h>

#include "preload/candidate.h"
#include "preload/describe.h"
#include "preload/failure.h"
#include "preload/guard.h"
#include "preload/places.h"
#include "preload/registrar.h"
#include "preload/request.h"
#include "preload/udp_watch.h"
#include "preload/way.h"
#include "state/parse.h"

/* What a line is about, where it is not about a failure: see report_first_time(). Variables have
 * the numbers below. */
enum reason {
	REASON_OTHER_TCP = CONFIG_VARIABLES,
	REASON_OTHER_UDP,
	REASON_UNWATCHED,
};

static void report_mistake(const struct config *config, enum config_variable variable)
{
	const struct config_mistake *m = &config->mistakes[variable];
	const char *name = config_variable_name(variable);
	struct report line;

	if (!report_first_time(variable, ""))
		return;
	report_begin(&line);
	report_add(&line, "%s", name);
	if (m->rule)
		report_add(&line, ": rule %u", m->rule);
	report_add(&line, ": '%s': %s", m->text, m->what);
	if (config->refused)
		report_add(&line, config->on_error == CONFIG_FAIL
					  ? "; listen() and bind() are refused"
					  : "; nothing is registered");
	report_end(&line);
}

/* A socket is there that the variables may be about: time to say what is wrong with them. Under
 * ISOMER_ON_ERROR=ignore too, which is about dispatchers that come and go. False: there is nothing
 * to go by. */
static bool check_config(const struct config *config)
{
	for (int i = 0; i < CONFIG_VARIABLES; i++)
		if (config->mistakes[i].what)
			report_mistake(config, (enum config_variable)i);
	return !config->refused;
}

/* Which label the socket goes under; false: none. */
static bool decide(struct request *r)
{
	const struct isomer_rule *rule = isomer_rules_match(&r->config->rules, r->s);

	r->by_rule = rule;
	r->label = rule ? rule->label : r->config->label;
	return r->label;
}

/* Returns what the hooked call has to return. */
static int complain(const struct request *r, const struct failure *f, const char *consequence)
{
	bool strict = r->config->on_error == CONFIG_FAIL;

	if (r->config->on_error != CONFIG_IGNORE)
		failure_report(f, r->config, r->label, r->s, strict ? consequence : "");
	return strict ? -failure_errno(f) : 0;
}

static void report_other_port(const struct request *r)
{
	bool udp = r->s->protocol == IPPROTO_UDP;
	const char *protocol = udp ? "UDP" : "TCP";
	struct report line;

	/* Resolvers and the like bind UDP ports for a single use: not worth a warning. */
	if (r->config->on_error == CONFIG_IGNORE || !report_wanted(udp ? REPORT_INFO : REPORT_WARN))
		return;
	if (!report_first_time(udp ? REASON_OTHER_UDP : REASON_OTHER_TCP, r->label))
		return;
	report_begin(&line);
	describe_socket(&line, r->s);
	report_add(&line,
		   " is not registered: by ISOMER_LABEL alone '%s' gets the first %s address and "
		   "port of the process, which is another; set ISOMER_RULES, as in 'LABEL=%s:*:%u'",
		   r->label, protocol, isomer_protocol_name(r->s->protocol), r->s->port);
	report_end(&line);
}

static void report_left_alone(const struct isomer_socket *s, const char *why)
{
	struct report line;

	if (!report_wanted(REPORT_DEBUG))
		return;
	report_begin(&line);
	describe_socket(&line, s);
	report_add(&line, " is left alone: %s", why);
	report_end(&line);
}

static void report_registered(const struct request *r, const struct outcome *o)
{
	const char *separator = "";
	struct report line;

	if (!report_wanted(REPORT_INFO))
		return;
	report_begin(&line);
	report_add(&line, "registered ");
	describe_socket(&line, r->s);
	report_add(&line, " under '%s': ", r->label);
	for (size_t i = 0; i < REQUEST_DOMAINS; i++) {
		if (o->slots[i] < 0)
			continue;
		report_add(&line, "%s%s slot %d", separator, isomer_domain_name(request_domains[i]),
			   o->slots[i]);
		separator = ", ";
	}
	if (*separator)
		report_end(&line);
	else
		report_left_alone(r->s, "it has its slots already, or this process has enough");
}

/* By label alone a UDP socket on another port than the first is not registered while that one
 * lives, which only the dispatcher can tell. Without one nothing has to be right for it. */
static bool is_other_udp(const struct request *r)
{
	if (r->by_rule || r->s->protocol != IPPROTO_UDP)
		return false;
	for (size_t i = 0; i < REQUEST_DOMAINS; i++) {
		struct place_view view =
			place_look(place_of_label(request_domains[i], IPPROTO_UDP));

		if (view.address != 0 && place_port(view.address) != r->s->port)
			return true;
	}
	return false;
}

/* It gets traffic for more than its own address, or its group does. */
static void watch(const struct request *r, const struct outcome *o)
{
	struct report line;
	int error = r->s->protocol == IPPROTO_UDP ? udp_watch(r->fd, r->s, o->netns_inode) : 0;

	if (error == 0 || r->config->on_error == CONFIG_IGNORE ||
	    !report_first_time(REASON_UNWATCHED, r->label))
		return;
	report_begin(&line);
	report_add(&line, "answers of ");
	describe_socket(&line, r->s);
	report_add(&line, " leave from its own address and port (errno %d)", -error);
	report_end(&line);
}

/* --- before the real call -------------------------------------------------------------------- */

static int check(const struct config *config, int fd, const struct isomer_socket *s, bool mptcp)
{
	struct request r = { .config = config, .s = s, .fd = fd };
	struct failure f = { .stage = FAILURE_SOCKET, .error = -EMEDIUMTYPE };
	bool tcp = s->protocol == IPPROTO_TCP;

	if (!check_config(config))
		return -EACCES;
	if (!decide(&r) || is_other_udp(&r))
		return 0;
	if (!mptcp && way_check(&r, &f) == 0)
		return 0;
	return complain(&r, &f, tcp ? ", listen() is refused" : ", bind() is refused");
}

int register_before_listen(const struct config *config, int fd, bool *ret_listens)
{
	int listens = 0;
	socklen_t len = sizeof(listens);
	struct isomer_socket s;
	bool mptcp;
	GUARD();

	if (config->on_error != CONFIG_FAIL)
		return 0;
	if (isomer_socket_look(fd, &s, &mptcp) < 0 || s.protocol != IPPROTO_TCP)
		return 0;
	(void)getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
	*ret_listens = listens;
	return check(config, fd, &s, mptcp);
}

/* bind() is for UDP: a TCP socket, which nothing comes of yet, costs one system call, and one that
 * sandboxes are likely to allow. */
static bool is_datagram(int fd)
{
	socklen_t len = sizeof(int);
	int type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_DGRAM;
}

int register_before_bind(const struct config *config, int fd, const struct sockaddr *addr,
			 socklen_t len)
{
	struct isomer_socket s;
	bool mptcp;
	GUARD();

	if (config->on_error != CONFIG_FAIL || !is_datagram(fd))
		return 0;
	if (isomer_socket_look(fd, &s, &mptcp) < 0 || s.protocol != IPPROTO_UDP)
		return 0;
	/* Bound already: the real call is going to fail. */
	if (s.port != 0 || !candidate_readable(fd, addr, len) || !candidate_bind(&s, addr, len) ||
	    s.port == 0)
		return 0;
	return check(config, fd, &s, false);
}

/* --- after the real call --------------------------------------------------------------------- */

static int register_socket(struct request *r, bool mptcp, const char *consequence)
{
	struct failure f = { .stage = FAILURE_SOCKET, .error = -EMEDIUMTYPE };
	struct outcome outcome;

	if (!check_config(r->config))
		return 0;
	if (!decide(r)) {
		report_left_alone(r->s, "no label and no rule is for it");
		return 0;
	}
	if (!mptcp && way_register(r, &outcome, &f) == 0) {
		if (outcome.ambiguous) {
			report_other_port(r);
			return 0;
		}
		report_registered(r, &outcome);
		watch(r, &outcome);
		return 0;
	}
	if (!is_other_udp(r))
		return complain(r, &f, consequence);
	report_other_port(r);
	return 0;
}

/* True for a socket of @protocol (0: any) that may be registered, and for an MPTCP listener. */
static bool inspect(int fd, uint8_t protocol, struct isomer_socket *ret, bool *ret_mptcp)
{
	int r = isomer_socket_inspect(fd, ret);

	*ret_mptcp = false;
	if (r == -EMEDIUMTYPE)
		r = isomer_socket_look(fd, ret, ret_mptcp);
	return r == 0 && (protocol == 0 || ret->protocol == protocol);
}

int register_after_listen(const struct config *config, int fd, bool listened)
{
	struct isomer_socket s;
	struct request r = { .config = config, .s = &s, .fd = fd };
	bool mptcp;
	int ret;
	GUARD();

	if (!inspect(fd, IPPROTO_TCP, &s, &mptcp))
		return 0;
	/* One that listened before may be others' too. */
	ret = register_socket(&r, mptcp,
			      listened ? ", listen() fails" : ", the listener is shut down");
	if (ret < 0 && !listened)
		shutdown(fd, SHUT_RDWR);
	return ret;
}

int register_after_bind(const struct config *config, int fd, const struct sockaddr *addr,
			socklen_t len)
{
	struct isomer_socket s;
	struct request r = { .config = config, .s = &s, .fd = fd };
	bool mptcp;
	GUARD();

	/* A port that the kernel chose is for sending. */
	if (candidate_port(addr, len) == 0 || !is_datagram(fd) ||
	    !inspect(fd, IPPROTO_UDP, &s, &mptcp))
		return 0;
	return register_socket(&r, false, ", bind() fails though the address is taken");
}

void register_found(const struct config *config, int fd)
{
	struct isomer_socket s;
	struct request r = { .config = config, .s = &s, .fd = fd };
	bool mptcp;
	GUARD();

	if (inspect(fd, 0, &s, &mptcp))
		(void)register_socket(&r, mptcp, ", but the socket was inherited and stays");
}

/* --- answers --------------------------------------------------------------------------------- */

/* A port below 1024, or another rule of this kind; a thread in another namespace than the socket.
 */
static bool registrar_may_help(int error)
{
	return error == -EACCES || error == -EPERM || error == -EXDEV;
}

int register_reply_socket(const struct config *config, int fd, const struct sockaddr *local,
			  int error, int *ret_fd)
{
	struct failure f = { .stage = FAILURE_ADDRESS, .error = error };
	struct isomer_socket s;
	struct request r = { .config = config, .s = &s, .fd = fd };
	int saved = errno;
	bool mptcp;
	GUARD();

	if (isomer_socket_look(fd, &s, &mptcp) == 0 && decide(&r)) {
		if (registrar_may_help(error) && config->via != CONFIG_BPF &&
		    registrar_reply_socket(&r, local, ret_fd, &f) == 0)
			error = 0;
		else if (config->on_error != CONFIG_IGNORE)
			failure_report_answer(&f, config, r.label, &s);
	}
	errno = saved;
	return error;
}
