# SPDX-License-Identifier: MIT
"""The measured servers: each has a separate port, and is ended by its process id."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

START_S = 10


class Server:
    """The server of a contender, on a separate port; it runs during the with block."""

    def __init__(self, command, port=None, directory=None, children=0):
        """directory: removed at the end. children: processes that it starts after it listens, and that count."""
        self.directory = directory
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = port
        self.said = ""  # the line that it has printed
        if port is None:
            self.said = self.process.stdout.readline()
            found = re.search(r"https?://127\.0\.0\.1:(\d+)", self.said)
            if not found:
                self.fail(f"did not start: {self.said}")
            self.port = int(found.group(1))
        self.wait_until_it_listens(children)

    def wait_until_it_listens(self, children):
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0 and len(self.pids()) > children:
                    return
            time.sleep(0.02)
        self.fail("does not listen")

    def fail(self, why):
        self.end()
        sys.exit(f"{' '.join(self.process.args)}: {why}")

    def pids(self):
        """Return the id of its process and of the children of this process."""
        own = self.process.pid
        found = [own]
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                    if int(stat.read().rpartition(")")[2].split()[1]) == own:
                        found.append(int(entry))
            except OSError:
                pass  # this process has ended meanwhile
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        if self.directory:
            shutil.rmtree(self.directory)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def parse(line):
    return dict(pair.split("=", 1) for pair in line.split() if "=" in pair)


def version_of(build, package):
    """Return the version of a package that is installed in the build directory; package: folder/node_modules/NAME"""
    try:
        with open(os.path.join(build, package, "package.json"), encoding="utf-8") as about:
            return json.load(about)["version"]
    except OSError:
        return ""


def sdk_version(build):
    return version_of(build, "datastar-sdk/node_modules/@starfederation/datastar-sdk")


def node_version():
    return subprocess.run(["node", "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
