# SPDX-License-Identifier: BSD-3-Clause
# Opens sockets as a .socket unit does, runs a command once with them as systemd passes them, and
# keeps them until it is killed.
#
# usage: activate.py SOCKET[,SOCKET…] [NAME=value…] -- COMMAND…
#
# SOCKET is KIND/ADDRESS/PORT: KIND is tcp, udp or mptcp; with ":reuseport" or ":dual" behind, or
# ":idle" for one that does not listen, ":connected" for one that is. Or "pipe", "unix", or "none".
# Prints "socket N sk:COOKIE" for each, and at last "exit STATUS".
import os
import signal
import socket
import sys

SO_COOKIE = 57
FIRST = 3  # SD_LISTEN_FDS_START


def open_socket(text):
    if text == "pipe":
        return os.fdopen(os.pipe()[0], closefd=False)
    if text == "unix":
        s = socket.socket(socket.AF_UNIX)
        s.bind("")
        s.listen()
        return s
    words, address, port = text.split("/")
    kind, *options = words.split(":")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM,
                      socket.IPPROTO_MPTCP if kind == "mptcp" else 0)
    if "reuseport" in options:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, "dual" not in options)
    s.bind((address, int(port)))
    if kind != "udp" and "idle" not in options:
        s.listen()
    if "connected" in options:
        s.connect((address, int(port)))
    return s


def cookie(s):
    if not isinstance(s, socket.socket) or s.family == socket.AF_UNIX:
        return 0
    return int.from_bytes(s.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8), sys.byteorder)


def run(command, environment, sockets):
    """High numbers first, so that no socket is overwritten before it was copied."""
    pid = os.fork()
    if pid == 0:
        high = [os.dup2(s.fileno(), 100 + i, inheritable=False) for i, s in enumerate(sockets)]
        for i, fd in enumerate(high):
            os.dup2(fd, FIRST + i)
        os.execvpe(command[0], command, environment)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def say(line):
    """In one write, also where print() makes two of a line."""
    print(line + "\n", end="", flush=True)


def main():
    end = sys.argv.index("--")
    sockets = [open_socket(text) for text in sys.argv[1].split(",") if text != "none"]
    for i, s in enumerate(sockets):
        say(f"socket {i} sk:{cookie(s):x}")
    environment = dict(os.environ, LISTEN_FDS=str(len(sockets)), LISTEN_PID="1")
    environment.update(text.split("=", 1) for text in sys.argv[2:end])
    status = run(sys.argv[end + 1:], environment, sockets)
    say(f"exit {status}")
    while True:
        signal.pause()


main()
