#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Jobs over SQLite, and over a separate PostgreSQL server that waits for the disk: run.py BUILD_DIRECTORY [--jobs N]
[--delays N] [--turns N]

Prints the lines of vestry-bench jobs, medians of several turns, and the share of the processors that other processes
used meanwhile. Exit status 77: PostgreSQL is not installed, and only SQLite was measured."""
import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tests" / "postgres"))
import machine  # noqa: E402
from server import SKIPPED, Server, installed  # noqa: E402


def measure(of, *options):
    """Return the first four words of each line → its measured values."""
    command = [f"{of.build}/bin/vestry-bench", "jobs", "--jobs", str(of.jobs), "--delays", str(of.delays), *options]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = {}
    for line in said.splitlines():
        words = line.split()
        values = {name: float(value) for name, value in (word.split("=") for word in words[4:])}
        found[" ".join(words[:4])] = values
    return found


def tell(turns):
    for line in turns[0]:
        medians = {name: statistics.median(turn[line][name] for turn in turns) for name in turns[0][line]}
        print(line, *(f"{name}={value:.{0 if name == 'a_second' else 2}f}" for name, value in medians.items()), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--delays", type=int, default=300)
    parser.add_argument("--turns", type=int, default=3)
    of = parser.parse_args()
    before = machine.processor_seconds()
    with tempfile.TemporaryDirectory(prefix="vestry-jobs-") as folder:
        tell([measure(of, "--folder", folder) for _ in range(of.turns)])
    majors = installed()
    if not majors:
        sys.exit(SKIPPED)
    with Server(majors[max(majors)], ["-c", "fsync=on"]) as server:
        url = f"host={server.folder} user=postgres dbname=postgres"
        tell([measure(of, "--url", url) for _ in range(of.turns)])
    print(f"others share={machine.others_share(before, machine.processor_seconds()):.2f}")


if __name__ == "__main__":
    main()
