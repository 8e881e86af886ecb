# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Completion of isomer-loader for bash. Commands, options and operands are those that the program
# itself names in its --help, so there is no list here to keep.

# _isomer_loader_usage [COMMAND]: the program's help.
_isomer_loader_usage() {
	"${COMP_WORDS[0]}" "$@" --help 2>/dev/null
}

# _isomer_loader_options [COMMAND]: one a line, those with a value with "=" behind.
_isomer_loader_options() {
	_isomer_loader_usage "$@" |
		sed -nE 's/^  (-[a-z], )?(--[a-z-]+)( [A-Za-z][^ ]*)?.*/\2 \3/p' |
		sed -E 's/ +$//; s/ .*/=/'
}

# _isomer_loader_labels: those that this user may read.
_isomer_loader_labels() {
	"${COMP_WORDS[0]}" --json status 2>/dev/null |
		sed -nE 's/^ *"label": "(.*)",?$/\1/p' | LC_ALL=C sort -u
}

# _isomer_loader_place: sets "command", and "position", how many operands are before the word.
_isomer_loader_place() {
	local i word

	command='' position=0
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--netns | --bpffs | --wait) ((i++)) ;;
		-* | '=') ;;
		*)
			[[ -z $command ]] && command=$word || ((position++))
			;;
		esac
	done
	return 0
}

# _isomer_loader_operand COMMAND POSITION CURRENT: words that may stand there.
_isomer_loader_operand() {
	local usage operands

	read -r usage < <(_isomer_loader_usage "$1")
	read -ra operands <<<"${usage#Usage: isomer-loader "$1"}"
	case ${operands[$2]-} in
	LABEL | '[LABEL]') compgen -W "$(_isomer_loader_labels)" -- "$3" ;;
	USER*) compgen -u -- "$3" ;;
	PROTOCOL) compgen -W 'tcp udp' -- "$3" ;;
	FILE* | PID* | CGROUP*) compgen -f -- "$3" ;;
	[a-z]*'|'[a-z]*) compgen -W "${operands[$2]//|/ }" -- "$3" ;;
	esac
}

_isomer_loader() {
	local current=${COMP_WORDS[COMP_CWORD]} command position

	_isomer_loader_place
	if [[ ${COMP_WORDS[COMP_CWORD - 1]} == --@(netns|bpffs) ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
	elif [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_isomer_loader_options ${command:+"$command"} |
			tr -d =) $(_isomer_loader_options | tr -d =)" -- "$current" | LC_ALL=C sort -u)
	elif [[ -z $command ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_isomer_loader_usage |
			sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')" -- "$current")
	else
		mapfile -t COMPREPLY < <(_isomer_loader_operand "$command" "$position" "$current")
	fi
}

complete -F _isomer_loader isomer-loader
