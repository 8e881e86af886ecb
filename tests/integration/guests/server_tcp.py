#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A TCP server that knows nothing of isomer.

usage: server_tcp.py NAME ADDRESS PORT [SOCKETS]

Greets with "NAME ADDRESS PORT", the local address of the accepted socket, and answers each line
with "NAME LINE"; "bye" ends the connection. With SOCKETS it has as many listeners, in one
SO_REUSEPORT group, also with other processes.

SIGTERM  accepts no more, finishes the open connections, and ends
SIGUSR1  listen() again, then prints "listened again"
SIGUSR2  closes all listeners but the first, then prints "closed"
"""
import contextlib
import selectors
import signal
import socket
import sys
import threading


def serve(name, connection):
    with contextlib.suppress(OSError), connection, connection.makefile("rw") as stream:
        print(name, *connection.getsockname()[:2], file=stream, flush=True)
        for line in stream:
            if line == "bye\n":
                break
            print(name, line, end="", file=stream, flush=True)


def listen(address, port, reuseport):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuseport:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((address, port))
    listener.listen(socket.SOMAXCONN)
    listener.setblocking(False)
    return listener


def accept_waiting(name, listener):
    with contextlib.suppress(BlockingIOError):
        while True:
            connection, _ = listener.accept()
            connection.setblocking(True)
            threading.Thread(target=serve, args=(name, connection)).start()


class Server:
    def __init__(self, name, listeners):
        self.name = name
        self.listeners = listeners
        self.running = True
        self.selector = selectors.DefaultSelector()
        for listener in listeners:
            self.selector.register(listener, selectors.EVENT_READ)

    def close(self, listener):
        self.selector.unregister(listener)
        accept_waiting(self.name, listener)
        listener.close()

    def handle(self, number):
        if number == signal.SIGUSR1:
            for listener in self.listeners:
                listener.listen(socket.SOMAXCONN)
            print("listened again", flush=True)
            return
        keep = 1 if number == signal.SIGUSR2 else 0
        for listener in self.listeners[keep:]:
            self.close(listener)
        del self.listeners[keep:]
        self.running = bool(keep)
        print("closed", flush=True)

    def run(self, signals):
        self.selector.register(signals, selectors.EVENT_READ)
        while self.running:
            for key, _ in self.selector.select():
                if key.fileobj is signals:
                    for number in signals.recv(16):
                        self.handle(number)
                elif key.fileobj in self.listeners:
                    accept_waiting(self.name, key.fileobj)


def signal_socket(*numbers):
    """Becomes readable with the numbers of the signals that arrive."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach())
    for number in numbers:
        signal.signal(number, lambda *_: None)
    return reader


def main(name, address, port, sockets="0"):
    signals = signal_socket(signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    count = max(int(sockets), 1)
    listeners = [listen(address, int(port), int(sockets) > 0) for _ in range(count)]
    print("listening", flush=True)
    Server(name, listeners).run(signals)


main(*sys.argv[1:])
