# SPDX-License-Identifier: MIT
"""HTTP/2 for clients of the soak: frames, and a connection that takes requests of HTTP/1.1 and shows their responses as
such, so that honest clients are the same on all servers."""
import io
import ssl
import struct

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
CANCEL = struct.pack(">I", 8)
MOST_BYTES = 16384  # of a frame
STATUSES = (200, 204, 206, 304, 400, 404, 500)  # of the static table, from 8
WINDOW_BYTES = 30000  # taken before the window is opened again


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def number(value, prefix, first=0):
    """Encode an integer (RFC 7541, 5.1)."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


def block(fields):
    """Encode fields as literals without an index, after the size of the table, which is 0."""
    texts = (text.encode("latin-1") for field in fields for text in field)
    out, is_name = b"\x20", True
    for text in texts:
        out += (b"\0" if is_name else b"") + number(len(text), 7) + text
        is_name = not is_name
    return out


def head(stream, method="GET", path="/stats", more=(), ends=True):
    """Return a head in as many frames as it needs."""
    rest = block([(":method", method), (":scheme", "https"), (":authority", "soak"), (":path", path), *more])
    out, first = b"", True
    while first or rest:
        part, rest = rest[:MOST_BYTES], rest[MOST_BYTES:]
        flags = (0 if rest else END_HEADERS) | (END_STREAM if first and ends else 0)
        out += frame(HEADERS if first else CONTINUATION, flags, stream, part)
        first = False
    return out


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)


def status_of(payload):
    """Return the status of a head: the first field, an index or a literal with three digits."""
    at = 0
    while payload[at] >> 5 == 1:  # the size of a table
        at += 1
    if 0x88 <= payload[at] <= 0x8E:
        return STATUSES[payload[at] - 0x88]
    if not payload[at + 1] & 0x80:
        return int(payload[at + 2 : at + 5])
    bits, status = int.from_bytes(payload[at + 2 : at + 5], "big"), 0
    left = 24
    for _ in range(3):  # in the Huffman code, the digits 0 to 2 have five bits, and the others six
        five, six = bits >> (left - 5) & 31, bits >> (left - 6) & 63
        left -= 5 if five <= 2 else 6
        status = status * 10 + (five if five <= 2 else six - 0x19 + 3)
    return status


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols(["h2"])
    return made


class Wire:
    """A connected socket with TLS, for one request after another. A response without an end, and one of a request with
    "Connection: close", ends as if the connection were closed."""

    def __init__(self, s):
        self.socket, self.stream, self.closes, self.is_over = s, -1, False, False
        self.received, self.out, self.taken = b"", b"", 0
        s.sendall(PREFACE)

    def sendall(self, text):
        lines, _, body = text.partition(b"\r\n\r\n")
        first, *lines = lines.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        self.closes = ("connection", "close") in fields or method == "GET"
        self.stream += 2
        fields = [(name, value) for name, value in fields if name not in ("host", "connection")]
        self.socket.sendall(head(self.stream, method, path, fields, not body)
                            + (frame(DATA, END_STREAM, self.stream, body) if body else b""))

    def take(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            self.socket.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.socket.send(frame(PING, ACK, 0, payload))
        if stream != self.stream:
            return
        if kind == HEADERS:
            self.out += b"HTTP/1.1 %d Words\r\n\r\n" % status_of(payload)
        elif kind == DATA:
            self.out += payload
            self.taken += len(payload)
        if kind == RST_STREAM or (kind in (HEADERS, DATA) and flags & END_STREAM and self.closes):
            self.is_over = True
        if self.taken > WINDOW_BYTES and not self.is_over:
            more = struct.pack(">I", self.taken)
            self.socket.send(frame(WINDOW_UPDATE, 0, 0, more) + frame(WINDOW_UPDATE, 0, stream, more))
            self.taken = 0

    def recv(self, most):
        while not self.out and not self.is_over:
            data = self.socket.recv(65536)
            if not data:
                return b""
            self.received += data
            while len(self.received) >= 9 and len(self.received) >= 9 + (length := int.from_bytes(self.received[:3], "big")):
                kind, flags, stream = struct.unpack(">BBI", self.received[3:9])
                payload, self.received = self.received[9 : 9 + length], self.received[9 + length :]
                self.take(kind, flags, stream, payload)
        part, self.out = self.out[:most], self.out[most:]
        return part

    def makefile(self, _):
        text = b""
        while data := self.recv(65536):
            text += data
        return io.BytesIO(text)

    def fileno(self):
        return self.socket.fileno()

    def setblocking(self, blocks):
        self.socket.setblocking(blocks)

    def settimeout(self, seconds):
        self.socket.settimeout(seconds)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
