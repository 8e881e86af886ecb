# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Debian packages that the scripts need, and how they get there. Sourced, not run.
# No package of these lists comes with a service; servers that do: tests/servers.sh.

# packages_of_build: what the build looks for, as CMakeLists.txt says: the last operand of each
# isomer_need_program() and isomer_need_library().
packages_of_build() {
	sed -n 's/^ *isomer_need_[a-z]*([^)]* \([^ )]*\))$/\1/p' \
		"$(dirname "${BASH_SOURCE[0]}")/../CMakeLists.txt"
}

# shellcheck disable=SC2034 # read by the scripts that source this
{
	# To build.
	mapfile -t build_packages < <(packages_of_build)
	build_packages+=(gcc libc6-dev cmake ninja-build)
	# What the example runs.
	example_packages=(iproute2 util-linux netcat-openbsd python3 curl)
	# What the tests run; some of these are servers that they start.
	test_packages=(python3 iproute2 util-linux netcat-openbsd curl nodejs strace valgrind)
	# For what systemd does with units: nothing of it is started.
	test_packages+=(systemd)
	test_packages+=(gunicorn openjdk-17-jre-headless socat nftables)
	# For a program of another libc.
	test_packages+=(musl-tools)
	# UDP servers, and a client that minds where an answer is from.
	test_packages+=(dnsmasq-base bind9-dnsutils)
	# Shells, for what they complete.
	test_packages+=(zsh fish)
	# Containers, and the API of Kubernetes, for the examples.
	test_packages+=(bubblewrap python3-kubernetes)
	# To look at the package, and to install it in a system of its own.
	test_packages+=(lintian mmdebstrap dpkg-dev file)
	# To fuzz: libFuzzer.
	test_packages+=(libclang-rt-dev)
	# To measure, beside what was built; no script needs these.
	bench_packages=(iproute2 nftables gnuplot-nox)
	# To look at the style.
	style_packages=(clang-format shellcheck)
	# To run the tests on other kernels.
	vm_packages=(cmake python3 qemu-system-x86 seabios busybox-static cpio iproute2
		netcat-openbsd debian-archive-keyring)
}

# packages_missing NAME…: those that are not installed, one a line.
packages_missing() {
	local name status

	for name; do
		status=$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) || status=
		[[ $status == installed ]] || printf '%s\n' "$name"
	done
}

# packages_update: package lists of today; a source that cannot be reached is no reason to stop,
# as the package may come from another one.
packages_update() {
	apt-get -qq update </dev/null || echo "apt-get update has failed in part, going on" >&2
}

# packages_install NAME…: installs with apt what is missing, and says so.
packages_install() {
	local missing log

	mapfile -t missing < <(packages_missing "$@")
	((${#missing[@]})) || return 0
	if ((EUID != 0)); then
		printf 'missing packages: %s\nrun this as root, or: apt-get install %s\n' \
			"${missing[*]}" "${missing[*]}" >&2
		return 1
	fi
	printf 'installing with apt: %s\n' "${missing[*]}"
	packages_update
	log=$(DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends \
		"${missing[@]}" </dev/null 2>&1) || {
		printf '%s\n' "$log" >&2
		return 1
	}
}

# need_root: the scripts make namespaces, and install what is missing.
need_root() {
	((EUID == 0)) || {
		echo "$0: needs root: sudo $0" >&2
		return 1
	}
}
