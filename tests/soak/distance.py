#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Uploads, responses, streams of events and pages over a distance of 100 ms, at 50 Mbit/s, by HTTP/2 beside HTTP/1.1 on the
same port, and on the other servers. A relay delays bytes in each direction, and passes as many a second as the path."""
import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from target import Target, make_certificate

ROUNDS = 3
ONE_WAY_S = 0.05
BYTES_A_S = 50e6 / 8
UPLOAD_BYTES = 1_000_000
EVENTS, EVENT_BYTES = 40, 20_000
MOST = 2  # times as long as HTTP/1.1 on the same port
WAYS = (("civetweb", "--http1.1"), ("microhttpd", "--http1.1"), ("h2", "--http1.1"), ("h2", "--http2"))


class Relay:
    """A port whose connections lead to another one, far away."""

    def __init__(self, port):
        self.to, self.loop = port, asyncio.new_event_loop()
        server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    async def serve(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        await asyncio.gather(self.carry(reader, far_writer), self.carry(far_reader, writer))

    async def carry(self, reader, writer):
        """Carry bytes in one direction. The path holds those of 0.2 s at most, so that the sender notices its rate."""
        path, free = asyncio.Queue(), 0.0
        arriving = asyncio.ensure_future(self.arrive(path, writer))
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 14):
                now = self.loop.time()
                free = max(free, now) + len(data) / BYTES_A_S
                await asyncio.sleep(max(0, free - now - 0.2))
                path.put_nowait((free + ONE_WAY_S, data))
        path.put_nowait((self.loop.time() + ONE_WAY_S, b""))
        await arriving

    async def arrive(self, path, writer):
        with contextlib.suppress(OSError):
            while True:
                due, data = await path.get()
                await asyncio.sleep(max(0, due - self.loop.time()))
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        writer.close()


def ask(version, url, *more):
    """Return the seconds of a request after its handshake."""
    run = subprocess.run(["curl", "-sk", "-m", "240", version, "-H", "Expect:", "-o", "/dev/null", "-w",
                          "%{http_code} %{time_total} %{time_appconnect} %{time_connect}", *more, url], capture_output=True, text=True, check=True)
    status, total, shaken, connected = run.stdout.split()
    if status[0] != "2":
        raise RuntimeError(f"{url}: {status}")
    return float(total) - max(float(shaken), float(connected))


def upload(target, version, url, folder):
    name = f"{folder}/body"
    with open(name, "w") as f:
        f.write('"' + "u" * (UPLOAD_BYTES - 2) + '"')
    return ask(version, url + "/pub?key=nobody", "--data-binary", "@" + name)


def response(target, version, url, folder):
    return ask(version, url + "/large/html")


def follow(target, version, url, path, post, *more):
    """Return the seconds from the first change that is posted, near the server, until the last one has arrived."""
    reader = subprocess.Popen(["curl", "-skN", "-m", "240", version, *more, url + path], stdout=subprocess.PIPE)
    reader.stdout.readline()  # the stream is open
    begun, near = time.monotonic(), f"{url.split(':')[0]}://127.0.0.1:{target.port}{post}"
    for i in range(EVENTS):
        ask(version, near, "--data-binary", f'"{"e" * EVENT_BYTES}{i}."')
    if not any(f"e{EVENTS - 1}.".encode() in line for line in reader.stdout):
        raise RuntimeError(f"{url}: the stream has ended early, curl's status is {reader.wait()}")
    reader.terminate()
    return time.monotonic() - begun


def stream(target, version, url, folder):
    return follow(target, version, url, "/sub?key=far", "/pub?key=far")


def page(target, version, url, folder):
    return follow(target, version, url, f"/page?topic=far&bytes={EVENT_BYTES}", "/state?topic=far", "-H", "Datastar-Request: true")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="vestry-bench")
    options = parser.parse_args()
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        tls = make_certificate(folder)
        targets = {adapter: Target(options.program, adapter, ["--pages"], tls=tls if adapter == "h2" else None) for adapter in dict(WAYS)}
        urls = {adapter: f"http{'s' if adapter == 'h2' else ''}://127.0.0.1:{Relay(at.port).port}" for adapter, at in targets.items()}
        for job in (upload, response, stream, page):
            took = {way: [] for way in WAYS}
            for _ in range(ROUNDS):
                for adapter, version in WAYS:
                    took[adapter, version].append(job(targets[adapter], version, urls[adapter], folder))
            middle = {way: statistics.median(all_) for way, all_ in took.items()}
            for (adapter, version), seconds in middle.items():
                print(f"{job.__name__:8} {adapter:10} {version[2:]:7} {seconds:5.2f} s")
            ratio = middle["h2", "--http2"] / middle["h2", "--http1.1"]
            if ratio > MOST:
                faults.append(f"{job.__name__}: HTTP/2 takes {ratio:.1f} × as long as HTTP/1.1")
        faults += [f"{adapter}: {fault}" for adapter, at in targets.items() if (fault := at.stop())]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
