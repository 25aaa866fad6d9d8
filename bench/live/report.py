#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the results of run.py as a page: report.py RUNS.json DIRECTORY"""
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from page import interval, median, table, verdict  # noqa: E402

LABELS = {"microhttpd": "vestry, libmicrohttpd", "civetweb": "vestry, civetweb",
          "node": "TypeScript SDK on Node, 1 process", "floor": "bare batched sends of as many bytes"}
QUIET_SHARE = 0.05  # maximum share of other processes on a machine that counts as idle
PER_CHANGE, PER_EVENT = "cpu_us_per_page_and_change", "cpu_us_per_event"


class Runs:
    """Medians by contest and contender."""

    def __init__(self, runs):
        self.groups = {}
        for run in runs:
            self.groups.setdefault((run["contest"], run["contender"]), []).append(run)

    def has(self, contest, contender):
        return (contest, contender) in self.groups

    def get(self, contest, contender, field):
        return median(self.groups[(contest, contender)], field)

    def text(self, contest, contender, field):
        return self.groups[(contest, contender)][0][field]


def bar(what, value, form, wanted, met):
    return [what, form.format(value), wanted, verdict(met)]


def limit(runs, what, contest, contender, field, wanted, unit, form="{:,.4g}", scale=1.0):
    if not runs.has(contest, contender):
        return []
    value = runs.get(contest, contender, field) * scale
    return [bar(what, value, form + " " + unit, f"≤ {wanted:,.4g} {unit}", value <= wanted)]


def exact(runs, what, contest, contender, field, wanted):
    if not runs.has(contest, contender):
        return []
    value = runs.get(contest, contender, field)
    return [bar(what, value, "{:,g}", f"{wanted:,g}", value == wanted)]


def ratio(runs, what, contest, field, wanted):
    if not runs.has(contest, "microhttpd") or not runs.has(contest, "node"):
        return []
    value = runs.get(contest, "microhttpd", field) / runs.get(contest, "node", field)
    if runs.has(contest, "floor"):
        bare = runs.get(contest, "floor", field) / runs.get(contest, "node", field)
        what += f" (bare sends of as many bytes: {bare:.2f} ×)"
    return [bar(what, value, "{:.2f} ×", f"≤ {wanted:g} ×", value <= wanted)]


def waking(runs, alone):
    """The bar of a refresh that wakes a thread: 5 µs, or 1.1 × the minimum of the same run."""
    if not runs.has("refresh", alone):
        return []
    fields = ("asleep_ns", "handed_ns", "futex_ns", "unshown_ns")
    value, handed, futex, unshown = (runs.get("refresh", alone, field) / 1e3 for field in fields)
    wanted = max(5, 1.1 * handed)
    return [bar(f"the same: if no thread is awake, and one is woken; passing the topic's name to a bare thread takes "
                f"{handed:,.1f} µs after the same pause, its futex alone {futex:,.1f} µs, and a refresh that wakes no "
                f"thread {unshown:,.1f} µs", value,
                "{:,.1f} µs", f"≤ {wanted:,.1f} µs (5 µs, or 1.1 × the bare thread)", value <= wanted)]


def pages_of(runs, contest, contender):
    return f"{int(runs.text(contest, contender, 'pages')):,} pages" if runs.has(contest, contender) else ""


def sleeping(runs, contender, where):
    """The bar of the POSTs while a handler sleeps: the median of the pairs of all runs, with its interval."""
    if not runs.has("sleeper", contender):
        return []
    ratios = [float(ratio) for run in runs.groups["sleeper", contender] for ratio in run["post_ratios"].split(",")]
    value, (least, most) = statistics.median(ratios), interval(ratios)
    return [bar(f"a handler sleeps: the POSTs of others, p99 compared with the same without it{where}; {len(ratios)} "
                f"pairs, the median is between {least:.2f} and {most:.2f}", value, "{:.2f} ×", "≤ 1.1 ×", value <= 1.1)]


def last_byte(runs):
    """The p99 of the last byte: below a bound, or near the one of bare sends, which is that of the generator itself."""
    if not runs.has("shared", "microhttpd") or not runs.has("shared", "floor"):
        return []
    value, bare = (runs.get("shared", contender, "p99_ms") for contender in ("microhttpd", "floor"))
    return [bar(f"the same: last byte, p99 (the same bytes by bare sends: {bare:,.1f} ms)", value, "{:,.1f} ms",
                "≤ 70 ms, or ≤ 1.1 × bare sends", value <= 70 or value <= 1.1 * bare)]


def bars_rows(runs):
    """Return the rows of the targets, each with its verdict."""
    own, alone, rows = "microhttpd", "alone", []
    many = pages_of(runs, "shared", own)
    some = pages_of(runs, "private", own)
    rows += exact(runs, f"{many} on one topic, 10 kB shared, 1 % changes, brotli: renders per change", "shared", own,
                  "renders_per_change", 1)
    rows += exact(runs, "the same: encodings per change", "shared", own, "encodes_per_change", 1)
    rows += limit(runs, "the same: bytes per page, on the wire", "shared", own, "wire_bytes_per_event", 100, "bytes")
    rows += last_byte(runs)
    rows += limit(runs, "an additional message in a private page of 11.6 kB, brotli: bytes", "message", alone,
                  "wire_bytes", 250, "bytes")
    rows += limit(runs, "the same: time in addition to the handler", "message", alone, "us", 200, "µs")
    rows += limit(runs, "the same: memory that it keeps (an encoder would be 600 kB)", "message", alone,
                  "held_bytes", 250, "bytes")
    rows += limit(runs, "a render of 10 kB without change: time in addition to the handler", "unchanged", alone, "us",
                  5, "µs")
    rows += exact(runs, "the same: bytes sent", "unchanged", alone, "sent_bytes", 0)
    rows += limit(runs, "one changed row of 1,000 in a private page of 165 kB: bytes", "row", alone, "sent_bytes", 1000,
                  "bytes")
    rows += limit(runs, "the same: memory that the page keeps, for each row", "row", alone, "kept_bytes_a_row", 24,
                  "bytes")
    rows += ratio(runs, f"{some.replace(' pages', ' private pages')}, 20 changes per second: CPU per page and change, "
                  "compared with the TypeScript SDK", "private", PER_CHANGE, 0.5)
    rows += ratio(runs, "the same per received event, so that skipped changes are no advantage", "private",
                  PER_EVENT, 0.5)
    rows += ratio(runs, "the same with pages of 1 kB: per page and change", "private-small", PER_CHANGE, 0.5)
    rows += ratio(runs, "the same with pages of 1 kB: per received event", "private-small", PER_EVENT, 0.5)
    rows += exact(runs, "the same: pages that did not end in the last state", "private", own, "lost", 0)
    rows += limit(runs, "an idle page, in addition to its stream, its copied request and its kept render", "idle",
                  alone, "beyond_bytes", 200, "bytes")
    rows += limit(runs, "all kept renders together, bounded", "idle", alone, "kept_bytes", 67.1088640, "MB", "{:,.1f}",
                  1e-6)
    rows += limit(runs, f"a refresh of a topic with {pages_of(runs, 'refresh', alone)}, for the caller: if a thread is "
                  "awake", "refresh", alone, "awake_ns", 1, "µs", "{:,.3f}", 1e-3)
    rows += waking(runs, alone)
    for contender, where in ((own, ""), ("civetweb", ", civetweb")):
        rows += sleeping(runs, contender, where)
        rows += limit(runs, f"the same: time between two heartbeats of others, p99{where}", "sleeper", contender,
                      "beat_ratio", 1.1, "×", "{:.2f}")
    return rows


SOCKETS_HEAD = ["contest", "server", "CPU µs per page and change", "CPU µs per event", "events/s", "left out", "p50 ms",
                "p99 ms", "bytes", "renders per change", "encodings per change"]


def sockets_rows(runs):
    rows, before = [], None
    for (contest, contender), group in runs.groups.items():
        if contender == "alone" or contest == "sleeper":
            continue
        first = group[0]
        events, skipped = median(group, "events"), median(group, "skipped")
        title = f"{first['mode'] if contender != 'node' else 'private'}, {int(first['pages']):,} pages of " \
                f"{int(first['bytes']) / 1000:.1f} kB, {first['encoding']}"
        counted = "renders_per_change" in first
        rows.append([title if contest != before else "", LABELS[contender], f"{median(group, PER_CHANGE):.1f}",
                     f"{median(group, PER_EVENT):.1f}", f"{median(group, 'events_per_s'):,.0f}",
                     f"{100 * skipped / (events + skipped):.0f} %", f"{median(group, 'latency_p50_ms'):.1f}",
                     f"{median(group, 'p99_ms'):.1f}", f"{median(group, 'wire_bytes_per_event'):.0f}",
                     f"{median(group, 'renders_per_change'):,.0f}" if counted else "",
                     f"{median(group, 'encodes_per_change'):,.0f}" if counted else ""])
        before = contest
    return rows


SLEEPER_HEAD = ["server", "POST p50, p99 ms", "with the sleeper", "between heartbeats p99 ms", "with the \
sleeper", "POSTs",
                "heartbeats"]


def sleeper_rows(runs):
    rows = []
    for (contest, contender), group in runs.groups.items():
        if contest == "sleeper":
            post = [f"{median(group, f'post{when}p50_ms'):.3f}, {median(group, f'post{when}p99_ms'):.3f}"
                    for when in ("_", "_asleep_")]
            beat = [f"{median(group, f'beat{when}p99_ms'):.1f}" for when in ("_", "_asleep_")]
            rows.append([LABELS[contender], *post, *beat, f"{median(group, 'posts'):,.0f}",
                         f"{median(group, 'heartbeats'):,.0f}"])
    return rows


def alone_rows(runs):
    rows = []
    for contest, fields in {"refresh": ("awake_ns", "awake_p99_ns", "asleep_ns", "asleep_p99_ns",
                                        "handed_ns", "handed_p99_ns", "futex_ns", "unshown_ns"),
                            "unchanged": ("us", "p99_us"), "message": ("us", "p99_us", "wire_bytes", "held_bytes"),
                            "row": ("us", "whole_us", "sent_bytes", "whole_sent_bytes", "kept_bytes_a_row"),
                            "idle": ("stream_bytes", "request_bytes", "beyond_bytes", "kept_bytes")}.items():
        if runs.has(contest, "alone"):
            rows.append([contest, ", ".join(f"{field} {runs.get(contest, 'alone', field):,.5g}" for field in fields)])
    return rows


NOTES = """## Method
- **Over sockets**: server and load generator share the two processors, over loopback; each run has a separate server. \
`vestry-bench pages` opens the pages, changes their data by a POST, decodes encoded events, and checks every byte of \
every event. **A run fails if a page misses a change, receives two changes in the wrong order, or does not end in the \
last state.** Only under a fixed rate of changes may a page skip a change in favour of a later one.
- A page consists of a line of text that changes, and rows. Each render makes each row again, with `vestry_html_add`; \
the TypeScript SDK's server uses a template string. A change replaces 100 bytes of words and numbers in one place (50 \
bytes in pages of 1 kB).
- CPU is the user and system time of the server's process, including the handler, writes and the POST, divided by \
pages and changes, and by received events. If a change comes before the last one was written, vestry renders only the \
later one; *left out* is the share of changes that a page skipped in this way. The SDK's server renders and sends \
each change, and further changes wait.
- p50 and p99 are times from the beginning of the POST to the last byte at a page. In the shared contest the load \
generator reads and times all data, and decodes and checks it after the round, because in reality 10,000 other \
machines do this. events/s include this work.
- **Bare sends**: `vestry-bench floor --batched` sends as many bytes to as many streams, with one io_uring_enter(2) for \
256 of them, and without pages, renders or bounds. So its times are those of the load generator and of the kernel.
- bytes: the bytes on the wire for an event, including the framing of chunks. Encodings are counted by a coding that \
wraps brotli's.
- **While a handler sleeps**: the render of one private page sleeps for 1.5 s, on one of two threads, which a third \
one replaces meanwhile. At the same time clients POST new data of 50 private pages, 1,000 times per second (10 kB \
each, rendered at most every 15 ms), and 50 pages without changes have a heartbeat every 100 ms. Rounds of 1.2 s with \
and without the sleeping render alternate on the same server and the same streams. The run fails if the render did not \
sleep from the first POST of a round to the last. The ratio is the median of the pairs of all runs, and the interval \
contains it with a probability of 95 %.
- **Alone**: in one process, without sockets, over the memory adapter. The time in addition to the handler is the time \
for refresh, worker, request, hash, event, encoding, queue and transport, without the time in which the handler makes \
the content.
- **message**: an additional message of about 120 bytes in a list of 11.6 kB. held: the additional memory of the \
instance afterwards, without the longer content itself. It is negative if the previous render released more memory \
than the new one takes.
- **row**: one of 1,000 rows with an id changes in a private page of 165 kB, unencoded. us: the processor's time of \
the render with its handler, of the comparison and of the event. whole: the same page with `sends_whole`; both pages \
change in turns. kept: the list of the elements and the last event, for each row.
- **idle**: the memory of an instance for each page, counted by an injected allocator, including malloc's rounding and \
its header word. The memory of an equal stream without a page, and the copied request \
(`vestry_pages_stats.requests_bytes`), are subtracted. The tab has reported the content that it shows, so nothing was \
sent or stored. A page whose content was sent encoded keeps that render; all kept renders together are bounded by \
`max_kept_bytes`.
- **refresh**: the time in `vestry_refresh`. Awake: the later calls of a burst, while workers mark and render. Asleep: \
the first call after a pause: the system call that wakes a thread, and memory that left the processor's caches in the \
pause. The minimum is measured beside it: a bare program copies the name of the topic to memory that a sleeping thread \
reads, numbers it, and wakes the thread (handed). futex only wakes that thread. Before each of them all pages are \
rendered, the bare thread is woken, too, and all threads pause; the order rotates. So each finds the same caches. \
After a pause without renders the minimum is lower, because the kernel's part is still in the caches.

## Differences between the contestants
- **The TypeScript SDK** is the official one for Node, in one process with a generator for each stream. It has no \
pages, so its server renders the HTML of a page for each stream and patches it. It compares no renders, skips no \
changes, and its content has no id from which a stream could resume.
- **civetweb** has a thread for each stream.
"""


def page(result, runs):
    machine = result["machine"]
    versions = [f"{name} {version}" for name, version in machine["packages"].items() if version]
    versions += [f"Node {result['node']}"] * bool(result["node"])
    versions += [f"datastar-sdk {result['sdk']}"] * bool(result["sdk"])
    runs_text = "one run" if result["repetitions"] == 1 else f"medians of {result['repetitions']} runs"
    others, warning = f"{100 * result['others_share']:.0f} %", ""
    if result["others_share"] > QUIET_SHARE:
        warning = f"\n**Other programs used {others} of the processors meanwhile: compare with care.**\n"
    return f"""# Live pages
`scripts/bench-pages` wrote this page on {result['date']}: {runs_text}, interleaved, in {result['took_s'] / 60:.0f} \
minutes; other programs used {others} of the processors. {machine['cpu']}, {machine['cpus']} processors, Linux \
{machine['kernel']}, {machine['compiler']}; {', '.join(versions)}.
{warning}
Compare figures within this page only, because other machines and other days give other numbers.

## Targets
{table(["what", "measured", "target", "met"], bars_rows(runs))}
## Over sockets
{table(SOCKETS_HEAD, sockets_rows(runs))}
## While a handler sleeps
{table(SLEEPER_HEAD, sleeper_rows(runs))}
## Alone
{table(["contest", "medians"], alone_rows(runs))}
{NOTES}"""


def main():
    source, directory = sys.argv[1:]
    with open(source, encoding="utf-8") as measured:
        result = json.load(measured)
    with open(os.path.join(directory, "bench-pages.md"), "w", encoding="utf-8") as output:
        output.write(page(result, Runs(result["runs"])))


main()
