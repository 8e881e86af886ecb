/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/late_library.h"

/* Opened by who serves: it brings a TLS library along, which would cost each command of the loader
 * 1.4 ms, half of its start. */
#define LIBRARY "libmicrohttpd.so.12"

static struct {
	__typeof__(MHD_start_daemon) *start_daemon;
	__typeof__(MHD_stop_daemon) *stop_daemon;
	__typeof__(MHD_create_response_from_buffer) *create_response_from_buffer;
	__typeof__(MHD_add_response_header) *add_response_header;
	__typeof__(MHD_queue_response) *queue_response;
	__typeof__(MHD_destroy_response) *destroy_response;
} mhd;

static int open_library(void)
{
	const struct late_function functions[] = {
		{ "MHD_start_daemon", &mhd.start_daemon },
		{ "MHD_stop_daemon", &mhd.stop_daemon },
		{ "MHD_create_response_from_buffer", &mhd.create_response_from_buffer },
		{ "MHD_add_response_header", &mhd.add_response_header },
		{ "MHD_queue_response", &mhd.queue_response },
		{ "MHD_destroy_response", &mhd.destroy_response },
	};

	return late_library_open(LIBRARY, functions, sizeof(functions) / sizeof(functions[0]));
}

/* A scraper or two; the rest waits in the kernel's queue. */
#define CONNECTIONS_MAX 32

static bool has_path(const struct http_page *page, const char *url)
{
	if (page->path)
		return !strcmp(url, page->path);
	return !strcmp(url, "/") || !strcmp(url, "/metrics");
}

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, const char *type,
			       char *body, size_t size)
{
	struct MHD_Response *response =
		mhd.create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	if (!response) {
		free(body);
		return MHD_NO;
	}
	mhd.add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		mhd.add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = mhd.queue_response(connection, status, response);
	mhd.destroy_response(response);
	return result;
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **request)
{
	const struct http_page *page = arg;
	char *body = NULL;
	size_t size = 0;
	FILE *out;

	(void)version;
	(void)upload;

	/* The first call of a request comes before its body, the last behind it; what is in between
	 * is thrown away. */
	if (!*request || *upload_size) {
		*request = connection;
		*upload_size = 0;
		return MHD_YES;
	}

	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return respond(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain",
			       strdup("method not allowed\n"), strlen("method not allowed\n"));
	if (!has_path(page, url))
		return respond(connection, MHD_HTTP_NOT_FOUND, "text/plain", strdup("not found\n"),
			       strlen("not found\n"));
	out = open_memstream(&body, &size);
	if (!out)
		return MHD_NO;
	page->write(out, page->arg);
	if (fclose(out) != 0) {
		free(body);
		return MHD_NO;
	}
	return respond(connection, MHD_HTTP_OK, page->type, body, size);
}

int http_serve(int fd, int end_fd, const struct http_page *page)
{
	struct pollfd end = { .fd = end_fd, .events = POLLIN };
	struct MHD_Daemon *daemon;
	int r;

	r = open_library();
	if (r < 0) {
		close(fd);
		return r;
	}

	daemon = mhd.start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL,
				  answer, (void *)page, MHD_OPTION_LISTEN_SOCKET, fd,
				  MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
				  MHD_OPTION_CONNECTION_TIMEOUT, page->timeout, MHD_OPTION_END);
	if (!daemon) {
		close(fd);
		return -EIO;
	}
	while (poll(&end, 1, -1) < 0 && errno == EINTR)
		;
	mhd.stop_daemon(daemon);
	return 0;
}
