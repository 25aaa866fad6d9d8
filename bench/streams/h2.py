#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measure streams of HTTP/2 over TLS for scripts/bench-streams --h2, interleaved as in run.py, and write the section
"HTTP/2 over TLS" of bench-streams.md: h2.py BUILD DIRECTORY [--repetitions N] [--divide N]

Vestry behind a proxy is two processes, whose memory and CPU are added. A process may have few descriptors, so the
contests with proxies have fewer streams: a proxy needs a connection to vestry for each."""
import argparse
import collections
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import machine  # noqa: E402
from page import median, table, verdict  # noqa: E402
from run import can_run, fill_in, nginx, start_nchan  # noqa: E402
from servers import Server, free_port, parse  # noqa: E402

HEADING = "## HTTP/2 over TLS\n"
# each: streams of a connection; load: further options. once: only in the first repetition.
Contest = collections.namedtuple("Contest", "title streams each rounds load contenders once")

ALL = ("h2", "h2c", "nginx", "haproxy", "nchan", "node")
CONTESTS = {
    "peers": Contest("broadcast, 5,000 streams of 50 connections", 5000, 100, 40, ("--warm", "3"), ALL, False),
    "peers-key": Contest("one of them by key", 5000, 100, 2000, ("--keyed", "--warm", "100"), ALL, False),
    "single": Contest("broadcast, 5,000 streams of 5,000 connections", 5000, 1, 40, ("--warm", "3"), ("h2", "floor", "floor-tls"), False),
    "read": Contest("events of 10 kB, 100 streams of a connection", 100, 100, 1000, ("--warm", "20", "--payload-bytes", "10000"),
                    ("h2",), False),
    "unread": Contest("the same beside a stream that is not read", 100, 100, 1000,
                      ("--warm", "20", "--payload-bytes", "10000", "--unread", "1"), ("h2",), False),
    "many": Contest("broadcast, 100,000 streams of 1,000 connections", 100000, 100, 15, ("--warm", "2"), ("h2",), False),
    "many-key": Contest("one of them by key", 100000, 100, 2000, ("--keyed", "--warm", "100"), ("h2",), False),
    "million": Contest("broadcast, a million streams of 10,000 connections", 1000000, 100, 5, ("--warm", "1"), ("h2",), True),
    "million-key": Contest("one of them by key", 1000000, 100, 2000, ("--keyed", "--warm", "100"), ("h2",), True),
}
LABELS = {"h2": "vestry, h2", "h2c": "the same without TLS", "nginx": "vestry behind nginx", "haproxy": "vestry behind HAProxy",
          "nchan": "nchan on nginx, 2 workers", "node": "TypeScript SDK on Node's http2", "floor": "bare write(2) of HTTP/1.1, 1 thread",
          "floor-tls": "bare records of HTTP/2 over TLS, 1 thread"}
PROXIES = ("nginx", "haproxy")
CPU, MEMORY, P99, LAST = "server_cpu_us_per_delivery", "rss_per_stream_bytes", "p99_ms", "max_ms"

NOTES = """
- Streams, events and checks are as above, over TLS 1.3 with AES-128-GCM. Each connection carries the named number of streams.
- last is the time from the beginning of the POST to the arrival of the last byte at the last stream, the worst of all rounds.
- client: CPU and memory of the load generator itself, for each delivery and stream; it shares the processors. A million \
streams are measured once.
- Behind a proxy, the figures are the sums of its processes and vestry's (libmicrohttpd). The proxies have no buffering and \
no delay, as [the guide](guide/proxies.md) sets them.
"""


class Behind:
    """A proxy, and vestry behind it."""

    def __init__(self, proxy, behind):
        self.proxy, self.behind, self.port = proxy, behind, proxy.port

    def pids(self):
        return self.proxy.pids() + self.behind.pids()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proxy.end()
        self.behind.end()


def start_proxy(kind, behind, certificate, descriptors):
    directory, port = tempfile.mkdtemp(prefix="vestry-proxy-"), free_port()
    source = {"nginx": "h2_nginx.conf", "haproxy": "h2_haproxy.cfg"}[kind]
    path = fill_in(source, directory, {"PORT": str(port), "BEHIND": str(behind.port), "CERTIFICATE": certificate,
                                       "DESCRIPTORS": str(descriptors), "CONNECTIONS": str(descriptors // 2 - 200)})
    commands = {"nginx": [nginx(), "-p", directory, "-c", path, "-e", os.path.join(directory, "error.log")],
                "haproxy": [haproxy(), "-db", "-f", path]}
    return Behind(Server(commands[kind], port, directory=directory, children=2 if kind == "nginx" else 0), behind)


def haproxy():
    return shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def start(build, contender, contest, certificate, descriptors):
    # nginx 1.22 sends the head of a stream only with its first bytes, here a heartbeat.
    heartbeat_ms = "4000" if contender == "nginx" else "3600000"
    serve = [os.path.join(build, "bin", "vestry-bench"), "serve", "--port", "0", "--threads", "2", "--heartbeat-ms", heartbeat_ms,
             "--streams", str(contest.streams + ("--unread" in contest.load))]
    if contender in PROXIES:
        return start_proxy(contender, Server([*serve, "--adapter", "microhttpd"]), certificate, descriptors)
    if contender == "nchan":
        return start_nchan(descriptors, certificate)
    if contender == "node":
        return Server(["node", os.path.join(build, "datastar-sdk", "datastar.mjs"), "0", certificate])
    if contender.startswith("floor"):
        return Server([serve[0], "floor", "--port", "0", "--streams", str(contest.streams),
                       *(["--tls"] if contender == "floor-tls" else [])])
    return Server([*serve, "--adapter", "h2", *(["--no-tls"] if contender == "h2c" else [])])


def run(build, name, contest, contender, certificate, descriptors):
    with start(build, contender, contest, certificate, descriptors) as server:
        version = [] if contender == "floor" else ["--h2", str(contest.each), *(["--no-tls"] if contender == "h2c" else [])]
        command = [os.path.join(build, "bin", "vestry-bench"), "load", "--port", str(server.port), "--pid",
                   ",".join(map(str, server.pids())), "--streams", str(contest.streams), "--rounds", str(contest.rounds),
                   "--patience-ms", "60000", "--idle-ms", "1000", *version, *contest.load,
                   *(["--server", "nchan"] if contender == "nchan" else [])]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{contender}: {' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    result = parse(done.stdout)
    print(f"{name} {contender}: {result[CPU]} µs, p99 {result[P99]} ms, {result[MEMORY]} bytes", file=sys.stderr)
    return result


def is_there(build, contender):
    if contender in PROXIES:
        return {"nginx": nginx, "haproxy": haproxy}[contender]() is not None
    return can_run(build, contender)


def medians_rows(groups):
    rows, before = [], None
    for (name, contender), runs in groups.items():
        cells = [f"{median(runs, field):{form}}" if field in runs[0] else "" for field, form in (
            (CPU, ".2f"), ("deliveries_per_s", ",.0f"), ("latency_p50_ms", ".3g"), (P99, ".3g"), (MEMORY, ",.0f"),
            ("client_cpu_us_per_delivery", ".2f"), ("client_per_stream_bytes", ",.0f"), ("opened_per_s", ",.0f"))]
        last = f"{max(float(run[LAST]) for run in runs):,.0f}"
        rows.append([CONTESTS[name].title if name != before else "", LABELS[contender], *cells[:4], last, *cells[4:]])
        before = name
    return rows


def targets_rows(groups):
    rows = []

    def value(name, contender, field):
        runs = groups.get((name, contender))
        return median(runs, field) if runs else None

    def bar(what, measured, most, unit):
        if measured is not None:
            rows.append([what, f"{measured:,.4g} {unit}" if measured < 1000 else f"{measured:,.0f} {unit}", f"≤ {most:,g} {unit}",
                         verdict(measured <= most)])

    def compared(what, field, name, contender, name_of_other, other, most):
        mine, theirs = value(name, contender, field), value(name_of_other, other, field)
        if mine is not None and theirs:
            bar(what, mine / theirs, most, "×")

    bar("100,000 streams: memory of one, in all", value("many", "h2", MEMORY), 1300, "bytes")
    bar("100,000 streams: CPU per delivery", value("many", "h2", CPU), 2, "µs")
    bar("100,000 streams: one event by key, p99", value("many-key", "h2", P99), 1, "ms")
    bar("a million streams: memory of one, in all", value("million", "h2", MEMORY), 1300, "bytes")
    bar("a million streams: last byte of a broadcast", value("million", "h2", LAST), 3000, "ms")
    bar("a million streams: one event by key, p99", value("million-key", "h2", P99), 2, "ms")
    bar("one stream a connection: memory", value("single", "h2", MEMORY), 40000, "bytes")
    compared("one stream a connection: CPU per delivery, compared with bare writes", CPU, "single", "h2", "single", "floor", 1.7)
    compared("the same, compared with bare TLS records", CPU, "single", "h2", "single", "floor-tls", 1.1)
    compared("p99 of the siblings of an unread stream, compared with none", P99, "unread", "h2", "read", "h2", 1.1)
    for proxy, name in (("nginx", "nginx"), ("haproxy", "HAProxy")):
        compared(f"CPU per delivery, compared with vestry behind {name}", CPU, "peers", "h2", "peers", proxy, 1)
        compared(f"memory of a stream, compared with vestry behind {name}", MEMORY, "peers", "h2", "peers", proxy, 1)
    return rows


def section(groups, repetitions, took_s, share):
    about = machine.describe(["libnghttp2-14", "libgnutls30", "nginx", "haproxy", "libnginx-mod-nchan"])
    versions = ", ".join(f"{name} {version}" for name, version in about["packages"].items() if version)
    runs = "one run" if repetitions == 1 else f"medians of {repetitions} runs"
    head = ["contest", "server", "CPU µs", "deliveries/s", "p50 ms", "p99 ms", "last ms", "memory", "client µs", "client memory",
            "opened/s"]
    return f"""{HEADING}`scripts/bench-streams --h2` wrote this section on {time.strftime('%Y-%m-%d', time.gmtime())}: {runs}, \
interleaved, in {took_s / 60:.0f} minutes; other programs used {100 * share:.0f} % of the processors. {about['cpu']}, \
{about['cpus']} processors, Linux {about['kernel']}; {versions}.

{table(["what", "measured", "target", "met"], targets_rows(groups))}
{table(head, medians_rows(groups))}{NOTES}"""


def write(directory, text):
    """Replace the section, which is the last one of the page."""
    path = os.path.join(directory, "bench-streams.md")
    before = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as page:
            before = page.read().partition(HEADING)[0].rstrip("\n") + "\n\n"
    with open(path, "w", encoding="utf-8") as page:
        page.write(before + text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("directory")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--divide", type=int, default=1, help="the numbers of streams and rounds by this")
    parser.add_argument("--only")
    args = parser.parse_args()
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    groups, began, before = {}, time.time(), machine.processor_seconds()
    for name, contest in CONTESTS.items():
        for contender in contest.contenders:
            if args.only in (None, name) and is_there(args.build, contender):
                groups[(name, contender)] = []
    if not groups:
        sys.exit(f"--only: there is no contest {args.only}; known: {', '.join(CONTESTS)}")
    with tempfile.TemporaryDirectory(prefix="vestry-certificate-") as folder:
        certificate = os.path.join(folder, "both.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-keyout", certificate, "-out", os.path.join(folder, "one.pem")],
                       check=True, stderr=subprocess.DEVNULL)
        with open(certificate, "a", encoding="ascii") as both, open(os.path.join(folder, "one.pem"), encoding="ascii") as one:
            both.write(one.read())
        for repetition in range(args.repetitions):
            order = list(groups)
            for name, contender in order[repetition % len(order):] + order[:repetition % len(order)]:
                contest = CONTESTS[name]
                if contest.once and repetition:
                    continue
                contest = contest._replace(streams=max(contest.each, contest.streams // args.divide),
                                           rounds=max(3, contest.rounds // args.divide))
                groups[(name, contender)].append(run(args.build, name, contest, contender, certificate, descriptors))
    share = machine.others_share(before, machine.processor_seconds())
    write(args.directory, section(groups, args.repetitions, time.time() - began, share))


main()
