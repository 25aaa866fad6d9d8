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
    "vestry-hash": "vestry hash",
    "rocksdb": "RocksDB LRUCache, 64 shards",
    "rocksdb-hyper-clock": "RocksDB HyperClockCache, 64 shards",
    "uthash": "mutex + uthash",
    "tbb": "TBB concurrent_hash_map",
    "tbb-product": "TBB, hash of 3 products",
    "caffeine-pool": "Caffeine, default executor",
    "caffeine-caller": "Caffeine, Runnable::run",
}
BIG = 1000000
TICKS_PER_IDLE = 4096
MEDIANS_HEAD = ["contest", "contestant", "Mops/s", "from–to", "ns", "CPU ns", "hits", "p99.9", "bytes/entry"]
QUIET_SHARE = 0.05  # maximum share of other processes on a machine that counts as idle

SESSION_BYTES_AT_BIG = 132

# The targets: a contest, a contest to compare it with, the minimum ratio of their speeds. Each contest is (contender,
# workload, capacity, threads, api, keys).
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
    """Return the contests in which another contestant is faster than vestry."""
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
    return "## Idle\n" + f"""{BIG:,} entries are put during half of an idle time of {median(idle, 'idle_ms'):.0f} ms, \
and not used again. A timer of the store removes them, while one thread uses 10,000 other entries.

""" + table(["lateness p50, ms", "p99, ms", "max, ms", "foreground p99 when quiet, µs", "during expiry, µs"],
            [cells]) + "\n"


# Measured by hand, beside a run; scripts/bench-store does not repeat these measurements.
BOUNDS = """## What limits the store
These tables were measured on 2026-11-20 on the machine of this page, mostly in the near state: nanoseconds per \
operation, medians of 4 or 5 interleaved runs of 0.4 s. Compare within one table only. In the reduced variants, a few \
lines were removed from a copy of the source; the result no longer works as a store.

| get, 10,000 entries | 1 thread | 2 threads | access in place, 2 threads |
| --- | --- | --- | --- |
| vestry lru | 41.9 | 49.7 | 38.9 |
| the key copied like the peers' 48 bytes, instead of packed from scope and parts | 34.4 | 46.0 | |
| and the key hashed without a secret, with TBB's three products | 33.0 | 39.1 | 31.0 |
| the usual key; no clock, no record of use, no entry due | 39.2 | 45.7 | 34.9 |
| all changes above together | 30.4 | 34.2 | 26.9 |
| and without the lock | 29.5 | | |
| TBB concurrent_hash_map | 36.6 | 47.7 | 40.5 |

- **Access in place** is as fast as TBB in the near state (the best runs), and 1.4 to 1.5 × as fast in the far state; \
the target is 1.2 ×. With packed keys and a hash without a secret it would reach 1.31 ×, and without time and order \
1.5 ×. About 8 ns pay for keys in the form in which applications write them, and for protection against chosen keys \
that collide; 4 ns pay for an exact order of use and for idle expiry.
- **The secret alone** costs 1.5 ns. Packing costs more: 200 of the 500 instructions of a lookup, not counting those \
of the harness and the clock.
- **A get** costs 11 ns more than an access in place, because of two locked operations on the connection's reference \
count; TBB's get has them, too. On this machine a locked operation takes 4.8 ns, wherever its line is cached. It \
overlaps with loads, but not with another locked operation. Without the shard's lock, a get on one thread is not \
faster (42.4 and 42.4).
- **The caches**: with 1,000 entries a get takes 31.4 ns, and a get of TBB 34.3 ns. With 10,000 entries, the 2 MB of \
entries, index and connections are twice as large as the processor's second-level cache, and a get waits 10 ns for \
cache lines. TBB waits only 2 ns: its lookup has 200 instructions, so a lookup fetches lines while the previous one \
still waits. A loop of loads and idle instructions confirms this: the loads overlap if no instructions are between \
them, partly with 100, and not at all with 250.

| put that evicts, 10,000 entries | 1 thread | 2 threads |
| --- | --- | --- |
| vestry lru | 57.0 | 98.5 |
| the key copied like the peers' | 54.0 | 88.5 |
| and the key hashed without a secret | 53.9 | 86.6 |
| and without a clock | 52.5 | 84.1 |
| mutex + uthash | 73.1 | 367 |
| RocksDB LRUCache, 64 shards | 75.8 | 109.5 |

- **churn on one thread**: five locked operations take 24 of the 57 ns. Four of them, 19 ns, belong to the connection \
(referenced, closed, dropped twice), so every contestant pays for them. Without these four, uthash takes 54 ns and \
vestry 38, a ratio of 1.4; with them, the ratio is 1.28 to 1.30.
- **churn on two threads** costs 41 ns more than on one. Half of the cache lines (the lock, the victim's entry and its \
neighbours, two buckets, the connection) are in the other processor's cache, and each is fetched only after another \
was read. RocksDB pays 34 ns for this. In this run vestry reaches 1.11 ×; it would reach 1.24 × with packed keys, and \
1.26 × without a secret.

Method: `vestry-bench store --workload hit|churn --threads 1|2 --api get|with` and `peer-*` in the same run; `valgrind \
--tool=callgrind --dump-instr=yes` counts instructions; `perf record -e cpu-clock` shows where they wait, because \
this machine gives no access to its performance counters.

Changes without a gain:

- prefetching the entry by an unlocked read of the bucket, or the victim before the lock is taken;
- reading the clock under the lock, while the entry is loaded;
- prefetching all three lines of the next victim;
- -O2.

Changes with a gain:

- no load that waits for narrower stores, as after a struct was returned by a function (11 ns of a get);
- four keys in a bucket instead of five (9 ns of a put);
- a packed key that begins at a cache line and is made by one function (3 ns of a get);
- a victim that is fetched for writing before it is read, and whose neighbours in the order of use are not written \
(14 % of a put by two threads in the far state, 6 % by one thread; on 2026-11-28, after these tables);
- fewer instructions.

"""

NOTES = """## Method
- The keys are those of an application: a session id of 32 hexadecimal digits as scope, and a tuple, \
`VESTRY_KEY("counter", n)`. vestry receives this tuple at each call, as an application writes it; the peers store the \
same 48 bytes inline. Rows with "keys of 16 bytes" use such keys in the unnamed scope.
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
- Columns: million operations per second of all threads together; nanoseconds of one thread for each operation; and \
processor time of the whole process for each operation, because Caffeine's collector and executor work beside its \
threads. Memory is the growth of the process until the store is full, without connections (Caffeine: its heap after a \
collection).

## Differences between the contestants
- **RocksDB** divides its bound among 64 shards. Therefore it holds up to 63 additional entries, and evicts the oldest \
entry of one shard instead of the oldest of all. In hit its capacity is doubled, because otherwise some keys would be \
missing. Its pin of an entry serves as the reference. This holds for both of its caches. HyperClockCache, its default \
since 10.7, accepts only keys of 16 bytes. It evicts by a clock instead of the order of use: each access raises a count \
of at most 3, and an entry leaves when the clock has lowered its count to 0. Debian 12 has it as experimental (7.8), \
and Debian 13 has a later one (9.10).
- **uthash** has one lock, and its hash has no seed: keys that are chosen to collide turn it into a list.
- **TBB** evicts nothing, keeps no order of use, and uses a hash without a seed: the hash of C++ for a sequence of \
bytes. In the rows "hash of 3 products", and with keys of 16 bytes, it uses one multiplication for two words. vestry \
packs its keys from scope and parts at each call, and hashes them with a secret (NH and a multiply-shift).
- **Caffeine** admits entries by frequency, so it may drop the entry that was just put. Its values are new objects at \
each put, without reference counts. Evictions and closes that are not complete when its threads end do not count as \
failures. It warms up for two additional seconds.
- vestry and uthash hold exactly their maximum, evict the least recently used entry, and close it on the thread that \
called put.
"""


def lost_text(runs):
    lost, put = (sum(int(run.get(field, 0)) for run in runs if "lost" in run) for field in ("lost", "put"))
    if not lost:
        return ""
    return (f"- Caffeine removed {lost} of {put:,} values without a call of its listener (its issue 412), so their "
            "connections were never closed. A run of vestry fails if this happens once.\n")


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
{table(["vestry", "compared with", "measured", "best by best", "target", "met"], bars_rows(groups) + limits_rows(groups))}
The two processors of a virtual machine may be near each other or far apart, and this changes during a run. It affects \
every contest in which they share cache lines, so two medians can come from different states. The best runs come from \
the near state, so a target that the best runs miss is also missed there.

## Where others are faster
{table(["contest", "contestant", "vestry", "contestant's result", "vestry's ratio"], lost_rows(groups))}
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
