#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What bash, zsh and fish would offer, held against what isomer-loader says about itself.
#
# usage: tests/users/completion.sh LOADER FOLDER SHELL
#
# FOLDER has the completions. Nothing has to be installed but the shell.
set -euo pipefail

loader=$1 folder=$2 shell=$3
PATH=$(dirname "$loader"):$PATH

# A shell that is not there fails the test where everything must run, else skips it.
command -v "$shell" >/dev/null || {
	echo "$shell is missing: apt-get install $shell"
	[[ -n ${ISOMER_TESTS_MUST_RUN-} ]] && exit 1
	exit 77
}

# offer_SHELL WORD…: what is offered for the last word, one a line.
offer_bash() {
	bash --norc -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
		_isomer_loader; printf "%s\n" "${COMPREPLY[@]}"' - "$folder/isomer-loader.bash" "$@"
}

# zsh's own functions work in its line editor alone: these print what they are given.
# shellcheck disable=SC2016 # another shell's variables
offer_zsh() {
	zsh -f -c 'file=$1; shift; words=("$@"); CURRENT=$#
		compadd() { [[ $1 == -a ]] && print -l -- ${(P)2} || print -l -- $@ }
		_describe() { print -l -- ${(P)2%%:*} }
		_users() { cut -d: -f1 /etc/passwd }
		_files() { ls }
		. $file' - "$folder/_isomer-loader" "$@"
}

# shellcheck disable=SC2016
offer_fish() {
	HOME=/nonexistent fish --no-config -c 'source $argv[1]; complete -C "$argv[2]"' \
		"$folder/isomer-loader.fish" "$*" | cut -f1
}

# same WHAT EXPECTED WORD…: the offer begins with what was typed, and is EXPECTED.
same() {
	local what=$1 expected=$2 offered

	shift 2
	offered=$("offer_$shell" "$@" | grep -e "^${*: -1}" | LC_ALL=C sort -u)
	[[ $offered == "$(LC_ALL=C sort -u <<<"$expected")" ]] || {
		printf '%s offers as %s:\n%s\nbut should:\n%s\n' "$shell" "$what" "$offered" "$expected"
		exit 1
	}
}

# long_options [COMMAND]
long_options() {
	isomer-loader "$@" --help | grep -oE '^  (-[a-z], )?--[a-z-]+' | grep -oE -e '--[a-z-]+'
}

mapfile -t commands < <(isomer-loader --help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
((${#commands[@]} > 15)) # else it was not read
same commands "$(printf '%s\n' "${commands[@]}")" isomer-loader ''
same commands "$(printf '%s\n' "${commands[@]}")" isomer-loader --bpffs /tmp ''
for command in "${commands[@]}"; do
	same "options of $command" "$({ long_options "$command" || true; } && long_options)" \
		isomer-loader "$command" -
done
same protocols $'tcp\nudp' isomer-loader bind web ''
same families $'ipv4\nipv6' isomer-loader unregister web ''
[[ $("offer_$shell" isomer-loader grant web '' | grep -x root) == root ]]
