#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An example that was built with a given client: built_in.py PROGRAM CLIENT

Its page names no other site, and loads the client from the program. A version or a file in the options takes
precedence."""
import http.client
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

PROGRAM, CLIENT = sys.argv[1:3]
PATIENCE_S = 240


class Program:
    def __init__(self, *options):
        self.process = subprocess.Popen([PROGRAM, "--port", "0", *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)\n", line).group(1))

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.getheader("Content-Security-Policy") or "", body

    def end(self):
        self.process.send_signal(signal.SIGINT)
        output, errors = self.process.communicate(timeout=PATIENCE_S)
        assert (self.process.returncode, errors) == (0, ""), (self.process.returncode, output, errors)


def scripts(page):
    return re.findall(rb'<script type="module" src="([^"]*)"', page)


def has_file(program, client, needs_eval):
    status, policy, page = program.get("/")
    assert status == 200 and scripts(page) == [b"/datastar.js"], page
    assert "https:" not in policy and b"https://" not in page, (policy, page)
    assert ("'unsafe-eval'" in policy) == needs_eval, policy
    status, _, body = program.get("/datastar.js")
    assert status == 200 and body == client, (status, len(body))
    program.end()


def old(version):
    return f"// Datastar v{version}\n".encode() + b"export {}\n"


built_in = pathlib.Path(CLIENT).read_bytes()
for _ in range(2):  # start, end, start again
    has_file(Program(), built_in, False)

program = Program("--datastar-version", "1.0.2")
_, policy, page = program.get("/")
assert re.fullmatch(rb"https://.*@v1\.0\.2/.*", scripts(page)[0]) and "'unsafe-eval'" in policy, (page, policy)
assert program.get("/datastar.js")[0] == 404
program.end()

# The first line of a file contains its requirements; an explicit version takes precedence.
with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder, "client.js")
    for version, needs_eval in ((b"1.0.2", True), (b"1.0.3", False), (b"1.10.0", False), (b"2.0.0", False), (b"", False)):
        file.write_bytes(old(version.decode()))
        has_file(Program("--datastar-file", str(file)), file.read_bytes(), needs_eval)
    file.write_bytes(old("1.0.2"))
    has_file(Program("--datastar-file", str(file), "--datastar-version", "1.0.4"), file.read_bytes(), False)
    file.write_bytes(b"//")
    has_file(Program("--datastar-file", str(file), "--datastar-version", "1.0.0"), file.read_bytes(), True)
