#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Keeps the value of a key of etcd in a file, for `isomer-loader load-bindings --watch FILE`.
#
# usage: isomer-from-etcd.sh KEY FILE
#
# One on each host of a fleet: a change of the key changes what is bound on all of them. Where etcd
# is, and who asks, stands in etcdctl's variables (ETCDCTL_ENDPOINTS, ETCDCTL_USER, …). While etcd is
# away, and when the key is gone, the file stays as it is. Ends when etcdctl gives up: to be restarted
# by a service manager.
set -euo pipefail

# copy KEY FILE: all of the value or nothing; a name that --watch sees at once.
copy() {
	local fresh

	fresh=$(mktemp "$2.XXXXXX")
	chmod 0644 "$fresh"
	if etcdctl get --print-value-only -- "$1" >"$fresh" && [[ -s $fresh ]]; then
		mv -f "$fresh" "$2"
	else
		rm -f "$fresh"
		echo "$0: etcd gives nothing for '$1': '$2' stays as it is" >&2
	fi
}

if [[ ${1-} == --copy ]]; then # what etcdctl runs for each change
	copy "$2" "$3"
	exit
fi
(($# == 2)) || {
	echo "usage: $0 KEY FILE" >&2
	exit 2
}

# What changes after this revision is told, also while the first copy is made.
revision=$(etcdctl get --write-out=fields -- "$1" | sed -n 's/^"Revision" : //p')
copy "$1" "$2"
exec etcdctl watch --rev=$((revision + 1)) "$1" -- "$0" --copy "$1" "$2"
