# SPDX-License-Identifier: BSD-3-Clause
#
# Completion of isomer-loader for fish. Commands, options and operands are those that the program
# itself names in its --help, so there is no list here to keep.

# Command and operands before the word that is typed.
function __isomer_loader_words
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word --netns --bpffs --wait
            set skip 1
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

function __isomer_loader_commands
    isomer-loader --help 2>/dev/null | sed -nE '/^Commands:/,/^$/s/^  ([a-z-]+) +(.*)/\1\t\2/p'
end

# Labels that this user may read.
function __isomer_loader_labels
    isomer-loader --json status 2>/dev/null | sed -nE 's/^ *"label": "(.*)",?$/\1/p' | sort -u
end

function __isomer_loader_options
    set -l words (__isomer_loader_words)
    begin
        isomer-loader --help
        test -n "$words[1]"; and isomer-loader $words[1] --help
    end 2>/dev/null | sed -nE 's/^  (-[a-z], )?(--[a-z-]+).*/\2/p' | sort -u
end

function __isomer_loader_operands
    set -l words (__isomer_loader_words)
    set -l usage (isomer-loader $words[1] --help 2>/dev/null)[1]
    set -l operands (string split ' ' -- (string replace "Usage: isomer-loader $words[1]" '' -- $usage))
    # Nothing is before the first space; of the words one is the command.
    set -l next (math (count $words) + 1)
    switch "$operands[$next]"
        case LABEL '[LABEL]'
            __isomer_loader_labels
        case 'USER*'
            __fish_complete_users
        case PROTOCOL
            printf 'tcp\nudp\n'
        case 'FILE*' 'PID*' 'CGROUP*'
            __fish_complete_path (commandline -ct)
        case '[A-Z]*' '\[*' ''
        case '*|*'
            string split '|' -- $operands[$next]
    end
end

complete -c isomer-loader -f
complete -c isomer-loader -n 'test -z "$(__isomer_loader_words)"' -a '(__isomer_loader_commands)'
complete -c isomer-loader -n 'test -n "$(__isomer_loader_words)"' -a '(__isomer_loader_operands)'
complete -c isomer-loader -n 'string match -q -- "-*" (commandline -ct)' -a '(__isomer_loader_options)'
