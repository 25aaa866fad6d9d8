#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The cost of pages over SQLite, as a page of Markdown: report.py BUILD_DIRECTORY OUT_DIRECTORY RUNS"""
import datetime
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import machine  # noqa: E402
from page import interval, median, table, verdict  # noqa: E402

ROUNDS = 4000  # of each run: many short ones, because addresses in memory differ between runs
LEVELS = ["tables", "pages"]
NAMES = {"commit": "an insert that commits", "tab-read": "the state of a tab is read",
         "tab-write": "the state of a tab is written"}
BARS = {"commit": 1.05, "tab-read": 1.2, "tab-write": 1.2}


def measure(bench):
    """Return (level, operation) → its measured values. Each level runs in a separate process."""
    found = {}
    for level in LEVELS:
        command = [bench, "sqlite", "--level", level, "--rounds", str(ROUNDS)]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        for name, *pairs in (line.split() for line in said.splitlines()):
            found[level, name] = dict(pair.split("=") for pair in pairs)
    return found


def main():
    build, out, count = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    before = machine.processor_seconds()
    runs = [measure(f"{build}/bin/vestry-bench") for _ in range(count)]
    others = machine.others_share(before, machine.processor_seconds())
    about = machine.describe(["libsqlite3-0"])
    wanted, rows = [], []
    for name, what in NAMES.items():
        for level in LEVELS:
            these = [run[level, name] for run in runs]
            ratio, (least, most) = median(these, "ratio"), interval([float(one["ratio"]) for one in these])
            floor = median(these, "hooks_ratio")
            bar = BARS[name] if name == "commit" else max(BARS[name], 1.1 * floor)
            wanted.append([f"{what}, level {level} (by hand: {floor:.3f} ×)",
                           f"{ratio:.3f} × ({least:.3f} to {most:.3f})",
                           f"≤ {BARS[name]} ×" + ("" if name == "commit" else ", or 1.1 × that by hand"),
                           verdict(ratio <= bar)])
            rows.append([what, level] + [f"{median(these, field):.2f}" for field in ("bare_us", "us", "bare_p90", "p90")])
    seen = [run[level, "others"] for run in runs for level in LEVELS]
    last_ms = max(float(one["max_ms"]) for one in seen)
    wanted.append(["a commit of another process is detected: the slowest of all", f"{last_ms:.0f} ms", "≤ 200 ms",
                   verdict(last_ms <= 200)])
    text = f"""# Pages over SQLite
`scripts/bench-sqlite` wrote this page on {datetime.date.today()}: medians of {count} runs, with their interval of \
95 %; other programs used {others:.0%} \
of the processors. {about["cpu"]}, {about["cpus"]} processors, Linux {about["kernel"]}, {about["compiler"]}; SQLite \
{about["packages"]["libsqlite3-0"]}.

Two databases have the same rows, in WAL mode with `synchronous` NORMAL: 10,000 messages with an index, and 1,000 \
states of tabs of 300 bytes. vestry follows only one of them. Both execute the same prepared statements alternately, \
20 times each, in one process and one run; a run's ratio is the median of the ratios of {ROUNDS // 20} pairs of such \
blocks. No page is open meanwhile, so the figures show the cost of the hooks without renders.

So does a third program, by hand, which does the least that the same result requires. It has the hooks of a followed \
connection. They note the row that a transaction changes, and when the commit is visible, they pass it to a thread \
that looks every millisecond. It reads and writes a state only before its end, and two pairs of a mutex \
stand for a connection that several threads share. Before it writes a state, it also looks at its file and WAL, by two \
fstat: without this, rows would be lost if others removed the file or cut the WAL.

Compare figures within this page only, because other machines and other days give other numbers.

## Targets
{table(["what", "measured", "target", "met"], wanted)}
## Microseconds
{table(["what", "level", "bare, median", "vestry, median", "bare, p90", "vestry, p90"], rows)}
The states of tabs are in a pool. Beside the bare statement, their read takes a connection from the pool and compares \
the time with the end of the state; their write also takes the turn to write, checks that the file was not removed and \
that the WAL was not cut (two system calls), and reports whether the row was found. The bare statements do none of \
this; the program by hand does.

A commit of another process is detected after {median(seen, "p50_ms"):.0f} ms (median); `poll_ms` is 50, its default. \
The id of a request's tab is verified once for each request, which takes half a microsecond and is not included.
"""
    (out / "bench-sqlite.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
