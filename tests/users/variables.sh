#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The manual page of the library and docs/library.md name the variables that it reads, and no others.
#
# usage: tests/users/variables.sh SOURCE_FOLDER
set -euo pipefail
cd "$1"

# same_as_read WHAT, names on stdin
same_as_read() {
	diff --label "read by the library" --label "$1" <(
		grep -rhoE '"ISOMER_[A-Z_]+"' preload/config.[ch] | tr -d '"' | LC_ALL=C sort -u
	) <(LC_ALL=C sort)
}

sed -n 's/^\.B \(ISOMER_[A-Z_]*\)$/\1/p' docs/man/libisomer_preload.7 | same_as_read "the manual page"
# shellcheck disable=SC2016 # the table's own quotes
grep -oP '^\| `\KISOMER_[A-Z_]+(?=`)' docs/library.md | same_as_read docs/library.md
