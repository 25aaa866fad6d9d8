# SPDX-License-Identifier: MIT
"""The server under attack: vestry-bench serve, its values in /proc, and its counters."""
import http.client
import json
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import time

import frames

START_S = 20
STOP_S = 30
REST_BYTES = 64 << 10  # of current requests, when the request for the counters is the only one
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Target:
    """A process of the server. descriptors: its RLIMIT_NOFILE; tls: (key file, certificate file) or None."""

    def __init__(self, program, adapter, arguments=(), descriptors=None, tls=None):
        self.adapter = adapter
        self.tls = tls
        command = [program, "serve", "--port", "0", "--adapter", adapter, "--count-memory", *arguments]
        if tls:
            command += ["--tls-key", tls[0], "--tls-certificate", tls[1]]

        def limit():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=limit)
        os.set_blocking(self.process.stderr.fileno(), False)
        self.pid = self.process.pid
        self.log = b""
        self.log_bytes = 0
        line = self.process.stdout.readline().decode()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if not found:
            self.process.wait(START_S)
            raise RuntimeError(f"the server did not start: {self.process.stderr.read()}")
        self.port = int(found.group(1))

    def connect(self, timeout=2.0, source="127.0.0.1", receive_bytes=0):
        """Return a connected socket, with TLS if the server has it. receive_bytes: its buffer; 0: the system's default."""
        plain = socket.socket()
        plain.settimeout(timeout)
        if receive_bytes:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            plain.bind((source, 0))
            plain.connect(("127.0.0.1", self.port))
            if self.adapter == "h2":
                return frames.Wire(frames.context().wrap_socket(plain))
            return client_context().wrap_socket(plain) if self.tls else plain
        except OSError:
            plain.close()
            raise

    def ask(self, head, timeout=2.0, source="127.0.0.1"):
        """Send a request on a new connection; return status and body; status 0: no response."""
        try:
            with self.connect(timeout, source) as s:
                s.sendall(head)
                answer = http.client.HTTPResponse(s)
                answer.begin()
                return answer.status, answer.read(1 << 20) if answer.status == 200 else b""
        except (OSError, http.client.HTTPException, ValueError):
            return 0, b""

    def stats(self, timeout=2.0):
        """Return the counters; None: the server does not respond."""
        status, body = self.ask(b"GET /stats HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n", timeout)
        return json.loads(body) if status == 200 else None

    def alive(self):
        return self.process.poll() is None

    def dies(self):
        """Return whether it is dead, or ending."""
        try:
            self.process.wait(1)
        except subprocess.TimeoutExpired:
            pass
        return not self.alive()

    def rss(self):
        try:
            with open(f"/proc/{self.pid}/statm") as f:
                return int(f.read().split()[1]) * PAGE
        except OSError:
            return 0

    def descriptors(self):
        try:
            return len(os.listdir(f"/proc/{self.pid}/fd"))
        except OSError:
            return 0

    def cpu(self):
        """Return seconds of processor time since it started."""
        try:
            with open(f"/proc/{self.pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / TICKS
        except OSError:
            return 0.0

    def read_log(self):
        """Read the server's log, so that it never blocks; keep the first 64 kB."""
        try:
            while data := self.process.stderr.read(65536):
                self.log_bytes += len(data)
                self.log = (self.log + data)[:65536]
        except OSError:
            pass

    def stop(self):
        """Return None, or a fault in its end."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        while self.alive() and time.monotonic() - began < STOP_S:
            self.read_log()
            time.sleep(0.02)
        if self.alive():
            self.process.kill()
            self.process.wait()
            return f"did not stop within {STOP_S} s"
        self.read_log()
        if self.process.returncode < 0:
            return f"died by signal {-self.process.returncode}"
        return f"exit status {self.process.returncode}" if self.process.returncode else None


def client_context():
    """Return TLS settings that accept any certificate, because the test has just made it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def uneven(stats):
    """Return inconsistent counters of a server at rest: a list of texts."""
    causes = sum(stats["causes"].values())
    store = stats["store"]
    wrong = []
    if stats["opened"] != stats["open"] + stats["closed"]:
        wrong.append("opened ≠ open + closed")
    if causes != stats["closed"]:
        wrong.append("closed ≠ its causes")
    if store["put"] != store["live"] + store["removed"]:
        wrong.append("put ≠ live + removed")
    if stats["request_bytes"] > REST_BYTES:
        wrong.append(f"requests hold {stats['request_bytes']} bytes")
    if stats["answer_bytes"] > REST_BYTES:
        wrong.append(f"answers hold {stats['answer_bytes']} bytes")
    if stats["queued_bytes"] == 0 and stats["accepted"] != stats["written"] + stats["discarded"] + stats["conflated"]:
        wrong.append("accepted ≠ written + discarded + conflated")
    return wrong


def make_certificate(directory):
    """Make a key and a certificate for two days; return their files."""
    key, certificate = os.path.join(directory, "key.pem"), os.path.join(directory, "certificate.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return key, certificate
