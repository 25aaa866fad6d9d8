#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the results of run.py as a page and a chart: report.py RUNS.json DIRECTORY"""
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import chart  # noqa: E402
from page import median, table, verdict  # noqa: E402

LABELS = {
    "floor": "bare write(2), 1 thread",
    "floor-batched": "bare batched sends, 1 thread",
    "floor-batched-two": "the same, 2 threads",
    "microhttpd": "vestry, libmicrohttpd",
    "microhttpd-plain": "the same, --io plain",
    "microhttpd-one": "the same, one thread writes",
    "microhttpd-br": "vestry, libmicrohttpd, brotli",
    "microhttpd-br-plain": "the same, --io plain",
    "microhttpd-gzip": "vestry, libmicrohttpd, gzip",
    "microhttpd-stalled": "the same, one client in a hundred stalled",
    "civetweb": "vestry, civetweb",
    "nchan": "nchan on nginx, 2 workers",
    "node": "TypeScript SDK on Node, 1 process",
    "better-sse": "better-sse on Node, 1 process",
    "socketio": "Socket.IO on Node, 1 process",
}
TITLES = {
    "broadcast": "broadcast of 100 bytes",
    "keyed": "one of {streams:,}, by key",
    "page": "page of 10 kB, 1 % changes",
    "readers": "broadcast of 10 kB",
    "own": "memory, counted",
    "drain": "drained",
}
PEERS = ("floor", "nchan", "node", "better-sse", "socketio")
UNTIMED = ("own", "drain")  # contests with a single round
QUIET_SHARE = 0.05  # maximum share of other processes on a machine that counts as idle
CPU, USER, RATE, P99, RSS, OWN, OPENED, WIRE, GROWTH = (
    "server_cpu_us_per_delivery", "server_user_us_per_delivery", "deliveries_per_s", "p99_ms", "rss_per_stream_bytes",
    "own_per_stream_bytes", "opened_per_s", "wire_bytes_per_delivery", "rss_growth_bytes")
FEW = 1000
OWN_PART, PAIRS = 4, 3  # as in run.py
BUDGET_MB = (16 << 20) / 1e6  # bound of all queues together
DRAIN_PEAK = 1.5


class Runs:
    """Medians by contest, contender and number of streams."""

    def __init__(self, runs, streams):
        self.streams, self.groups = streams, {}
        for run in runs:
            self.groups.setdefault((run["contest"], int(run["requested_streams"]), run["contender"]), []).append(run)

    def has(self, contest, contender):
        return (contest, self.streams, contender) in self.groups

    def get(self, contest, contender, field):
        return median(self.groups[(contest, self.streams, contender)], field)

    def pairs(self, this, that, field):
        """Return the ratios of two (contest, contender) in ascending order: their runs were one shortly after the
        other. If one of them has more runs in a repetition, its first ones count."""
        def by_repetition(contest, contender):
            found = {}
            for run in self.groups[(contest, self.streams, contender)]:
                found.setdefault(run["repetition"], []).append(float(run[field]))
            return found

        ones, others = by_repetition(*this), by_repetition(*that)
        return sorted(one / other for repetition in ones.keys() & others.keys()
                      for one, other in zip(ones[repetition], others[repetition]))


def ratio(runs, what, contest, field, this, that, wanted, at_most, floor=None):
    """Return the row of a target: a ratio to another contender, or to another contest as (contest, contender): the
    median of the pairs of runs, and their interval. floor: a contender that does the least work for the same; the target
    is met, too, if this is within 10 % of it."""
    def compare(one, other):
        ratios = runs.pairs(one, other, field)
        value = statistics.median(ratios)
        return value, f"{value:.2f} ×" + (f" ({ratios[0]:.2f} to {ratios[-1]:.2f})" if len(ratios) > 1 else "")

    def is_within(value, bar):
        return value <= bar if at_most else value >= bar

    other, sign = that if isinstance(that, tuple) else (contest, that), "≤" if at_most else "≥"
    if not runs.has(contest, this) or not runs.has(*other):
        return []
    value, measured = compare((contest, this), other)
    met, target = is_within(value, wanted), f"{sign} {wanted:g} ×"
    if floor and runs.has(contest, floor):
        bar = 1.1 if at_most else round(1 / 1.1, 2)
        beside, beside_measured = compare((contest, this), (contest, floor))
        measured += f"; {beside_measured} of the floor, which has {compare((contest, floor), other)[0]:.2f} ×"
        target += f", or {sign} {bar:g} × of the floor"
        met = met or is_within(beside, bar)
    return [[what, measured, target, verdict(met)]]


def limit(runs, what, contest, field, contender, wanted, unit):
    if not runs.has(contest, contender):
        return []
    value = runs.get(contest, contender, field)
    return [[what, f"{value:,.4g} {unit}" if value < 1000 else f"{value:,.0f} {unit}", f"≤ {wanted:,g} {unit}",
             verdict(value <= wanted)]]


def stalled_rows(runs):
    rows = ratio(runs, f"p99 of the other clients if one in a hundred is stalled ({runs.streams:,} streams)", "readers",
                 P99, "microhttpd-stalled", "microhttpd", 1.1, True)
    if runs.has("readers", "microhttpd-stalled"):
        grown = runs.get("readers", "microhttpd-stalled", GROWTH) / 1e6
        closed = runs.get("readers", "microhttpd-stalled", "closed_budget")
        rows.append([f"memory for the stalled clients ({closed:.0f} of {runs.streams // 100} were closed for the "
                     "budget)", f"{grown:.1f} MB", f"≤ {BUDGET_MB:.0f} MB", verdict(grown <= BUDGET_MB)])
    return rows


def further(runs, part, contender):
    """Return the counted memory of a further stream, without what exists once: the batches of the threads that write,
    which a stream that is encoded needs earlier, because it begins with a primer."""
    both = [(each.streams, each.get("own", contender, OWN)) for each in (part, runs)]
    (few_streams, few_bytes), (streams, own_bytes) = both
    return (streams * own_bytes - few_streams * few_bytes) / (streams - few_streams)


def bars_rows(runs, few, part):
    """Return the rows of the targets, each with its verdict. part: runs with a part of the streams."""
    own, rows = "microhttpd", []
    rows += ratio(runs, "server CPU per delivery, compared with bare writes (floor: batched sends)", "broadcast", CPU, own, "floor",
                  0.7, True, "floor-batched")
    rows += ratio(runs, "the same, one thread writes", "broadcast", CPU, own + "-one", "floor", 0.7, True, "floor-batched")
    rows += ratio(runs, "server CPU per delivery, compared with batched sends of two threads", "broadcast", CPU, own, "floor-batched-two",
                  1.1, True)
    rows += ratio(runs, "deliveries per second, compared with bare writes (floor: batched sends of two threads)", "broadcast",
                  RATE, own, "floor", 1.35, False, "floor-batched-two")
    rows += ratio(runs, "deliveries per second, compared with bare batched sends", "broadcast", RATE, own,
                  "floor-batched", 1, False)
    rows += ratio(runs, "server CPU per delivery, compared with nchan", "broadcast", CPU, own, "nchan", 1, True)
    rows += ratio(runs, "deliveries per second, compared with nchan", "broadcast", RATE, own, "nchan", 1.1, False)
    rows += ratio(runs, "deliveries per second, compared with the TypeScript SDK", "broadcast", RATE, own, "node", 2,
                  False)
    rows += limit(runs, "memory of an idle stream, in a broadcast", "broadcast", RSS, own, 787, "bytes")
    rows += limit(runs, "memory of an idle stream, by key", "keyed", RSS, own, 632, "bytes")
    rows += limit(runs, "the part of it that vestry allocates", "own", OWN, own, 600, "bytes")
    if part.has("own", own) and part.has("own", own + "-br"):
        more = further(runs, part, own + "-br") - further(runs, part, own)
        rows.append(["additional memory of vestry for a further stream if brotli is negotiated", f"{more:.0f} bytes",
                     "≤ 64 bytes", verdict(more <= 64)])
    rows += limit(runs, "server CPU per delivery, page in brotli", "page", CPU, own + "-br", 4.8, "µs")
    rows += ratio(runs, "the same, compared with bare batched sends of as many bytes", "page", CPU, own + "-br",
                  "floor-batched", 1.1, True)
    rows += ratio(runs, "server CPU per delivery, page in brotli compared with 100 bytes plain", "page", CPU,
                  own + "-br", ("broadcast", own), 1.3, True)
    rows += limit(runs, "bytes per delivery, page in brotli", "page", WIRE, own + "-br", 200, "bytes")
    rows += limit(runs, "one event by key: p99, request to arrival", "keyed", P99, own, 1, "ms")
    rows += stalled_rows(few)
    if runs.has("drain", own):
        rows += limit(runs, "drained over 10 s: the busiest second, compared with the mean", "drain",
                      "drain_peak_ratio", own, DRAIN_PEAK, "×")
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
        times = [f"{statistics.median(cpu):.2f}", f"{cpu[0]:.2f}–{cpu[-1]:.2f}", number(runs, USER, "{:.2f}"),
                 number(runs, RATE, "{:,.0f}"), number(runs, "latency_p50_ms", digits), number(runs, P99, digits),
                 number(runs, WIRE, "{:.0f}")]
        if contest in UNTIMED:
            times = [""] * len(times)
        rows.append([title(contest, streams) if (contest, streams) != before else "", LABELS[contender], *times,
                     number(runs, RSS, "{:,.0f}"), number(runs, OWN, "{:,.0f}"), number(runs, OPENED, "{:,.0f}")])
        before = (contest, streams)
    return rows


MEDIANS_HEAD = ["contest", "server", "CPU µs", "from–to", "user µs", "deliveries/s", "p50 ms", "p99 ms", "bytes",
                "memory", "own", "opened/s"]

NOTES = """## Method
- Server and load generator share the two processors, over loopback; each run has a separate server. The load \
generator, `vestry-bench load`, has one thread that reads and one that publishes; the next round begins when all \
events of the last one have arrived. It decodes encoded events, and checks every byte of every event. **A run with a \
lost event, a wrong order or a broken stream fails.**
- CPU is the user and system time of the server's processes for each delivery, including publishing. A delivery is one \
event at one stream. For one event by key it includes the request.
- user µs is the part of it outside of the kernel: the server's own work. The kernel counts hundredths of a second, so \
it is exact to 0.05 µs for a delivery of a broadcast to 10,000 streams, and to 3 µs for one event by key.
- A ratio is the median of the ratios of the pairs of runs, which ran one shortly after the other; their interval \
follows. In a broadcast to {streams} streams, vestry and the bare sends run {pairs} times as often as the peers, because \
the targets compare these more closely.
- p50 and p99 are times from the beginning of the POST to the arrival of the event's last byte. At the last of many \
streams they show how long a broadcast takes.
- bytes: the bytes on the wire for a delivery, including the framing of chunks.
- memory: the growth of the server's processes for each idle stream, in bytes, exact to a memory page, without kernel \
memory. Shared memory is divided among the processes.
- own: the part of it that vestry itself has allocated, counted by an injected allocator, including malloc's rounding. \
In this contest each stream has a separate key. The memory of a further stream is the difference between all streams \
and a quarter of them; the batches of the two threads that write ({once} in all) exist once.
- opened/s: the number of streams that open per second, from the first connect to the last head. One thread opens them \
one after the other. In a broadcast all streams of vestry have the same key, and are members of the channel to which \
the event is published (`vestry_broadcast`).
- page: a page with 10 kB of rows. Each event changes 100 of its digits, in ten places. The bare sends have as many \
bytes on the wire as the event in brotli, and no encoder runs. In this contest the load generator reads and times all \
data, and decodes and checks it after the round, because in reality 10,000 other machines do this. Otherwise it would \
decode 10 kB for each event in brotli, beside the server, but only 171 bytes for each bare send.
- stalled: clients that read nothing from the beginning. The kernel buffers 4 MB for each, and rounds count after \
these buffers are full. The latency is that of the other clients.

## Differences between the contestants
- **bare write(2)** has one thread, an epoll, and one write for each stream. It has no queues, bounds or heartbeats, \
and drops a stream that does not accept an event at once. It is not a server, but shows the cost of TCP itself.
- **bare batched sends** is the same with io_uring: one system call for 256 streams. How much this saves depends on the \
cost of a system call, which differs by machine and its mitigations: `getppid(2)` takes {getppid} here. With two threads, each sends to half \
of the streams: then both compete with the load generator for the two processors.
- **nchan** receives events as text with their type in a header, and adds an id to each (about 20 bytes). Each of its \
workers has a separate queue of connections, so that both get half of the streams. It has had no release for two years. \
The other servers for event streams that Debian has are each missing from one of its releases: Pushpin from Debian 13, \
and nginx's push-stream module from Debian 12.
- **The TypeScript SDK** is the official one for Node, with a generator for each stream. It formats each event once \
for each stream. It is one process, as usual on Node; for a broadcast, a second process would need a connection \
between the two.
- **better-sse**, a library for event streams on Node that needs no framework, formats each event once for each stream, \
and adds an id to each (about 40 bytes). It is one process, too.
- **Socket.IO** sends the same data over websockets, formatted once for all streams. It is one process, too.
- **vestry on libmicrohttpd** has two threads that serve requests, and two threads that write, in batches \
(`vestry_runtime_options.io`). In the rows `--io plain`, each write is a system call.
- **civetweb** has a thread for each stream, so it is measured with a thousand streams.
"""


def limits_text(result):
    if result["streams"] == result["requested_streams"]:
        return ""
    return (f"\n**A process can have {result['descriptors']:,} descriptors here, so there are {result['streams']:,} "
            f"streams instead of {result['requested_streams']:,}.**\n")


def page(result, runs, few, part):
    machine = result["machine"]
    versions = [f"{name} {version}" for name, version in machine["packages"].items() if version]
    versions += [f"Node {result['node']}"] * bool(result["node"])
    for name, key in (("datastar-sdk", "sdk"), ("better-sse", "better-sse"), ("socket.io", "socketio")):
        versions += [f"{name} {result[key]}"] * bool(result.get(key))
    runs_text = "one run" if result["repetitions"] == 1 else f"medians of {result['repetitions']} runs"
    getppid = [float(run["getppid_ns"]) for run in result["runs"] if "getppid_ns" in run]
    once, br = "not measured", "microhttpd-br"
    if runs.has("own", br) and part.has("own", br):
        once = f"{(runs.get('own', br, OWN) - further(runs, part, br)) * runs.streams / 1000:.0f} kB"
    others, warning = f"{100 * result['others_share']:.0f} %", ""
    if result["others_share"] > QUIET_SHARE:
        warning = f"\n**Other programs used {others} of the processors meanwhile: compare with care.**\n"
    return f"""# Streams and their peers
`scripts/bench-streams` wrote this page on {result['date']}: {runs_text}, interleaved, in {result['took_s'] / 60:.0f} \
minutes; other programs used {others} of the processors. {machine['cpu']}, {machine['cpus']} processors, Linux \
{machine['kernel']}, {machine['compiler']}; {', '.join(versions)}.
{warning}{limits_text(result)}
![Deliveries per second, by server](bench-streams.svg)

Compare figures within this page only, because other machines and other days give other numbers.

## Targets
vestry on libmicrohttpd, {runs.streams:,} streams.

{table(["what", "measured", "target", "met"], bars_rows(runs, few, part))}
## All medians
{table(MEDIANS_HEAD, medians_rows(runs.groups))}
{NOTES.format(once=once, streams=f"{runs.streams:,}", pairs=PAIRS, getppid=f"{statistics.median(getppid):.0f} ns" if getppid else "an unknown time")}"""


def panels(groups):
    """Return the panels of the chart: deliveries per second."""
    shown = {}
    for (contest, streams, contender), runs in groups.items():
        if contest in ("broadcast", "keyed", "page"):
            shown.setdefault(title(contest, streams), []).append(
                (LABELS[contender], median(runs, RATE) / 1000, contender not in PEERS))
    return {heading: bars for heading, bars in shown.items() if len(bars) > 1}


def main():
    source, directory = sys.argv[1:]
    with open(source, encoding="utf-8") as measured:
        result = json.load(measured)
    runs = Runs(result["runs"], result["streams"])
    path = os.path.join(directory, "bench-streams.md")
    of_h2 = ""  # the last section, which h2.py writes
    if os.path.exists(path):
        with open(path, encoding="utf-8") as output:
            of_h2 = "".join(output.read().partition("\n## HTTP/2 over TLS\n")[1:])
    with open(path, "w", encoding="utf-8") as output:
        few, part = (Runs(result["runs"], count) for count in (min(FEW, result["streams"]), result["streams"] // OWN_PART))
        output.write(page(result, runs, few, part) + of_h2)
    with open(os.path.join(directory, "bench-streams.svg"), "w", encoding="utf-8") as output:
        output.write(chart.draw(panels(runs.groups), "Thousand deliveries per second; more is better"))


main()
