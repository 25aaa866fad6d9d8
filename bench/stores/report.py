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
    "vestry": "vestry lru",
    "vestry-hash": "vestry hash",
    "rocksdb": "RocksDB LRUCache, 64 shards",
    "uthash": "mutex + uthash",
    "tbb": "TBB concurrent_hash_map",
    "tbb-product": "TBB, hash of 3 products",
    "caffeine-pool": "Caffeine, default executor",
    "caffeine-caller": "Caffeine, Runnable::run",
}
BIG = 1000000
TICKS_PER_IDLE = 4096
MEDIANS_HEAD = ["contest", "contender", "Mops/s", "from–to", "ns", "CPU ns", "hits", "p99.9", "bytes/entry"]
QUIET_SHARE = 0.05  # what others may use of a machine that is to ourselves

SESSION_BYTES_AT_BIG = 132

# What is wanted: this, against that, at least so many times as much. (contender, workload, capacity, threads, api, keys)
BARS = [
    (("vestry", "churn", 10000, 2, "get", "session"), ("rocksdb", "churn", 10000, 2, "get", "session"), 1.2),
    (("vestry", "churn", 10000, 1, "get", "session"), ("uthash", "churn", 10000, 1, "get", "session"), 1.3),
    (("vestry", "churn", 10000, 2, "get", "session"), ("caffeine-pool", "churn", 10000, 2, "get", "session"), 4),
    (("vestry", "churn", 10000, 2, "get", "session"), ("caffeine-caller", "churn", 10000, 2, "get", "session"), 4),
    (("vestry", "zipf", 10000, 2, "get", "session"), ("rocksdb", "zipf", 10000, 2, "get", "session"), 1.5),
    (("vestry", "hit", 10000, 2, "get", "session"), ("tbb", "hit", 10000, 2, "get", "session"), 0.95),
    (("vestry", "hit", 10000, 2, "with", "session"), ("tbb", "hit", 10000, 2, "with", "session"), 1.2),
    (("vestry", "churn", BIG, 2, "get", "session"), ("rocksdb", "churn", BIG, 2, "get", "session"), 1.8),
    (("vestry", "hit", 10000, 200, "get", "session"), ("vestry", "hit", 10000, 2, "get", "session"), 0.8),
    (("vestry", "churn", 10000, 200, "get", "session"), ("vestry", "churn", 10000, 2, "get", "session"), 0.8),
    (("vestry", "churn", 10000, 2, "get", "bytes"), ("rocksdb", "churn", 10000, 2, "get", "bytes"), 1.1),
]


def group(runs):
    """Runs by (contender, workload, capacity, threads, api, keys), in the order in which they came."""
    groups = {}
    for run in runs:
        contest = run["contest"]
        key = (run["contender"], contest["workload"], contest["capacity"], contest["threads"], contest["api"],
               contest["keys"])
        groups.setdefault(key, []).append(run)
    return groups


def title(workload, capacity, threads, api, keys):
    threads_text = "1 thread" if threads == 1 else f"{threads} threads"
    keys_text = "" if keys == "session" else ", keys of 16 bytes"
    return f"{workload}{' (with)' if api == 'with' else ''}, {capacity:,} entries, {threads_text}{keys_text}"


def bars_rows(groups):
    rows = []
    for this, that, wanted in BARS:
        if this not in groups or that not in groups:
            continue
        ratio = median(groups[this], "mops") / median(groups[that], "mops")
        best = max(float(run["mops"]) for run in groups[this]) / max(float(run["mops"]) for run in groups[that])
        against = title(*that[1:]) if that[0] == this[0] else LABELS[that[0]]
        rows.append([f"{LABELS[this[0]]}: {title(*this[1:])}", against, f"{ratio:.2f} ×", f"{best:.2f} ×", f"≥ {wanted:g} ×",
                     "**by medians alone**" if ratio >= wanted > best else verdict(ratio >= wanted)])
    return rows


def lost_rows(groups):
    """Where a rival does more than vestry."""
    best = {}
    for (contender, *contest), runs in groups.items():
        best.setdefault(tuple(contest), {})[contender] = median(runs, "mops")
    rows = []
    for contest, by_contender in best.items():
        own = by_contender.get("vestry")
        for contender, mops in sorted(by_contender.items(), key=lambda pair: -pair[1]):
            if own and mops > own and not contender.startswith("vestry"):
                rows.append([title(*contest), LABELS[contender], f"{own:.1f}", f"{mops:.1f}", f"{own / mops:.2f} ×"])
    return rows


def limit_row(what, value, unit, limit):
    return [what, "", f"{value:.3g} {unit}", "", f"≤ {limit:.3g} {unit}", verdict(value <= limit)]


def limits_rows(groups):
    rows = []
    idle = groups.get(("vestry", "idle", BIG, 1, "get", "session"))
    if idle:
        two_ticks_ms = 2 * median(idle, "idle_ms") / TICKS_PER_IDLE
        rows.append(limit_row("idle: lateness, p99 (two ticks)", median(idle, "lateness_p99_ms"), "ms", two_ticks_ms))
        rows.append(limit_row("idle: foreground p99 during expiry (3 × quiet)", median(idle, "foreground_p99_us"), "µs",
                              3 * median(idle, "foreground_quiet_p99_us")))
    big = groups.get(("vestry", "churn", BIG, 2, "get", "session"))
    if big:
        rows.append(limit_row("memory at 1,000,000 entries", median(big, "bytes_per_entry"), "bytes an entry",
                              SESSION_BYTES_AT_BIG))
    return rows


def medians_rows(groups):
    rows, before = [], None
    for key, runs in groups.items():
        contender, *contest = key
        values = sorted(float(run["mops"]) for run in runs)
        more = f"{median(runs, 'p999_us'):.2f} µs" if "p999_us" in runs[0] else ""
        hits = f"{100 * median(runs, 'hit_ratio'):.1f} %" if contest[0] in ("zipf", "mixed") else ""
        rows.append([title(*contest) if contest != before else "", LABELS[contender],
                     f"{statistics.median(values):.2f}", f"{values[0]:.2f}–{values[-1]:.2f}",
                     f"{median(runs, 'ns_per_op'):.0f}", f"{median(runs, 'cpu_ns_per_op'):.0f}", hits, more,
                     f"{median(runs, 'bytes_per_entry'):.0f}"])
        before = contest
    return rows


def idle_text(groups):
    idle = groups.get(("vestry", "idle", BIG, 1, "get", "session"))
    if not idle:
        return ""
    cells = [f"{median(idle, field):.3f}" for field in
             ("lateness_p50_ms", "lateness_p99_ms", "lateness_max_ms", "foreground_quiet_p99_us", "foreground_p99_us")]
    return "## Idle\n" + f"""{BIG:,} entries, put over half of an idle time of {median(idle, 'idle_ms'):.0f} ms, \
expire with no traffic of their own, on a driver, while one thread uses 10,000 others.

""" + table(["lateness p50, ms", "p99, ms", "max, ms", "foreground p99 when quiet, µs", "during expiry, µs"],
            [cells]) + "\n"


# Measured by hand, beside a run; scripts/bench-store does not repeat it.
BOUNDS = """## What bounds it
Of one day, 2026-11-20, on the machine of this page, mostly near, medians of 4 or 5 interleaved runs of 0.4 s, ns an operation; \
so compare within a table. A store is stripped by taking a few lines out of a copy of the source, and is no store any more.

| get, 10,000 entries | 1 thread | 2 threads | look in place, 2 threads |
| --- | --- | --- | --- |
| vestry lru | 41.9 | 49.7 | 38.9 |
| its key copied as the peers' 48 bytes are, instead of packed from scope and parts | 34.4 | 46.0 | |
| and hashed without a secret, by TBB's three products | 33.0 | 39.1 | 31.0 |
| the usual key; no clock, no note of uses, nobody due | 39.2 | 45.7 | 34.9 |
| all of these taken away | 30.4 | 34.2 | 26.9 |
| and the lock, too | 29.5 | | |
| TBB concurrent_hash_map | 36.6 | 47.7 | 40.5 |

- **Look in place** is level with TBB near (the best runs), 1.4 to 1.5 × far, and 1.2 × is wanted. It would have that (1.31 ×) \
with keys that come ready and a hash without a secret, and 1.5 × without time and order: about 8 ns are the price of keys \
as applications write them and of floods that do no harm, and 4 that of an exact order of use and idle expiry.
- **The secret by itself** costs 1.5 ns. What costs is the packing: 200 of a look-up's 500 instructions, the harness's \
and the clock's not counted.
- **A get beside a look in place** costs 11 ns more: two locked operations on the connection's count, which TBB's get pays \
too. A locked operation takes 4.8 ns by itself here, whatever the line's place in the caches, and overlaps with loads, not \
with another. The shard's lock taken away gains a get on one thread nothing (42.4 and 42.4).
- **The caches**: with 1,000 entries a get takes 31.4 ns and TBB's 34.3. With 10,000 the 2 MB of entries, index and \
connections are twice the processor's second cache, and a get waits 10 ns for lines. TBB waits 2: it has 200 \
instructions, so that one look-up fetches while the one before waits. (A loop of loads and idle instructions shows it: \
they overlap with none between them, in part with 100, not at all with 250.)

| put that evicts, 10,000 entries | 1 thread | 2 threads |
| --- | --- | --- |
| vestry lru | 57.0 | 98.5 |
| its key copied as the peers' are | 54.0 | 88.5 |
| and hashed without a secret | 53.9 | 86.6 |
| and without a clock | 52.5 | 84.1 |
| mutex + uthash | 73.1 | 367 |
| RocksDB LRUCache, 64 shards | 75.8 | 109.5 |

- **churn on one thread**: five locked operations take 24 of the 57 ns. Four of them are the connection's (referenced, \
closed, dropped twice), 19 ns that every contender pays. Without them uthash takes 54 and vestry 38, 1.4 × ; with them \
it is 1.28 to 1.30.
- **churn on two threads** costs 41 ns more than on one: half of the lines (the lock's, the victim's entry, its neighbours', \
two buckets, the connection) are the other processor's, each fetched because another was read. RocksDB pays 34. In \
this run vestry has 1.11 ×; with keys that come ready it would have 1.24 ×, and 1.26 × without a secret.

How: `vestry-bench store --workload hit|churn --threads 1|2 --api get|with` beside `peer-*`; `valgrind --tool=callgrind \
--dump-instr=yes` for instructions; `perf record -e cpu-clock` for where they wait (this machine lends no counters).

Tried without gain: fetching the entry by an unlocked look at the bucket, or the victim before the lock; reading the clock \
under the lock, while the entry comes; fetching all three lines of the next victim; -O2. What helped: no load that waits for \
narrower stores (a struct that a function returned: 11 ns of a get), four keys in a bucket instead of five (9 ns of a \
put), a packed key that begins with a line of the cache and is made by one function (3 ns of a get), fewer instructions.

"""

NOTES = """## What is measured
- Keys are those of an application: a session id of 32 hexadecimal digits as scope and a tuple, `VESTRY_KEY("counter", \
n)`, which vestry is given at each call as the application writes it down; the peers hold the same 48 bytes inline. \
Where the table says so, keys are 16 bytes in the scope without a name.
- All contenders get the same keys, made before the clock runs; the lines carry a checksum of them, and \
this page is not written if two rivals' differ.
- churn: every put brings a new key into a full store. zipf: get, on a miss put; Zipf 0.99 over 10 times the capacity. \
hit: get of keys that are there, uniform. hot: one key. mixed: 90 % get, 9 % put, 1 % remove, keys as zipf. With 16 \
threads one put in 32 is timed.
- Values are connections: a count of references and closed or not. Each that was put must be closed exactly once, and \
put = removed + live; a run whose counts do not add up has failed.
- `get` hands out a reference that is dropped again; `with` looks at the connection in place.
- With 200 threads a sum of what each thread did while it was timed can be more than the processors can do, for a thread \
that hardly ran: there, CPU time is what to compare.
- Million operations a second of all threads together, nanoseconds one thread spends on an operation, and processor \
time of the whole process for each (Caffeine's collector and executor work beside its threads). Memory is \
what the process has grown by when it is full; connections are not counted. (Caffeine: its heap after a collection.)

## What is not alike
- **RocksDB** splits its bound among 64 shards: it holds up to 63 entries more, and evicts the oldest of one, not \
of all. For hit it is given room for twice as many keys, or some would not be there. Its pin of an entry is the \
reference.
- **uthash** is one lock, and its hash takes no seed: keys chosen to collide make it a list.
- **TBB** evicts nothing, keeps no order of uses and takes a hash without a seed: C++'s own for a run of bytes, or, in \
the rows that say so, one multiplication for two words, as with keys of 16 bytes. vestry's keys are packed from scope and \
parts at each call, and hashed with a secret (NH and a multiply-shift).
- **Caffeine** admits by frequency, so what it drops may be what has just come. Its values are new objects at each put \
and are not counted by reference. Evictions and closes that are still under way when its threads end are not held \
against it. It runs two seconds longer before it is timed.
- vestry and uthash hold exactly their maximum, evict what was used longest ago, and close on the thread that put.
"""


def lost_text(runs):
    lost, put = (sum(int(run.get(field, 0)) for run in runs if "lost" in run) for field in ("lost", "put"))
    if not lost:
        return ""
    return (f"- Caffeine removed {lost} of {put:,} values without naming them to its listener (its issue 412), so that "
            "those connections were never closed. vestry fails a run for one.\n")


def page(result, groups):
    machine = result["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if version)
    runs_text = "one run" if result["repetitions"] == 1 else f"medians of {result['repetitions']} runs"
    others = f"{100 * result['others_share']:.0f} %"
    warning = ""
    if result["others_share"] > QUIET_SHARE:
        warning = f"\n**Others used {others} of the processors meanwhile: compare with care.**\n"
    return f"""# Stores and their peers
Measured by `scripts/bench-store` on {result['date']}: {runs_text} of {result['seconds']:g} s each, interleaved, in \
{result['took_s'] / 60:.0f} minutes; others used {others} of the processors. {machine['cpu']}, {machine['cpus']} \
processors, Linux {machine['kernel']}, \
{machine['compiler']}; {packages}.
{warning}
![Operations a second, by workload and contender](bench-store.svg)

Compare within this page only: other machines, and other days, have other numbers.

## What is wanted
{table(["vestry", "against", "has", "best by best", "wanted", "met"], bars_rows(groups) + limits_rows(groups))}
Where two processors share lines of memory, a virtual machine's may be near each other or far, by turns, and two medians \
may come from different moods. The best runs are of the near one; a bar that they miss is not met there.

## Where others do more
{table(["contest", "contender", "vestry", "it", "vestry has"], lost_rows(groups))}
## All medians
{table(MEDIANS_HEAD, medians_rows(groups))}
{idle_text(groups)}{BOUNDS}{NOTES}{lost_text(result['runs'])}"""


def panels(groups):
    by_contest = {}
    for (contender, *contest), runs in groups.items():
        if contest[0] != "idle":
            by_contest.setdefault(title(*contest), []).append((LABELS[contender], median(runs, "mops"),
                                                               contender.startswith("vestry")))
    return {heading: bars for heading, bars in by_contest.items() if len(bars) > 1}


def main():
    source, directory = sys.argv[1:]
    with open(source, encoding="utf-8") as runs:
        result = json.load(runs)
    groups = group(result["runs"])
    with open(os.path.join(directory, "bench-store.md"), "w", encoding="utf-8") as output:
        output.write(page(result, groups))
    with open(os.path.join(directory, "bench-store.svg"), "w", encoding="utf-8") as output:
        output.write(chart.draw(panels(groups), "Million operations a second; more is better"))


main()
