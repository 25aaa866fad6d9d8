#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The cost of long polls that the server holds, beside the same number of streams: memory and CPU of the server while
nothing happens, and a change that reaches all of them.

  bench/live/long_polls.py BUILD [--count 1000] [--adapter microhttpd|civetweb] [--private] [--seconds 10]

Prints a line for streams and a line for long polls. It fails if a request is rejected, is not held, or does not receive
the change."""
import argparse
import asyncio
import json
import os
import re
import subprocess
import time
import urllib.parse
import urllib.request

PATIENCE_S = 60
HELD_MS = 25000


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--adapter", choices=("microhttpd", "civetweb"), default="microhttpd")
    parser.add_argument("--private", action="store_true")
    parser.add_argument("--seconds", type=float, default=10)
    return parser.parse_args()


def start(of):
    """Start a server with twice as many places, because only three quarters of them are for long polls."""
    room = str(of.count * 2)
    options = ["--threads", room] if of.adapter == "civetweb" else ["--streams", room]
    child = subprocess.Popen([os.path.join(of.build, "bin/vestry-bench"), "serve", "--port", "0", "--pages",
                              "--adapter", of.adapter, *options], stdout=subprocess.PIPE, text=True)
    line = child.stdout.readline()
    return child, int(re.search(r"127\.0\.0\.1:(\d+) ", line).group(1))


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Rss:\s+(\d+)", file.read(), re.M).group(1)) * 1024


class Tab:
    """A stream or a long poll, and the text that it has received."""

    def __init__(self):
        self.text = b""
        self.writer = None

    async def open(self, port, path, had):
        reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        tag = f"Last-Event-ID: {had}\r\n" if had else ""
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n{tag}\r\n".encode())
        self.reading = asyncio.create_task(self.read(reader))

    async def read(self, reader):
        while data := await reader.read(65536):
            self.text += data

    async def until(self, text):
        async with asyncio.timeout(PATIENCE_S):
            while text not in self.text:
                if self.reading.done() and text not in self.text:
                    raise SystemExit(f"it ended without {text}: {self.text[:300]}")
                await asyncio.sleep(0.002)


def stats(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats") as answer:
        return json.load(answer)["pages"]


async def measure(of, is_long_poll):
    child, port = start(of)
    try:
        signals = urllib.parse.quote(json.dumps({"_vestry": {"poll": HELD_MS if is_long_poll else 0}}))
        path = f"/page?topic=news&bytes=10000{'&private=1' if of.private else ''}&datastar={signals}"
        first = Tab()
        await first.open(port, path, "")
        await first.until(b"\nid: ")
        while not (found := re.search(rb"\nid: (.*)\n", first.text)):
            await asyncio.sleep(0.002)
        first.writer.close()
        before, tabs = rss_bytes(child.pid), [Tab() for _ in range(of.count)]
        for tab in tabs:
            await tab.open(port, path, found.group(1).decode())
            await tab.until(b"datastar-patch-signals")
        held = (await asyncio.to_thread(stats, port))["streams"]
        memory, used, since = rss_bytes(child.pid) - before, cpu_s(child.pid), time.monotonic()
        await asyncio.sleep(of.seconds)
        idle = (cpu_s(child.pid) - used) / (time.monotonic() - since)
        if any(tab.reading.done() for tab in tabs) or held < of.count:
            raise SystemExit(f"{held} of {of.count} are held")
        used, since = cpu_s(child.pid), time.monotonic()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/state?topic=news", data=b"changed", method="POST")
        await asyncio.to_thread(lambda: urllib.request.urlopen(request).close())
        for tab in tabs:
            await tab.until(b"changed")
        took, change = time.monotonic() - since, cpu_s(child.pid) - used
        print(f"{'long_polls' if is_long_poll else 'streams'}={of.count} adapter={of.adapter} private={int(of.private)}"
              f" bytes_each={memory // of.count} idle_cpu_percent={idle * 100:.2f}"
              f" change_ms={took * 1000:.0f} change_cpu_us_each={change * 1e6 / of.count:.0f}")
        for tab in tabs:
            tab.writer.close()
    finally:
        child.terminate()
        child.wait()


def main():
    of = arguments()
    for is_long_poll in (False, True):
        asyncio.run(measure(of, is_long_poll))


if __name__ == "__main__":
    main()
