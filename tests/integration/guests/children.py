#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A TCP server whose children listen, too.

usage: children.py exec|fork|cgi CHILD…

Listens on 127.0.0.1:8080. Starts the command CHILD, which is to print "ready" and serve: at once
(exec), for each connection until that is answered (cgi); or (fork) a child of the same program that
listens on 127.0.0.1:9090 as a debugger does. Prints "ready" and greets each client with "parent".
"""
import os
import select
import socket
import subprocess
import sys


def start(command):
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while child.stdout.readline() not in ("ready\n", ""):
        pass
    return child


def fork_debugger(server):
    """It ends when its parent has: then nobody has the lifeline's other end."""
    reader, writer = os.pipe()
    lifeline, held = os.pipe()
    if os.fork() == 0:
        server.close()
        os.close(held)
        debugger = socket.create_server(("127.0.0.1", 9090))
        os.write(writer, b"!")
        while lifeline not in select.select([debugger, lifeline], [], [])[0]:
            with debugger.accept()[0] as connection:
                connection.sendall(b"child")
        os._exit(0)
    os.read(reader, 1)


def main(kind, *command):
    server = socket.create_server(("127.0.0.1", 8080))
    if kind == "exec":
        start(command)
    elif kind == "fork":
        fork_debugger(server)
    print("ready", flush=True)
    while True:
        connection, _ = server.accept()
        with connection:
            if kind == "cgi":
                child = start(command)
                child.terminate()
                child.wait()
            connection.sendall(b"parent")


main(*sys.argv[1:])
