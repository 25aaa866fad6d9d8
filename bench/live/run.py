#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the contests of scripts/bench-pages, interleaved, and write their lines as JSON: run.py BUILD OUTPUT [--quick]

One repetition runs all contests; the next repetition begins each contest with another contender. Each run over sockets
has a separate server, which is ended by its process id.
"""
import collections
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import turns  # noqa: E402
from servers import Server, node_version, parse, sdk_version  # noqa: E402

Contest = collections.namedtuple("Contest", "name options contenders")

ALONE, FLOOR = "alone", "floor"
A_SECOND = 20
# With its frame, an event of floor has as many bytes as one of vestry's in the same contest.
FLOOR_CHANGE_BYTES = {"shared": 38, "private": 10424, "private-small": 1208}
FLOOR_OPTIONS = ("--pages", "--warm", "--rounds", "--a-second")


def contests(quick):
    """Return the contests. civetweb has a thread for each stream, so it runs only contests with fewer pages. A Node
    process renders separately for each stream, so it does not run the contest of shared pages."""
    many, some, short = ("300", "100", "60") if quick else ("10000", "2000", "120")
    rate = ["--private", "--a-second", str(A_SECOND), "--warm", "20", "--rounds", short]
    return [
        Contest("shared", ["--pages", many, "--warm", "5", "--rounds", "30", "--encoding", "br"],
                ["microhttpd", FLOOR]),
        Contest("private", rate + ["--pages", some], ["microhttpd", "node", "civetweb", FLOOR]),
        Contest("private-small", rate + ["--pages", some, "--bytes", "1000", "--change-bytes", "50"],
                ["microhttpd", "node", "civetweb", FLOOR]),
        # Many short pairs, because the p99 of one round varies by half, and a busy second hits both rounds of a pair.
        Contest("sleeper", ["--sleeper", "--pages", "50", "--a-second", "1000", "--rounds", "1" if quick else "9",
                            "--sleep-ms", "500" if quick else "1500"], ["microhttpd", "civetweb"]),
        Contest("refresh", ["--pages", many, "--rounds", "50"], [ALONE]),
        Contest("unchanged", ["--bytes", "10000", "--rounds", "2000"], [ALONE]),
        Contest("message", ["--bytes", "11600", "--rounds", "500"], [ALONE]),
        Contest("row", ["--pages", "1000", "--bytes", "165000", "--rounds", "200"], [ALONE]),
        Contest("idle", ["--pages", many, "--bytes", "10000"], [ALONE]),
    ]


def value_of(options, name):
    return int(options[options.index(name) + 1])


def start(build, contender, contest):
    if contender == "node":
        return Server(["node", os.path.join(build, "datastar-sdk", "pages.mjs")])
    if contender == FLOOR:
        return Server([os.path.join(build, "bin", "vestry-bench"), "floor", "--batched", "--port", "0", "--streams",
                       str(value_of(contest.options, "--pages"))])
    is_sleeper = contest.name == "sleeper"
    # With a sleeper: changed pages, unchanged pages, and the sleeper itself.
    pages = value_of(contest.options, "--pages") * (2 if is_sleeper else 1) + is_sleeper
    threads = pages + 64 if contender == "civetweb" else 2
    command = [os.path.join(build, "bin", "vestry-bench"), "serve", "--pages", "--port", "0", "--adapter", contender,
               "--streams", str(pages), "--threads", str(threads)]
    if is_sleeper:
        command += ["--heartbeat-ms", "100"]
    if "--encoding" in contest.options:
        command += ["--encoding", contest.options[contest.options.index("--encoding") + 1]]
    return Server(command)


def perform(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return parse(done.stdout)


def run(build, contest, contender):
    options = contest.options
    if contender == FLOOR:
        kept = [option for name in FLOOR_OPTIONS if name in options
                for option in (name, options[options.index(name) + 1])]
        options = [*kept, "--change-bytes", str(FLOOR_CHANGE_BYTES[contest.name])]
    command = [os.path.join(build, "bin", "vestry-bench"), "pages", *options]
    if contender == ALONE:
        said = perform([*command, "--alone", contest.name])
    else:
        with start(build, contender, contest) as server:
            said = perform([*command, "--port", str(server.port), "--pid", str(server.process.pid), "--server",
                            contender if contender in ("node", FLOOR) else "vestry"])
    return {**said, "contest": contest.name, "contender": contender}


def can_run(build, contender):
    return contender != "node" or os.path.isdir(os.path.join(build, "datastar-sdk", "node_modules"))


turns.main(contests, can_run, lambda build, contest, contender: [run(build, contest, contender)],
           ["libmicrohttpd12", "libcivetweb1", "libbrotli1"],
           lambda build: {"node": node_version(), "sdk": sdk_version(build)})
