#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes what run.py measured as a page: report.py RUNS.json DIRECTORY"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from page import median, table, verdict  # noqa: E402

LABELS = {"microhttpd": "vestry, libmicrohttpd", "civetweb": "vestry, civetweb",
          "node": "TypeScript SDK on Node, 1 process"}
QUIET_SHARE = 0.05  # what others may use of a machine that is to ourselves
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
    return [bar(what, value, "{:.2f} ×", f"≤ {wanted:g} ×", value <= wanted)]


def pages_of(runs, contest, contender):
    return f"{int(runs.text(contest, contender, 'pages')):,} pages" if runs.has(contest, contender) else ""


def bars_rows(runs):
    """What is wanted, and whether it was met."""
    own, alone, rows = "microhttpd", "alone", []
    many = pages_of(runs, "shared", own)
    some = pages_of(runs, "private", own)
    rows += exact(runs, f"{many} on one topic, 10 kB shared, 1 % changes, brotli: renders a change", "shared", own,
                  "renders_per_change", 1)
    rows += exact(runs, "the same: encodings a change", "shared", own, "encodes_per_change", 1)
    rows += limit(runs, "the same: bytes a page, on the wire", "shared", own, "wire_bytes_per_event", 100, "bytes")
    rows += limit(runs, "the same: last byte, p99", "shared", own, "p99_ms", 100, "ms")
    rows += limit(runs, "one message more in a private page of 11.6 kB, brotli: bytes", "message", alone, "wire_bytes",
                  250, "bytes")
    rows += limit(runs, "the same: beyond the handler", "message", alone, "us", 200, "µs")
    rows += limit(runs, "the same: memory that it leaves behind (an encoder would be 600 kB)", "message", alone,
                  "held_bytes", 250, "bytes")
    rows += limit(runs, "a render of 10 kB without change: beyond the handler", "unchanged", alone, "us", 5, "µs")
    rows += exact(runs, "the same: bytes sent", "unchanged", alone, "sent_bytes", 0)
    rows += ratio(runs, f"{some} of one's own, 20 changes a second: CPU a page and change, against the TypeScript SDK",
                  "private", PER_CHANGE, 0.5)
    rows += ratio(runs, "the same by events that arrived, so that nothing is gained by leaving changes out", "private", PER_EVENT, 0.5)
    rows += ratio(runs, "the same with pages of 1 kB: a page and change", "private-small", PER_CHANGE, 0.5)
    rows += ratio(runs, "the same with pages of 1 kB: by events that arrived", "private-small", PER_EVENT, 0.5)
    rows += exact(runs, "the same: pages that did not end up with the last state", "private", own, "lost", 0)
    rows += limit(runs, "an idle page, beyond its stream, its copied request and its kept render", "idle", alone,
                  "beyond_bytes", 200, "bytes")
    rows += limit(runs, "kept renders of all, bounded", "idle", alone, "kept_bytes", 67.1088640, "MB", "{:,.1f}", 1e-6)
    rows += limit(runs, f"a refresh of a topic with {pages_of(runs, 'refresh', alone)}, for the caller: a thread is awake",
                  "refresh", alone, "awake_ns", 1, "µs", "{:,.3f}", 1e-3)
    rows += limit(runs, "the same: none is, and one is woken", "refresh", alone, "asleep_ns", 1, "µs", "{:,.1f}", 1e-3)
    for contender, where in ((own, ""), ("civetweb", ", civetweb")):
        rows += limit(runs, f"a handler sleeps 5 s: the POSTs of others, p99 against the same without it{where}", "sleeper",
                      contender, "post_ratio", 1.1, "×", "{:.2f}")
        rows += limit(runs, f"the same: time between two heartbeats of others, p99{where}", "sleeper", contender,
                      "beat_ratio", 1.1, "×", "{:.2f}")
    return rows


SOCKETS_HEAD = ["contest", "server", "CPU µs a page and change", "CPU µs an event", "events/s", "left out", "p50 ms",
                "p99 ms", "bytes", "renders a change", "encodings a change"]


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


SLEEPER_HEAD = ["server", "POST p50, p99 ms", "with the sleeper", "between heartbeats p99 ms", "with the sleeper", "POSTs",
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
    for contest, fields in {"refresh": ("awake_ns", "awake_p99_ns", "asleep_ns", "asleep_p99_ns"),
                            "unchanged": ("us", "p99_us"), "message": ("us", "p99_us", "wire_bytes", "held_bytes"),
                            "idle": ("stream_bytes", "request_bytes", "beyond_bytes", "kept_bytes")}.items():
        if runs.has(contest, "alone"):
            rows.append([contest, ", ".join(f"{field} {runs.get(contest, 'alone', field):,.5g}" for field in fields)])
    return rows


NOTES = """## What is measured
- **Over sockets**: server and load generator share the two processors, over loopback; each run has a server of its \
own. `vestry-bench pages` opens the pages, changes what they show by a POST, and checks every byte of every event, \
decoded where it is encoded. **A run in which a page misses a change, has two in disorder or does not end up with the \
last state fails**; only at a rate of changes may a page leave some out for later ones.
- A page is a line of text that changes, and rows. Each row is made anew in each render, by `vestry_html_add`; in the \
TypeScript SDK's server by a template string. The change is 100 bytes of words and numbers, all new, in one place \
(50 in pages of 1 kB).
- CPU is the server's process' own and system time, the handler, writing and the POST included: by pages and changes, \
and by events that arrived. Where a change comes before the last one could be written, vestry renders the later one \
only: *left out* are the changes that a page did not see for that. The SDK's server renders and sends each one, and \
changes wait for it.
- p50 and p99 are from the beginning of the POST to the last byte at a page. In the shared contest the load generator \
reads and times what comes, and decodes and checks all of it behind the round: in a real round 10,000 machines do that, \
and none of them is the server. events/s include it. bytes: on the wire for an event, chunks' \
framing included. Encodings are counted by a coding that wraps brotli's.
- **While a handler sleeps**: one private page's render sleeps for 5 s, on one of two threads. Meanwhile others POST, \
500 times a second, what 50 pages of one's own show (10 kB each, rendered at most every 15 ms), and 50 that show nothing \
new have a heartbeat every 100 ms. Rounds of 4 s with and without the sleeper take turns on the same server and the same \
streams; one in which it did not sleep from the first POST to the last fails the run.
- **Alone**: in one process, without sockets, over the memory adapter. Beyond the handler: all but the time in which \
the handler makes its content: refresh, worker, request, hash, event, encoding, queue and transport.
- **message**: one more message of some 120 bytes in a list of 11.6 kB. held: what the instance holds more afterwards, \
the longer content itself not counted; it is less than nothing where more was freed with the former render than the \
new one takes.
- **idle**: what an instance holds for each page, by an injected allocator, with what malloc rounds up to and the word \
that it keeps; less that of an equal stream that is none of a page, and less the copied request \
(`vestry_pages_stats.requests_bytes`). Its tab said what it has, so that nothing was sent or kept. A page that was sent \
something, encoded, keeps that render, up to `max_kept_bytes` of all.
- **refresh**: the time in `vestry_refresh`. Awake: of a burst's later calls, while workers mark and render. Asleep: the \
first after a pause; it is the system call that wakes a thread.

## What is not alike
- **The TypeScript SDK** is the official one for Node, one process, a generator a stream. It has no pages: here its \
server renders a page's HTML for each stream and patches it. It compares nothing, leaves nothing out, and its content \
has no id to be resumed by.
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
        warning = f"\n**Others used {others} of the processors meanwhile: compare with care.**\n"
    return f"""# Live pages
Measured by `scripts/bench-pages` on {result['date']}: {runs_text}, interleaved, in {result['took_s'] / 60:.0f} \
minutes; others used {others} of the processors. {machine['cpu']}, {machine['cpus']} processors, Linux \
{machine['kernel']}, {machine['compiler']}; {', '.join(versions)}.
{warning}
Compare within this page only: other machines, and other days, have other numbers.

## What is wanted
{table(["what", "has", "wanted", "met"], bars_rows(runs))}
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
