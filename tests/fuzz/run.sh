#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Fuzzes one target, starting from its committed corpus, which is left as it is.
#
# usage: tests/fuzz/run.sh PROGRAM CORPUS
#
# ISOMER_FUZZ_SECONDS  how long (default: 5)
# ISOMER_FUZZ_NEW      folder for inputs that reached something new (default: thrown away)
#
# An input that breaks something is kept in the folder of the program, and named.
set -euo pipefail

(($# == 2)) || {
	sed -n 's/^# \{0,1\}//; 4,/^$/p' "$0" >&2
	exit 2
}
program=$1 corpus=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

"$program" -max_total_time="${ISOMER_FUZZ_SECONDS:-5}" -timeout=10 -rss_limit_mb=2048 \
	-print_final_stats=1 -artifact_prefix="$program-" "${ISOMER_FUZZ_NEW:-$tmp}" "$corpus" \
	>"$tmp/log" 2>&1 || {
	tail -n 60 "$tmp/log"
	exit 1
}
sed -n 's/^stat::number_of_executed_units: */runs: /p' "$tmp/log"
