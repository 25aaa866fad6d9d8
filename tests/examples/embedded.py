#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The device monitor from outside: embedded.py PROGRAM SERVER

The program's own login and handlers work beside those of vestry; a change reaches all streams; a user has at most five;
it ends by Ctrl-C, starts again on the same port, and prints what to do if it cannot; it serves a given client."""
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from port import reserve_port  # noqa: E402

PROGRAM, SERVER = sys.argv[1:3]
PATIENCE_S = 240
OLD_CLIENT = "// Datastar v1.0.2\n"


class Monitor:
    def __init__(self, port=0, *options):
        command = [PROGRAM, "--port", str(port or reserve_port()), "--server", SERVER, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        match = re.fullmatch(r"embedded: http://127\.0\.0\.1:(\d+)\n", line)
        self.port = int(match.group(1)) if match else 0

    def ask(self, method, path, cookie="", body=None):
        """Send a request; return status, headers and body of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        headers = {"Cookie": cookie, **({"Datastar-Request": "true"} if body else {})}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, answer.headers, text

    def log_in(self, name):
        status, headers, _ = self.ask("GET", f"/login?name={name}")
        assert status == 303 and headers["Location"] == "/", (status, headers)
        return headers["Set-Cookie"].split(";")[0]

    def end(self):
        self.process.send_signal(signal.SIGINT)
        output, errors = self.process.communicate(timeout=PATIENCE_S)
        assert (self.process.returncode, errors) == (0, ""), (self.process.returncode, output, errors)


class Stream:
    """The stream of a page."""

    def __init__(self, monitor, cookie):
        self.connection = http.client.HTTPConnection("127.0.0.1", monitor.port, timeout=PATIENCE_S)
        self.connection.request("GET", "/live", None, {"Cookie": cookie, "Datastar-Request": "true"})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.status

    def expect(self, text):
        assert any(text in line.decode() for line in self.answer), f"the stream has ended before {text}"


def uses(monitor):
    for path in ("/", "/login", "/login?name=", "/login?name=" + 21 * "a"):
        status, headers, _ = monitor.ask("GET", path)
        where = "/welcome?refused" if "a" * 21 in path else "/welcome"
        assert (status, headers["Location"]) == (303, where), f"{path}: who is not logged in is asked for a name"
    status, headers, text = monitor.ask("GET", "/welcome")
    assert status == 200 and "<form " in text and "script-src" in headers["Content-Security-Policy"], headers
    assert len(json.loads(monitor.ask("GET", "/values.json")[2])) == 4
    assert monitor.ask("GET", "/nothing")[0] == 404
    assert all("{" in monitor.ask("GET", path)[2] for path in ("/style.css", "/own.css"))
    ada, bob = monitor.log_in("ada"), monitor.log_in("bob")
    assert 'id="device3"' in monitor.ask("GET", "/", ada)[2]
    streams = [Stream(monitor, who) for who in (ada, bob)]
    for stream in streams:
        stream.expect('<b id="device3">')
    assert monitor.ask("POST", "/cool/3", ada, "{}")[0] == 204
    assert monitor.ask("POST", "/cool/4", ada, "{}")[0] == 404
    for stream in streams:
        stream.expect('<b id="device3">20</b>')
    more = [Stream(monitor, ada) for _ in range(5)]
    streams[0].answer.read()  # to the end, because it is ada's first of six streams; bob keeps his
    streams[1].expect("device0")
    return streams[1:] + more


def loads(url, needs_eval, *options):
    """Pages load the client from the URL, with a policy for its version."""
    monitor = Monitor(0, *options)
    ada = monitor.log_in("ada")
    assert f'{url}"></script>' in monitor.ask("GET", "/", ada)[2]
    assert ("'unsafe-eval'" in monitor.ask("GET", "/welcome")[1]["Content-Security-Policy"]) == needs_eval
    assert url[0] != "/" or monitor.ask("GET", url, ada)[2] == OLD_CLIENT
    monitor.end()


def main():
    with tempfile.NamedTemporaryFile("w") as file:
        print(OLD_CLIENT, end="", file=file, flush=True)
        loads("/datastar.js", True, "--datastar-file", file.name)
    loads("@v1.0.3/bundles/datastar.js", False, "--datastar-version", "1.0.3")
    for words in (["--port"], ["--nonsense"], ["--server", "h2"]):
        said = subprocess.run([sys.argv[1], *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert said.returncode == 2 and said.stderr.startswith("Usage: embedded "), said
    port = reserve_port()
    for _ in range(2):
        monitor = Monitor(port)
        streams = uses(monitor)
        second = Monitor(port).process
        _, errors = second.communicate(timeout=PATIENCE_S)
        assert second.returncode == 1 and f"127.0.0.1:{port}; choose another port: --port" in errors, errors
        monitor.end()
        del streams  # open until now


main()
