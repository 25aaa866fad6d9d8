#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the contests of scripts/bench-cluster, and write their lines as JSON:
run.py BUILD OUTPUT [--quick] [--only CONTEST]

One repetition runs all contests; the next repetition begins each contest with another contender. Each run has separate
nodes, and a separate nats-server or redis-server, which are ended by their process ids.
"""
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import turns  # noqa: E402
from servers import START_S, Server, free_port, node_version, parse, version_of  # noqa: E402

Contest = collections.namedtuple("Contest", "name load contenders")

# The contenders over sockets, and the number of their nodes.
VESTRY, ONE, APART, SOCKETIO = "vestry", "vestry-one", "vestry-apart", "socketio"
NODES = {VESTRY: 3, ONE: 1, APART: 3, SOCKETIO: 3}
ALONE = "alone"
PAGE = ["--payload-bytes", "10000", "--change-bytes", "100", "--encoding", "br"]


def contests(quick):
    streams, keyed, rounds = ("300", "90", "10") if quick else ("9000", "3000", "30")
    keyed_rounds = "300" if quick else "4000"
    return [
        Contest("far", ["--rounds", "500" if quick else "5000"], [ALONE]),
        Contest("digests", ["--streams", "2000" if quick else "10000"], [ALONE]),
        Contest("reconnect", ["--turns", "3", "--streams", "500" if quick else "10000"], [ALONE]),
        Contest("broadcast", ["--channel", "--streams", streams, "--warm", "3", "--rounds", rounds], [VESTRY, ONE, APART, SOCKETIO]),
        Contest("page", ["--channel", "--streams", streams, "--warm", "5", "--rounds", rounds, *PAGE], [VESTRY, ONE, APART]),
        Contest("keyed", ["--keyed", "--elsewhere", "--streams", keyed, "--warm", "200", "--rounds", keyed_rounds],
                [VESTRY, SOCKETIO]),
        Contest("keyed-here", ["--keyed", "--here", "--streams", keyed, "--warm", "200", "--rounds", keyed_rounds],
                [VESTRY, SOCKETIO]),
    ]


def program(name):
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def start_broker(contender):
    port = free_port()
    if contender == SOCKETIO:
        directory = tempfile.mkdtemp(prefix="vestry-redis-")
        command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                   "--dir", directory]
        return Server(command, port, directory=directory)
    return Server([program("nats-server"), "-a", "127.0.0.1", "-p", str(port)], port)


def start_node(build, contender, contest, broker, number):
    if contender == SOCKETIO:
        return Server(["node", os.path.join(build, "socketio", "socketio.mjs"), str(free_port()), str(broker.port)])
    streams = int(contest.load[contest.load.index("--streams") + 1])
    command = [os.path.join(build, "bin", "vestry-bench"), "serve", "--port", "0", "--adapter", "microhttpd", "--threads",
               "2", "--streams", str(streams)]
    if contender != APART:
        command += ["--cluster", f"nats://127.0.0.1:{broker.port}", "--node", f"node-{number}"]
    if "--encoding" in contest.load:
        command += ["--encoding", contest.load[contest.load.index("--encoding") + 1]]
    return Server(command)


def stats(node):
    with urllib.request.urlopen(f"http://127.0.0.1:{node.port}/stats") as answer:
        return json.load(answer)


def wait_until_met(nodes):
    """Wait until each node of vestry knows all other nodes and their keys."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        known = [stats(node)["cluster"] for node in nodes]
        if all(each["alive"] == len(nodes) - 1 and each["unsynced"] == 0 for each in known):
            return
        time.sleep(0.05)
    sys.exit("the nodes have not met")


def perform(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return [parse(line) for line in done.stdout.splitlines()]


def load_of(contender, contest):
    """Return the options of the load. Socket.IO joins rooms in the handshake, so its POST needs no further option."""
    if contender != SOCKETIO:
        return contest.load + ["--apart"] * (contender == APART)
    return [option for option in contest.load if option != "--channel"] + ["--server", "socketio"]


def run_sockets(build, contest, contender):
    nodes, own = [], contender != SOCKETIO
    with start_broker(contender) as broker:
        try:
            for number in range(NODES[contender]):
                nodes.append(start_node(build, contender, contest, broker, number))
            if own and contender != APART:
                wait_until_met(nodes)
            pids = [pid for server in [*nodes, broker] for pid in server.pids()]
            [said] = perform([os.path.join(build, "bin", "vestry-bench"), "load", "--port",
                              ",".join(str(node.port) for node in nodes), "--pid", ",".join(map(str, pids)),
                              "--idle-ms", "500", *load_of(contender, contest)])
            if own and contender != APART:
                published = int(said["rounds"]) + int(said["warm"])
                last = [stats(node) for node in nodes]
                said["encodes_each"] = max(each["encodes"] for each in last) / published
                said["lost_between"] = sum(each["cluster"]["lost"] for each in last)
        finally:
            for node in nodes:
                node.end()
    return [said]


def run(build, contest, contender):
    if contender == ALONE:
        lines = perform([os.path.join(build, "bin", "vestry-bench"), "cluster", "--way", contest.name, *contest.load])
    else:
        lines = run_sockets(build, contest, contender)
    return [{**said, "contest": contest.name, "contender": contender} for said in lines]


def can_run(build, contender):
    return contender != SOCKETIO or (program("redis-server") and os.path.isdir(os.path.join(build, "socketio/node_modules")))


turns.main(contests, can_run, run, ["nats-server", "libnats3.4", "redis-server", "libmicrohttpd12", "libbrotli1"],
           lambda build: {"node": node_version(), "socketio": version_of(build, "socketio/node_modules/socket.io"),
                          "adapter": version_of(build, "socketio/node_modules/@socket.io/redis-adapter")})
