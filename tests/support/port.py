# SPDX-License-Identifier: MIT
"""Ports for servers that a test starts again: port.h contains the reason, and the method of reservation."""
import random
import socket

FIRST, COUNT, TRIES = 20000, 12000, 1000
locks = []  # open until the process ends


def reserve_port():
    """Return a port of 127.0.0.1 at which no program listens, and which no other test gets."""
    for _ in range(TRIES):
        port = FIRST + random.randrange(COUNT)
        lock = socket.socket(type=socket.SOCK_DGRAM)
        try:
            lock.bind(('127.0.0.1', port))
            with socket.socket() as probe:
                probe.bind(('127.0.0.1', port))
        except OSError:
            lock.close()
            continue
        locks.append(lock)
        return port
    raise OSError(f'no port is free from {FIRST} on')
