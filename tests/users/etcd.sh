#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A fleet that is run by etcd: one change there, and two dispatchers in two network namespaces follow.
#
# usage: tests/users/etcd.sh LOADER SCRIPT
set -euo pipefail

loader=$1 script=$2
key=/isomer/bindings

for program in etcd etcdctl; do
	command -v "$program" >/dev/null || {
		echo "$program is missing: tests/servers.sh unpacks it"
		[[ -n ${ISOMER_TESTS_MUST_RUN-} ]] && exit 1
		exit 77
	}
done
# Namespaces of its own; what is started there ends with it.
[[ -n ${ISOMER_ETCD_INSIDE-} ]] ||
	ISOMER_ETCD_INSIDE=1 exec unshare --net --mount --propagation private --pid --fork \
		--kill-child --mount-proc "$0" "$@"

tmp=$(mktemp -d)
mount -t tmpfs tmpfs "$tmp"
trap 'umount --lazy "$tmp"; rmdir "$tmp"' EXIT
mount -t bpf -o mode=0711 bpf /sys/fs/bpf
ip link set lo up

# expect NAME TEXT: reads what a program prints, up to a line with the text.
expect() {
	local fd=${fds[$1]} line

	while IFS= read -r -t 20 line <&"$fd"; do
		[[ $line != *"$2"* ]] || return 0
	done
	echo "FAILED: $1 should print '$2', its last line: ${line-}"
	exit 1
}

# start NAME COMMAND…: in the background, with what it prints for `expect`.
declare -A fds
start() {
	local name=$1 fd

	shift
	exec {fd}< <(exec "$@" 2>&1)
	fds[$name]=$fd
}

# bound_is NAMESPACE PORTS
bound_is() {
	local ports

	ports=$("$loader" --netns "$1" bindings --json | python3 -c 'import json, sys
print(*(b["port"] for b in json.load(sys.stdin)["bindings"]))')
	[[ $ports == "$2" ]] || {
		echo "FAILED: ports '$ports' are bound in $1, not '$2'"
		exit 1
	}
}

# document PORT
document() {
	echo '{"bindings": [{"label": "web", "protocol": "tcp", "prefix": "192.0.2.0/24", "port": '"$1"'}]}'
}

unshare --net sleep infinity &
keeper=$!
until [[ $(readlink "/proc/$keeper/ns/net") != $(readlink /proc/self/ns/net) ]]; do :; done
namespaces=(/proc/self/ns/net "/proc/$keeper/ns/net")

start etcd etcd --data-dir "$tmp/etcd" --listen-client-urls http://127.0.0.1:2379 \
	--advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
expect etcd "ready to serve client requests"
export ETCDCTL_ENDPOINTS=http://127.0.0.1:2379

document 80 | etcdctl put "$key" >/dev/null
for i in 0 1; do
	start "copy$i" "$script" "$key" "$tmp/$i.json"
	until [[ -e $tmp/$i.json ]]; do :; done
	"$loader" --netns "${namespaces[i]}" load
	start "watch$i" "$loader" --netns "${namespaces[i]}" load-bindings --watch "$tmp/$i.json"
	expect "watch$i" "Watching"
	bound_is "${namespaces[i]}" 80
done

# change PORT: in etcd, and both follow.
change() {
	local i

	document "$1" | etcdctl put "$key" >/dev/null
	for i in 0 1; do
		expect "watch$i" "added web#tcp:[192.0.2.0/24]:$1"
		bound_is "${namespaces[i]}" "$1"
	done
}

change 81
change 82
echo '{"bindings": [{"label": "web"}]}' | etcdctl put "$key" >/dev/null
for i in 0 1; do
	expect "watch$i" "field 'prefix' is missing"
	bound_is "${namespaces[i]}" 82
done
etcdctl del "$key" >/dev/null
for i in 0 1; do
	expect "copy$i" "stays as it is"
	bound_is "${namespaces[i]}" 82
done
change 83
echo "two dispatchers followed one key of etcd"
