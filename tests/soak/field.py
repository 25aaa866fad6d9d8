# SPDX-License-Identifier: MIT
"""Parts of hostile clients: source addresses, a pace, and non-blocking sockets.

An attack is a function of a Field. It runs in a separate process, and ends by itself when the field's time is over;
then its process and all its sockets are gone. If latencies are measured, attackers run only when no other process wants
the processor, because they represent other machines and must not delay the honest clients."""
import collections
import multiprocessing
import os
import random
import resource
import socket
import ssl
import struct
import time

MANY = [f"127.0.0.{n}" for n in range(2, 51)]
ONE = MANY[:1]
TLS_COSTS = 10  # at least the cost of this number of plain connections, which attackers would have to pay, too
BIND_WITHOUT_PORT = 24  # IP_BIND_ADDRESS_NO_PORT: connect chooses the port, by addresses and ports of both ends
RESET = struct.pack("ii", 1, 0)


class Field:
    """seconds: duration; sources: addresses; scale: the share of the attack's usual strength."""

    def __init__(self, target, seconds, sources, scale, seed):
        self.target = target
        self.port = target.port
        self.until = time.monotonic() + seconds
        self.seconds = seconds
        self.sources = sources
        self.scale = scale
        self.random = random.Random(seed)
        self.did = 0
        self.answers = collections.Counter()
        self.turn = 0
        self.open = collections.deque()

    # ---- time --------------------------------------------------------------------------------------------------------

    def going(self):
        return time.monotonic() < self.until

    def first_half(self):
        return time.monotonic() < self.until - self.seconds / 2

    def turns(self, a_second):
        """Yield this many times per second, scaled, until the time is over; catch up in bursts."""
        a_second = max(1, a_second * self.scale / (TLS_COSTS if self.target.tls else 1))
        began, done = time.monotonic(), 0
        while (now := time.monotonic()) < self.until:
            due = int((now - began) * a_second) + 1
            if done >= due:
                time.sleep(min(0.005, 1 / a_second))
                continue
            for _ in range(min(due - done, 200)):
                yield done
                done += 1
            if due - done > a_second:  # too slow: do not count the missed turns
                began, done = now, 0

    def many(self, count):
        """Return count, scaled; at least one."""
        return max(1, int(count * self.scale))

    # ---- sockets -----------------------------------------------------------------------------------------------------

    def connect(self, receive_bytes=0):
        """Return a non-blocking socket that is connected, or connecting; None: not now."""
        self.turn += 1
        s = None
        try:
            s = socket.socket()
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_IP, BIND_WITHOUT_PORT, 1)
            if receive_bytes:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            s.bind((self.sources[self.turn % len(self.sources)], 0))
            s.connect_ex(("127.0.0.1", self.port))
            return s
        except OSError:
            if s:
                s.close()
            return None

    def wire(self, receive_bytes=0):
        """Return a connection for requests: with TLS, after its handshake, if the server uses it."""
        s = self.connect(receive_bytes)
        if not s or not self.target.tls:
            return s
        try:
            s.settimeout(1)
            s = self.tls.wrap_socket(s)
            s.setblocking(False)
            return s
        except OSError:
            s.close()
            return None

    @property
    def tls(self):
        if not hasattr(self, "_tls"):
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        return self._tls

    @staticmethod
    def send(s, data):
        """Return the number of bytes sent; -1: the connection is closed."""
        try:
            return s.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError:
            return -1

    def receive(self, s):
        """Return received bytes; None: nothing now; b"": the connection is closed. Count the statuses of responses."""
        try:
            data = s.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except OSError:
            return b""
        if data.startswith(b"HTTP/1."):
            self.answers[data[9:12].decode("latin-1")] += 1
        return data

    def is_over(self, s):
        data = self.receive(s)
        return data == b""

    @staticmethod
    def reset(s):
        try:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except OSError:
            pass
        s.close()

    def await_answer(self, s):
        """Wait one second for the first bytes of a response, and read no more."""
        try:
            s.settimeout(1)
            return s.recv(15).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    # ---- patterns of most attacks ------------------------------------------------------------------------------------

    def burst(self, a_second, make, depth=64, leave="close"):
        """Open connections one after another: each sends the result of make(). At depth connections the oldest is
        closed: leave is "close", "reset", or "now": closed at once, in the same burst of packets."""
        for _ in self.turns(a_second):
            s = self.wire()
            if not s:
                continue
            self.did += self.send(s, make()) > 0
            if leave == "now":
                s.close()
                continue
            self.open.append(s)
            if len(self.open) > depth:
                oldest = self.open.popleft()
                self.receive(oldest)
                if leave == "reset":
                    self.reset(oldest)
                else:
                    oldest.close()

    def hold(self, count, begin, more=None, every=1.0, receive_bytes=0):
        """Keep count connections: begin(i) returns the first data of each, more(i) the next data, periodically.
        Connections that the server closes are opened again, at most a tenth of them per second."""
        count = self.many(count)
        held = [None] * count
        pending = [b""] * count
        allowed, next_look, next_more = count, 0.0, time.monotonic() + every
        while self.going():
            now = time.monotonic()
            if now >= next_look:
                next_look = now + 0.1
                for i, s in enumerate(held):
                    if s is not None and self.is_over(s):
                        s.close()
                        held[i] = None
                    if held[i] is None and allowed >= 1 and self.going():
                        allowed -= 1
                        held[i] = self.wire(receive_bytes)
                        pending[i] = begin(i)
                        self.did += held[i] is not None
                allowed = min(count, allowed + count / 100)
            if more and now >= next_more:
                next_more = now + every
                for i, s in enumerate(held):
                    if s is not None and not pending[i]:
                        pending[i] = more(i)
            self.drive(held, pending)
            time.sleep(0.01)
        self.open.extend(s for s in held if s)

    def drive(self, held, pending):
        """Send pending data, as far as the sockets take it."""
        for i, s in enumerate(held):
            if s is not None and pending[i]:
                sent = self.send(s, pending[i])
                if sent > 0:
                    pending[i] = pending[i][sent:]


def run(attack, target, seconds, sources, scale, seed, politely, pipe):
    """The body of an attacker's process. politely: it runs only when no other process wants the processor."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if politely:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    field = Field(target, seconds, sources, scale, seed)
    attack(field)
    pipe.send((field.did, dict(field.answers)))


def launch(server, list_of_attacks, seconds, scale, seed, sources, politely):
    """Start attackers, from "one" address or "many"; they end by themselves."""
    started = []
    for number, one in enumerate(list_of_attacks):
        ours, theirs = multiprocessing.Pipe()
        addresses = ONE if sources == "one" else MANY
        process = multiprocessing.Process(
            target=run, args=(one.run, server, seconds, addresses, scale, seed + number, politely, theirs), daemon=True)
        process.start()
        started.append((one, process, ours))
    return started


def told(pipe):
    """Return the result of an attacker; a killed one has none."""
    try:
        return pipe.recv() if pipe.poll(0) else (0, {})
    except EOFError:
        return 0, {}
