#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Has systemd look at the units of a folder, as it would at installed ones: nothing is started.
#
# usage: tests/unit/systemd_units.sh FOLDER LOADER
#
# Programs that a unit names have to exist, so the units are looked at as copies in which the loader
# is LOADER, and any other program of /usr/sbin one that does nothing.
set -euo pipefail

folder=$1 loader=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Before those of this machine, of which only the targets count.
export SYSTEMD_UNIT_PATH=$tmp:

# copy_units: also drop-ins, each beside a unit that it may extend.
copy_units() {
	local file name

	while read -r file; do
		name=${file#"$folder"/}
		mkdir -p "$tmp/$(dirname "$name")"
		sed -e "s|/usr/sbin/isomer-loader|$loader|" -e 's|/usr/sbin/[a-z]*|/bin/true|' \
			"$file" >"$tmp/$name"
		[[ $name != */* ]] || printf '[Service]\nExecStart=/bin/true\n' >"$tmp/${name%.d/*}"
	done < <(find "$folder" -type f \( -name '*.service' -o -name '*.socket' -o -name '*.conf' \))
}

# check_commands: the loader knows each command that a unit gives it.
check_commands() {
	local command

	while read -r command; do
		"$loader" "$command" --help >/dev/null || {
			echo "a unit has '$loader $command'"
			return 1
		}
	done < <(grep -rhoP '^ExecStart=/usr/sbin/isomer-loader \K[a-z-]+' "$folder" | sort -u)
}

copy_units
(cd "$tmp" && ls) # what was looked at
said=$(cd "$tmp" && systemd-analyze verify --man=no ./*.service ./*.socket 2>&1) || {
	printf '%s\n' "$said"
	exit 1
}
[[ -z $said ]] || {
	printf '%s\n' "$said"
	exit 1
}
check_commands
