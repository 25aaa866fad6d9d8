# SPDX-License-Identifier: MIT
"""The main function of a benchmark of several programs: contenders run alternately, and their output is written as JSON
after each repetition.

One repetition runs all contests; the next repetition begins each contest with another contender. A contest with
`turns` runs that many times in each repetition, and reverses the order of its contenders each time.
"""
import argparse
import json
import resource
import sys
import time

import machine


def main(contests, can_run, run, packages, versions):
    """contests(quick) returns the contests, each with a name and contenders. can_run(build, contender) is false if a
    contender is not installed. run(build, contest, contender) returns the output lines as dictionaries. packages names
    the Debian packages whose versions the result contains. versions(build) returns further members of the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("output")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--repetitions", type=int)
    args = parser.parse_args()
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    chosen = [contest for contest in contests(args.quick) if args.only in (None, contest.name)]
    if not chosen:
        sys.exit(f"--only: there is no contest {args.only}")
    began, before, runs = time.time(), machine.processor_seconds(), []
    for repetition in range(args.repetitions or (1 if args.quick else 3)):
        for contest in chosen:
            able = [contender for contender in contest.contenders if can_run(args.build, contender)]
            first = repetition % max(1, len(able))
            for turn in range(getattr(contest, "turns", 1)):
                for contender in (able[first:] + able[:first])[::-1 if turn % 2 else 1]:
                    for said in run(args.build, contest, contender):
                        runs.append(said)
                        print(f"{repetition + 1} {contest.name} {contender}: {said}", file=sys.stderr)
        result = {"date": time.strftime("%Y-%m-%d", time.gmtime(began)), "took_s": round(time.time() - began),
                  "others_share": machine.others_share(before, machine.processor_seconds()),
                  "repetitions": repetition + 1, "machine": machine.describe(packages), **versions(args.build),
                  "runs": runs}
        with open(args.output, "w", encoding="utf-8") as output:
            json.dump(result, output, indent=1)
