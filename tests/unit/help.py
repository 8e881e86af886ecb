#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compares docs/commands.md with what isomer-loader says about itself.

usage: help.py [--write] LOADER COMMANDS.MD

The first code block of the file is `isomer-loader --help`. Each command that it lists has a section,
in that order, whose first code block is `isomer-loader COMMAND --help`, and behind it some words on
why and when. With --write the blocks are replaced by the texts of today.
"""
import difflib
import re
import subprocess
import sys

BLOCK = re.compile(r"^```text\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


def help_of(loader, *command):
    return subprocess.run([loader, *command, "--help"], check=True, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout


def listed_commands(text):
    lines = text.split("\nCommands:\n")[1].split("\n\n")[0].splitlines()
    return [line.split()[0] for line in lines]


def split_sections(text):
    """[(title, text)]; the title of what comes before the first section is empty."""
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    return [("", parts[0])] + list(zip(parts[1::2], parts[2::2]))


def check_section(title, text, expected):
    """Lines of what is wrong."""
    name = title or "the introduction"
    block = BLOCK.search(text)
    if not block:
        return [f"{name}: there is no block of text that could be its --help"]
    wrong = list(difflib.unified_diff(block[1].splitlines(), expected.splitlines(),
                                      f"{name} in the manual", f"{name} --help", lineterm=""))
    if len(text[block.end():].split()) < 20:
        wrong.append(f"{name}: says nothing behind its --help")
    return wrong


def main():
    args = sys.argv[1:]
    write = args[:1] == ["--write"]
    loader, path = args[write:]
    with open(path, encoding="utf-8") as f:
        sections = split_sections(f.read())
    general = help_of(loader)
    commands = listed_commands(general)
    expected = {"": general} | {command: help_of(loader, command) for command in commands}

    wrong = []
    titles = [title for title, _ in sections[1:]]
    if titles != commands:
        wrong.append(f"sections: {' '.join(titles)}\ncommands: {' '.join(commands)}")
    if write:
        sections = [(title, BLOCK.sub(lambda _, t=title: f"```text\n{expected[t]}```\n", text, 1)
                     if title in expected else text) for title, text in sections]
        with open(path, "w", encoding="utf-8") as f:
            f.write(sections[0][1] + "".join(f"## {title}\n{text}" for title, text in sections[1:]))
    for title, text in sections:
        if title in expected:
            wrong += check_section(title, text, expected[title])
    if wrong:
        print(*wrong, sep="\n")
        print(f"{path} is not what {loader} says: {sys.argv[0]} --write puts that in")
    return 1 if wrong else 0


sys.exit(main())
