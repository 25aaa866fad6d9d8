#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The cost of observing an instance, as a page of Markdown: report.py BUILD_DIRECTORY OUT_DIRECTORY [--quick]

In one process, with streams in memory: queries, the waits of writers, events, tails, memory. Over sockets: a broadcast
load and live pages, whose server is alternately observed and not observed."""
import datetime
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import machine  # noqa: E402
from page import median, table, verdict  # noqa: E402
from servers import Server  # noqa: E402

ORDERS = ("newest", "oldest", "queued", "bytes")
RUNS = 3
QUICK = {"streams": 500, "turns": 5, "count": 640, "loads": 50, "rounds": 10, "pairs": 4}
WHOLE = {"streams": 10000, "turns": 50, "count": 6400, "loads": 1000, "rounds": 150, "pairs": 30}


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}")
    print(done.stdout, end="", file=sys.stderr, flush=True)
    return [line.split() for line in done.stdout.splitlines()]


def look(bench, size):
    """Run the queries once. Return (name, which) → the measured values of the line."""
    found = {}
    command = [bench, "observe", "--streams", str(size["streams"]), "--turns", str(size["turns"]), "--count",
               str(size["count"])]
    for name, *pairs in run(command):
        values = dict(pair.split("=", 1) for pair in pairs)
        found[name, values.get("which") or " ".join(values[key] for key in ("order", "page") if key in values)] = values
    return found


def load(bench, size, kind, has_console):
    """Load a server that is alternately observed and not observed. Return the measured values."""
    is_page = kind == "pages"
    count = str(size["loads"])
    rounds = size["rounds"] // 2 if is_page else size["rounds"]
    pairs = size["pairs"] * 3 // 2 if is_page else size["pairs"]  # runs of pages vary more
    command = [bench, kind, "--pages" if is_page else "--streams", count, "--rounds", str(rounds), "--warm", "5",
               "--observed", str(pairs)] + ["--console"] * has_console
    serve = [bench, "serve", "--pages", "--port", "0", "--adapter", "microhttpd", "--streams", str(size["loads"] + 64)]
    with Server(serve) as server:
        said = run([*command, "--port", str(server.port), "--pid", str(server.process.pid)])
    return dict(pair.split("=", 1) for pair in said[0] if "=" in pair)


class Bars:
    """The table of targets."""

    def __init__(self):
        self.rows = []

    def add(self, what, has, wanted, is_met, command):
        self.rows.append([what, has, wanted, f"`{command}`", verdict(is_met)])


def us(value):
    return f"{value / 1000:.2f} ms" if value >= 1000 else f"{value:.1f} µs"


def looks_bars(bars, runs, streams):
    part = "observe --only looks"
    explained = {which: [one["explain", which] for one in runs] for which in ("oldest", "middle", "newest")}
    slowest = max(median(these, "us") for these in explained.values())
    bars.add(f"any of {streams:,} streams explained, by its endpoint", us(slowest), "≤ 50 ms", slowest <= 50000, part)
    longest = max(float(one["worst_us"]) for these in explained.values() for one in these)
    bars.add("the same: longest time", us(longest), "≤ 50 ms", longest <= 50000, part)
    for order in ORDERS:
        for page in ("first", "last"):
            value = median([one["list", f"{order} {page}"] for one in runs], "us")
            bars.add(f"a page of 100 streams, {order}, the {page} one, by its endpoint", us(value), "≤ 5 ms", value <= 5000,
                     part)
    value = median([one["list", "prefix none"] for one in runs], "us")
    bars.add("a page of the listing, by a prefix that no key has", us(value), "≤ 5 ms", value <= 5000, part)
    value = median([one["scrape", ""] for one in runs], "us")
    bars.add(f"a scrape with {streams:,} streams, by its endpoint", us(value), "≤ 1 ms", value <= 1000, part)


def other_bars(bars, runs):
    writers = [one["writers", ""] for one in runs]
    plain, looked = median(writers, "longest_us"), median(writers, "looked_longest_us")
    bars.add("longest time that a writer waits in 0.1 s, beside continuous queries",
             f"{us(looked)}, without queries {us(plain)}", "≤ 1 ms in addition",
             looked - plain <= 1000, "observe --only writers")
    memory = median([one["memory", ""] for one in runs], "more_bytes")
    bars.add("memory of a stream, in addition to that without observation", f"{memory:.1f} bytes", "≤ 32 bytes",
             memory <= 32, "observe --only memory")
    tails = [one["tails", ""] for one in runs]
    own, other = median(tails, "more_ns"), median(tails, "other_ratio")
    bars.add("an event on a stream with a tail, including its display, in addition to one without a tail",
             us(own / 1000), "≤ 5 µs", own <= 5000, "observe --only tails")
    bars.add("an event on another stream, while a tail is open", f"{other:.3f} ×", "1 × (≤ 1.02)", other <= 1.02,
             "observe --only tails")


LOADS = {("load", False): "a broadcast load, and one scrape per second", ("load", True): "the same, and a console",
         ("pages", False): "live pages, and one scrape per second", ("pages", True): "the same, and a console"}


def load_bars(bars, loads):
    for key, said in loads.items():
        own, own_us = float(said["own_ratio"]) * 100, float(said["own_us_per_s"])
        more = (float(said["observed_ratio"]) - 1) * 100
        low, high = ((float(said[name]) - 1) * 100 for name in ("ratio_low", "ratio_high"))
        bars.add(f"CPU of observation: {LOADS[key]}",
                 f"{own:.2f} % of the load, {us(own_us)} a second; turns {more:+.2f} % (quartiles {low:+.2f}, {high:+.2f})",
                 "≤ 1 % of the load", own <= 1, f"{key[0]} --observed {said['pairs']}" + (" --console" if key[1] else ""))


def details(runs):
    rows = []
    for name, which in runs[0]:
        these = [one[name, which] for one in runs]
        if "worst_us" not in these[0]:
            continue
        rows.append([f"{name} {which}".strip(), us(median(these, "us")), us(median(these, "worst_us"))])
    return table(["query", "endpoint, median", "longest"], rows)


def write(out, runs, loads, size, others):
    about = machine.describe(["libmicrohttpd12"])
    bars = Bars()
    looks_bars(bars, runs, size["streams"])
    other_bars(bars, runs)
    load_bars(bars, loads)
    writer, event, tail, weight = (lambda field, name=name: median([one[name, ""] for one in runs], field)
                                   for name in ("writers", "events", "tails", "memory"))
    missed = sum("no" in row[-1] for row in bars.rows)
    verdicts = "All targets are met." if not missed else f"**Missed targets: {missed} of {len(bars.rows)}.**"
    text = f"""# The cost of observing an instance
`scripts/bench-observe` wrote this page on {datetime.date.today()}: medians of {len(runs)} runs; other programs used \
{others:.0%} of the processors. {about["cpu"]}, {about["cpus"]} processors, Linux {about["kernel"]}, \
{about["compiler"]}; libmicrohttpd {about["packages"]["libmicrohttpd12"]}. {verdicts}

Compare figures within this page only, because other machines and other days give other numbers. Values that are \
compared with each other were measured alternately, in one run.

## Targets
{table(["what", "measured", "target", "vestry-bench", "met"], bars.rows)}
## Queries
{details(runs)}
## Method
- **{size["streams"]:,} streams**: every second stream belongs to a live page, and each of the others has a key. One \
stream in ten does not read, and has events in its queue. The streams are in memory; they equal the streams of \
adapters except for the sockets, which a query does not use. The first and the last page of a listing are measured, \
and each of them visits all streams.
- **An endpoint** is the whole request: routing, permission, query, JSON. The table above has the longest of \
{size["turns"]} times, which includes delays by the scheduler.
- **Writers**: a thread sends events, and opens and ends a stream for every 15 of them. Another thread lists, explains \
and scrapes continuously, far more often than people do. Turns of 0.1 s with and without queries alternate. At p99.9 \
of all turns, a send takes {us(writer("send_p999_us"))}, beside queries {us(writer("looked_send_p999_us"))}; opening \
and ending a stream takes {us(writer("stream_p999_us"))}, beside queries {us(writer("looked_stream_p999_us"))}.
- **CPU** is that of all threads of the server's process. Meanwhile {size["loads"]:,} streams over loopback sockets \
receive events of 100 bytes as fast as possible, or as many live pages of 10 kB change. Turns of {size["rounds"]} \
events, or half as many changes, with and without observation alternate on the same streams. Observation means one \
scrape per second, and at least one in each turn, although a turn takes less than a second. A console also has its \
stream open, and requests the list of streams at each heartbeat, as its script does. Turns vary by some percent, which \
is more than observation takes. Therefore its own CPU is measured after the turns, without a load: that of one scrape, \
one list and the console's events in a second. The target compares this with the CPU of the load in a second. \
Counters that the library always maintains are included in both.
- **An event** in memory takes {event("plain_ns"):.0f} ns, and {event("more_ns"):.0f} ns in addition during \
observation, because one event in 16 is timed. Only this part of the cost grows with the load.
- **Memory** is counted by the instance's allocator, including malloc's overhead: a stream takes \
{weight("stream_bytes"):.0f} bytes here. Observation takes {weight("observer_bytes") / 1e6:.1f} MB once, for the last \
10,000 closed streams, independently of the number of streams. The block of a stream has the same size as in versions \
without observation (344 bytes), because the new members use its padding.
- **A tail** takes an event, formats it as JSON and sends it to its reader, here in the same thread, so the figure \
includes all of this. An event takes {tail("plain_ns"):.0f} ns without a tail, and {tail("tailed_ns"):.0f} ns with \
one.
"""
    (out / "bench-observe.md").write_text(text, encoding="utf-8")


def main():
    build, out, is_quick = sys.argv[1], pathlib.Path(sys.argv[2]), "--quick" in sys.argv[3:]
    bench, size = f"{build}/bin/vestry-bench", QUICK if is_quick else WHOLE
    before = machine.processor_seconds()
    runs = [look(bench, size) for _ in range(1 if is_quick else RUNS)]
    loads = {key: load(bench, size, *key) for key in LOADS}
    write(out, runs, loads, size, machine.others_share(before, machine.processor_seconds()))


if __name__ == "__main__":
    main()
