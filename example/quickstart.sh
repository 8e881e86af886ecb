#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds isomer and shows what it does, with servers that know nothing of it.
#
# usage: sudo example/quickstart.sh
#
# Works on a fresh Debian 12: installs with apt what is missing, and says what. All that is shown
# happens in namespaces of its own, so that nothing of this machine is touched and nothing is left;
# the build stays in build-example. The exit status is 0 only if each step did what it should.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$PWD/build-example

build_isomer() {
	local generator=() log

	# shellcheck source=tests/packages.sh
	. tests/packages.sh
	need_root
	packages_install "${build_packages[@]}" "${example_packages[@]}"
	echo "building isomer in $build"
	# A folder that is there keeps its generator.
	[[ -e $build/CMakeCache.txt ]] || generator=(-G Ninja)
	log=$({
		cmake -S . -B "$build" "${generator[@]}" -DISOMER_BUILD_TESTS=OFF &&
			cmake --build "$build" --parallel
	} </dev/null 2>&1) || {
		printf '%s\n' "$log" >&2
		return 1
	}
}

# fail WHAT…
fail() {
	printf 'quickstart: FAILED: %s\n' "$*" >&2
	exit 1
}

# say TEXT: what comes next.
say() {
	printf '\n# %s\n' "$1"
}

# run COMMAND: prints a line as typed into a shell, and what it prints; "output" keeps that. The
# quoting is part of what is shown, hence eval.
run() {
	printf '$ %s\n' "$1"
	output=$(eval "$1" 2>&1) || fail "'$1' ended with status $?: $output"
	[[ -z $output ]] || printf '%s\n' "$output"
}

# expect TEXT: the last command has printed it.
expect() {
	[[ $output == *"$1"* ]] || fail "expected '$1', got '$output'"
}

# start COMMAND: starts a server and waits until isomer has told on its stderr that the server's
# socket is registered. Sets "server".
start() {
	local line registered=0

	printf '$ %s &\n' "$1"
	mkfifo stderr
	eval "exec env $1" >received 2>stderr &
	server=$!
	exec 3<stderr
	rm stderr
	while ((!registered)) && IFS= read -r -t 10 line <&3; do
		printf '%s\n' "$line"
		[[ $line != "isomer: "*foo* ]] || registered=1
	done
	((registered)) || fail "no word of a registered socket from: $1"
	cat <&3 >/dev/null & # whatever it has to say later
	exec 3<&-
}

stop() {
	run "kill $server"
	wait "$server" 2>/dev/null || true
}

one_subnet() {
	say "Traffic to port 4321 of a whole subnet goes to the label foo."
	run 'isomer-loader load'
	run 'isomer-loader bind foo tcp 127.0.0.0/8 4321'
	say "An unmodified server that listens somewhere else takes part."
	run 'echo "hello from foo" >answer'
	start "$preload ISOMER_LABEL=foo nc -k -l 127.0.0.1 9999 <answer"
	run 'echo "hello isomer" | nc -N 127.0.0.23 4321'
	expect "hello from foo"
	run "cat received # by the server"
	expect "hello isomer"
	stop
}

other_ports() {
	local port

	say "Port 80 of a subnet: the server needs no right to listen there."
	run 'isomer-loader bind foo tcp 127.0.0.0/24 80'
	run 'mkdir www; echo "a page of foo" >www/index.html'
	start "$preload ISOMER_LABEL=foo python3 -m http.server --directory www --bind 127.0.0.1 8080"
	run 'curl --silent --show-error http://127.0.0.1/'
	expect "a page of foo"
	run 'curl --silent --show-error http://127.0.0.77/'
	expect "a page of foo"
	say "All ports of one address."
	run 'isomer-loader bind foo tcp 127.0.0.22 0'
	port=$(shuf --input-range=1-65535 --head-count=1)
	run "curl --silent --show-error http://127.0.0.22:$port/"
	expect "a page of foo"
}

look_and_leave() {
	say "What the kernel does now."
	run 'isomer-loader status'
	expect foo
	expect 127.0.0.22
	run 'isomer-loader unload'
	say "From here on it is as if nothing had been."
	run 'curl --silent http://127.0.0.77/ || echo "no answer: curl ended with status $?"'
	expect "no answer: curl ended with status 7"
	stop
}

# Inside the namespaces: the loopback interface and the BPF filesystem are private, and all
# processes end with this one. Program and library are found as if they were installed.
demonstrate() {
	export PATH=$build/loader:$PATH LD_LIBRARY_PATH=$build/preload
	preload="ISOMER_LOG=info LD_PRELOAD=libisomer_preload.so"
	cd "$1"
	mount -t bpf -o nosuid,nodev,noexec,mode=0711 bpf /sys/fs/bpf
	ip link set lo up
	one_subnet
	other_ports
	look_and_leave
	printf '\nquickstart: everything did what it should\n'
}

main() {
	local tmp

	if [[ ${1-} == --inside ]]; then
		demonstrate "$2"
		return
	fi
	tmp=$(mktemp -d)
	# shellcheck disable=SC2064 # the folder of now
	trap "rm -rf '$tmp'" EXIT
	build_isomer
	unshare --net --mount --propagation private --pid --fork --kill-child --mount-proc \
		"$PWD/example/quickstart.sh" --inside "$tmp" </dev/null
}

main "$@"
