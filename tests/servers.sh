#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Unpacks Debian's nginx, Redis and others into a folder: installed they would start as services of
# this machine, and the tests only want the programs.
#
# usage: tests/servers.sh FOLDER
#
# Prints what to add to the environment so that they are found; sourced, gives servers_fetch and
# servers_environment.
set -euo pipefail

# The servers, and the packages that belong to them: always unpacked, installed or not, as they
# look for each other by relative links.
servers_packages=(nginx nginx-common redis-server redis-tools prometheus dnss etcd-server etcd-client)

# servers_status FILE: the machine's package status as if the servers were not installed, so that
# apt works out which of their dependencies are missing here.
servers_status() {
	awk -v names="${servers_packages[*]}" '
	BEGIN { RS = ""; ORS = "\n\n"; n = split(names, list, " ")
		for (i = 1; i <= n; i++) skip["Package: " list[i]] = 1 }
	{ split($0, line, "\n") }
	!(line[1] in skip)' /var/lib/dpkg/status >"$1"
}

# servers_download DIR: the packages and what they need beyond this machine's, as files.
servers_download() {
	local dir=$1

	mkdir -p "$dir/archives/partial"
	servers_status "$dir/status"
	apt-get -qq install --yes --download-only --no-install-recommends \
		-o "Dir::State::Status=$dir/status" -o "Dir::Cache::Archives=$dir/archives" \
		-o APT::Sandbox::User=root -o Debug::NoLocking=1 \
		"${servers_packages[@]}" </dev/null >"$dir/log" 2>&1
}

# servers_fetch FOLDER: unpacks the servers there, if that was not done yet for all of them.
servers_fetch() (
	folder=$(realpath -m "$1") # apt takes a relative one for one below its own

	[[ -e $folder/complete && $(<"$folder/complete") == "${servers_packages[*]}" ]] && return 0
	mkdir -p "$(dirname "$folder")"
	tmp=$(mktemp -d "$folder.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	servers_download "$tmp" || { packages_update && servers_download "$tmp"; } || {
		cat "$tmp/log" >&2
		return 1
	}
	mkdir "$tmp/root"
	for deb in "$tmp"/archives/*.deb; do
		echo "unpacking $(basename "$deb")"
		dpkg-deb -x "$deb" "$tmp/root"
	done
	chmod 0755 "$tmp/root"
	echo "${servers_packages[*]}" >"$tmp/root/complete"
	rm -rf "$folder"
	mv "$tmp/root" "$folder"
)

# servers_environment FOLDER: "NAME=value" lines; what was set before stays.
servers_environment() {
	local triplet

	triplet=$(gcc -print-multiarch)
	printf 'ISOMER_SERVERS=%s\n' "$1"
	printf 'PATH=%s/usr/sbin:%s/usr/bin:%s\n' "$1" "$1" "$PATH"
	printf 'LD_LIBRARY_PATH=%s/usr/lib/%s:%s/lib/%s%s\n' "$1" "$triplet" "$1" "$triplet" \
		"${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
	# shellcheck source=tests/packages.sh
	. "$(dirname "$0")/packages.sh"
	(($# == 1)) || {
		echo "usage: $0 FOLDER" >&2
		exit 2
	}
	servers_fetch "$1" >&2
	servers_environment "$1"
fi
