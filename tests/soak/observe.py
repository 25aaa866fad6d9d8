# SPDX-License-Identifier: MIT
"""Counters that stay consistent: mixed clients use vestry-bench serve, while its endpoints are read.

observe.py BENCH [--server civetweb|microhttpd]… [--seconds N] [--seed N]

While clients come and go, no scrape may show more closed than opened or more settled than accepted, and no total may
decrease. When all have gone, /metrics, JSON and the counters of C (GET /stats) must be equal."""
import argparse
import collections
import json
import random
import re
import socket
import sys
import threading
import time

import honest
import target

SERVERS = ("civetweb", "microhttpd")
SCRAPE_S = 0.5
REST_S = 20.0  # until the server has noticed that all have gone
KEYS = 8
SAMPLE = re.compile(r'^(vestry_\w+)(?:\{\w+="([^"]*)"\})? (\d+)$')


def get(server, path):
    """Return a body, or None. Without a callback the console responds only to host names of the loopback."""
    status, body = server.ask(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode(), 10.0)
    return body.decode() if status == 200 else None


def read_metrics(text):
    """Return name → label value ("" without one) → number, of samples that are integers and have at most one label."""
    found = collections.defaultdict(dict)
    for line in text.splitlines():
        if match := SAMPLE.match(line):
            found[match[1]][match[2] or ""] = int(match[3])
    return found


def counts(metrics):
    """Return the metrics of streams and events, under the names of GET /stats."""
    settled = metrics["vestry_events_settled_total"]
    causes = metrics["vestry_streams_closed_total"]
    return {"open": metrics["vestry_streams_open"][""], "opened": metrics["vestry_streams_opened_total"][""],
            "closed": sum(causes.values()), "causes": causes, "accepted": metrics["vestry_events_accepted_total"][""],
            "written": settled["written"], "conflated": settled["conflated"], "discarded": settled["discarded"]}


def moving_faults(now, before):
    """Return what one scrape must never show while streams come and go: a list of texts."""
    wrong = []
    if now["closed"] > now["opened"]:
        wrong.append(f"closed {now['closed']} > opened {now['opened']}")
    if now["opened"] != now["open"] + now["closed"]:
        wrong.append(f"opened {now['opened']} ≠ open {now['open']} + closed {now['closed']}")
    if now["written"] + now["conflated"] + now["discarded"] > now["accepted"]:
        wrong.append("more events settled than accepted")
    for name in ("opened", "closed", "accepted", "written", "conflated", "discarded") if before else ():
        if now[name] < before[name]:
            wrong.append(f"{name} fell from {before[name]} to {now[name]}")
    return wrong


def channels_of(listed, metrics):
    """Return the sums of all channels in /channels and /metrics, under the names of GET /stats."""
    counted = {name: listed[f"{name}_count"] for name in ("live", "made", "ended", "refused")}
    scraped = {"live": metrics["vestry_channels_live"][""], "made": metrics["vestry_channels_made_total"][""],
               "refused": metrics["vestry_channels_refused_total"][""]}
    scraped["ended"] = scraped["made"] - scraped["live"]
    return counted, scraped


def moving_channel_faults(listed):
    """Return what one response of /channels must never show while members come and go: a list of texts."""
    wrong = []
    if listed["made_count"] != listed["live_count"] + listed["ended_count"]:
        wrong.append(f"channels: made {listed['made_count']} ≠ live {listed['live_count']} + ended {listed['ended_count']}")
    for one in listed["channels"]:
        if not one["key"] or bool(one["encodes_count"]) != bool(one["encoded_bytes"]):
            wrong.append(f"a channel: {one}")
    numbers = [one["number"] for one in listed["channels"]]
    if len(set(numbers)) != len(numbers):
        wrong.append(f"channels are listed twice: {numbers}")
    return wrong


def some(causes):
    """Return the causes with counts above 0."""
    return {cause: count for cause, count in causes.items() if count}


def resting_faults(server):
    """Return the differences between metrics, JSON and C when all clients have gone: a list of texts."""
    stats = server.stats(10.0)
    texts = [get(server, path) for path in ("/metrics", "/streams", "/closed", "/store", "/channels")]
    if stats is None or None in texts:
        return ["an endpoint does not answer"]
    scraped = read_metrics(texts[0])
    metrics = counts(scraped)
    streams, closed, store, channels = map(json.loads, texts[1:])
    listed, in_metrics = channels_of(channels, scraped)
    wrong = target.uneven(stats)
    if not stats["channels"]["made"]:
        wrong.append("no channel was made")
    pairs = [(name, metrics[name], stats[name]) for name in metrics if name != "causes"]
    pairs += [("causes of metrics", some(metrics["causes"]), some(stats["causes"])),
              ("causes of /closed", some(closed["all"]), some(stats["causes"])),
              ("causes of /store", some(store["streams_closed"]), some(stats["causes"])),
              ("opened of /store", store["streams_opened_count"], stats["opened"]),
              ("open of /streams", streams["open_count"], 0), ("streams of /streams", streams["streams"], []),
              ("channels of /channels", listed, stats["channels"]), ("channels of metrics", in_metrics, stats["channels"]),
              ("live channels", listed["live"], 0), ("list of /channels", channels["channels"], []),
              ("open", stats["open"], 0), ("queued bytes", stats["queued_bytes"], 0)]
    return wrong + [f"{name}: {one} ≠ {other}" for name, one, other in pairs if one != other]


class Clients:
    """Clients of all kinds, each in a thread until stop()."""

    def __init__(self, server, seed):
        self.server, self.over = server, threading.Event()
        kinds = [self.come_and_go] * 3 + [self.join, self.hang_up, self.stall, self.post, self.end_streams, self.attack]
        self.threads = [threading.Thread(target=self.repeat, args=(kind, random.Random(f"{seed} {i}")), daemon=True)
                        for i, kind in enumerate(kinds)]
        for thread in self.threads:
            thread.start()

    def repeat(self, kind, chance):
        while not self.over.is_set():
            try:
                kind(chance)
            except (OSError, ValueError):
                self.over.wait(0.01)

    def open(self, key):
        s = self.server.connect()
        s.sendall(honest.request("GET", f"/sub?key={key}"))
        return s

    def come_and_go(self, chance):
        with self.open(f"k{chance.randrange(KEYS)}") as s:
            honest.read_head(s)
            until = time.monotonic() + chance.random() * 0.3
            while time.monotonic() < until and s.recv(65536):
                continue

    def join(self, chance):
        """Join the channel for a moment, and publish to it."""
        with self.server.connect() as s, self.server.connect() as other:
            s.sendall(honest.request("GET", "/sub?channel"))
            honest.read_head(s)
            other.sendall(honest.request("POST", "/pub?channel", b"1"))
            honest.read_head(other)
        self.over.wait(0.02)

    def hang_up(self, chance):
        """Disconnect before the response, or in the middle of it."""
        with self.open(f"k{chance.randrange(KEYS)}") as s:
            if chance.random() < 0.5:
                s.recv(10)
        self.over.wait(0.01)

    def stall(self, chance):
        with self.open("stalled") as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.over.wait(1 + chance.random())

    def post(self, chance):
        with self.server.connect() as s:
            for _ in range(50):
                key = "stalled" if chance.random() < 0.5 else f"k{chance.randrange(KEYS)}"
                size = 60000 if key == "stalled" else 100
                s.sendall(honest.request("POST", f"/pub?key={key}", b'["' + b"x" * size + b'"]'))
                honest.read_head(s)
                if self.over.wait(0.002):
                    return

    def end_streams(self, chance):
        with self.server.connect() as s:
            s.sendall(honest.request("POST", f"/close?key=k{chance.randrange(KEYS)}"))
            honest.read_head(s)
        self.over.wait(0.1)

    def attack(self, chance):
        """Send incomplete heads, and requests for streams followed by an invalid line."""
        with self.server.connect() as s:
            s.sendall(chance.choice((b"GET /sub?key=k1 HTTP/1.1\r\nHost: so", b"GET /sub?key=k1 HTTP/1.1\r\nHost: x\r\n: v\r\n\r\n",
                                     b"POST /pub?key=k1 HTTP/1.1\r\nHost: x\r\nContent-Length: 12x\r\n\r\n")))
        self.over.wait(0.01)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(honest.PATIENCE_S * 10)


def watch(server, seconds):
    """Scrape until the time is over; return faults, the last counts, and the number of answered scrapes."""
    wrong, before, scrapes, until = [], None, 0, time.monotonic() + seconds
    while time.monotonic() < until and server.alive():
        text = get(server, "/metrics")
        if text:
            now = counts(read_metrics(text))
            wrong += moving_faults(now, before)
            before, scrapes = now, scrapes + 1
        if (text := get(server, "/channels")) is not None:
            wrong += moving_channel_faults(json.loads(text))
        for path in ("/streams", "/closed", "/store"):
            if (text := get(server, path)) is not None:
                json.loads(text)
        server.read_log()
        time.sleep(SCRAPE_S)
    return wrong, before, scrapes


def reconcile(bench, adapter, seconds, seed):
    """Run against one server; return (last counts, scrapes, faults)."""
    server = target.Target(bench, adapter)
    clients = Clients(server, seed)
    try:
        wrong, last, scrapes = watch(server, seconds)
    finally:
        clients.stop()
    until = time.monotonic() + REST_S
    while time.monotonic() < until and (stats := server.stats()) and (
            stats["open"] or stats["queued_bytes"] or stats["channels"]["live"]):
        time.sleep(0.1)
    wrong += resting_faults(server)
    if not last or not last["closed"] or not last["accepted"]:
        wrong.append("nothing happened that could be counted")
    if ended := server.stop():
        wrong.append(ended)
    return last, scrapes, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--server", action="append", choices=SERVERS)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failed = False
    for adapter in options.server or SERVERS:
        last, scrapes, wrong = reconcile(options.bench, adapter, options.seconds, options.seed)
        print(f"{adapter}: {scrapes} scrapes; {last}; " + ("; ".join(wrong[:20]) if wrong else "all reconciles"), flush=True)
        failed |= bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
