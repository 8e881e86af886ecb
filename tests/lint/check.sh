#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Style that a tool can check.
#
# usage: tests/lint/check.sh format | banned | headers | shell | attacks
#
# format   clang-format would change nothing
# banned   calls that have no place in the code, or not in that part of it
# headers  each header compiles alone, pedantically, with gcc and with clang
# shell    shellcheck finds nothing
# attacks  the tests that docs/security.md names are there
set -euo pipefail
cd "$(dirname "$0")/../.."

# Functions that are never right: no bound, no way to tell an error, or a shell in between.
banned_everywhere='strtok|atoi|atol|atoll|atof|sprintf|vsprintf|strcpy|stpcpy|strcat|gets|system'
# Only a main() or a test ends its process.
banned_in_libraries='exit|abort'
# What runs in other people's processes prints nothing on stdout and never ends them.
banned_in_guests='_exit|_Exit|quick_exit|err|errx|assert|printf|vprintf|puts|putchar|perror'

# files FOLDER… -- NAME…: files of these name patterns; build folders are no source.
files() {
	local folders=() names=()

	while [[ $1 != -- ]]; do
		folders+=("$1")
		shift
	done
	shift
	for name; do
		names+=(-o -name "$name")
	done
	find "${folders[@]}" \( -name 'build*' -o -name .git \) -prune -o -type f \
		\( "${names[@]:1}" \) -print | LC_ALL=C sort
}

check_format() {
	files . -- '*.c' '*.h' | xargs clang-format --dry-run --Werror --style=file
}

# code FILE: "FILE:LINE: …" of each line, without comments and the text of strings.
code() {
	gcc -fpreprocessed -dD -E "$1" 2>/dev/null | sed 's/"\(\\.\|[^"\\]\)*"/""/g' |
		awk -v file="$1" '/^# [0-9]+ "/ { line = $2 - 1; next } { print file ":" ++line ": " $0 }'
}

# ban CALLS TEXT: prints the lines that call these functions; fails when there is one.
ban() {
	! grep -E "[^A-Za-z0-9_]($1) ?\(" <<<"$2"
}

check_banned() {
	local all libraries guests status=0

	all=$(files bpf loader preload tests -- '*.c' '*.h' | while read -r file; do
		code "$file"
	done)
	libraries=$(grep -E '^(bpf|loader|preload)/' <<<"$all" | grep -v '^loader/main\.c:')
	guests=$(grep -E '^(bpf/state|preload)/' <<<"$all")
	ban "$banned_everywhere" "$all" || status=1
	ban "$banned_in_libraries" "$libraries" || status=1
	ban "$banned_in_guests" "$guests" || status=1
	return "$status"
}

# header_compiles HEADER COMPILER…: by a file that includes it alone: the main file itself may not
# say "pragma once".
header_compiles() {
	local header=$1

	shift
	printf '#include "%s"\n' "$header" | "$@" -Wall -Wextra -Werror -fsyntax-only \
		-I. -Ibpf -Ibpf/include -x c -
}

check_headers() {
	local header compiler status=0

	while read -r header; do
		for compiler in gcc clang; do
			header_compiles "$header" "$compiler" -std=gnu11 -D_GNU_SOURCE -Wpedantic || status=1
		done
	done < <(files bpf loader preload -- '*.h' | grep -v '\.bpf\.h$')
	# libbpf's way to declare maps is an extension of the language.
	while read -r header; do
		header_compiles "$header" clang -target bpf \
			-idirafter "/usr/include/$(gcc -print-multiarch)" || status=1
	done < <(files bpf -- '*.bpf.h')
	return "$status"
}

check_shell() {
	files . -- '*.sh' run | xargs shellcheck --external-sources
	shellcheck --shell=dash tests/vm/init
}

# A program of tests has a file of its name; a test is a function there, or a name in a table.
check_attacks() {
	local name status=0

	# shellcheck disable=SC2016 # the document's own quotes
	while read -r name; do
		if [[ $name == test_* ]]; then
			compgen -G "tests/*/$name.c" >/dev/null
		else
			grep -qE "^static void $name\\(void|\.name = \"$name\"" tests/*/*.c
		fi || {
			echo "docs/security.md: there is no $name"
			status=1
		}
	done < <(sed -n '/^## Who can attack/,/^## Where/p' docs/security.md |
		grep -oE '`[a-z0-9_]{8,}`' | tr -d '`' | LC_ALL=C sort -u |
		grep -vxE 'sk_lookup')
	return "$status"
}

case ${1-} in
format | banned | headers | shell | attacks) "check_$1" ;;
*)
	sed -n 's/^# \{0,1\}//; 4,/^$/p' "$0" >&2
	exit 2
	;;
esac
