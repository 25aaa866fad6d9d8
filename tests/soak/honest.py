# SPDX-License-Identifier: MIT
"""Honest clients, each kind a separate process, and their results: latencies, and all errors.

- readers hold streams under one key and check that every event arrives, once and in order;
- the poster sends an event to that key every 20 ms, over a kept connection;
- the visitor requests a page every 20 ms and opens a stream now and then, each over a new connection.

A client that has to wait sends its next requests late. Requests that it would have sent meanwhile are counted as if
they had waited too; otherwise one long stall would count as one slow request among thousands."""
import multiprocessing
import os
import random
import re
import selectors
import socket
import ssl
import time

PERIOD_S = 0.02
PATIENCE_S = 2.0
START_S = 20.0  # for the first streams, which all checks need
VISITS_A_STREAM = 10  # the visitor opens a stream after this many pages
EVENT = re.compile(rb'\[(\d+),([0-9.]+)\]')
KINDS = ("readers", "poster", "visitor")


class Seen:
    """Results of one kind of clients since the last query."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.samples = []
        self.count = {"served": 0, "failed": 0, "refused": 0, "lost": 0, "ended": 0, "died": 0}

    def waited(self, seconds):
        while seconds > 0:
            self.samples.append(seconds)
            seconds -= PERIOD_S


class Honest:
    """All honest clients. Read their results with mark()."""

    def __init__(self, target, streams):
        self.parts = {}
        key = f"honest-{random.randrange(1 << 40)}"
        runs = {"readers": (run_readers, streams), "poster": (run_poster, None), "visitor": (run_visitor, None)}
        for kind in KINDS:
            ours, theirs = multiprocessing.Pipe()
            run, argument = runs[kind]
            process = multiprocessing.Process(target=run, args=(target, theirs, key, argument), daemon=True)
            process.start()
            self.parts[kind] = (process, ours)
            ours.recv()  # it is ready

    def mark(self):
        """Return the results since the last mark: kind → Seen."""
        for _, pipe in self.parts.values():
            pipe.send("mark")
        return {kind: pipe.recv() for kind, (_, pipe) in self.parts.items()}

    def stop(self):
        for process, pipe in self.parts.values():
            pipe.send("stop")
        for process, _ in self.parts.values():
            process.join(PATIENCE_S * 3)
            if process.is_alive():
                process.kill()
                process.join()


def told(pipe, seen):
    """Return False if it must end."""
    while pipe.poll(0):
        if pipe.recv() == "stop":
            return False
        pipe.send(seen)
        seen.reset()
    return True


def request(method, path, body=b"", more=""):
    length = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""
    return f"{method} {path} HTTP/1.1\r\nHost: soak\r\n{length}{more}\r\n".encode() + body


def read_head(s):
    """Return the head of a response and the bytes after it; raise OSError if none arrives."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(65536)
        if not more:
            raise ConnectionError("no answer")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return int(head[9:12]), rest


def pace(began, at):
    """Wait for the next turn: turns are PERIOD_S apart, and missed turns are skipped."""
    now = time.monotonic()
    due = began + at * PERIOD_S
    if now < due:
        time.sleep(due - now)
        return at + 1
    return int((now - began) / PERIOD_S) + 1


def run_visitor(target, pipe, key, _):
    seen = Seen()
    pipe.send("ready")
    began, at, visits = time.monotonic(), 0, 0
    while told(pipe, seen):
        at = pace(began, at)
        visits += 1
        stream = visits % VISITS_A_STREAM == 0
        path, more = (f"/sub?key={key}-v", "") if stream else ("/stats", "Connection: close\r\n")
        sent = time.monotonic()
        try:
            with target.connect(PATIENCE_S) as s:
                s.sendall(request("GET", path, more=more))
                status, _ = read_head(s)
            seen.count["served" if status == 200 else "refused" if status == 503 else "failed"] += 1
        except (OSError, ValueError):
            seen.count["failed"] += 1
        seen.waited(time.monotonic() - sent)


def run_poster(target, pipe, key, _):
    seen = Seen()
    pipe.send("ready")
    began, at, number, s = time.monotonic(), 0, 1, None
    while told(pipe, seen):
        at = pace(began, at)
        sent = time.monotonic()
        body = f"[{number},{sent:.6f}]".encode()
        for attempt in (0, 1):
            kept = s is not None
            try:
                s = s or target.connect(PATIENCE_S)
                s.sendall(request("POST", f"/pub?key={key}", body))
                status, _ = read_head(s)
                number += status == 204  # a rejected event is sent again, so the readers may receive a number twice
                seen.count["served" if status == 204 else "refused" if status == 503 else "failed"] += 1
                break
            except (OSError, ValueError):
                if s:
                    s.close()
                s = None
                if kept and not attempt:  # the server may close a connection between two requests
                    seen.count["died"] += 1
                    continue
                seen.count["failed"] += 1
                break
        seen.waited(time.monotonic() - sent)
    if s:
        s.close()


class Reader:
    """One stream."""

    def __init__(self, target, key, selector):
        self.target, self.key, self.selector = target, key, selector
        self.socket, self.data, self.last = None, b"", None

    def open(self, patience=PATIENCE_S):
        s = self.target.connect(patience)
        try:
            s.sendall(request("GET", f"/sub?key={self.key}"))
            status, self.data = read_head(s)
            if status != 200:
                raise ConnectionError(f"answered {status}")
        except (OSError, ValueError):
            s.close()
            raise
        s.setblocking(False)
        self.socket, self.last = s, None
        self.selector.register(s, selectors.EVENT_READ, self)

    def close(self):
        self.selector.unregister(self.socket)
        self.socket.close()
        self.socket = None

    def read(self, seen):
        """Return False if the stream has ended."""
        while True:
            try:
                more = self.socket.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError):
                return True
            except OSError:
                return False
            if not more:
                return False
            self.data += more
            now = time.monotonic()
            used = 0
            for found in EVENT.finditer(self.data):
                used = found.end()
                number = int(found.group(1))
                # All events up to the last have arrived. An event that the poster repeated may arrive twice, and its
                # first copy late.
                if self.last is not None and number > self.last + 1:
                    seen.count["lost"] += 1
                self.last = max(number, self.last or number)
                seen.count["served"] += 1
                seen.samples.append(now - float(found.group(2)))
            self.data = self.data[used:][-4096:]


def run_readers(target, pipe, key, count):
    seen = Seen()
    selector = selectors.DefaultSelector()
    readers = [Reader(target, key, selector) for _ in range(count)]
    for reader in readers:
        reader.open(START_S)
    pipe.send("ready")
    tried = time.monotonic()
    while told(pipe, seen):
        for ready, _ in selector.select(0.02):
            reader = ready.data
            if not reader.read(seen):
                seen.count["ended"] += 1
                reader.close()
        if time.monotonic() - tried < 0.2:
            continue
        tried = time.monotonic()
        for reader in readers:  # one at a time, so that the others are read meanwhile
            if reader.socket is None:
                try:
                    reader.open()
                except (OSError, ValueError):
                    seen.count["failed"] += 1
                break
    for reader in readers:
        if reader.socket:
            reader.close()


def percentile(samples, share):
    if not samples:
        return 0.0
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
