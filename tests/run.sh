#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds isomer and runs all its tests, on Debian 12. Needs root: tests make namespaces.
#
# usage: tests/run.sh [--quick | --all]
#
# --quick  only the build with gcc, its tests and the style checks
# --all    also what takes longer than a normal run should
#
# Installs with apt what is missing, and says what. Servers that tests use are unpacked below
# build/servers rather than installed, so no service starts. Builds in build, and in build-clang,
# build-asan, build-tsan and build-fuzz. The last line is "N passed, N failed"; the exit status is 0
# when nothing failed.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=tests/packages.sh
. tests/packages.sh
# shellcheck source=tests/count.sh
. tests/count.sh
# shellcheck source=tests/servers.sh
. tests/servers.sh

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
logs=()
built=0          # with gcc, for the tests of several stages
failed_stages=() # that did not say which test failed

# stage NAME COMMAND…: runs one part of the whole, says how long it took, and goes on when it has
# failed, so that one run tells everything. The command must not rely on `set -e`.
stage() {
	local name=$1 start=$SECONDS word=passed failed_before failed

	shift
	printf '\n== %s\n' "$name"
	failed_before=$(failed_cases)
	if ! "$@"; then
		word=FAILED
		failed=$(failed_cases)
		((failed > failed_before)) || failed_stages+=("$name")
	fi
	printf '== %s: %s in %d s\n' "$name" "$word" $((SECONDS - start))
	[[ $word == passed ]]
}

failed_cases() {
	local failed

	read -r _ failed _ < <(count_cases /dev/null "${logs[@]}")
	echo "$failed"
}

# quietly COMMAND…: its output only when it fails.
quietly() {
	"$@" </dev/null >"$tmp/output" 2>&1 || {
		cat "$tmp/output"
		return 1
	}
}

install_packages() {
	packages_install "${build_packages[@]}" "${test_packages[@]}" "${style_packages[@]}" &&
		servers_fetch "$PWD/build/servers"
}

# build PRESET FOLDER [TARGET]: a folder that is there keeps its generator.
build() {
	local generator=()

	[[ -e $2/CMakeCache.txt ]] || generator=(-G Ninja)
	quietly cmake --preset "$1" "${generator[@]}" &&
		quietly cmake --build "$2" --parallel --target "${3-all}"
}

# suite NAME FOLDER OPTION…: the tests of a build folder that ctest's options select.
suite() {
	local name=$1 folder=$2 environment status=0

	shift 2
	mapfile -t environment < <(servers_environment "$PWD/build/servers")
	env "${environment[@]}" ISOMER_TESTS_MUST_RUN=1 \
		ctest --test-dir "$folder" --no-tests=error --output-on-failure \
		--parallel "$(nproc)" "$@" </dev/null || status=1
	cp "$folder/Testing/Temporary/LastTest.log" "$tmp/$name.log" && logs+=("$tmp/$name.log")
	return "$status"
}

# machines VERSION…: the programs of the build folder on other kernels.
machines() {
	local status=0

	tests/vm/run.sh -B build "$@" >"$tmp/vm.log" 2>&1 || status=1
	logs+=("$tmp/vm.log")
	if ((status)); then cat "$tmp/vm.log"; else grep -E '^(@@end|vm-)' "$tmp/vm.log"; fi
	return "$status"
}

# Tests that take long have the label "long" besides the one of their suite; those that only do so
# under sanitizers, and start the same programs as others, "killer".
slow_with_sanitizers='^killer$'
run_gcc() {
	local exclude=$1

	if stage "build with gcc" build ci build; then
		built=1
		stage "tests" suite tests build -LE "$exclude" || true
		stage "style" suite style build -L '^style$' || true
	fi
}

run_others() {
	local exclude=$1

	stage "build with clang" build clang build-clang || true
	if stage "build with sanitizers" build asan build-asan; then
		stage "tests with sanitizers" suite asan build-asan \
			-L '^(unit|bpf|state|integration)$' -LE "$exclude|$slow_with_sanitizers" || true
	fi
	if stage "build with thread sanitizer" build tsan build-tsan tsan; then
		stage "threads" suite tsan build-tsan -L '^threads$' || true
	fi
	if stage "build for fuzzing" build fuzz build-fuzz fuzz; then
		stage "fuzzing" suite fuzz build-fuzz -L '^fuzz$' || true
	fi
	((!built)) || stage "virtual machines" machines "${@:2}" || true
}

# The closing line: the cases of all suites, and a failure for each stage that failed otherwise.
report() {
	local passed failed skipped stage

	read -r passed failed skipped < <(count_cases /dev/null "${logs[@]}")
	printf '\n'
	for stage in "${failed_stages[@]}"; do
		echo "failed: $stage"
		failed=$((failed + 1))
	done
	printf '%d skipped, in %d s\n' "$skipped" "$SECONDS"
	count_print "$passed" "$failed" 0
	((passed > 0 && failed == 0))
}

# Some tests start servers as another user, who has to reach what was built.
others_reach_us() {
	setpriv --reuid=65534 --regid=65534 --clear-groups \
		test -r "$PWD/tests/run.sh" 2>/dev/null
}

# run_in_copy OPTION…: this script, in a copy of the checkout that everybody may read.
run_in_copy() {
	echo "others may not read $PWD: testing a copy of it"
	chmod 0755 "$tmp"
	mkdir "$tmp/isomer"
	tar --exclude='./build*' --exclude=./.git -c . | tar -x -C "$tmp/isomer"
	chmod -R go=u,go-w "$tmp/isomer"
	ISOMER_TESTS_COPY=1 "$tmp/isomer/tests/run.sh" "$@"
}

main() {
	local quick=0 exclude='^(style|bench|long)$' versions=(5.10)

	case ${1-} in
	'') ;;
	--quick) quick=1 ;;
	--all) exclude='^(style|bench)$' slow_with_sanitizers='^style$'
		export ISOMER_FUZZ_SECONDS=600 ISOMER_SOAK_SECONDS=600
		versions=(5.10 6.1 6.12 newest) ;;
	*)
		sed -n 's/^# \{0,1\}//; 4,/^$/p' tests/run.sh >&2
		exit 2
		;;
	esac
	need_root
	umask 022
	if [[ -z ${ISOMER_TESTS_COPY-} ]] && ! others_reach_us; then
		run_in_copy "$@"
		return
	fi
	if stage "packages" install_packages; then
		run_gcc "$exclude"
		((quick)) || run_others "$exclude" "${versions[@]}"
	fi
	report
}

main "$@"
