#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Fuzzes one target, starting from its committed corpus, which is left as it is.
#
# usage: tests/fuzz/run.sh PROGRAM CORPUS
#
# ISOMER_FUZZ_SECONDS  how long (default: 5)
# ISOMER_FUZZ_NEW      folder in which inputs that reached something new are kept, for each target
#                      apart, and a later run goes on from them (default: thrown away)
# ISOMER_FUZZ_TABLE    when 1, adds the time and the runs to the table of docs/testing.md
#
# An input that breaks something is kept in the folder of the program, and named.
set -euo pipefail

(($# == 2)) || {
	sed -n 's/^# \{0,1\}//; 4,/^$/p' "$0" >&2
	exit 2
}
program=$1 corpus=$2
target=$(basename "$corpus")
document=$(dirname "$0")/../../docs/testing.md
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# add_to_table SECONDS RUNS: to what the target's row says.
add_to_table() {
	awk -F ' *[|] *' -v target="$target" -v seconds="$1" -v runs="$2" '
		$2 == target && NF == 5 {
			$0 = sprintf("| %s | %d | %d |", target, $3 + seconds, $4 + runs)
		}
		{ print }' "$document" >"$tmp/document"
	cat "$tmp/document" >"$document" # keeps owner and mode
}

new=${ISOMER_FUZZ_NEW:-$tmp}/$target
mkdir -p "$new"
"$program" -max_total_time="${ISOMER_FUZZ_SECONDS:-5}" -timeout=10 -rss_limit_mb=2048 \
	-print_final_stats=1 -artifact_prefix="$program-" "$new" "$corpus" >"$tmp/log" 2>&1 || {
	tail -n 60 "$tmp/log"
	exit 1
}
read -r runs seconds < <(sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\) second.*/\1 \2/p' "$tmp/log")
echo "runs: $runs in $seconds s"
[[ ${ISOMER_FUZZ_TABLE-} != 1 ]] || add_to_table "$seconds" "$runs"
