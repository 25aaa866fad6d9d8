#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the contests of scripts/bench-store, interleaved, and write their lines as JSON: run.py BIN_DIR OUTPUT …

One repetition runs all contests; the next repetition begins each contest with another contender. So no contender always
runs after the same one, and all contenders run in all states of the machine.
"""
import argparse
import json
import os
import subprocess
import sys
import time
from collections import namedtuple

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import machine  # noqa: E402

PACKAGES = ["uthash-dev", "librocksdb-dev", "libtbb-dev", "libboost-dev", "libcuckoo-dev"]
Contest = namedtuple("Contest", "workload capacity threads api keys contenders")

VESTRY = ["vestry-bench", "store", "--store"]
CONTENDERS = {
    "vestry": VESTRY + ["lru"],
    "vestry-ready": VESTRY + ["lru", "--ready", "--objects"],
    "boost": ["peer-boost"],
    "boost-objects": ["peer-boost", "--objects"],
    "cuckoo": ["peer-cuckoo"],
    "tbb": ["peer-tbb"],
    "rocksdb": ["peer-rocksdb"],
    "rocksdb-hyper-clock": ["peer-rocksdb", "--cache", "hyper-clock"],  # only for keys of 16 bytes
    "uthash": ["peer-uthash"],
}
MAPS = ["boost", "tbb", "cuckoo"]
CACHES = ["vestry", "rocksdb", "uthash"]
CONTESTS = [Contest(*row) for threads in (1, 2) for row in [
    ("hit", 10000, threads, "get", "session", ["vestry", *MAPS, "rocksdb", "vestry-ready", "boost-objects"]),
    ("hit", 10000, threads, "with", "session", ["vestry", *MAPS, "vestry-ready", "boost-objects"]),
    ("hit", 1000000, threads, "get", "session", ["vestry", *MAPS]),
    ("churn", 10000, threads, "get", "session", CACHES),
    ("churn", 1000000, threads, "get", "session", CACHES),
    ("zipf", 10000, threads, "get", "session", CACHES),
    ("hit", 10000, threads, "get", "bytes", ["vestry", *MAPS, "rocksdb-hyper-clock"]),
    ("churn", 10000, threads, "get", "bytes", [*CACHES, "rocksdb-hyper-clock"]),
]] + [
    Contest("hit", 10000, 200, "get", "session", ["vestry", "boost"]),
    Contest("churn", 10000, 200, "get", "session", ["vestry", "rocksdb"]),
    Contest("churn", 10000, 16, "get", "session", ["vestry", "rocksdb"]),
    Contest("hot", 10000, 2, "get", "session", ["vestry", "boost"]),
    Contest("mixed", 10000, 2, "get", "session", CACHES),
    Contest("idle", 1000000, 1, "get", "session", ["vestry"]),
]
TIMED_THREADS = 16  # churn with this number of threads also measures the time of single operations
IDLE_SECONDS = 2  # minimum; putting its million entries takes twice as long
WARM_MS = 500
NOT_IN_THIS_VERSION = 2


def parse(line):
    name, workload, *pairs = line.split()
    values = dict(pair.split("=", 1) for pair in pairs)
    return {"name": name, "workload": workload, **values}


def run(bin_dir, contest, contender, seconds):
    program, *rest = CONTENDERS[contender]
    if contest.workload == "idle":
        seconds = max(seconds, IDLE_SECONDS)
    command = [os.path.join(bin_dir, program), *rest, "--workload", contest.workload, "--capacity",
               str(contest.capacity), "--threads", str(contest.threads), "--api", contest.api, "--keys",
               contest.keys, "--seconds", str(seconds), "--warm-ms", str(WARM_MS)]
    if contest.workload == "churn" and contest.threads == TIMED_THREADS:
        command.append("--latency")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == NOT_IN_THIS_VERSION and contest.api == "with":
        return None
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return {**parse(done.stdout), "contender": contender, "contest": contest._asdict()}


def check_streams(runs):
    """Check that all contenders of a contest used the same keys."""
    streams = {}
    for each in runs:
        key = (each["workload"], each["capacity"], each["threads"], each["keys"])
        if streams.setdefault(key, each["stream"]) != each["stream"]:
            sys.exit(f"{each['name']} had other keys than its rivals: {key}")


def count_repetitions(runs, contests):
    """Return the number of runs of the first contest."""
    first = contests[0]._asdict()
    return sum(each["contest"] == first and each["contender"] == "vestry" for each in runs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin_dir")
    parser.add_argument("output")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--only", choices=sorted({contest.workload for contest in CONTESTS}))
    parser.add_argument("--add", action="store_true", help="add to the runs that the output has: a measurement in several parts")
    args = parser.parse_args()
    contests = [contest for contest in CONTESTS if args.only in (None, contest.workload)]
    began, before, runs, earlier = time.time(), machine.processor_seconds(), [], []
    took_s, others_share = 0, 0
    if args.add and os.path.exists(args.output):
        with open(args.output, encoding="utf-8") as output:
            result = json.load(output)
        earlier, took_s, others_share = result["runs"], result["took_s"], result["others_share"]
    done_before = count_repetitions(earlier, contests)
    for repetition in range(done_before, done_before + args.repetitions):
        for contest in contests:
            first = repetition % len(contest.contenders)
            for contender in contest.contenders[first:] + contest.contenders[:first]:
                if not os.path.exists(os.path.join(args.bin_dir, CONTENDERS[contender][0])):
                    continue  # the package of the contender is not installed
                done = run(args.bin_dir, contest, contender, args.seconds)
                if not done:
                    continue
                runs.append(done)
                print(f"{repetition + 1}/{args.repetitions} {contender} {contest.workload} {contest.capacity}"
                      f" × {contest.threads} {contest.api} {contest.keys}: {done['mops']}", file=sys.stderr)
    runs = earlier + runs
    check_streams(runs)
    result = {"date": time.strftime("%Y-%m-%d", time.gmtime(began)), "took_s": took_s + round(time.time() - began),
              "others_share": max(others_share, machine.others_share(before, machine.processor_seconds())),
              "repetitions": count_repetitions(runs, contests), "seconds": args.seconds, "only": args.only,
              "machine": machine.describe(PACKAGES), "runs": runs}
    with open(args.output, "w", encoding="utf-8") as output:
        json.dump(result, output, indent=1)


main()
