# SPDX-License-Identifier: MIT
"""What hostile clients are made of: addresses to come from, a pace, and sockets that never wait.

An attack is a function of a Field. It runs in a process of its own, ends by itself when the field's time is over, and
then its process, with all its sockets, is gone. Where latencies count, attackers run only when nobody else wants the
processor: they stand for machines elsewhere, and must not be what the honest clients wait for."""
import collections
import os
import random
import resource
import socket
import ssl
import struct
import time

MANY = [f"127.0.0.{n}" for n in range(2, 51)]
ONE = MANY[:1]
TLS_COSTS = 10  # as much as a plain connection, at least: the attackers would have to pay it too
BIND_WITHOUT_PORT = 24  # IP_BIND_ADDRESS_NO_PORT: the port is chosen at connect, by the whole of the four numbers
RESET = struct.pack("ii", 1, 0)


class Field:
    """seconds: how long; sources: addresses; scale: the share of the attack's usual strength."""

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
        """Yields so many times a second, scaled, until the time is over; catches up in bursts."""
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
            if due - done > a_second:  # it cannot keep up: no use in counting what was missed
                began, done = now, 0

    def many(self, count):
        """count, scaled; at least one."""
        return max(1, int(count * self.scale))

    # ---- sockets -----------------------------------------------------------------------------------------------------

    def connect(self, receive_bytes=0):
        """A socket that does not block and is connected, or about to be; None: not now."""
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
        """A connection on which requests can be sent: with TLS, if the server has it, and its handshake done."""
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
        """How much went out; -1: the connection is over."""
        try:
            return s.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError:
            return -1

    def receive(self, s):
        """What came; None: nothing now; b"": the connection is over. Counts the statuses of answers."""
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
        """Waits a second for the first bytes of an answer, and takes no more than these."""
        try:
            s.settimeout(1)
            return s.recv(15).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    # ---- the shapes that most attacks have ---------------------------------------------------------------------------

    def burst(self, a_second, make, depth=64, leave="close"):
        """Connections one after another: each sends what make() gives. The oldest leaves when there are depth of them:
        leave is "close", "reset", or "now": closed at once, in the same burst of packets."""
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
        """count connections that stay: begin(i) gives what each sends first, more(i), every so many seconds, what next.
        Those that the server ends are opened again, a tenth of them a second at most."""
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
        """Send what is pending, as far as it goes."""
        for i, s in enumerate(held):
            if s is not None and pending[i]:
                sent = self.send(s, pending[i])
                if sent > 0:
                    pending[i] = pending[i][sent:]


def run(attack, target, seconds, sources, scale, seed, politely, pipe):
    """The body of an attacker's process. politely: it runs only when nobody else wants to."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if politely:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    field = Field(target, seconds, sources, scale, seed)
    attack(field)
    pipe.send((field.did, dict(field.answers)))
