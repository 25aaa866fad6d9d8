#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes what run.py measured as a page: report.py RUNS.json DIRECTORY"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from page import median, table, verdict  # noqa: E402

LABELS = {"vestry": "the example cells", "node": "by hand on Node"}
TITLES = {"most": "as many as it serves, all scroll, brotli", "scroll": "all scroll, brotli",
          "rest": "none scrolls, brotli", "crowd": "all at one place, 10 writes/s, brotli",
          "plain": "all scroll, not encoded"}
QUIET_SHARE = 0.05  # what others may use of a machine that is to ourselves
PEAK_MS, TIMES = 200, 5


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
            rows.append([f"{int(runs[0]['viewers']):,} scrolling viewers, {runs[0]['writes']} writes a second: {what}",
                         f"{value:.1f} ms", f"≤ {PEAK_MS} ms", verdict(value <= PEAK_MS)])
    if ("rest", "vestry") in groups:
        runs = groups["rest", "vestry"]
        value = median(runs, "renders_per_change")
        rows.append([f"{int(runs[0]['viewers']):,} still viewers: renders a change, for all viewers of its part",
                     f"{value:.2f}", "≤ 1", verdict(value <= 1)])
        strays = sum(int(run["strays"]) for all_runs in groups.values() for run in all_runs)
        rows.append(["parts that came to a viewer that does not see them, in all runs", strays, "0", verdict(not strays)])
    for contest, title in TITLES.items():
        if (contest, "vestry") not in groups or (contest, "node") not in groups:
            continue
        runs, peer = groups[contest, "vestry"], groups[contest, "node"]
        value = median(runs, "viewers_per_core") / median(peer, "viewers_per_core")
        numbers = " and ".join(dict.fromkeys(f"{int(side[0]['viewers']):,}" for side in (runs, peer)))
        rows.append([f"viewers a processor, against Node by hand: {numbers} viewers, {TITLES[contest]}",
                     f"{value:.1f} ×", f"≥ {TIMES} ×", verdict(value >= TIMES)])
    return rows


HEAD = ["contest", "server", "its CPU", "viewers a processor", "change → viewer p50, p99, most", "answer p50, p99",
        "scrolled → window p50, p99", "renders a change", "MB/s", "memory", "a viewer", "the load's CPU"]


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
    """What the peer does better, in words; "" if nothing."""
    said = []
    for (contest, contender), runs in groups.items():
        if contender != "vestry" or (contest, "node") not in groups:
            continue
        peer = groups[contest, "node"]
        for field, what in (("seen_p50_ms", "the median of a change's delay"), ("seen_p99_ms", "its 99th percentile"),
                            ("answer_p50_ms", "the median of an answer's delay"), ("scroll_p50_ms", "that of a scroll"),
                            ("wire_mb_per_s", "bytes on the wire"), ("server_cores", "CPU")):
            if field in peer[0] and median(peer, field) < 0.95 * median(runs, field):
                said.append(f"{what} ({int(runs[0]['viewers']):,} viewers, {TITLES[contest]}: "
                            f"{median(runs, field):g} beside {median(peer, field):g})")
    return "Where the program by hand is the better one: " + "; ".join(said) + "." if said else ""


NOTES = """- **The board** is the [example cells](../examples/cells/cells.c): a million check boxes in SQLite, empty at first, \
with `synchronous = FULL`. A part is ten boxes by ten, some 7 kB of HTML; a viewer sees two parts by two, and has four by \
four. Viewers begin anywhere.
- **To scroll** is to go by one part, some way, every ten seconds: each time a stream is opened at another address, by a \
connection of its own, and the former one is closed, as the page's script does it. The viewer says which parts it has, \
and which content; the others come.
- **As many as it serves**: with so many viewers a change comes to a viewer within 200 ms at p99; the numbers were found \
by trying. With 1,000 viewers the program on Node had a p99 of 1.2 s in a run like these, and 0.1 s in shorter ones. The \
example keeps the bar with 8,000; with 10,000, and the streams that they leave, its connections run out.
- **A write** is a POST of a box that some viewer sees, with its nonce; it is on the disk when it is answered. A change's \
delay counts from when its POST was due until a viewer has its part decoded, and has that of the POST. What a browser \
takes to show it is not in it.
- **The viewers** are one thread of one program on the same processors. It decodes all that comes and reads every box. \
**A box that is missing, wrong, or of another part fails the run**, and in the end each viewer must show the whole \
truth. Each viewer loads its document first.
- **By hand on Node** is [one file](../bench/cells/cells.mjs) on Node's own http, SQLite and brotli: the same table and \
`synchronous`, a set of streams for each part, a part rendered once for all its streams and kept, parts that a viewer has not sent \
again, one transaction for what comes at once. It has no nonces, rates, tab's state, "saving…" nor policy. Its streams are compressed one by one, \
at quality 4 with a window of 256 kB: Node has nothing by which streams share what was compressed.
- hyperlith's own demo is not beside it: its Clojure libraries come from registries that were not to be had here. \
It renders for every viewer each time anything has changed.
- CPU of the server is that of its process, to hundredths of a second in all. Memory: its resident set at the end; and \
what it grew by while viewers came, for each."""


def write(result, out):
    groups = group(result["runs"])
    machine = result["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if version)
    if result["node"]:
        packages += f", Node {result['node']}"
    share = result["others_share"]
    noise = "" if share <= QUIET_SHARE else f" **Others used {share:.0%} of the processors meanwhile.**"
    repetitions = "one run of each" if result["repetitions"] == 1 else f"medians of {result['repetitions']} runs"
    parts = [f"""# A million cells

Viewers of a board of a million check boxes, two hundred durable writes a second: {repetitions}, {result['date']}, by \
`scripts/bench-cells`, on {machine['cpu']}, {machine['cpus']} processors, Linux {machine['kernel']}, {packages}.{noise}
""", "## What is wanted\n", table(["what", "has", "wanted", "met"], bars_rows(groups)), "## All of it\n",
             table(HEAD, contest_rows(groups)), worse(groups) + "\n", "## What is in the figures\n", NOTES + "\n"]
    with open(os.path.join(out, "bench-cells.md"), "w", encoding="utf-8") as page:
        page.write("\n".join(part for part in parts if part.strip()))


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as runs_file:
        write(json.load(runs_file), sys.argv[2])
