#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Replayed broker messages: two nodes of vestry-bench serve on a nats-server, and an attacker with access to the
server but without the cluster's secret. The attacker records the messages of the nodes in three lives each, and
replays them in any order, as fast as possible, while honest clients dispatch from one node to streams of the other.

replay.py BENCH [--seconds N] [--seed N]        0: passed; 1: failed; 77: nats-server is not installed"""
import argparse
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(sys.path[0], "../support"))
import target  # noqa: E402
from port import reserve_port  # noqa: E402

KEPT = 20000
MEET_S = 30.0
ANSWER_S = 5.0  # maximum time of an honest dispatch, on a busy machine
LIVES = 3
SERVER = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin")


def wait_for(what, seconds=MEET_S):
    """Return the first true result; None: there was none in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    return None


class Recorder:
    """A user of the server: the protocol of NATS consists of text lines."""

    def __init__(self, port, rng):
        self.rng = rng
        self.kept, self.seen, self.played = [], set(), 0
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.socket.settimeout(None)
        self.file = self.socket.makefile("rb")
        self.file.readline()  # INFO
        self.socket.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\nSUB vestry.> 1\r\nPING\r\n')
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        try:
            while line := self.file.readline():
                if line.startswith(b"PING"):
                    self.send(b"PONG\r\n")
                elif line.startswith(b"MSG "):
                    parts = line.split()
                    data = self.file.read(int(parts[-1]) + 2)[:-2]
                    if data[-16:] not in self.seen and len(self.kept) < KEPT:  # by the seal, because replayed messages return
                        self.seen.add(data[-16:])
                        self.kept.append((parts[1], data))
        except (OSError, ValueError):
            return

    def send(self, data):
        with self.lock:
            self.socket.sendall(data)

    def play(self, count):
        lines = []
        for _ in range(count):
            subject, data = self.rng.choice(self.kept)
            if self.rng.random() < 0.1:
                subject = self.rng.choice(self.kept)[0]
            lines.append(b"PUB %s %d\r\n%s\r\n" % (subject, len(data), data))
        self.send(b"".join(lines))
        self.played += count

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)
        self.socket.close()


class Stream:
    """A stream of a node, and its received events."""

    def __init__(self, node, key):
        self.received, self.is_over = b"", False
        self.socket = node.connect(5)
        self.socket.sendall(b"GET /sub?key=%s HTTP/1.1\r\nHost: soak\r\nDatastar-Request: true\r\n\r\n" % key)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        self.socket.settimeout(None)
        try:
            while data := self.socket.recv(65536):
                self.received += data
        except OSError:
            pass
        self.is_over = True

    def count(self, number):
        return self.received.count(b'{"v":%d}' % number)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.thread.join(5)
        self.socket.close()


def pub(node, key, number):
    body = b"%d" % number
    return node.ask(b"POST /pub?key=%s HTTP/1.1\r\nHost: soak\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                    % (key, len(body), body), ANSWER_S)[0]


def counters(node):
    stats = node.stats(ANSWER_S)
    return stats["cluster"] if stats else None


class World:
    def __init__(self, bench, url):
        self.bench, self.url = bench, url
        self.nodes, self.streams, self.number = {}, {}, 0

    def begin(self, name):
        self.nodes[name] = target.Target(self.bench, "microhttpd",
                                         ["--threads", "2", "--cluster", self.url, "--node", name])
        self.streams[name] = Stream(self.nodes[name], b"of-" + name.encode())

    def end(self, name, kill):
        if kill:
            self.nodes[name].process.kill()
        self.streams.pop(name).close()
        self.nodes.pop(name).stop()

    def has_met(self):
        """Each node reaches the other's stream, and knows that no other node has it."""
        for name, other in (("a", "b"), ("b", "a")):
            c = counters(self.nodes[name])
            if not c or c["alive"] != 1 or c["unsynced"]:
                return False
            self.number += 1
            if pub(self.nodes[name], b"of-" + other.encode(), self.number) != 204 or pub(self.nodes[name], b"nobody", 0) != 404:
                return False
        return True


def attack(world, recorder, seconds, wrong):
    """Return the number of honest dispatches."""
    before = {name: counters(node) for name, node in world.nodes.items()}
    until, did, slowest = time.monotonic() + seconds, 0, 0.0
    while time.monotonic() < until and len(wrong) < 5:
        recorder.play(200)
        name, other = recorder.rng.choice((("a", "b"), ("b", "a")))
        world.number += 1
        began = time.monotonic()
        status = pub(world.nodes[name], b"of-" + other.encode(), world.number)
        slowest = max(slowest, time.monotonic() - began)
        did += 1
        stream = world.streams[other]
        if status != 204:
            wrong.append(f"a dispatch from {name} was answered {status}")
        elif not wait_for(lambda: stream.count(world.number), ANSWER_S):
            wrong.append(f"{other}'s stream did not get {world.number}")
        if did % 10 == 0:
            status = pub(world.nodes[name], b"nobody", 0)
            if status != 404:
                wrong.append(f"a dispatch to an unknown key got {status}")
    for name, node in world.nodes.items():
        c = counters(node)
        if not c:
            wrong.append(f"{name} does not answer")
            continue
        if c["alive"] != 1 or c["timeout"] != before[name]["timeout"]:
            wrong.append(f"{name}: alive {c['alive']}, timeouts {c['timeout'] - before[name]['timeout']}")
        if c["gaps"] != before[name]["gaps"]:
            wrong.append(f"{name} received {c['gaps'] - before[name]['gaps']} gaps")
        if world.streams[name].is_over:
            wrong.append(f"{name}'s stream has ended")
        twice = [i for i in range(1, world.number + 1) if world.streams[name].count(i) > 1]
        if twice:
            wrong.append(f"{name}'s stream got {len(twice)} twice")
    if slowest > ANSWER_S / 2:
        wrong.append(f"a dispatch took {slowest:.1f} s")
    return did


def replayed_broker_messages(bench, seconds=4.0, seed=1):
    """Return the attacker's counts, the honest dispatches, and a list of errors. None: nats-server is not installed."""
    if not SERVER:
        return None
    port, folder = reserve_port(), tempfile.mkdtemp()
    server = subprocess.Popen([SERVER, "-a", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, cwd=folder)
    world, recorder, wrong, did = World(bench, f"nats://127.0.0.1:{port}"), None, [], 0
    try:
        def connect():
            try:
                return Recorder(port, random.Random(seed))
            except OSError:
                return None

        recorder = wait_for(connect)
        for life in range(LIVES):
            for name in "ab":
                if name in world.nodes:
                    world.end(name, life % 2)
                world.begin(name)
            if not wait_for(world.has_met):
                wrong.append(f"the nodes do not meet in life {life}")
        time.sleep(1)  # wait until all messages of their handshake were sent
        if not wrong:
            did = attack(world, recorder, seconds, wrong)
        # One node dies, and does not come back.
        if not wrong:
            world.end("b", True)
            until = time.monotonic() + 4
            while time.monotonic() < until:
                recorder.play(50)
                time.sleep(0.02)
            if not wait_for(lambda: counters(world.nodes["a"])["alive"] == 0, 2):
                wrong.append("the killed node is still a member")
            if pub(world.nodes["a"], b"nobody", 0) != 404:
                wrong.append("the killed node still receives requests")
    finally:
        for name in list(world.nodes):
            said = world.nodes[name]
            world.end(name, False)
            if said.process.returncode:
                wrong.append(f"{name} ended with {said.process.returncode}")
        if recorder:
            recorder.close()
        server.kill()
        server.wait()
        shutil.rmtree(folder)
    return recorder.played if recorder else 0, did, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    came = replayed_broker_messages(options.bench, options.seconds, options.seed)
    if came is None:
        print("there is no nats-server")
        return 77
    played, did, wrong = came
    print(f"replayed broker messages: {played} played, {did} honest dispatches beside them: " + ("; ".join(wrong) or "held"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
