/* SPDX-License-Identifier: BSD-3-Clause */
/* The JSON file of bindings: what was read is a set that the compiler takes, and reads the same
 * when written again; what was not is told in one message.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "loader/bindings_file.h"
#include "loader/ruleset.h"
#include "state/cleanup.h"
#include "state/label.h"
#include "state/parse.h"

static int read_text(const void *text, size_t size, struct bindings_file *ret)
{
	static int fd = -1;
	char error[BINDINGS_FILE_ERROR_SIZE];
	int r;

	if (fd < 0)
		fd = memfd_create("bindings", MFD_CLOEXEC);
	CHECK(ftruncate(fd, 0) == 0 && pwrite(fd, text, size, 0) == (ssize_t)size);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	memset(error, 0xa5, sizeof(error));
	r = bindings_file_read(fd, ret, error);
	CHECK(r == 0 || r == -EINVAL);
	if (r < 0)
		CHECK(error[0] && memchr(error, '\0', sizeof(error)));
	return r;
}

static void check_set(const struct bindings_file *file)
{
	const struct bindings *set = &file->bindings;
	struct ruleset rs;

	for (size_t i = 0; i < file->n_labels; i++)
		CHECK(isomer_label_check(file->labels[i]) == 0);
	for (size_t i = 0; i < set->n; i++) {
		CHECK(set->entries[i].destination < file->n_labels && !set->entries[i].reserved);
		CHECK(i == 0 || bindings_compare(&set->entries[i - 1], &set->entries[i]) < 0);
	}
	CHECK(ruleset_compile(set->entries, set->n, &rs) == 0);
	ruleset_done(&rs);
}

static char *write_again(const struct bindings_file *file, size_t *ret_size)
{
	const char *separator = "";
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_size);

	CHECK(f);
	fputs("{\"bindings\":[", f);
	for (size_t i = 0; i < file->bindings.n; i++) {
		const struct isomer_binding *b = &file->bindings.entries[i];
		char prefix[PREFIX_TEXT_SIZE], ports[PORTS_TEXT_SIZE];

		binding_prefix_text(b, prefix);
		binding_ports_text(b, ports);
		fprintf(f,
			"%s{\"label\":\"%s\",\"protocol\":\"%s\",\"prefix\":\"%s\",\"port\":\"%s\","
			"\"miss\":\"%s\"}",
			separator, file->labels[b->destination], isomer_protocol_name(b->protocol),
			prefix, ports, b->miss == ISOMER_MISS_PASS ? "pass" : "drop");
		separator = ",";
	}
	fputs("]}", f);
	CHECK(fclose(f) == 0);
	return text;
}

static void check_again(const struct bindings_file *file)
{
	size_t size;
	CLEANUP_FREE char *text = write_again(file, &size);
	CLEANUP(bindings_file_done) struct bindings_file again = BINDINGS_FILE_NONE;

	CHECK(read_text(text, size, &again) == 0);
	CHECK(again.masked == 0 && again.bindings.n == file->bindings.n);
	for (size_t i = 0; i < again.bindings.n; i++) {
		struct isomer_binding *a = &again.bindings.entries[i];
		struct isomer_binding *b = &file->bindings.entries[i];

		CHECK(bindings_same_traffic(a, b) && a->miss == b->miss);
		CHECK(!strcmp(again.labels[a->destination], file->labels[b->destination]));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(bindings_file_done) struct bindings_file file = BINDINGS_FILE_NONE;

	if (read_text(data, size, &file) < 0)
		return 0;
	check_set(&file);
	check_again(&file);
	return 0;
}
