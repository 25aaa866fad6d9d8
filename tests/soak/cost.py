#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a byte of a client costs the HTTP/2 server, in each state of a connection. All kinds are sent in turn, in the
same run, so the speed of the machine does not matter: frames are compared with those of an unknown type, and heads that
refer to the table with heads of literals. If the server ends a connection, the next one begins, and the comparison
is with as many connections."""
import argparse
import fcntl
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time

import frames
from frames import (CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
                    WINDOW_UPDATE, frame, head, number)

ROUNDS = 2
BYTES = 2 << 20  # of a kind in a round
PART = 16 << 10
MOST = {"unknown frames": 4, "literals": 2}  # times as much as these
UNKNOWN = 0xFE
ACK = frame(SETTINGS, frames.ACK, 0)
ASK = bytes((0x82, 0x84, 0x86, 0x41, 1)) + b"a"  # GET / of the authority a


def numbered(make):
    """Return units for a connection: of the streams 1, 3, and so on."""
    return lambda: (make(2 * i + 1) for i in range(1 << 20))


def after(first, unit):
    """Return units of which the first one begins a state."""

    def make():
        if first:
            yield first
        while True:
            yield unit

    return make


def large(fields, tail, flags=END_STREAM):
    """Return units: heads of nine frames that begin with fields, and go on with the bytes of tail."""

    def make(stream):
        text = fields + tail * (9 * frames.MOST_BYTES // len(tail))
        parts = [text[i * frames.MOST_BYTES : (i + 1) * frames.MOST_BYTES] for i in range(9)]
        return b"".join(frame(CONTINUATION if i else HEADERS, (0 if i else flags) | (END_HEADERS if i == 8 else 0), stream, part)
                        for i, part in enumerate(parts))

    return numbered(make)


def field(name, value, first=b"\0"):
    return first + number(len(name), 7) + name + number(len(value), 7) + value


LITERAL = field(b"a", b"v" * 120)
FIELD = field(b"a", b"v" * 4000, b"\x40")  # enters the table
POST = head(1, "POST", "/pub?key=x", ends=False)
CLOSED = POST + frame(RST_STREAM, 0, 1, frames.CANCEL)

KINDS = {
    "unknown frames": ("unknown frames", ACK, after(b"", frame(UNKNOWN, 0, 0))),
    f"unknown frames, {PART} bytes a connection": ("unknown frames", ACK, lambda: [frame(UNKNOWN, 0, 0)] * (PART // 9)),
    "unknown frames, no ACK": ("unknown frames", b"", after(b"", frame(UNKNOWN, 0, 0))),
    "PING": ("unknown frames", ACK, after(b"", frame(PING, 0, 0, b"12345678"))),
    "PING, no ACK": ("unknown frames", b"", after(b"", frame(PING, 0, 0, b"12345678"))),
    "SETTINGS": ("unknown frames", ACK, after(b"", frame(SETTINGS, 0, 0))),
    "SETTINGS of a window": ("unknown frames", ACK, after(b"", frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1) * 30))),
    "PRIORITY": ("unknown frames", ACK, numbered(lambda i: frame(PRIORITY, 0, i, b"\0\0\0\0\1"))),
    "PRIORITY_UPDATE": ("unknown frames", ACK, numbered(lambda i: frame(0x10, 0, 0, struct.pack(">I", i) + b"u=1"))),
    "WINDOW_UPDATE": ("unknown frames", ACK, after(b"", frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"))),
    "WINDOW_UPDATE of a stream": ("unknown frames", ACK, after(POST, frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"))),
    "WINDOW_UPDATE of a closed stream": ("unknown frames", ACK, after(head(1), frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"))),
    "empty DATA": ("unknown frames", ACK, after(POST, frame(DATA, 0, 1))),
    "DATA of a byte": ("unknown frames", ACK, after(POST, frame(DATA, 0, 1, b"1"))),
    "DATA of a closed stream": ("unknown frames", ACK, after(CLOSED, frame(DATA, 0, 1, b"1"))),
    "a head of a closed stream": ("unknown frames", ACK, after(CLOSED, frame(HEADERS, 5, 1, ASK))),
    "padded DATA": ("unknown frames", ACK, after(POST, frame(DATA, 8, 1, b"\3\0\0\0"))),
    "RST_STREAM": ("unknown frames", ACK, after(head(1), frame(RST_STREAM, 0, 1, frames.CANCEL))),
    "CONTINUATION": ("unknown frames", ACK, after(frame(HEADERS, 0, 1, ASK), frame(CONTINUATION, 0, 1, b"\x04\1a\1b"))),
    "empty CONTINUATION": ("unknown frames", ACK, after(frame(HEADERS, 0, 1, ASK), frame(CONTINUATION, 0, 1))),
    "literals": ("literals", ACK, large(ASK, LITERAL)),
    f"literals, {PART} bytes a connection": ("literals", ACK, lambda: [frame(HEADERS, END_STREAM, 1, (ASK + LITERAL * 131)[: PART - 99])]),
    "indices": ("literals", ACK, large(ASK + FIELD, b"\xbe")),
    "indices, no ACK": ("literals", b"", large(ASK + FIELD, b"\xbe")),
    "indices of the static table": ("literals", ACK, large(ASK, b"\x90")),
    "indices after an invalid field": ("literals", ACK, large(ASK + FIELD + field(b"A", b"b"), b"\xbe")),
    "indices of an invalid field": ("literals", ACK, large(ASK + field(b"a", b"\1" * 4000, b"\x40"), b"\xbe")),
    "indices in a head of one byte more": ("literals", ACK, numbered(lambda i: frame(HEADERS, 5, i, ASK + FIELD + b"\xbe" * 12000))),
    "sizes of the table": ("unknown frames", ACK, large(b"", b"\x20")),
    "empty fields": ("unknown frames", ACK, large(ASK, b"\0\1a\0")),
    "Huffman code": ("unknown frames", ACK, large(ASK, b"\0\1a\xff" + b"\xa1\x1e" + b"\x1c\x71" * 2000)),
}


class Server:
    """vestry-bench serve with HTTP/2 at a UNIX socket, whose client sees how much of its bytes is unread."""

    def __init__(self, program, folder):
        self.path = os.path.join(folder, "socket")
        self.process = subprocess.Popen([program, "serve", "--unix-socket", self.path, "--adapter", "h2", "--no-tls"],
                                        stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def processor_ns(self):
        """Return nanoseconds of processor time that its threads have used."""
        total = 0
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{thread}/schedstat") as f:
                total += int(f.read().split()[0])
        return total

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)


def drain(s):
    """Read what the server sends until it has read everything. False: it has closed."""
    while True:
        unread = struct.unpack("i", fcntl.ioctl(s, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
        try:
            while s.recv(1 << 18, socket.MSG_DONTWAIT):
                pass
            return False
        except BlockingIOError:
            if not unread:
                return True
        time.sleep(0.00002)


def send(server, first, make):
    """Send units, in connections one after another. Return the number of bytes, and of connections."""
    sent = connections = 0
    while sent < BYTES:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(server.path)
            connections += 1
            units, part = iter(make()), frames.PREFACE + first
            try:
                while sent < BYTES:
                    while len(part) < PART and (unit := next(units, b"")):
                        part += unit
                    s.sendall(part[:PART])
                    sent += len(part[:PART])
                    part = part[PART:]
                    if not drain(s) or not (part or unit):
                        break
            except OSError:
                pass
    return sent, connections


def measure(server):
    """Return nanoseconds a byte of each kind, the median of the rounds, and its number of connections."""
    costs, connections = {kind: [] for kind in KINDS}, {}
    for _ in range(ROUNDS):
        for kind, (_, first, make) in KINDS.items():
            before = server.processor_ns()
            sent, connections[kind] = send(server, first, make)
            costs[kind].append((server.processor_ns() - before) / sent)
    return {kind: statistics.median(all_) for kind, all_ in costs.items()}, connections


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="vestry-bench")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(options.program, folder)
        costs, connections = measure(server)
        status = server.stop()
    faults = [] if status == 0 else [f"the server ended with status {status}"]
    for kind, (base, _, _) in KINDS.items():
        short = f"{base}, {PART} bytes a connection"
        share = connections[kind] / connections[short]
        allowed = MOST[base] * (costs[base] + max(0, costs[short] - costs[base]) * share)
        print(f"{kind:45} {costs[kind]:6.1f} ns a byte, {connections[kind]:3} connections; allowed {allowed:6.1f}")
        if costs[kind] > allowed:
            faults.append(f"{kind}: {costs[kind]:.1f} ns a byte, {allowed:.1f} are allowed")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
