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
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from port import reserve_port  # noqa: E402

PROGRAM = sys.argv[1]
PATIENCE_S = 240
DATASTAR = {"Datastar-Request": "true"}


def request(port, method, path, body=None):
    """Send a request; return its connection and response."""
    end = time.monotonic() + PATIENCE_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, DATASTAR)
            return connection, connection.getresponse()
        except ConnectionRefusedError:  # it has not started yet
            assert time.monotonic() < end, "it does not listen"
            time.sleep(0.01)


def ask(port, method, path, body=None):
    connection, answer = request(port, method, path, body)
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def expect(stream, text):
    for line in stream:
        if text in line.decode():
            return
    raise AssertionError(f"the stream has ended before {text}")


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
    port = reserve_port()
    for _ in range(2):
        program = subprocess.Popen([PROGRAM, str(port)], stderr=subprocess.PIPE, text=True)
        tabs = uses(port)
        second = subprocess.run([PROGRAM, str(port)], stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False)
        assert second.returncode == 1 and "cannot start" in second.stderr, second
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
