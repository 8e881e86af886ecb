#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A UDP server that knows nothing of isomer.

usage: server_udp.py NAME ADDRESS PORT…

Binds a socket to each of the ports, in this order, and prints "NAME PORT got DATAGRAM" with the
port that it was asked to bind (0: one that the kernel chose).
"""
import selectors
import socket
import sys


def bind(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((address, port))
    return sock


def main(name, address, *ports):
    selector = selectors.DefaultSelector()
    for port in ports:
        selector.register(bind(address, int(port)), selectors.EVENT_READ, port)
    print("bound", flush=True)
    while True:
        for key, _ in selector.select():
            datagram, _ = key.fileobj.recvfrom(2048)
            print(name, key.data, "got", datagram.decode(), flush=True)


main(*sys.argv[1:])
