#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example of an adapter, from outside: evhttp.py PROGRAM

An action of one tab reaches the streams of all; SIGTERM aborts the streams and ends the program with status 0, and it
starts again on the same port; it prints the reason if it cannot start."""
import http.client
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from port import reserve_port  # noqa: E402

PROGRAM = sys.argv[1]
PATIENCE_S = 240
DATASTAR = {"Datastar-Request": "true"}


def request(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request(method, path, body, DATASTAR)
    return connection, connection.getresponse()


def ask(port, method, path, body=None):
    _, answer = request(port, method, path, body)
    return answer.status, answer.read().decode()


def expect(stream, text):
    assert any(text in line.decode() for line in stream), f"the stream has ended before {text}"


def uses(port):
    status, text = ask(port, "GET", "/")
    assert status == 200 and "@get('/live')" in text, (status, text)
    assert ask(port, "GET", "/nothing")[0] == 404
    tabs = [request(port, "GET", "/live") for _ in range(3)]
    for _, stream in tabs:
        expect(stream, '{"n":0}')
    for n in (1, 2):
        assert ask(port, "POST", "/more", "{}")[0] == 204
        for _, stream in tabs:
            expect(stream, f'{{"n":{n}}}')
    return tabs


def main():
    for words in (["--help"], ["0"], ["65536"], ["8080", "8081"]):
        said = subprocess.run([PROGRAM, *words], stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False)
        assert (said.returncode, said.stderr) == (2, "Usage: evhttp [PORT]\n"), said
    port = reserve_port()
    for _ in range(2):
        program = subprocess.Popen([PROGRAM, str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert program.stdout.readline() == f"evhttp: http://127.0.0.1:{port}\n"
        tabs = uses(port)
        second = subprocess.run([PROGRAM, str(port)], stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False)
        assert second.returncode == 1 and f"127.0.0.1:{port}: Address already in use; choose another port" in second.stderr, second
        program.send_signal(signal.SIGTERM)
        for connection, stream in tabs:
            try:
                stream.read()
                raise AssertionError("the stream has ended cleanly, so the browser would not come back")
            except http.client.IncompleteRead:
                connection.close()
        _, errors = program.communicate(timeout=PATIENCE_S)
        assert (program.returncode, errors) == (0, ""), (program.returncode, errors)


main()
