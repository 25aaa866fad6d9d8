# SPDX-License-Identifier: MIT
"""The attacks: a table, and a function for each. The docstring of a function describes the attack and what a
vulnerable server would lose."""
import collections
import ssl
import time

Attack = collections.namedtuple("Attack", "name run sources idle tls_only descriptors peak_mb adapters denies denies_one")
MB = 1 << 20
TABLE = []


def attack(name, sources=("many",), idle=False, tls_only=False, descriptors=None, peak_mb=64, adapters=None,
           denies=(), denies_one=()):
    """Add a function to the table.
    sources      "one" address, "many"; each is a run
    idle         the attackers send almost nothing: the server must use almost no processor time
    descriptors  the server's RLIMIT_NOFILE
    adapters     only servers with these; None: all but h2, whose HTTP/1.1 is that of microhttpd
    peak_mb      maximum growth of the server meanwhile
    denies       servers that have a slot for each of "many" only until all are taken: new connections may wait
                 meanwhile, but open ones must not notice
    denies_one   servers for which the same holds of "one", because they count an address by its requests"""

    def add(function):
        TABLE.append(Attack(name, function, sources, idle, tls_only, descriptors, peak_mb, adapters, denies,
                            denies_one))
        return function

    return add


def head(method="GET", path="/stats", *lines):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: soak", *lines, "", ""]).encode("latin-1")


# ---- heads -----------------------------------------------------------------------------------------------------------


@attack("full-pool")
def full_pool(field):
    """Send a head whose Cookie nearly fills the connection's memory, and an invalid Content-Length."""

    def make():
        return head("GET", "/stats", "Cookie: " + "x" * field.random.randrange(1700, 3650), "Content-Length: 12x")

    field.burst(4000, make)


@attack("half-head-fin", sources=("one", "many"))
def half_head_fin(field):
    """Send half a head and close, in one burst: a server that misses the close keeps slot and descriptor."""
    field.burst(3000, lambda: b"GET /stats HTTP/1.1\r\nHost: so", leave="now")


@attack("slow-heads", sources=("one", "many"), idle=True, denies=("civetweb",), denies_one=("civetweb",))
def slow_heads(field):
    """Slowloris: send heads one byte at a time."""
    text = head("GET", "/stats", "X-Slow: " + "z" * 3000)
    field.hold(150, lambda i: text[:1], lambda i: field.random.choice((b"z", b"X", b":")), every=0.5)


@attack("silence", sources=("one", "many"), idle=True, denies=("civetweb",), denies_one=("civetweb",))
def silence(field):
    """Open connections and send nothing."""
    field.hold(150, lambda i: b"")


@attack("large-heads")
def large_heads(field):
    """Send oversized heads: one long line, many lines, a long path."""

    def make():
        kind, size = field.random.randrange(3), field.random.choice((5000, 20000, 70000))
        if kind == 0:
            return head("GET", "/stats", "X-Long: " + "y" * size)
        if kind == 1:
            return head("GET", "/stats", *[f"X-{i}: {i}" for i in range(size // 10)])
        return head("GET", "/stats?" + "q" * size)

    field.burst(400, make)


@attack("header-names")
def header_names(field):
    """Send invalid header names, folded lines, and lines without a name, with a second request hidden in the body."""
    hidden = head("POST", "/pub?key=hidden", "Content-Length: 1") + b"1"
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden)
    lines = ("Transfer-Encoding : chunked", "X: y\r\n folded: yes", ": v", "Bad Name: 1", "X\x00Y: 1", "Content-Length\t: 5",
             "Transfer-Encoding: chunked\r\nContent-Length: 3", "Content-Length: +5", "Content-Length: 5\r\nContent-Length: 6")
    field.burst(500, lambda: head("POST", "/pub?key=x", field.random.choice(lines)) + chunks)


# ---- bodies ----------------------------------------------------------------------------------------------------------


@attack("unfinished-bodies", sources=("one", "many"), peak_mb=160, denies=("civetweb",))
def unfinished_bodies(field):
    """Send bodies of 1 MiB without their last byte."""
    body = b"7" * (MB - 1)
    first = head("POST", "/pub?key=x", f"Content-Length: {MB}") + body
    field.hold(800, lambda i: memoryview(first))


@attack("slow-bodies", sources=("one", "many"), idle=True, denies=("civetweb",))
def slow_bodies(field):
    """Send a byte every four seconds, so that a timeout for each byte never ends."""
    first = head("POST", "/pub?key=x", "Content-Length: 1000") + b"1"
    field.hold(150, lambda i: first, lambda i: b"1", every=4.0)


@attack("slow-linger", sources=("one", "many"), idle=True, denies=("civetweb",))
def slow_linger(field):
    """Send too large a body, which gets 413, and continue with a byte every four seconds."""
    first = head("POST", "/pub?key=x", "Content-Length: 99000000") + b"1" * 1000
    field.hold(150, lambda i: first, lambda i: b"1", every=4.0)


@attack("chunks")
def chunks(field):
    """Send chunked bodies that are invalid in every way."""
    starts = (b"zz\r\n", b"-1\r\nx\r\n", b"ffffffffffffffff\r\nx", b"5\r\nabc\r\n0\r\n\r\n", b"1;" + b"e" * 9000, b"0\r\nX: y\r\n",
              b"3\nabc\n0\n\n", b"7fffffffffffffff\r\n" + b"c" * 5000, b"\r\n\r\n", b"1\r\naX\r\n0\r\n\r\n")
    first = head("POST", "/pub?key=x", "Transfer-Encoding: chunked")
    field.burst(800, lambda: first + field.random.choice(starts))


@attack("deep-json")
def deep_json(field):
    """Send nested brackets to open streams: 950 overflowed a small stack."""

    def make():
        if field.random.random() < 0.05:
            return head("GET", "/sub?key=x")
        depth = field.random.choice((40, 950, 2048, 30000))
        body = field.random.choice((b"[" * depth, b"[" * depth + b"]" * depth, b'{"a":' * depth))
        return head("POST", "/pub?key=x", "Content-Type: application/json", f"Content-Length: {len(body)}") + body

    field.burst(300, make)


# ---- connections -----------------------------------------------------------------------------------------------------


@attack("half-handshake", sources=("one", "many"), idle=True, tls_only=True, adapters=("microhttpd", "h2"))
def half_handshake(field):
    """Send a ClientHello, complete or half, and then nothing."""
    sent, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        field.tls.wrap_bio(back, sent).do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = sent.read()
    plain, field.wire = field.wire, field.connect
    field.hold(40, lambda i: hello if i % 2 else hello[: len(hello) // 2])
    field.wire = plain


@attack("flood", sources=("one", "many"), idle=True, descriptors=256, adapters=("microhttpd",), denies=("microhttpd", "tls"))
@attack("flood", sources=("one", "many"), idle=True, descriptors=330, adapters=("civetweb",), denies=("civetweb",),
        denies_one=("civetweb",))
def flood(field):
    """Open more connections than the server has descriptors, silent, and continuously new ones."""
    field.hold(700, lambda i: b"" if i % 2 else b"GET /stats HTTP/1.1\r\n")


@attack("resets")
def resets(field):
    """Reset streams and requests at any moment."""

    def make():
        return field.random.choice((head("GET", "/sub?key=r"), head("GET", "/sub"), head("GET", "/stats"), b"GET /su",
                                    head("POST", "/pub?key=r", "Content-Length: 1") + b"1"))

    field.burst(600, make, depth=40, leave="reset")


# ---- answers ---------------------------------------------------------------------------------------------------------


@attack("slow-files", sources=("one", "many"), peak_mb=32, denies=("civetweb",))
def slow_files(field):
    """Read a file of 4 MiB at some kilobytes per second, on each connection: a server that buffers it for each holds
    them all."""
    ask = head("GET", "/large/file")
    field.hold(150, lambda i: ask, receive_bytes=4096)


@attack("slow-answers", sources=("one", "many"), peak_mb=192, denies=("civetweb",))
def slow_answers(field):
    """Do the same with a page that is made for each request: all of them together are ten times the limit of
    buffered bodies. Pages without room must not be made; memory beyond the limit is what the allocator keeps for
    each thread."""
    ask = head("GET", "/large/html")
    field.hold(150, lambda i: ask, receive_bytes=4096)


@attack("pipeline", sources=("one", "many"), denies=("civetweb",))
def pipeline(field):
    """Send requests without end, and read their responses at some kilobytes per second: nothing may pile up."""
    kinds = [memoryview(request * 5000) for request in (
        head(), head("GET", "/none"), head("HEAD"), head("OPTIONS", "/none"),
        *(head("POST", "/pub?key=x", f"Expect: {expected}", "Content-Length: 1") + b"1" for expected in ("100-continue", "1")))]
    field.hold(150, lambda i: kinds[i % len(kinds)], lambda i: kinds[i % len(kinds)], receive_bytes=4096)


# ---- streams ---------------------------------------------------------------------------------------------------------


@attack("stalled-readers", sources=("one", "many"))
def stalled_readers(field):
    """Open streams that are never read, and send them events of 20 kB."""
    readers = []
    for _ in range(field.many(40)):
        if readers and not field.first_half():  # handshakes on a busy machine: the events are the attack
            break
        s = field.wire(4096)
        if s:
            readers.append(s)
    for s in readers:
        field.send(s, head("GET", "/sub?key=stalled"))
    event = b'"' + b"s" * 20000 + b'"'
    field.open.extend(readers)
    post = head("POST", "/pub?key=stalled", f"Content-Length: {len(event)}", "Connection: close") + event
    for _ in field.turns(25):
        s = field.wire()
        if s:
            field.did += field.send(s, post) > 0
            field.open.append(s)
        if len(field.open) > len(readers) + 40:
            done = field.open[len(readers)]
            field.receive(done)
            done.close()
            del field.open[len(readers)]


@attack("blocked-resets")
def blocked_resets(field):
    """Block streams, end them cleanly on the server, then reset them: a server that waits for the final chunk keeps
    them."""
    number = 0
    event = b'"' + b"b" * 700000 + b'"'

    def queued():
        return (field.target.stats() or {"queued_bytes": 0})["queued_bytes"]

    for _ in field.turns(8):
        number += 1
        key = f"b{field.random.randrange(1 << 30)}-{number}"
        stream = field.wire(4096)
        if not stream:
            continue
        field.send(stream, head("GET", f"/sub?key={key}"))
        if not field.await_answer(stream):
            field.reset(stream)
            continue
        post = head("POST", f"/pub?key={key}", f"Content-Length: {len(event)}", "Connection: close") + event
        for _ in range(12):  # more than the socket buffers of both sides
            before = queued()
            field.target.ask(post, source=field.sources[number % len(field.sources)])
            time.sleep(0.02)
            if queued() >= before + len(event):
                field.did += 1
                break
        field.target.ask(head("POST", f"/close?key={key}", "Content-Length: 0", "Connection: close"), source=field.sources[0])
        field.reset(stream)


@attack("invented-keys")
def invented_keys(field):
    """Request unknown sessions and keys: a lookup must not create them."""

    def make():
        key = field.random.randrange(1 << 60)
        return field.random.choice((
            head("POST", f"/close?key={key}", f"Cookie: session={key}", "Content-Length: 0"),
            head("POST", f"/pub?key={key}", f"Cookie: session={key}", "Content-Length: 1") + b"1",
            head("GET", f"/sub?key={key}", f"Cookie: session={key}")))

    field.burst(800, make, depth=20)


# ---- everything ------------------------------------------------------------------------------------------------------


@attack("fuzz")
def fuzz(field):
    """Send requests of all kinds with bytes changed, doubled, or left out."""
    good = (head("GET", "/sub?key=f", "Accept-Encoding: br, gzip"), head("GET", "/stats", "Cookie: a=b; c=d"),
            head("POST", "/pub?key=f", "Content-Length: 9") + b'{"a":[1]}',
            head("POST", "/pub?key=f", "Transfer-Encoding: chunked") + b"4\r\n1234\r\n0\r\n\r\n",
            head("GET", "/%73tats?datastar=%7B%22a%22:1%7D", "Datastar-Request: true"), head("HEAD", "/stats"))
    words = (b"\x00", b"\r\n", b"\n", b" ", b":", b"%", b"%00", b"..", b"//", b"\xff\xfe", b"chunked", b"Content-Length: 5", b"9" * 30)

    def make():
        r = field.random
        data = bytearray(r.choice(good))
        for _ in range(r.randrange(1, 6)):
            at, what = r.randrange(len(data)), r.randrange(4)
            if what == 0:
                data[at] = r.randrange(256)
            elif what == 1:
                data[at:at] = r.choice(words)
            elif what == 2:
                del data[at : at + r.randrange(1, 9)]
            else:
                data[at:at] = data[at : at + r.randrange(1, 60)]
        return bytes(data) or b"\n"

    field.burst(1000, make, leave="close")
