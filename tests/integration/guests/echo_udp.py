#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A UDP echo server that knows nothing of isomer.

usage: echo_udp.py ADDRESS PORT
"""
import socket
import sys


def main(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((address, int(port)))
    print("bound", flush=True)
    while True:
        datagram, peer = sock.recvfrom(2048)
        sock.sendto(datagram, peer)


main(*sys.argv[1:])
