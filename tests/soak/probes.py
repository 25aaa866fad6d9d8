# SPDX-License-Identifier: MIT
"""Single requests with one correct response: ambiguous paths, heads that hide a second request, deep JSON."""
import http.client
import socket
import ssl
import time

# Forms of /stats that a proxy may read as another path: they must be rejected, or not found (404).
PATHS = ("/stats%00x", "/stats%00", "/stats.", "/stats..", "/stats%2e", "/x/..%5cstats", "/x%5c..%5cstats", "//stats", "/.//stats",
         "/./stats", "/x/../stats", "/x/%2e%2e/stats", "/%2e/stats", "/%2fstats", "/stats%2f", "/x/..%2fstats", "\\stats", "/\\stats",
         "/stats%20", "/stats%0a", "/stats\\", "/%5cstats")
# The same path in other forms that all servers read alike: they must be served.
SAME = ("/stats", "/%73tats", "/stats?x=1", "/stats?x=%00")

HIDDEN = b"GET /stats HTTP/1.1\r\nHost: soak\r\n\r\n"
CHUNKS = b"0\r\n\r\n" + HIDDEN
POST = b"POST /pub?key=probe HTTP/1.1\r\nHost: soak\r\n"
# Heads that two servers may read differently. Each must be rejected, and the bytes after it must not be read as a
# request. (libmicrohttpd sends the head of its own 400 twice.)
HEADS = {
    "space before the colon": POST + b"Transfer-Encoding : chunked\r\nContent-Length: %d\r\n\r\n" % len(CHUNKS) + CHUNKS,
    "tab before the colon": POST + b"Content-Length\t: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a line without a name": POST + b": v\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a line without a colon": POST + b"nothing\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a folded line": POST + b"X: a\r\n Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a folded first line": POST[:-12] + b"\r\n X: y\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a space in a name": POST + b"Bad Name: 1\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a control character in a name": POST + b"B\x01d: 1\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a length and chunks": POST + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % len(CHUNKS) + CHUNKS,
    "a length with a sign": POST + b"Content-Length: +%d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a length that is no number": POST + b"Content-Length: %dx\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
}
DEPTHS = (950, 2000, 100000, 500000)
PATIENCE_S = 10.0  # for a response and the close, on a busy machine; less than DEADLINE
DEADLINE = ["--request-ms", "60000"]


def answers(target, data, patience=PATIENCE_S):
    """Return the statuses of all responses to the data sent on one connection, and whether the server closed it."""
    try:
        with target.connect(patience) as s:
            s.sendall(data)
            received, closed, until = b"", False, time.monotonic() + patience
            while time.monotonic() < until:
                try:
                    more = s.recv(65536)
                except (socket.timeout, TimeoutError):
                    break
                if not more:
                    closed = True
                    break
                received += more
    except OSError:
        return [], True
    return [int(line[:3]) for line in received.split(b"HTTP/1.1 ")[1:] if line[:3].isdigit()], closed


def paths(target):
    wrong = []
    for path in SAME:
        status, _ = target.ask(f"GET {path} HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n".encode(), PATIENCE_S)
        if status != 200:
            wrong.append(f"{path} → {status}")
    for path in PATHS:
        status, _ = target.ask(f"GET {path} HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n".encode(), PATIENCE_S)
        if status not in (400, 404):
            wrong.append(f"{path} → {status}")
    return wrong


def heads(target):
    wrong = []
    for name, data in HEADS.items():
        statuses, closed = answers(target, data)
        if any(status not in (400, 501) for status in statuses):
            wrong.append(f"{name}: answers {statuses}")
        elif not closed:
            wrong.append(f"{name}: stays open")
    return wrong


def depth(target):
    with target.connect(PATIENCE_S) as reader:  # without a receiver, the server drops the event
        reader.sendall(b"GET /sub?key=probe HTTP/1.1\r\nHost: soak\r\n\r\n")
        reader.recv(1)
        return send_depths(target)


def send_depths(target):
    wrong = []
    for deep in DEPTHS:
        for body in (b"[" * deep, b"[" * deep + b"]" * deep, b'{"a":' * deep + b"1" + b"}" * deep):
            status, _ = target.ask(b"POST /pub?key=probe HTTP/1.1\r\nHost: soak\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                                   % len(body) + body, PATIENCE_S)
            if not status and target.dies():
                return [f"{deep} brackets: the server died"]
            if status not in (204, 400, 413):
                wrong.append(f"{deep} brackets → {status}")
    return wrong


class Browser:
    """A user with a cookie, over a kept connection."""

    def __init__(self, target):
        context = ssl._create_unverified_context() if target.tls else None
        self.connection = (http.client.HTTPSConnection("127.0.0.1", target.port, timeout=PATIENCE_S, context=context) if target.tls
                           else http.client.HTTPConnection("127.0.0.1", target.port, timeout=PATIENCE_S))
        self.cookie = ""

    def ask(self, method, path, **headers):
        if self.cookie:
            headers["Cookie"] = self.cookie
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        for is_last in (False, True):  # the server may have closed an idle connection
            try:
                self.connection.request(method, path, b"" if method == "POST" else None, headers)
                answer = self.connection.getresponse()
                break
            except (http.client.RemoteDisconnected, ConnectionError):
                self.connection.close()
                if is_last:
                    raise
        body = answer.read().decode()
        if answer.getheader("Set-Cookie"):
            self.cookie = answer.getheader("Set-Cookie").split(";")[0]
        return answer.status, body

    def nonce(self):
        return self.ask("GET", "/nonce")[1]


MEMBERS = 200


def members(target):
    """Run an honest user, and an honest anonymous user whose action is repeated; beside them a user who logs in
    again and again, and invented anonymous users. There is room for MEMBERS, and the two attackers send five times
    as many requests."""
    wrong = []
    ann, visitor, flood = Browser(target), Browser(target), Browser(target)
    ann.ask("POST", "/login?user=ann")
    nonces = {who: who.nonce() for who in (ann, visitor)}
    first = {who: who.ask("POST", "/act", X_Once=nonces[who]) for who in nonces}
    for number in range(5 * MEMBERS):
        flood.cookie = ""
        flood.ask("POST", "/login?user=eve")
        flood.ask("POST", "/act", X_Once=flood.nonce())
        flood.cookie = ""
        status, _ = flood.ask("POST", "/act", X_Once=flood.nonce())
        if status not in (200, 503):
            wrong.append(f"an invented visitor → {status}")
        if number % MEMBERS == 0 and ann.ask("GET", "/member")[1] != "ann":
            wrong.append(f"behind {number} log-ins of another user she is logged in no more")
    for who, answer in first.items():
        again = who.ask("POST", "/act", X_Once=nonces[who])
        if again != answer:
            wrong.append(f"{'ann' if who is ann else 'an anonymous user'}'s action ran again: {answer}, then {again}")
    return wrong[:5]


PROBES = {"paths": paths, "heads": heads, "deep-json": depth, "members": members}
# Additional arguments of a server.
ARGUMENTS = {"members": ["--members", str(MEMBERS)]}
