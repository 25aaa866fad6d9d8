#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The examples, the conformance server and the server of vestry-bench with --adapter h2: h2.py FOLDER-OF-PROGRAMS

Each answers over HTTP/2, with a certificate that is made at the start and valid for this machine. The clients are curl,
which skips the test (77) if it was built without HTTP/2, and Python's TLS."""
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile

PROGRAMS = os.path.abspath(sys.argv[1])
PATIENCE_S = 240
EXAMPLES = ("counter", "dashboard", "edit", "notices", "poll", "progress", "search", "signup")
STORED = ("auction", "board", "boxoffice", "cells", "chat")
DATASTAR = ("-H", "Datastar-Request: true")


def curl(*arguments, version="2"):
    """Return the body of a response by this version of HTTP with status 200."""
    done = subprocess.run(["curl", "--silent", "--show-error", "--location", "--max-time", str(PATIENCE_S), "--http2", *arguments,
                           "--write-out", "\n%{http_version} %{http_code}"], capture_output=True, text=True, check=False)
    body, _, what = done.stdout.rpartition("\n")
    assert done.returncode == 0 and what == f"{version} 200", (arguments, done)
    return body


class Program:
    def __init__(self, name, *options):
        self.process = subprocess.Popen([os.path.join(PROGRAMS, name), "--adapter", "h2", *options], text=True,
                                        stdout=subprocess.PIPE)
        self.url = self.reads().split()[0]
        self.port = int(re.search(r":(\d+)|$", self.url).group(1) or 0)

    def reads(self):
        """Return the next line without the name of the program."""
        line = self.process.stdout.readline()
        assert ": " in line, f"{self.process.args} does not start: {line}"
        return line.split(": ", 1)[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(PATIENCE_S) == 0, self.process.args
        self.process.stdout.close()


def certificate(port):
    return ssl.get_server_certificate(("127.0.0.1", port))


def every_program_answers(folder):
    """Browsers and strict clients accept the certificate once they trust it, by address and by name."""
    for name in EXAMPLES + STORED:
        if not os.path.exists(os.path.join(PROGRAMS, name)):
            continue
        options = ("--db", os.path.join(folder, f"{name}.db")) if name in STORED else ()
        with Program(name, "--port", "0", *options) as program:
            assert program.url == f"https://127.0.0.1:{program.port}", program.url
            trusted = os.path.join(folder, "trusted.pem")
            with open(trusted, "w", encoding="ascii") as file:
                file.write(certificate(program.port))
            for host in "127.0.0.1", "localhost":
                assert "<!doctype html>" in curl("--cacert", trusted, "--ipv4", f"https://{host}:{program.port}/")
            assert "<!doctype html>" in curl("--http1.1", "--cacert", trusted, program.url, version="1.1")


def counter_streams(*arguments):
    """A stream, an action that it shows, and the end of the stream by a third request."""
    session = curl("--output", "/dev/null", "--dump-header", "-", *arguments)
    cookie = ("-H", "Cookie: " + re.search(r"set-cookie: ([^;]+)", session).group(1))
    command = ["curl", "--silent", "--no-buffer", "--http2", *cookie, *DATASTAR, "-X", "PUT", "--data", "{}", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stream:
        def until(text):
            for line in stream.stdout:
                if text in line:
                    return
            raise AssertionError(f"the stream has ended before {text}")
        until('"running":true')
        *options, url = arguments
        subprocess.run(["curl", "--silent", "--http2", *cookie, *DATASTAR, "-X", "POST", *options, url + "/jump"], check=True)
        until('"handled"')
        subprocess.run(["curl", "--silent", "--http2", *cookie, *DATASTAR, "-X", "DELETE", *arguments], check=True)
        until('"running":false')
        assert stream.wait(PATIENCE_S) == 0


def proxies_need_no_tls(folder):
    with Program("counter", "--port", "0", "--no-tls") as program:
        assert program.url.startswith("http://"), program.url
        counter_streams("--http2-prior-knowledge", program.url)
        assert "<!doctype html>" in curl("--http1.1", program.url, version="1.1")
    path = os.path.join(folder, "counter.sock")
    with Program("counter", "--unix-socket", path) as program:
        assert program.url == f"unix:{path}", program.url
        counter_streams("--http2-prior-knowledge", "--unix-socket", path, "http://localhost")


def nodes_share_one_certificate(folder):
    """Otherwise a browser that has accepted one of them loses its streams when another node takes over."""
    if not os.path.exists(os.path.join(PROGRAMS, "boxoffice")):
        return
    with Program("boxoffice", "--port", "0", "--nodes", "2", "--console", "--db", os.path.join(folder, "nodes.db")) as program:
        ports = [int(re.search(r"https://127\.0\.0\.1:(\d+)/", program.reads()).group(1)) for _ in range(2)]
        assert len({certificate(port) for port in (program.port, *ports)}) == 1
        assert "<!doctype html>" in curl("--insecure", program.url)


def conformance_server_answers(folder):
    case = {"events": [{"type": "patchSignals", "signals": {"a": 1}}, {"type": "patchElements", "elements": "<p id=a></p>"}]}
    text = "event: datastar-patch-signals\ndata: signals {\"a\":1}\n\nevent: datastar-patch-elements\ndata: elements <p id=a></p>\n\n"
    for options in (), ("--no-tls",):
        with Program("vestry-conformance", "--port", "0", *options) as program:
            assert program.url.startswith("http://" if options else "https://"), program.url
            how = ("--http2-prior-knowledge",) if options else ("--insecure",)
            assert curl(*how, "--json", json.dumps(case), program.url) == text
    path = os.path.join(folder, "conformance.sock")
    with Program("vestry-conformance", "--unix-socket", path) as program:
        assert program.url == f"unix:{path}", program.url
        how = ("--http2-prior-knowledge", "--unix-socket", path)
        assert curl(*how, "--json", json.dumps(case), "http://localhost/test") == text


def bench_server_answers(folder):
    path = os.path.join(folder, "bench.sock")
    for where, pattern, how in ((("--port", "0"), r"https://127\.0\.0\.1:\d+", ("--insecure",)),
                                (("--unix-socket", path), f"unix:{path}", ("--http2-prior-knowledge", "--unix-socket", path))):
        command = [os.path.join(PROGRAMS, "vestry-bench"), "serve", *where, "--adapter", "h2"]
        with subprocess.Popen(command, text=True, stdout=subprocess.PIPE) as server:
            url = re.match(f"vestry-bench: ({pattern}) adapter=h2 ", server.stdout.readline()).group(1)
            assert '"live"' in curl(*how, (url if url.startswith("https:") else "http://localhost") + "/stats")
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE_S) == 0


def main():
    if "HTTP2" not in subprocess.run(["curl", "--version"], capture_output=True, text=True, check=False).stdout:
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        every_program_answers(folder)
        with Program("counter", "--port", "0") as program:
            counter_streams("--insecure", program.url)
        proxies_need_no_tls(folder)
        nodes_share_one_certificate(folder)
        conformance_server_answers(folder)
        bench_server_answers(folder)


main()
