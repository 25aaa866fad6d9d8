#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What it costs to look into an instance, as a page of Markdown: report.py BUILD_DIRECTORY OUT_DIRECTORY [--quick]

In one process, with streams in memory: looks, what writers wait, events, tails, memory. Over sockets: a broadcast load
and live pages, whose server is observed and not observed by turns."""
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
    """The lines of one run: (name, which) → what was measured."""
    found = {}
    command = [bench, "observe", "--streams", str(size["streams"]), "--turns", str(size["turns"]), "--count",
               str(size["count"])]
    for name, *pairs in run(command):
        values = dict(pair.split("=", 1) for pair in pairs)
        found[name, values.get("which") or " ".join(values[key] for key in ("order", "page") if key in values)] = values
    return found


def load(bench, size, kind, has_console):
    """A load against a server that is observed and not observed by turns: what was measured."""
    is_page = kind == "pages"
    count = str(size["loads"])
    rounds, pairs = (size[what] // (2 if is_page else 1) for what in ("rounds", "pairs"))
    command = [bench, kind, "--pages" if is_page else "--streams", count, "--rounds", str(rounds), "--warm", "5",
               "--observed", str(pairs)] + ["--console"] * has_console
    serve = [bench, "serve", "--pages", "--port", "0", "--adapter", "microhttpd", "--streams", str(size["loads"] + 64)]
    with Server(serve) as server:
        said = run([*command, "--port", str(server.port), "--pid", str(server.process.pid)])
    return dict(pair.split("=", 1) for pair in said[0] if "=" in pair)


class Bars:
    """The table of what is wanted."""

    def __init__(self):
        self.rows = []

    def add(self, what, has, wanted, is_met, command):
        self.rows.append([what, has, wanted, f"`{command}`", verdict(is_met)])


def us(value):
    return f"{value / 1000:.2f} ms" if value >= 1000 else f"{value:.1f} µs"


def looks_bars(bars, runs, streams):
    part = "observe --only looks"
    explained = {which: [one["explain", which] for one in runs] for which in ("oldest", "middle", "newest")}
    slowest = max(median(these, "endpoint_us") for these in explained.values())
    bars.add(f"any of {streams:,} streams explained, by its endpoint", us(slowest), "≤ 50 ms", slowest <= 50000, part)
    longest = max(float(one["endpoint_worst_us"]) for these in explained.values() for one in these)
    bars.add("the longest time that it took", us(longest), "≤ 50 ms", longest <= 50000, part)
    for order in ORDERS:
        for page in ("first", "last"):
            value = median([one["list", f"{order} {page}"] for one in runs], "endpoint_us")
            bars.add(f"a page of 100 streams, {order}, the {page} one, by its endpoint", us(value), "≤ 5 ms", value <= 5000,
                     part)
    value = median([one["list", "prefix none"] for one in runs], "us")
    bars.add("a page by a prefix that no key has", us(value), "≤ 5 ms", value <= 5000, part)
    value = median([one["scrape", ""] for one in runs], "endpoint_us")
    bars.add(f"a scrape with {streams:,} streams, by its endpoint", us(value), "≤ 1 ms", value <= 1000, part)


def other_bars(bars, runs):
    writers = [one["writers", ""] for one in runs]
    plain, looked = median(writers, "longest_us"), median(writers, "looked_longest_us")
    bars.add("the longest that a writer waits in 0.1 s, beside looks without a pause", f"{us(looked)}, without {us(plain)}",
             "≤ 1 ms more", looked - plain <= 1000, "observe --only writers")
    memory = median([one["memory", ""] for one in runs], "more_bytes")
    bars.add("memory of a stream, more than without", f"{memory:.1f} bytes", "≤ 32 bytes", memory <= 32,
             "observe --only memory")
    tails = [one["tails", ""] for one in runs]
    own, other = median(tails, "more_ns"), median(tails, "other_ratio")
    bars.add("an event on a stream with a tail, with all that shows it, more than without", us(own / 1000), "≤ 5 µs",
             own <= 5000, "observe --only tails")
    bars.add("an event on another stream, while a tail is open", f"{other:.3f} ×", "1 × (≤ 1.02)", other <= 1.02,
             "observe --only tails")


LOADS = {("load", False): "a broadcast load, and a scrape a second", ("load", True): "the same, and a console",
         ("pages", False): "live pages, and a scrape a second", ("pages", True): "the same, and a console"}


def load_bars(bars, loads):
    for key, said in loads.items():
        more = (float(said["observed_ratio"]) - 1) * 100
        low, high = ((float(said[name]) - 1) * 100 for name in ("ratio_low", "ratio_high"))
        bars.add(f"CPU of the server: {LOADS[key]}", f"{more:+.2f} % (quartiles {low:+.2f}, {high:+.2f})", "≤ 1 %", more <= 1,
                 f"{key[0]} --observed {said['pairs']}" + (" --console" if key[1] else ""))


def details(runs):
    rows = []
    for name, which in runs[0]:
        these = [one[name, which] for one in runs]
        if "worst_us" not in these[0]:
            continue
        fields = ["us", "worst_us", "endpoint_us", "endpoint_worst_us"]
        rows.append([f"{name} {which}".strip()] +
                    [us(median(these, field)) if field in these[0] else "–" for field in fields])
    return table(["look", "function, median", "the longest", "endpoint, median", "the longest"], rows)


def write(out, runs, loads, size, others):
    about = machine.describe(["libmicrohttpd12"])
    bars = Bars()
    looks_bars(bars, runs, size["streams"])
    other_bars(bars, runs)
    load_bars(bars, loads)
    writer, event, tail, weight = (lambda field, name=name: median([one[name, ""] for one in runs], field)
                                   for name in ("writers", "events", "tails", "memory"))
    missed = sum("no" in row[-1] for row in bars.rows)
    verdicts = "All bars are met." if not missed else f"**{missed} of {len(bars.rows)} bars are missed.**"
    text = f"""# What it costs to look in
Measured by `scripts/bench-observe` on {datetime.date.today()}: medians of {len(runs)} runs; others used {others:.0%} of the \
processors. {about["cpu"]}, {about["cpus"]} processors, Linux {about["kernel"]}, {about["compiler"]}; \
libmicrohttpd {about["packages"]["libmicrohttpd12"]}. {verdicts}

Compare within this page only: other machines, and other days, have other numbers. What is beside something was measured \
with it by turns, in one run.

## What is wanted
{table(["what", "measured", "wanted", "vestry-bench", "met"], bars.rows)}
## Looks
{details(runs)}
## What is in the figures
- **{size["streams"]:,} streams**: every other one is of a live page, the others have a key each; one in ten does not read, \
and has events in its queue. They are in memory, as the adapters' streams are but for their sockets: a look touches no socket. \
The first page of a listing and the last one; all streams are looked at for each.
- **An endpoint** is the whole request: routing, who may see it, the look, JSON. The longest of \
{size["turns"]} times is in the table above; it has what the scheduler does in it.
- **Writers**: a thread sends events, and opens and ends a stream for each 15 of them, while another thread lists, explains \
and scrapes without a pause: far more than people do. Each turn takes 0.1 s, with looks and without by turns. Of all turns, \
at p99.9: a send takes {us(writer("send_p999_us"))}, beside looks {us(writer("looked_send_p999_us"))}; a stream that comes \
and goes {us(writer("stream_p999_us"))}, beside looks {us(writer("looked_stream_p999_us"))}.
- **CPU** is that of the server's process, all of its threads, while {size["loads"]:,} streams over loopback sockets are sent \
events of 100 bytes as fast as it goes, or as many live pages of 10 kB change. The server is observed and not observed by \
turns of {size["rounds"]} events, or half as many changes, with the same streams. Observed: a scrape each second, and one \
at least in a turn, which takes less than that; a console has its stream open, and asks for the list of streams at each \
beat, as its script does. So on a machine that does other things too, turns take longer, and looks are a larger share. What \
the library counts whether it is observed or not is in both.
- **An event** in memory takes {event("plain_ns"):.0f} ns, and {event("more_ns"):.0f} ns more while something looks in, since \
one in 16 is timed: that is the part of it that grows with the load.
- **Memory** is what the instance's allocator gave out, with what malloc adds: a stream here takes \
{weight("stream_bytes"):.0f} bytes. What looks in takes {weight("observer_bytes") / 1e6:.1f} MB once, however many \
streams there are: the last 10,000 closes. A stream's own block is as large as before anything could look in (344 bytes): \
what was added stands where there were holes.
- **A tail** takes its event, makes JSON of it and sends it to its reader, in the same thread here, so all of it is in the \
figure. {tail("plain_ns"):.0f} ns an event without, {tail("tailed_ns"):.0f} ns with it.
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
