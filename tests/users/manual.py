#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compares the manual page of isomer-loader with what the program says about itself.

usage: manual.py [--write] LOADER PAGE

PAGE is a template: what stands between the comments `begin commands` and `end commands`, and between
`begin synopsis` and `end synopsis`, is made of `isomer-loader --help` and `isomer-loader COMMAND
--help`. With --write it is put in.
"""
import difflib
import re
import subprocess
import sys


def help_of(loader, *command):
    return subprocess.run([loader, *command, "--help"], check=True, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout


def listed_commands(text):
    lines = text.split("\nCommands:\n")[1].split("\n\n")[0].splitlines()
    return [line.split()[0] for line in lines]


def roff(text):
    """Text as roff takes it: dashes that can be copied, and no line that looks like a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def verbatim(text):
    return f".EX\n{roff(text.rstrip())}\n.EE\n"


def command_section(loader, name):
    usage, does, rest = help_of(loader, name).split("\n\n", 2)
    summary = does.removeprefix("Does: ").strip()
    return (f".SS {roff(name)}\n{roff(summary[0].upper() + summary[1:])}\n.PP\n"
            f"{verbatim(usage.removeprefix('Usage: '))}.PP\n{verbatim(rest)}")


def generated(loader):
    general = help_of(loader)
    commands = listed_commands(general)
    synopsis = "".join(verbatim(help_of(loader, name).split("\n", 1)[0].removeprefix("Usage: "))
                       for name in commands)
    return {"synopsis": synopsis.replace(".EE\n.EX\n", ""),
            "options": verbatim(general.split("\nOptions:\n")[1].rsplit("\n\n", 1)[0]),
            "commands": "".join(command_section(loader, name) for name in commands)}


def main():
    args = sys.argv[1:]
    write = args[:1] == ["--write"]
    loader, path = args[write:]
    with open(path, encoding="utf-8") as f:
        before = after = f.read()
    for part, text in generated(loader).items():
        begin, end = f'.\\" begin {part}\n', f'.\\" end {part}\n'
        head, rest = after.split(begin)
        after = head + begin + text + end + rest.split(end)[1]
    if write:
        with open(path, "w", encoding="utf-8") as f:
            f.write(after)
        return 0
    wrong = list(difflib.unified_diff(before.splitlines(), after.splitlines(), "the page", "--help",
                                      lineterm=""))
    if wrong:
        print(*wrong, sep="\n")
        print(f"{path} is not what {loader} says: {sys.argv[0]} --write puts that in")
    return 1 if wrong else 0


sys.exit(main())
