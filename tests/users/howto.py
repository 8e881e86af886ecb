#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs every line of a page of how-tos, each section in namespaces of its own.

usage: howto.py PAGE LOADER LIBRARY

A line with an arrow is repeated until its output has what stands behind the arrow, or, with
"refused", until it fails, for up to ten seconds: a server that was started before it may not listen
yet. Any other line has to work at once.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys

ARROW = re.compile(r"^(.*?)\s+# → (.*)$")

PRELUDE = r"""
set -euo pipefail
expect() {
	local end=$((SECONDS + 10)) out status
	while :; do
		status=0
		out=$(eval "$2" 2>&1) || status=$?
		if [[ $1 == refused ]]; then
			((status == 0)) || return 0
		elif ((status == 0)) && [[ $out == *"$1"* ]]; then
			return 0
		fi
		((SECONDS < end)) || break
	done
	printf 'FAILED: %s\nexpected: %s\nstatus %d, printed: %s\n' "$2" "$1" "$status" "$out"
	exit 1
}
# As if it were installed. The linker's cache does not know it, but looks into this folder in any case.
mount -t tmpfs -o mode=0755 tmpfs /mnt
mkdir -p /mnt/sbin "/mnt/lib/$(gcc -print-multiarch)"
cp "$LOADER" /mnt/sbin/
cp "$LIBRARY" "/mnt/lib/$(gcc -print-multiarch)/"
mount -t overlay -o lowerdir=/mnt:/usr overlay /usr
# Places where servers write, and nothing that the machine has there.
for place in /srv /var/log /var/lib /run; do mount -t tmpfs -o mode=0755 tmpfs "$place"; done
mkdir -p /var/log/nginx /var/lib/nginx
mount -t bpf -o mode=0711 bpf /sys/fs/bpf
ip link set lo up
"""


def sections(text):
    """Yields the heading of each section and the lines of all its shell blocks."""
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"^```sh\n(.*?)^```$", part, flags=re.MULTILINE | re.DOTALL)
        yield part.splitlines()[0], "".join(blocks).splitlines()


def script(lines):
    """The lines as they are, but for those with arrows."""
    for line in lines:
        match = ARROW.match(line)
        yield f"expect {shlex.quote(match[2])} {shlex.quote(match[1])}" if match else line


def run(lines, environment):
    text = PRELUDE + "\n".join(script(lines)) + "\n"
    command = ["unshare", "--net", "--mount", "--propagation", "private", "--pid", "--fork",
               "--kill-child", "--mount-proc", "bash", "-c", text]
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, text=True, cwd="/",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)


def need(program):
    if not shutil.which(program):
        print(f"{program} is missing: tests/packages.sh and tests/servers.sh have it")
        sys.exit(1 if os.environ.get("ISOMER_TESTS_MUST_RUN") else 77)


def main():
    page, loader, library = sys.argv[1:]
    for program in ("nginx", "curl", "dnsmasq", "dig", "socat", "bwrap"):
        need(program)
    environment = {**os.environ, "LOADER": loader, "LIBRARY": library}
    failed = 0
    with open(page, encoding="utf-8") as file:
        found = list(sections(file.read()))
    for heading, lines in found:
        result = run(lines, environment)
        print("ok" if result.returncode == 0 else "FAILED", "-", heading)
        if result.returncode:
            failed += 1
            print(result.stdout)
    if failed or not found:
        sys.exit(f"{failed} of {len(found)} sections failed")


main()
