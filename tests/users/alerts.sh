#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The alert rules and the dashboard of the examples, by Prometheus' own tool; and that they ask for
# counters that isomer-loader serves.
#
# usage: tests/users/alerts.sh LOADER RULES CASES DASHBOARD
set -euo pipefail

loader=$1 rules=$2 cases=$3 dashboard=$4
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

command -v promtool >/dev/null || {
	echo "promtool is missing: tests/servers.sh unpacks it"
	[[ -n ${ISOMER_TESTS_MUST_RUN-} ]] && exit 1
	exit 77
}

# shellcheck disable=SC2016 # another shell's variables
# served: names of counters, of a dispatcher with one label and a file of bindings that is watched.
served() {
	mkfifo "$tmp/ready"
	echo '{"bindings": [{"label": "web", "prefix": "192.0.2.1", "port": 80}]}' >"$tmp/bindings"
	unshare --net --mount --propagation private sh -eu -c 'mount -t bpf bpf /sys/fs/bpf
		"$0" load >&2
		"$0" load-bindings --watch "$1/bindings" >"$1/ready" &
		sed -n "/^Watching/q" "$1/ready" # until it is in force
		"$0" metrics --once
		kill $!
		wait $!' "$loader" "$tmp" | grep -oE '^isomer_[a-z_]+' | LC_ALL=C sort -u
}

# known FILE: asks for nothing else.
known() {
	local unknown

	unknown=$(grep -oE '\bisomer_[a-z_]+' "$1" | LC_ALL=C sort -u |
		LC_ALL=C comm -23 - "$tmp/served")
	[[ -z $unknown ]] || {
		echo "$1 asks for what is not served: $unknown"
		exit 1
	}
}

served >"$tmp/served"
promtool check rules "$rules"
sed "s|RULES|$rules|" "$cases" >"$tmp/cases.yml"
promtool test rules "$tmp/cases.yml"
known "$rules"
python3 "$(dirname "$0")/dashboard.py" "$dashboard" >"$tmp/dashboard.yml"
promtool check rules "$tmp/dashboard.yml"
known "$dashboard"
