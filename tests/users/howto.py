#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs every line of pages, each section in namespaces of its own.

usage: howto.py LOADER LIBRARY PAGE…

What a page has before its first section is run at the beginning of each. A line with an arrow is
repeated until its output has what stands behind the arrow, or, with "refused", until it fails, for
up to ten seconds: a server that was started before it may not listen yet. Any other line has to
work at once.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys

PROGRAMS = ("nginx", "curl", "dnsmasq", "dig", "socat", "nc", "nft", "bwrap",
            "systemd-socket-activate")
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


def lines_of(text):
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(blocks).splitlines()


def sections(text):
    """Yields the heading of each section that has shell blocks, and their lines."""
    first, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    for part in parts:
        if lines_of(part):
            yield part.splitlines()[0], lines_of(first) + lines_of(part)


def script(lines):
    """The lines as they are, but for those with arrows."""
    for line in lines:
        match = ARROW.match(line)
        yield f"expect {shlex.quote(match[2])} {shlex.quote(match[1])}" if match else line


def run(lines, environment):
    """Returns whether they work, and what they print."""
    text = PRELUDE + "\n".join(script(lines)) + "\n"
    command = ["unshare", "--net", "--mount", "--propagation", "private", "--pid", "--fork",
               "--kill-child", "--mount-proc", "bash", "-c", text]
    try:
        result = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, text=True,
                                cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                timeout=60, check=False)
    except subprocess.TimeoutExpired as late:
        return False, f"does not end: {late.output}"
    return result.returncode == 0, result.stdout


def need(program):
    if not shutil.which(program):
        print(f"{program} is missing: tests/packages.sh and tests/servers.sh have it")
        sys.exit(1 if os.environ.get("ISOMER_TESTS_MUST_RUN") else 77)


def main():
    loader, library, *pages = sys.argv[1:]
    for program in PROGRAMS:
        need(program)
    environment = {**os.environ, "LOADER": loader, "LIBRARY": library}
    found, failed = 0, 0
    for page in pages:
        with open(page, encoding="utf-8") as file:
            text = file.read()
        for heading, lines in sections(text):
            found += 1
            works, output = run(lines, environment)
            print("ok" if works else "FAILED", "-", heading, flush=True)
            if not works:
                failed += 1
                print(output)
    if failed or not found:
        sys.exit(f"{failed} of {found} sections failed")


main()
