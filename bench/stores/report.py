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
    "vestry": "vestry lru",
    "vestry-ready": "vestry lru, ready keys",
    "boost": "boost::concurrent_flat_map",
    "boost-objects": "boost::concurrent_flat_map, key objects",
    "cuckoo": "libcuckoo",
    "tbb": "TBB concurrent_hash_map",
    "rocksdb": "RocksDB LRUCache, 64 shards",
    "rocksdb-hyper-clock": "RocksDB HyperClockCache, 64 shards",
    "uthash": "mutex + uthash",
}
BIG = 1000000
TICKS_PER_IDLE = 4096
MEDIANS_HEAD = ["contest", "contestant", "Mops/s", "from–to", "ns", "CPU ns", "hits", "p99.9", "bytes/entry"]
QUIET_SHARE = 0.05  # maximum share of other processes on a machine that counts as idle

SESSION_BYTES_AT_BIG = 96

# The targets: contestant, contest (workload, capacity, threads, api, keys), peers with the minimum ratio of their CPU
# time and vestry's.
BARS = [
    ("vestry-ready", ("hit", 10000, 1, "get", "session"), {"boost-objects": 0.95}),
    ("vestry-ready", ("hit", 10000, 1, "with", "session"), {"boost-objects": 0.95}),
    *(("vestry", ("hit", 10000, threads, "get", "session"), {"boost": 0.72, "tbb": 1}) for threads in (1, 2)),
    *(("vestry", ("hit", 10000, threads, "with", "session"), {"boost": 0.7, "tbb": 1.05}) for threads in (1, 2)),
    ("vestry", ("hit", BIG, 2, "get", "session"), {"boost": 0.5}),
    ("vestry", ("churn", 10000, 1, "get", "session"), {"rocksdb": 1.5, "uthash": 1.25}),
    ("vestry", ("churn", 10000, 2, "get", "session"), {"rocksdb": 1.3}),
]


def group(runs):
    """Return the runs by (contender, workload, capacity, threads, api, keys), in the order of their first run."""
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


def ratios(these, those):
    """Return the ratios of CPU time of the runs of each repetition, in ascending order."""
    return sorted(float(that["cpu_ns_per_op"]) / float(this["cpu_ns_per_op"]) for this, that in zip(these, those))


def ratio_text(values):
    return f"{statistics.median(values):.2f} ({values[0]:.2f}–{values[-1]:.2f})"


def bars_rows(groups):
    rows = []
    for own, contest, peers in BARS:
        for peer, wanted in peers.items():
            if (own, *contest) not in groups or (peer, *contest) not in groups:
                continue
            values = ratios(groups[own, *contest], groups[peer, *contest])
            rows.append([f"{LABELS[own]}: {title(*contest)}", LABELS[peer], ratio_text(values), f"≥ {wanted:g}",
                         verdict(statistics.median(values) >= wanted)])
    return rows


def lost_rows(groups):
    """Return the contests in which another contestant takes less CPU time than vestry."""
    rows = []
    for (contender, *contest), runs in groups.items():
        own = groups.get(("vestry-ready" if contender == "boost-objects" else "vestry", *contest))
        values = ratios(own, runs) if own and not contender.startswith("vestry") else [1]
        if statistics.median(values) < 1:
            rows.append([title(*contest), LABELS[contender], f"{median(own, 'cpu_ns_per_op'):.0f} ns",
                         f"{median(runs, 'cpu_ns_per_op'):.0f} ns", ratio_text(values)])
    return rows


def limit_row(what, value, unit, limit):
    return [what, "", f"{value:.3g} {unit}", f"≤ {limit:.3g} {unit}", verdict(value <= limit)]


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
    return "## Idle\n" + f"""{BIG:,} entries are put during half of an idle time of {median(idle, 'idle_ms'):.0f} ms, \
and not used again. A timer of the store removes them, while one thread uses 10,000 other entries.

""" + table(["lateness p50, ms", "p99, ms", "max, ms", "foreground p99 when quiet, µs", "during expiry, µs"],
            [cells]) + "\n"


NOTES = """## Method
- The keys are those of an application: a session id of 32 hexadecimal digits as scope, and a tuple, \
`VESTRY_KEY("counter", n)`. vestry receives this tuple at each call, as an application writes it, packs it, and hashes \
it with a secret. The peers store the same 48 bytes inline. Rows with "keys of 16 bytes" use such keys in the unnamed scope.
- A program has a ready key in the object that it addresses with it. So in rows with ready keys, and of boost with key \
objects, each of the 10,000 keys is in one place of memory, and an operation reads it there. In all other rows \
each operation has a copy of the key, beside that of the operation before. Memory includes the ready keys (320 bytes).
- All contestants receive the same keys, which are made before the measurement. Each result contains a checksum of its \
keys, and the script writes no page if two checksums differ.
- Workloads:
    - churn: every put adds a new key to a full store. With 16 threads, one put in 32 is timed.
    - zipf: a get, and a put after a miss; Zipf 0.99 over 10 times the capacity.
    - hit: a get of existing keys, uniformly distributed.
    - hot: one key.
    - mixed: 90 % get, 9 % put, 1 % remove, with the keys of zipf.
- The values are connections: a reference count and a closed flag. Each value that was put must be closed exactly \
once, and put = removed + live must hold; otherwise the run fails.
- `get` returns a reference, which is dropped again; `with` accesses the connection in place.
- With 200 threads, compare CPU times. The sum of the operations of all threads can exceed the capacity of the \
processors, because each thread is timed only while it runs, and some hardly run.
- A ratio is the CPU time of the peer, divided by that of vestry, in the same repetition: above 1, vestry takes less. \
It is the median of the repetitions, and in brackets the least and the largest. Each repetition begins a contest with \
another contestant.
- Columns: million operations per second of all threads together; nanoseconds of one thread for each operation; and \
processor time of the whole process for each operation. Memory is the growth of the process until the store is full, \
without connections.

## Differences between the contestants
- **RocksDB** divides its bound among 64 shards. Therefore it holds up to 63 additional entries, and evicts the oldest \
entry of one shard instead of the oldest of all. In hit its capacity is doubled, because otherwise some keys would be \
missing. Its pin of an entry serves as the reference. This holds for both of its caches. HyperClockCache, its default \
since 10.7, accepts only keys of 16 bytes. It evicts by a clock instead of the order of use: each access raises a count \
of at most 3, and an entry leaves when the clock has lowered its count to 0. Debian 12 has it as experimental (7.8), \
and Debian 13 has a later one (9.10).
- **uthash** has one lock, and its hash has no seed: keys that are chosen to collide turn it into a list.
- **boost, TBB and libcuckoo** are maps: they evict nothing, keep no order of use, and read no clock. They get ready \
keys, and hash them without a secret, by the hash of C++ for a sequence of bytes (keys of 16 bytes: one \
multiplication), so users could choose keys that collide. boost's map stores keys and values in its groups, so a \
look-up of it reads two cache lines, and one of vestry three.
- **Rust's caches** are not here: Debian packages none (quick_cache, moka).
- vestry and uthash hold exactly their maximum, evict the least recently used entry, and close it on the thread that \
called put.
"""


def page(result, groups):
    machine = result["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if version)
    runs_text = "one run" if result["repetitions"] == 1 else f"medians of {result['repetitions']} runs"
    others = f"{100 * result['others_share']:.0f} %"
    warning = ""
    if result["others_share"] > QUIET_SHARE:
        warning = f"\n**Other programs used {others} of the processors meanwhile: compare with care.**\n"
    return f"""# Stores and their peers
`scripts/bench-store` wrote this page on {result['date']}: {runs_text} of {result['seconds']:g} s each, interleaved, \
in {result['took_s'] / 60:.0f} minutes; other programs used {others} of the processors. {machine['cpu']}, {machine['cpus']} \
processors, Linux {machine['kernel']}, {machine['compiler']}; {packages}.
{warning}
![Operations per second, by workload and contestant](bench-store.svg)

Compare figures within this page only, because other machines and other days give other numbers.

## Targets
{table(["vestry", "compared with", "CPU time of the peer / of vestry", "target", "met"], bars_rows(groups) + limits_rows(groups))}
The two processors of a virtual machine may be near each other or far apart, and this changes during a run. It affects \
every contest in which they share cache lines. Therefore ratios are taken within a repetition.

## Where others are faster
{table(["contest", "contestant", "CPU time of vestry", "of the contestant", "ratio"], lost_rows(groups))}
## All medians
{table(MEDIANS_HEAD, medians_rows(groups))}
{idle_text(groups)}{NOTES}"""


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
