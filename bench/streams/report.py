#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes what run.py measured as a page and a chart: report.py RUNS.json DIRECTORY"""
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import chart  # noqa: E402
from page import median, table, verdict  # noqa: E402

LABELS = {
    "floor": "bare write(2), 1 thread",
    "microhttpd": "vestry, libmicrohttpd",
    "microhttpd-br": "vestry, libmicrohttpd, brotli",
    "microhttpd-gzip": "vestry, libmicrohttpd, gzip",
    "microhttpd-stalled": "the same, one reader in a hundred stalled",
    "civetweb": "vestry, civetweb",
    "nchan": "nchan on nginx, 2 workers",
    "node": "TypeScript SDK on Node, 1 process",
}
TITLES = {
    "broadcast": "broadcast of 100 bytes",
    "keyed": "one of {streams:,}, by key",
    "page": "page of 10 kB, 1 % changes",
    "readers": "broadcast of 10 kB",
    "own": "memory, counted",
    "drain": "drained",
}
UNTIMED = ("own", "drain")  # contests of one round
QUIET_SHARE = 0.05  # what others may use of a machine that is to ourselves
CPU, RATE, P99, RSS, OWN, OPENED, WIRE, GROWTH = ("server_cpu_us_per_delivery", "deliveries_per_s", "p99_ms",
                                                  "rss_per_stream_bytes", "own_per_stream_bytes", "opened_per_s",
                                                  "wire_bytes_per_delivery", "rss_growth_bytes")
FEW = 1000
BUDGET_MB = (16 << 20) / 1e6  # what all of their queues may hold
DRAIN_PEAK = 1.5


class Runs:
    """Medians by contest, contender and number of streams."""

    def __init__(self, runs, streams):
        self.streams, self.groups = streams, {}
        for run in runs:
            self.groups.setdefault((run["contest"], int(run["asked_streams"]), run["contender"]), []).append(run)

    def has(self, contest, contender):
        return (contest, self.streams, contender) in self.groups

    def get(self, contest, contender, field):
        return median(self.groups[(contest, self.streams, contender)], field)


def ratio(runs, what, contest, field, this, that, wanted, at_most):
    """A bar against another contender, or another contest as (contest, contender)."""
    other = that if isinstance(that, tuple) else (contest, that)
    if not runs.has(contest, this) or not runs.has(*other):
        return []
    value = runs.get(contest, this, field) / runs.get(*other, field)
    met = value <= wanted if at_most else value >= wanted
    return [[what, f"{value:.2f} ×", f"{'≤' if at_most else '≥'} {wanted:g} ×", verdict(met)]]


def limit(runs, what, contest, field, contender, wanted, unit):
    if not runs.has(contest, contender):
        return []
    value = runs.get(contest, contender, field)
    return [[what, f"{value:,.4g} {unit}" if value < 1000 else f"{value:,.0f} {unit}", f"≤ {wanted:,g} {unit}",
             verdict(value <= wanted)]]


def stalled_rows(runs):
    rows = ratio(runs, f"p99 of the others when one reader in a hundred is stalled ({runs.streams:,} streams)", "readers",
                 P99, "microhttpd-stalled", "microhttpd", 1.1, True)
    if runs.has("readers", "microhttpd-stalled"):
        grown = runs.get("readers", "microhttpd-stalled", GROWTH) / 1e6
        closed = runs.get("readers", "microhttpd-stalled", "closed_budget")
        rows.append([f"memory that they cost ({closed:.0f} of {runs.streams // 100} were closed for the budget)",
                     f"{grown:.1f} MB", f"≤ {BUDGET_MB:.0f} MB", verdict(grown <= BUDGET_MB)])
    return rows


def bars_rows(runs, few):
    """What is wanted, and whether it was met."""
    own, rows = "microhttpd", []
    rows += ratio(runs, "server CPU a delivery, against bare writes", "broadcast", CPU, own, "floor", 1.15, True)
    rows += ratio(runs, "server CPU a delivery, against nchan", "broadcast", CPU, own, "nchan", 1, True)
    rows += ratio(runs, "deliveries a second, against nchan", "broadcast", RATE, own, "nchan", 1.1, False)
    rows += ratio(runs, "deliveries a second, against the TypeScript SDK", "broadcast", RATE, own, "node", 2, False)
    rows += limit(runs, "memory of an idle stream, in a broadcast", "broadcast", RSS, own, 1000, "bytes")
    rows += limit(runs, "memory of an idle stream, by key", "keyed", RSS, own, 700, "bytes")
    rows += limit(runs, "of it, vestry's own", "own", OWN, own, 600, "bytes")
    if runs.has("own", own) and runs.has("own", own + "-br"):
        more = runs.get("own", own + "-br", OWN) - runs.get("own", own, OWN)
        rows.append(["vestry's own with brotli negotiated: more", f"{more:.0f} bytes", "≤ 64 bytes", verdict(more <= 64)])
    rows += ratio(runs, "server CPU a delivery, page in brotli against 100 bytes plain", "page", CPU, own + "-br",
                  ("broadcast", own), 1.3, True)
    rows += limit(runs, "bytes a delivery, page in brotli", "page", WIRE, own + "-br", 200, "bytes")
    rows += limit(runs, "one event by key: p99, request to arrival", "keyed", P99, own, 1, "ms")
    rows += stalled_rows(few)
    if runs.has("drain", own):
        rows += limit(runs, "drained over 10 s: the busiest second, against the mean", "drain", "drain_peak_ratio", own,
                      DRAIN_PEAK, "×")
    return rows


def title(contest, streams):
    return TITLES[contest].format(streams=streams) + ("" if contest == "keyed" else f", {streams:,} streams")


def number(runs, field, form):
    return form.format(median(runs, field)) if field in runs[0] else ""


def medians_rows(groups):
    rows, before = [], None
    for (contest, streams, contender), runs in groups.items():
        cpu = sorted(float(run[CPU]) for run in runs)
        digits = "{:.3f}" if contest == "keyed" else "{:.1f}"
        times = [f"{statistics.median(cpu):.2f}", f"{cpu[0]:.2f}–{cpu[-1]:.2f}", number(runs, RATE, "{:,.0f}"),
                 number(runs, "latency_p50_ms", digits), number(runs, P99, digits), number(runs, WIRE, "{:.0f}")]
        if contest in UNTIMED:
            times = [""] * len(times)
        rows.append([title(contest, streams) if (contest, streams) != before else "", LABELS[contender], *times,
                     number(runs, RSS, "{:,.0f}"), number(runs, OWN, "{:,.0f}"), number(runs, OPENED, "{:,.0f}")])
        before = (contest, streams)
    return rows


MEDIANS_HEAD = ["contest", "server", "CPU µs", "from–to", "deliveries/s", "p50 ms", "p99 ms", "bytes", "memory",
                "own", "opened/s"]

NOTES = """## What is measured
- Server and load generator share the two processors, over loopback; each run has a server of its own. The load \
generator, `vestry-bench load`, is one thread that reads, and one that publishes: the next round begins when all of the \
last one has come. It checks every byte of every event, decoded where it is encoded, and **a run with a loss, a \
disorder or a broken stream fails**.
- CPU is the server's processes' own and system time for each delivery; publishing is in it. One delivery is one event \
at one stream. For one event by key it is that of a request and a delivery, \
and known to 3 µs, as the kernel counts hundredths of a second.
- p50 and p99 are from the beginning of the POST to the arrival of the event's last byte: at the last of many streams \
they are how long a broadcast takes.
- bytes: on the wire for a delivery, chunks' framing included. memory: what the server's processes have grown by for \
each idle stream, exact to a page, what processes share divided among them; kernel memory is not in it. own: what \
vestry itself has allocated of it, as an injected allocator counts it, what malloc rounds up to included; each stream is \
kept under a key of its own there.
- opened/s: how many streams a second begin, from the first connect to the last head; one thread connects, one after \
the other. In a broadcast all of vestry's are under one key, and each newcomer counts those that are there.
- page: a page of 10 kB of rows, 100 of whose digits change with each event, in ten places.
- stalled: readers that take nothing from the beginning. The kernel buffers 4 MB for each; rounds count from when it \
is full. The latency is that of the others.

## What is not alike
- **bare write(2)**: one thread, an epoll, one write for each stream. No queues, no bounds, no heartbeats; a stream \
that does not take an event at once is dropped. It is no server, but what TCP itself costs.
- **nchan** gets events as text with their type in a header, and adds an id to each (20 bytes or so). Its workers have \
a queue of connections each, so that both get half of the streams.
- **The TypeScript SDK** is the official one for Node, a generator a stream. It formats each event for each stream. It \
is one process, as Node is; a second would need something between them for a broadcast.
- **vestry on libmicrohttpd** has two threads that serve requests, and two that write.
- **civetweb** has a thread for each stream, so it is measured with a thousand.
"""


def limits_text(result):
    if result["streams"] == result["asked_streams"]:
        return ""
    return (f"\n**A process may have {result['descriptors']:,} descriptors here, so there are {result['streams']:,} "
            f"streams instead of {result['asked_streams']:,}.**\n")


def page(result, runs, few):
    machine = result["machine"]
    versions = [f"{name} {version}" for name, version in machine["packages"].items() if version]
    versions += [f"Node {result['node']}"] * bool(result["node"])
    versions += [f"datastar-sdk {result['sdk']}"] * bool(result["sdk"])
    runs_text = "one run" if result["repetitions"] == 1 else f"medians of {result['repetitions']} runs"
    others, warning = f"{100 * result['others_share']:.0f} %", ""
    if result["others_share"] > QUIET_SHARE:
        warning = f"\n**Others used {others} of the processors meanwhile: compare with care.**\n"
    return f"""# Streams and their peers
Measured by `scripts/bench-streams` on {result['date']}: {runs_text}, interleaved, in {result['took_s'] / 60:.0f} \
minutes; others used {others} of the processors. {machine['cpu']}, {machine['cpus']} processors, Linux \
{machine['kernel']}, {machine['compiler']}; {', '.join(versions)}.
{warning}{limits_text(result)}
![Deliveries a second, by server](bench-streams.svg)

Compare within this page only: other machines, and other days, have other numbers.

## What is wanted
vestry on libmicrohttpd, {runs.streams:,} streams.

{table(["what", "has", "wanted", "met"], bars_rows(runs, few))}
## All medians
{table(MEDIANS_HEAD, medians_rows(runs.groups))}
{NOTES}"""


def panels(groups):
    """What the chart shows: how many a second."""
    shown = {}
    for (contest, streams, contender), runs in groups.items():
        if contest in ("broadcast", "keyed", "page"):
            shown.setdefault(title(contest, streams), []).append(
                (LABELS[contender], median(runs, RATE) / 1000, contender not in ("floor", "nchan", "node")))
    return {heading: bars for heading, bars in shown.items() if len(bars) > 1}


def main():
    source, directory = sys.argv[1:]
    with open(source, encoding="utf-8") as measured:
        result = json.load(measured)
    runs = Runs(result["runs"], result["streams"])
    with open(os.path.join(directory, "bench-streams.md"), "w", encoding="utf-8") as output:
        output.write(page(result, runs, Runs(result["runs"], min(FEW, result["streams"]))))
    with open(os.path.join(directory, "bench-streams.svg"), "w", encoding="utf-8") as output:
        output.write(chart.draw(panels(runs.groups), "Thousand deliveries a second; more is better"))


main()
