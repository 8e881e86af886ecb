#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The Debian package: made, looked at by lintian, installed in a system of its own, tried there as
# the README's quickstart does, and purged without a trace.
#
# usage: tests/users/package.sh BUILD_FOLDER
#
# Needs root, and Debian's archive, from which mmdebstrap makes the system.
set -euo pipefail

build=$1
tmp=$(mktemp -d)
root=$tmp/root
trap 'rm -rf "$tmp"' EXIT
chmod 0755 "$tmp"

fail() {
	printf 'package: %s\n' "$*" >&2
	exit 1
}

make_package() {
	(cd "$build" && cpack -G DEB -B "$tmp/packages") >"$tmp/log" 2>&1 || {
		cat "$tmp/log"
		return 1
	}
	package=$(echo "$tmp"/packages/isomer_*.deb)
	lintian --fail-on error "$package"
}

# shellcheck disable=SC2016 # $1 is mmdebstrap's
make_system() {
	mmdebstrap --quiet --mode=root --variant=apt --include=netcat-openbsd,iproute2,procps bookworm \
		--customize-hook='rm -rf "$1/tmp/"*' \
		--customize-hook="copy-in $package /tmp" \
		--customize-hook='chroot "$1" sh -c "apt-get -qq install --yes --no-install-recommends /tmp/isomer_*.deb"' \
		"$root" </dev/null
}

# In the new system, in namespaces of its own: this text is read by its shell.
# shellcheck disable=SC2016
try='set -eu
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t bpf -o mode=0711 bpf /sys/fs/bpf
ip link set lo up
isomer-loader load
isomer-loader bind foo tcp 127.0.0.0/8 4321
isomer-loader grant foo nobody
mkfifo /tmp/said
echo "hello from foo" >/tmp/answer
chmod 0644 /tmp/answer
setpriv --reuid=65534 --regid=65534 --clear-groups env LD_PRELOAD=libisomer_preload.so \
	ISOMER_LOG=info ISOMER_LABEL=foo nc -k -l 127.0.0.1 9998 </tmp/answer 2>/tmp/said &
read -r line </tmp/said
echo "$line"
[ "$(nc -N 127.0.0.23 4321 </dev/null)" = "hello from foo" ]
if nc -z 127.0.0.23 4322; then exit 1; fi
isomer-loader status
isomer-loader unload'

try_it() {
	unshare --net --mount --propagation private --pid --fork --kill-child \
		chroot "$root" /bin/sh -c "$try" </dev/null
}

# Units are there, and nothing has enabled them.
check_units() {
	[[ -e $root/usr/lib/systemd/system/isomer.service ]] || fail "there is no isomer.service"
	[[ -z $(find "$root/etc/systemd" -name 'isomer*') ]] || fail "units are enabled"
	grep -q '^isomer:' "$root/etc/group" || fail "there is no group isomer"
}

purge() {
	local left

	chroot "$root" dpkg --purge isomer
	! grep '^isomer:' "$root/etc/group" || fail "the group is left"
	left=$(find "$root/etc" "$root/usr" "$root/var/lib" "$root/run" -name '*isomer*')
	[[ -z $left ]] || fail "left: $left"
}

make_package
make_system
check_units
try_it
purge
echo "package: installed, tried, purged"
