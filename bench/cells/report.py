#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the results of run.py as a page: report.py RUNS.json DIRECTORY"""
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from page import interval, median, table, verdict  # noqa: E402

LABELS = {"vestry": "the example cells", "node": "handwritten on Node", "floor": "bare C: the same commits and sends"}
TITLES = {"most": "as many as it serves, all scroll, brotli", "scroll": "all scroll, brotli",
          "rest": "none scrolls, brotli", "crowd": "all at one place, 10 writes/s, brotli",
          "plain": "all scroll, not encoded"}
QUIET_SHARE = 0.05  # maximum share of other processes on a machine that counts as idle
PEAK_MS = 200
PAIRS_LEAST = 9  # with as many runs, the ratio is the median of the ratios of pairs, and has an interval of 95 %
TIMES = {"most": 5, "scroll": 5, "rest": 4, "crowd": 5, "plain": 2.5}
FLOOR_SHARE = 1 / 1.1  # of the floor, where that is lower than the target


def group(runs):
    groups = {}
    for run in runs:
        groups.setdefault((run["contest"], run["contender"]), []).append(run)
    return groups


def bars_rows(groups):
    rows = []
    if ("scroll", "vestry") in groups:
        runs = groups["scroll", "vestry"]
        for field, what in (("seen_p99_ms", "change → viewer, p99"), ("last_p99_ms", "change → its last viewer, p99")):
            value = median(runs, field)
            rows.append([f"{int(runs[0]['viewers']):,} scrolling viewers, {runs[0]['writes']} writes per second: {what}",
                         f"{value:.1f} ms", f"≤ {PEAK_MS} ms", verdict(value <= PEAK_MS)])
    if ("rest", "vestry") in groups:
        runs = groups["rest", "vestry"]
        value = median(runs, "renders_per_change")
        rows.append([f"{int(runs[0]['viewers']):,} viewers that do not scroll: renders per change, for all viewers of "
                     "its part", f"{value:.2f}", "≤ 1", verdict(value <= 1)])
        strays = sum(int(run["strays"]) for all_runs in groups.values() for run in all_runs)
        rows.append(["parts sent to a viewer that does not see them, in all runs", strays, "0", verdict(not strays)])
    for contest, title in TITLES.items():
        if (contest, "vestry") not in groups or (contest, "node") not in groups:
            continue
        runs, peer = groups[contest, "vestry"], groups[contest, "node"]
        value, pairs = median(runs, "viewers_per_core") / median(peer, "viewers_per_core"), ""
        if len(runs) >= PAIRS_LEAST and len(runs) == len(peer):
            ratios = [float(one["viewers_per_core"]) / float(other["viewers_per_core"])
                      for one, other in zip(runs, peer)]
            value, (least, most) = statistics.median(ratios), interval(ratios)
            pairs = f" ({least:.1f} to {most:.1f})"
        numbers = " and ".join(dict.fromkeys(f"{int(side[0]['viewers']):,}" for side in (runs, peer)))
        target, wanted, bare = TIMES[contest], f"≥ {TIMES[contest]} ×", ""
        if (contest, "floor") in groups:
            floor = median(groups[contest, "floor"], "viewers_per_core") / median(peer, "viewers_per_core")
            bare = f" (bare C: {floor:.1f} ×)"
            if floor * FLOOR_SHARE < target:
                target, wanted = floor * FLOOR_SHARE, f"{wanted}, or {FLOOR_SHARE:.2f} of bare C"
        rows.append([f"viewers per processor, compared with the program on Node: {numbers} viewers, {TITLES[contest]}"
                     f"{bare}", f"{value:.1f} ×{pairs}", wanted, verdict(value >= target)])
    return rows


HEAD = ["contest", "server", "its CPU", "viewers per processor", "change → viewer p50, p99, max", "answer p50, p99",
        "scrolled → window p50, p99", "renders per change", "MB/s", "memory", "memory per viewer",
        "CPU of the load generator"]


def times(runs, name, fields):
    if f"{name}_p50_ms" not in runs[0]:
        return "–"
    return ", ".join(f"{median(runs, f'{name}_{field}_ms'):.1f}" for field in fields) + " ms"


def contest_rows(groups):
    rows = []
    for (contest, contender), runs in groups.items():
        rows.append([f"{int(runs[0]['viewers']):,} viewers, {TITLES[contest]}", LABELS[contender],
                     f"{median(runs, 'server_cores'):.3f} cores", f"{median(runs, 'viewers_per_core'):,.0f}",
                     times(runs, "seen", ("p50", "p99", "max")), times(runs, "answer", ("p50", "p99")),
                     times(runs, "scroll", ("p50", "p99")), f"{median(runs, 'renders_per_change'):.2f}",
                     f"{median(runs, 'wire_mb_per_s'):.2f}", f"{median(runs, 'rss_mb'):.0f} MB",
                     f"{median(runs, 'kib_per_viewer'):,.0f} KiB", f"{median(runs, 'load_cores'):.3f} cores"])
    return rows


def worse(groups):
    """Return the results in which the peer is better with equal numbers of viewers, as text; "" if there are none."""
    said = []
    for (contest, contender), runs in groups.items():
        if contender != "vestry" or (contest, "node") not in groups:
            continue
        peer = groups[contest, "node"]
        if peer[0]["viewers"] != runs[0]["viewers"]:
            continue  # totals of different numbers of viewers cannot be compared
        for field, what in (("seen_p50_ms", "the median of a change's delay"), ("seen_p99_ms", "its 99th percentile"),
                            ("answer_p50_ms", "the median of an answer's delay"), ("scroll_p50_ms", "that of a scroll"),
                            ("wire_mb_per_s", "bytes on the wire"), ("server_cores", "CPU")):
            if field in peer[0] and median(peer, field) < 0.95 * median(runs, field):
                said.append(f"{what} ({int(runs[0]['viewers']):,} viewers, {TITLES[contest]}: "
                            f"{median(runs, field):g} compared with {median(peer, field):g})")
    if not said:
        return ""
    return "With equal numbers of viewers, the handwritten program is better in: " + "; ".join(said) + "."


NOTES = """- **Runs**: each contest runs three times, and the one without scrolling nine times, because its ratio is \
close to the target. That ratio is the median of the ratios of the pairs, with its interval of 95 %.
- **The board** is the [example cells](../examples/cells/cells.c): a million check boxes in SQLite, \
initially empty, with `synchronous = FULL`. A part has ten by ten boxes, about 7 kB of HTML. A viewer sees two by two \
parts, and has loaded four by four. Viewers begin at random places.
- **Scrolling**: every ten seconds a viewer moves by one part in a random direction. It opens a stream at another \
address, on a new connection, and closes the previous one, as the page's script does. The viewer reports the parts \
that it has, with their content, and receives the others.
- **As many as it serves**: the number of viewers with which a change reaches a viewer within 200 ms at p99, found by \
trial. With 1,000 viewers, the program on Node had a p99 of 1.2 s in such a run, and 0.1 s in shorter ones. The \
example meets the target with 8,000 viewers; with 10,000 viewers, and the previous streams that are still closing, \
its connections run out.
- **A write** is a POST of a box that at least one viewer sees, with its nonce; the data is on the disk before the \
answer. The delay of a change runs from the time when its POST was due until a viewer has decoded the part, so it \
includes the delay of the POST. It does not include the time in which a browser displays the part.
- **The viewers** run in one thread of one program on the same processors. It decodes all data and checks every box. \
**A box that is missing, wrong, or of another part fails the run**, and at the end each viewer must show the correct \
state of all its boxes. Each viewer loads its document first.
- **Handwritten on Node** is [one file](../bench/cells/cells.mjs) with Node's own http, SQLite and brotli. It uses the \
same table and `synchronous`, a set of streams for each part, and one transaction for all writes that arrive at once. \
It renders a part once for all its streams and keeps it, and does not resend parts that a viewer has. It has no \
nonces, rates, state of tabs, "saving…" or policy. Each stream is compressed separately, at quality 4 with a window \
of 256 kB, because Node cannot share compressed data between streams.
- **Bare C** (`vestry-bench floor --batched --cells`) shows how many viewers a server could have at most: one thread \
commits the same statements by the same SQLite, with `synchronous = FULL` and before the answer, and sends the same \
HTML to the streams that show the part, with one io_uring_enter(2). It accepts the same requests and connections, \
sends a new stream the parts that its viewer lacks, and is checked in the same way. The HTML of a part stays in \
memory, and a change moves a few bytes in it: it queries, renders and compares nothing, and has no nonces, rates, \
"saving…", heartbeats or bounds. For brotli, it encodes a changed part once for all streams, by libbrotlienc at \
quality 1, which takes the least time and 60% more bytes than quality 3.
- hyperlith's own demo was not measured, because its Clojure libraries come from registries that were not accessible \
here. It renders the page of every viewer at each change.
- CPU of the server is that of its process; its sum is exact to hundredths of a second. Memory is its resident \
set at the end. Memory per viewer is the growth of the resident set while the viewers connected, divided by their \
number."""


def write(result, out):
    groups = group(result["runs"])
    machine = result["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if version)
    if result["node"]:
        packages += f", Node {result['node']}"
    share = result["others_share"]
    noise = "" if share <= QUIET_SHARE else f" **Other programs used {share:.0%} of the processors meanwhile.**"
    repetitions = "one run of each" if result["repetitions"] == 1 else f"medians of {result['repetitions']} runs"
    parts = [f"""# A million cells

`scripts/bench-cells` measured the viewers of a board of a million check boxes, with two hundred durable writes per \
second: {repetitions}, {result['date']}, on {machine['cpu']}, {machine['cpus']} processors, Linux \
{machine['kernel']}, {packages}.{noise}
""", "## Targets\n", table(["what", "measured", "target", "met"], bars_rows(groups)), "## All results\n",
             table(HEAD, contest_rows(groups)), worse(groups) + "\n", "## Method\n", NOTES + "\n"]
    with open(os.path.join(out, "bench-cells.md"), "w", encoding="utf-8") as page:
        page.write("\n".join(part for part in parts if part.strip()))


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as runs_file:
        write(json.load(runs_file), sys.argv[2])
