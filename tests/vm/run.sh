#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs the test programs of a build folder on other kernels, each in a virtual machine.
#
# usage: tests/vm/run.sh [-t] [-B BUILD] VERSION…
#
# VERSION  5.10, 6.1, 6.12 or newest
# -t       puts what passed into the table of docs/testing.md
# -B       build folder with the test programs (default: build); kernels are kept in its vm/
#
# ISOMER_VM_SECONDS  how long a machine may take (default: 1800)
#
# Which programs: those of ctest with a label of vm_labels below that were built, but for those with
# the label "long" too; no list is kept by hand, and scripts that look at the build need no other
# kernel. Prints what they print between "@@begin NAME" and "@@end NAME SECONDS STATUS", and for each
# kernel a line "vm-VERSION: N passed, N failed". The processor is emulated, which works everywhere:
# nested in another virtual machine, one with the help of the real processor may hang.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
source_dir=$(cd "$here/../.." && pwd)
# shellcheck source=tests/packages.sh
. "$here/../packages.sh"
# shellcheck source=tests/count.sh
. "$here/../count.sh"
# shellcheck source=tests/vm/kernel.sh
. "$here/kernel.sh"

table=0
vm_labels='unit bpf state'
vm_seconds=${ISOMER_VM_SECONDS:-1800} # two minutes are normal; with other work beside it, many
vm_memory=2048
# Programs of this machine: busybox's can do less, and its shell prefers itself to all others.
vm_programs='/bin/sh /usr/bin/ip /usr/bin/ss /usr/bin/nc'

usage() {
	sed -n 's/^# \{0,1\}//; 4,/^$/p' "$0" >&2
	exit 2
}

# program_lines BUILD: "NAME FILE COMMAND…" of each test to run, the command quoted for a shell;
# one line "- FILE" for each file that a test says it needs (REQUIRED_FILES).
program_lines() {
	ctest --test-dir "$1" --show-only=json-v1 | python3 -c '
import json, shlex, sys
labels = set(sys.argv[1].split())
for test in json.load(sys.stdin)["tests"]:
    properties = {p["name"]: p["value"] for p in test["properties"]}
    has = set(properties.get("LABELS", []))
    if not labels & has or "long" in has:
        continue
    if not test["command"][0].startswith(sys.argv[2] + "/"):
        continue
    command = [*properties.get("ENVIRONMENT", []), *test["command"]]
    if properties.get("ENVIRONMENT"):
        command.insert(0, "env")
    print(test["name"], test["command"][0], shlex.join(command))
    for file in properties.get("REQUIRED_FILES", []):
        print("-", file)
' "$vm_labels" "$1"
}

# copy_file FILE ROOT: to the same path below ROOT, links followed.
copy_file() {
	[[ -e $2$1 ]] || cp -L --parents "$1" "$2"
}

# copy_program FILE ROOT: with the shared libraries that it needs.
copy_program() {
	local library

	copy_file "$1" "$2"
	while read -r library; do
		copy_file "$library" "$2"
	done < <(ldd "$1" 2>/dev/null | sed -n 's/^\(.*=> \|[[:space:]]*\)\(\/[^ ]*\) (.*/\2/p')
}

# make_system ROOT: what every system has.
make_system() {
	local root=$1 applet program

	mkdir -p "$root"/{bin,sbin,usr/bin,dev,proc,sys,tmp,run,etc,isomer}
	cp /bin/busybox "$root/bin/busybox"
	for applet in $(busybox --list); do
		[[ $applet == busybox ]] || ln -s busybox "$root/bin/$applet"
	done
	ln -s /bin/busybox "$root/sbin/modprobe" # the kernel calls it by this name
	for program in $vm_programs; do
		rm -f "$root$program"
		copy_program "$program" "$root"
	done
	printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' \
		>"$root/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
	printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
	install -m 0755 "$here/init" "$root/init"
}

# make_programs BUILD ROOT: the test programs and what they start.
make_programs() {
	local build=$1 root=$2 name file command

	copy_program "$build/loader/isomer-loader" "$root"
	copy_program "$build/preload/libisomer_preload.so" "$root"
	while read -r name file command; do
		if [[ $name == - ]]; then
			copy_program "$file" "$root"
			continue
		fi
		copy_program "$file" "$root"
		printf '%s %s\n' "$name" "$command"
	done < <(program_lines "$build") >"$root/isomer/programs"
	[[ -s $root/isomer/programs ]] || {
		echo "no test has one of the labels: $vm_labels" >&2
		return 1
	}
}

make_initramfs() {
	local root=$1 file=$2

	(cd "$root" && find . -print0 | cpio --quiet --null --create --format=newc) >"$file"
}

machine= # process that runs, if any; read when a shell ends, so not local

# run_machine DIR TMP: boots in the background, as "machine", so that who waits for it can be told
# to end; the kernel's messages go to TMP/console, the results to TMP/results. Old kernels wait for
# an RCU grace period at each access to a map of maps: these are to be short. On a busy machine they
# take the emulated timer for a broken one: they are not to look.
run_machine() {
	local dir=$1 tmp=$2

	timeout --kill-after=5 "$vm_seconds" qemu-system-x86_64 -accel tcg,thread=multi \
		-smp 2 -m "$vm_memory" -nodefaults -no-user-config -display none -no-reboot \
		-kernel "$dir/vmlinuz" -initrd "$tmp/initramfs" \
		-append "console=ttyS0 quiet panic=-1 rcupdate.rcu_expedited=1 no_timer_check" \
		-serial "file:$tmp/console" -serial "file:$tmp/results" </dev/null &
	machine=$!
}

# clean_up TMP: ends the machine, if any still runs, and waits for its end.
clean_up() {
	[[ -z ${machine-} ]] || kill "$machine" 2>/dev/null || true
	wait
	rm -rf "$1"
}

# table_row VERSION RESULTS: for docs/testing.md.
table_row() {
	local passed failed skipped release

	release=$(sed -n 's/^@@done //p' "$2")
	read -r passed failed skipped < <(count_cases "$2")
	# shellcheck disable=SC2016 # quotes of the document
	skipped=$(sed -n 's/^\[  SKIPPED \] \([a-z][a-z0-9_]*\)\r*$/`\1`/p' "$2" | LC_ALL=C sort -u |
		paste -sd, - | sed 's/,/, /g')
	printf '| %s | %s | %d | %d | %s |\n' "$1" "${release:-did not finish}" "$passed" \
		"$failed" "${skipped:-–}"
}

# write_table VERSION ROW: in the place of the row that is there.
write_table() {
	local file=$source_dir/docs/testing.md

	VM_ROW=$2 awk -v "start=| $1 |" '
		index($0, start) == 1 { print ENVIRON["VM_ROW"]; next } { print }' \
		"$file" >"$file.new"
	cat "$file.new" >"$file" # keeps owner and mode
	rm "$file.new"
}

# run_version VERSION BUILD: in a shell of its own, which the caller starts.
run_version() {
	local version=$1 build=$2 tmp dir=$2/vm/$1 status=0

	kernel_fetch "$version" "$dir"
	tmp=$(mktemp -d)
	# shellcheck disable=SC2064 # the folder of now
	trap "clean_up '$tmp'" EXIT
	trap 'exit 143' TERM
	mkdir "$tmp/root"
	make_system "$tmp/root"
	make_programs "$build" "$tmp/root"
	cp -r "$dir/root/." "$tmp/root"
	make_initramfs "$tmp/root" "$tmp/initramfs"
	: >"$tmp/results"
	run_machine "$dir" "$tmp"
	wait "$machine" || status=$?
	machine=
	cat "$tmp/results"
	if ! grep -q '^@@done ' "$tmp/results"; then
		echo "the virtual machine did not finish (status $status); its last messages:"
		tail -n 40 "$tmp/console"
		# So that whoever counts sees it too.
		printf '@@begin finish\n@@end finish 0 1\n' | tee -a "$tmp/results"
	fi
	echo "vm-$version: $(count_line "$tmp/results")"
	((!table)) || write_table "$version" "$(table_row "$version" "$tmp/results")"
	count_is_good "$tmp/results"
}

main() {
	local build=$source_dir/build version status=0

	while getopts tB: option; do
		case $option in
		t) table=1 ;;
		B) build=$(cd "$OPTARG" && pwd) ;;
		*) usage ;;
		esac
	done
	shift $((OPTIND - 1))
	(($#)) || usage
	packages_install "${vm_packages[@]}"
	for version; do
		kernel_suite "$version" >/dev/null || exit 2
	done
	for version; do
		# Not `run_version || …`: bash would go on after errors in it.
		run_version "$version" "$build" &
		# shellcheck disable=SC2064 # the one of now
		trap "kill $!; wait; exit 143" INT TERM
		wait "$!" || status=1
		trap - INT TERM
	done
	return "$status"
}

main "$@"
