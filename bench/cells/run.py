#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the contests of scripts/bench-cells, interleaved, and write their lines as JSON: run.py BUILD OUTPUT [--quick]

Each run has a separate server and a separate database.
"""
import collections
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import turns  # noqa: E402
from servers import Server, parse, version_of  # noqa: E402

Contest = collections.namedtuple("Contest", "name options contenders viewers turns", defaults=[1])
BOTH = ["vestry", "node"]
FLOOR = "floor"
ALL = [*BOTH, FLOOR]


def contests(quick):
    """Return the contests; report.py contains the targets of each."""
    many, fewer, most, seconds = ("100", "40", {"vestry": "200", "node": "100"}, ["--seconds", "4", "--warm", "1"]) \
        if quick else ("2000", "300", {"vestry": "8000", "node": "600"}, ["--seconds", "40", "--warm", "10"])
    short, turns = (seconds, 1) if quick else (["--seconds", "20", "--warm", "5"], 3)
    plain, brotli = ["--encoding", "identity"], ["--encoding", "br"]
    return [
        Contest("most", [*seconds, *brotli], BOTH, most),
        Contest("scroll", [*seconds, *brotli], ALL, {name: many for name in ALL}),
        Contest("rest", [*short, *brotli, "--scroll-ms", "0"], ALL, {name: many for name in ALL}, turns),
        Contest("crowd", [*seconds, *brotli, "--together", "--writes", "10"], BOTH, {name: fewer for name in BOTH}),
        Contest("plain", [*short, *plain], ALL, {name: many for name in ALL}),
    ]


def node(build):
    return os.path.join(build, "cells", "node_modules", ".bin", "node")


def can_run(build, contender):
    return contender != "node" or os.path.exists(node(build))


def command_of(build, contender, encoding, file):
    if contender == "node":
        return [node(build), os.path.join(HERE, "cells.mjs"), file, encoding]
    if contender == FLOOR:
        return [os.path.join(build, "bin", "vestry-bench"), "floor", "--batched", "--port", "0", "--cells", file,
                "--encoding", encoding]
    return [os.path.join(build, "bin", "cells"), "--adapter", "microhttpd", "--port", "0", "--db", file]


def run(build, contest, contender):
    at = contest.options.index("--encoding") + 1
    encoding = contest.options[at]
    with tempfile.TemporaryDirectory() as folder:
        with Server(command_of(build, contender, encoding, os.path.join(folder, "cells.db"))) as server:
            load = [os.path.join(build, "bin", "vestry-bench"), "cells", *contest.options, "--viewers",
                    contest.viewers[contender], "--port", str(server.port),
                    "--pid", str(server.process.pid)]
            done = subprocess.run(load, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{contender}: {' '.join(load)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return [{**parse(done.stdout), "contest": contest.name, "contender": contender}]


if __name__ == "__main__":
    turns.main(contests, can_run, run, ["libmicrohttpd12", "libsqlite3-0", "libbrotli1"],
               lambda build: {"node": version_of(build, "cells/node_modules/node")})
