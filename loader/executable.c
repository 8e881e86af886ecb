/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/executable.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "state/cleanup.h"

const char *executable_reason(enum executable_kind kind)
{
	switch (kind) {
	case EXECUTABLE_STATIC:
		return "is linked statically";
	case EXECUTABLE_GO:
		return "is a Go program, which calls the kernel past libc";
	case EXECUTABLE_OTHER_LIBC:
		return "has the dynamic linker of another libc";
	case EXECUTABLE_OTHER_CLASS:
		return "is for another machine or word size";
	case EXECUTABLE_PRIVILEGED:
		return "gains privileges, for which the dynamic linker ignores LD_PRELOAD";
	case EXECUTABLE_UNKNOWN:
		return "is neither a readable ELF file nor a script";
	case EXECUTABLE_PRELOADABLE:
		break;
	}
	return "can be preloaded";
}

/* ---- finding ---- */

static int check_executable(const char *path)
{
	struct stat sb;

	if (stat(path, &sb) < 0)
		return -errno;
	if (!S_ISREG(sb.st_mode))
		return -EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

int executable_find(const char *name, char ret[PATH_MAX])
{
	const char *path = getenv("PATH"), *end;
	int r, found = -ENOENT;

	if (strchr(name, '/')) {
		if (snprintf(ret, PATH_MAX, "%s", name) >= PATH_MAX)
			return -ENAMETOOLONG;
		return check_executable(ret);
	}
	for (path = path ? path : "/bin:/usr/bin"; *name; path = end + 1) {
		end = strchrnul(path, ':');
		/* An empty entry is the current folder. */
		if (snprintf(ret, PATH_MAX, "%.*s%s%s", (int)(end - path), path,
			     end > path ? "/" : "", name) < PATH_MAX) {
			r = check_executable(ret);
			if (r == 0)
				return 0;
			if (r == -EACCES)
				found = r;
		}
		if (!*end)
			break;
	}
	return found;
}

/* ---- ELF ---- */

static void elf_freep(Elf **elf)
{
	if (*elf)
		elf_end(*elf);
}

/* The dynamic linker that the program names; "" if none. */
static void read_linker(Elf *elf, char ret[PATH_MAX])
{
	GElf_Phdr header;
	size_t n = 0, size;
	const char *file = elf_rawfile(elf, &size);

	ret[0] = '\0';
	if (!file || elf_getphdrnum(elf, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_INTERP)
			continue;
		if (header.p_offset > size || header.p_filesz > size - header.p_offset ||
		    header.p_filesz > PATH_MAX - 1)
			return;
		memcpy(ret, file + header.p_offset, header.p_filesz);
		ret[header.p_filesz] = '\0';
	}
}

static bool has_section(Elf *elf, const char *name)
{
	Elf_Scn *section = NULL;
	size_t strings;

	if (elf_getshdrstrndx(elf, &strings) < 0)
		return false;
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		const char *found;

		if (!gelf_getshdr(section, &header))
			continue;
		found = elf_strptr(elf, strings, header.sh_name);
		if (found && !strcmp(found, name))
			return true;
	}
	return false;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

struct facts {
	bool elf;
	bool go;
	int class;
	unsigned machine;
	char linker[PATH_MAX];
};

static void read_elf(int fd, struct facts *ret)
{
	CLEANUP(elf_freep) Elf *elf = NULL;
	GElf_Ehdr header;

	*ret = (struct facts){ .elf = false };
	(void)elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header))
		return;
	ret->elf = header.e_type == ET_EXEC || header.e_type == ET_DYN;
	ret->class = gelf_getclass(elf);
	ret->machine = header.e_machine;
	ret->go = has_section(elf, ".note.go.buildid") || has_section(elf, ".go.buildinfo");
	read_linker(elf, ret->linker);
}

/* This program is what the library is, too: the same machine, the same libc. */
static int read_own(struct facts *ret)
{
	CLEANUP_FD int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	read_elf(fd, ret);
	return 0;
}

/* As the kernel judges in exec(): only who becomes somebody else, or gains capabilities, makes the
 * dynamic linker careful. */
static bool gains_privileges(int fd)
{
	struct stat sb;

	if (fstat(fd, &sb) < 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return false;
	if (sb.st_mode & S_ISUID && sb.st_uid != getuid())
		return true;
	if ((sb.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && sb.st_gid != getgid())
		return true;
	return getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

static enum executable_kind judge(int fd, const struct facts *f, const struct facts *own)
{
	if (!f->elf)
		return EXECUTABLE_UNKNOWN;
	if (f->class != own->class || f->machine != own->machine)
		return EXECUTABLE_OTHER_CLASS;
	if (f->go)
		return EXECUTABLE_GO;
	if (!*f->linker)
		return EXECUTABLE_STATIC;
	if (*own->linker && strcmp(base_name(f->linker), base_name(own->linker)) != 0)
		return EXECUTABLE_OTHER_LIBC;
	return gains_privileges(fd) ? EXECUTABLE_PRIVILEGED : EXECUTABLE_PRELOADABLE;
}

/* ---- scripts ---- */

#define SCRIPT_LINE  256 /* what the kernel reads of it */
#define SCRIPT_DEPTH 5   /* as the kernel: an interpreter may be a script itself */

/* The next word of @rest, NUL-terminated in place; NULL when there is none. */
static char *next_word(char **rest)
{
	char *word = *rest + strspn(*rest, " \t");

	if (!*word)
		return NULL;
	*rest = word + strcspn(word, " \t");
	if (**rest)
		*(*rest)++ = '\0';
	return word;
}

/* "#!/usr/bin/env -S python3 -u": what env is going to start. */
static int find_behind_env(char *rest, char ret[PATH_MAX])
{
	char *word;

	while ((word = next_word(&rest)))
		if (*word != '-' && !strchr(word, '='))
			return executable_find(word, ret);
	return -ENOENT;
}

/* Returns 1 and the interpreter when @fd is a script, 0 if not, or -errno. */
static int read_script(int fd, char ret[PATH_MAX])
{
	char line[SCRIPT_LINE + 1], *rest = line + 2, *interpreter;
	ssize_t n = pread(fd, line, SCRIPT_LINE, 0);
	int r;

	if (n < 0)
		return -errno;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "#!", 2) != 0)
		return 0;
	interpreter = next_word(&rest);
	if (!interpreter)
		return -ENOEXEC;
	if (!strcmp(base_name(interpreter), "env")) {
		r = find_behind_env(rest, ret);
		return r < 0 ? r : 1;
	}
	return snprintf(ret, PATH_MAX, "%s", interpreter) >= PATH_MAX ? -ENAMETOOLONG : 1;
}

int executable_inspect(const char *path, struct executable *ret)
{
	char next[PATH_MAX];
	struct facts facts, own;
	int r;

	r = read_own(&own);
	if (r < 0)
		return r;
	if (snprintf(next, sizeof(next), "%s", path) >= (int)sizeof(next))
		return -ENAMETOOLONG;

	*ret = (struct executable){ .kind = EXECUTABLE_UNKNOWN };
	for (int depth = 0; depth < SCRIPT_DEPTH; depth++) {
		CLEANUP_FD int fd = open(next, O_RDONLY | O_CLOEXEC | O_NOCTTY);

		memcpy(ret->path, next, sizeof(next));
		if (fd < 0)
			return errno == EACCES ? 0 : -errno;
		r = read_script(fd, next);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		read_elf(fd, &facts);
		memcpy(ret->linker, facts.linker, sizeof(facts.linker));
		ret->kind = judge(fd, &facts, &own);
		return 0;
	}
	return -ELOOP;
}
