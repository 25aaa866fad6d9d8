#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes what run.py measured as a page: report.py RUNS.json DIRECTORY"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from page import median, table, verdict  # noqa: E402

LABELS = {"vestry": "vestry, 3 nodes", "vestry-one": "vestry, 1 node", "socketio": "Socket.IO, 3 nodes"}
TITLES = {"broadcast": "broadcast of 100 bytes", "page": "page of 10 kB, 1 % changes, brotli",
          "keyed": "by key, POST at another node", "keyed-here": "by key, POST at its node"}
QUIET_SHARE = 0.05  # what others may use of a machine that is to ourselves
CPU = "server_cpu_us_per_delivery"


class Runs:
    """Medians by contest and contender; of those in one process by contest and what."""

    def __init__(self, runs):
        self.groups = {}
        for run in runs:
            self.groups.setdefault((run["contest"], run.get("what", run["contender"])), []).append(run)

    def has(self, contest, *contenders):
        return all((contest, contender) in self.groups for contender in contenders)

    def get(self, contest, contender, field):
        return median(self.groups[(contest, contender)], field)

    def ratio(self, contest, one, other, field):
        """Run by run, as each has both."""
        pairs = zip(self.groups[(contest, one)], self.groups[(contest, other)])
        return median([{"ratio": float(a[field]) / float(b[field])} for a, b in pairs], "ratio")


def at_most(what, value, unit, wanted, form="{:,.2f}"):
    return [what, f"{form.format(value)} {unit}", f"≤ {wanted:,g} {unit}", verdict(value <= wanted)]


def at_least(what, value, unit, wanted):
    return [what, f"{value:,.2f} {unit}", f"≥ {wanted:,g} {unit}", verdict(value >= wanted)]


def far_rows(runs):
    if not runs.has("far", "bare", "there", "here", "there-busy", "here-busy"):
        return []
    return [
        at_most("a dispatch to a stream of another node, to its socket, against a bare NATS message one way: p50",
                runs.ratio("far", "there", "bare", "p50_us"), "×", 2),
        at_most("the same: p99", runs.ratio("far", "there", "bare", "p99_us"), "×", 10),
        at_most("its CPU in all processes, against a local one: one at a time",
                runs.ratio("far", "there", "here", "cpu_us"), "×", 8),
        at_most("the same: 64 at once", runs.ratio("far", "there-busy", "here-busy", "cpu_us"), "×", 4),
    ]


def digests_rows(runs):
    if not runs.has("digests", "memory", "life", "local"):
        return []
    return [
        at_most("directory: a stream, on each node: the most there ever are",
                runs.get("digests", "memory", "most_bytes_each"), "bytes", 64, "{:,.1f}"),
        at_most("the same: others' keys, as the allocator counts them",
                runs.get("digests", "memory", "counted_bytes_each"), "bytes", 64, "{:,.1f}"),
        ["a dispatch to a stream that is here: more than without a cluster",
         f"{runs.get('digests', 'local', 'more_ns') / 1e3:+.2f} µs", "0 µs (± 0.05)",
         verdict(abs(runs.get("digests", "local", "more_ns")) <= 50)],
        at_most("opening a stream: more CPU", runs.get("digests", "life", "open_more_us"), "µs", 1),
        at_most("closing it: more CPU", runs.get("digests", "life", "close_more_us"), "µs", 1),
    ]


def reconnect_rows(runs):
    if not runs.has("reconnect", "quiet", "apart", "within"):
        return []
    streams = int(runs.get("reconnect", "within", "streams"))
    lost = runs.get("reconnect", "within", "unanswered") + runs.get("reconnect", "within", "not_alive")
    p99 = runs.get("reconnect", "within", "p99_us") / 1e3
    apart = runs.get("reconnect", "apart", "p99_us") / 1e3
    return [
        [f"{streams:,} streams of one node reconnect at once: dispatches between others, p99",
         f"{p99:.1f} ms; {apart:.1f} ms if that node is of no cluster", "≤ 1.5 × that", verdict(p99 <= 1.5 * apart)],
        ["the same: dispatches without an answer, and looks at a member that was not alive", f"{lost:g}", "0",
         verdict(not lost)],
    ]


def sockets_bars(runs):
    rows = []
    for contest in ("broadcast", "page"):
        if runs.has(contest, "vestry", "vestry-one"):
            streams = int(runs.get(contest, "vestry", "streams"))
            rows.append(at_least(f"{TITLES[contest]} to 3 × {streams // 3:,} streams: deliveries a second, against one "
                                 f"node with {streams:,}", runs.ratio(contest, "vestry", "vestry-one", "deliveries_per_s"),
                                 "×", 0.9))
    if runs.has("page", "vestry"):
        each = runs.get("page", "vestry", "encodes_each")
        rows.append(["the same: encodings of an event, on each node", f"{each:g}", "1", verdict(each == 1)])
    if runs.has("broadcast", "vestry", "socketio"):
        rows.append(at_least("deliveries a second of a broadcast, against Socket.IO",
                             runs.ratio("broadcast", "vestry", "socketio", "deliveries_per_s"), "×", 1))
        rows.append(at_most("CPU of a delivery, against Socket.IO", runs.ratio("broadcast", "vestry", "socketio", CPU), "×", 1))
    if runs.has("keyed", "vestry", "socketio"):
        for field, what in (("latency_p50_ms", "p50"), ("p99_ms", "p99"), (CPU, "CPU")):
            rows.append(at_most(f"by key to another node, POST to arrival, against Socket.IO: {what}",
                                runs.ratio("keyed", "vestry", "socketio", field), "×", 1))
    return rows


FAR_HEAD = ["what", "p50 µs", "p99 µs", "answered p50 µs", "CPU µs", "of it here", "there", "broker"]
FAR = {"bare": "bare NATS message, to the callback; CPU without the receiver", "there": "dispatch to another node",
       "here": "dispatch to this node", "there-busy": "64 at once to another node", "here-busy": "64 at once to this node"}


def far_table(runs):
    rows = []
    for what, label in FAR.items():
        if runs.has("far", what):
            rows.append([label] + [f"{runs.get('far', what, field):.1f}" for field in
                                   ("p50_us", "p99_us", "answer_p50_us", "cpu_us", "own_cpu_us", "there_cpu_us",
                                    "broker_cpu_us")])
    return table(FAR_HEAD, rows)


RECONNECT_HEAD = ["meanwhile", "dispatches", "p50 µs", "p99 µs", "max µs", "until all are back ms", "and known ms"]
RECONNECT = {"quiet": "no client reconnects", "apart": "at a node of no cluster", "within": "at a node of the cluster"}


def reconnect_table(runs):
    rows = []
    for what, label in RECONNECT.items():
        if runs.has("reconnect", what):
            rows.append([label] + [f"{runs.get('reconnect', what, field):,.0f}" for field in
                                   ("dispatches", "p50_us", "p99_us", "max_us", "reconnect_ms", "known_ms")])
    return table(RECONNECT_HEAD, rows)


def alone_table(runs):
    rows = []
    for what, fields in {"memory": ("keys", "bytes_each", "most_bytes_each", "counted_bytes_each"),
                         "life": ("open_us", "open_apart_us", "close_us", "close_apart_us", "others_us"),
                         "local": ("within_ns", "apart_ns", "more_ns", "others_keys")}.items():
        if runs.has("digests", what):
            rows.append([what, ", ".join(f"{field} {runs.get('digests', what, field):,.5g}" for field in fields)])
    return table(["what", "medians"], rows)


SOCKETS_HEAD = ["contest", "servers", "CPU µs", "from–to", "deliveries/s", "p50 ms", "p99 ms", "bytes", "memory", "opened/s"]


def sockets_table(runs):
    rows, before = [], None
    for (contest, contender), group in runs.groups.items():
        if contender not in LABELS:
            continue
        spans = sorted(float(run[CPU]) for run in group)
        title = f"{TITLES[contest]}, {int(group[0]['streams']):,} streams"
        rows.append([title if contest != before else "", LABELS[contender], f"{median(group, CPU):.2f}",
                     f"{spans[0]:.2f}–{spans[-1]:.2f}", f"{median(group, 'deliveries_per_s'):,.0f}",
                     f"{median(group, 'latency_p50_ms'):.3g}", f"{median(group, 'p99_ms'):.3g}",
                     f"{median(group, 'wire_bytes_per_delivery'):.0f}", f"{median(group, 'rss_per_stream_bytes'):,.0f}",
                     f"{median(group, 'opened_per_s'):,.0f}"])
        before = contest
    return table(SOCKETS_HEAD, rows)


def why(runs):
    """What a dispatch to another node is made of, in this page's own numbers."""
    if not runs.has("far", "bare", "there", "here"):
        return ""
    def get(what, field):
        return runs.get("far", what, field)
    receiver = max(0, get("bare", "client_cpu_us"))
    return f"""A dispatch to another node is two messages, the question and the answer. One bare message, alone, takes \
{get("bare", "cpu_us"):.0f} µs of CPU at the sender and in nats-server, and {receiver:.0f} µs at the receiver: each \
thread that sleeps is woken for one message. So two of them cost {2 * (get("bare", "cpu_us") + receiver) / get("here", "cpu_us"):.0f} \
× a local dispatch ({get("here", "cpu_us"):.0f} µs) before vestry has done anything; vestry's takes \
{get("there", "cpu_us"):.0f} µs, {get("there", "broker_cpu_us"):.0f} of them in nats-server. When many are under way \
no thread has to be woken, and it is {get("there-busy", "cpu_us"):.0f} µs beside {get("here-busy", "cpu_us"):.1f}.
"""


NOTES = """## What is measured
- **All share two processors**: nodes, broker, posting and receiving clients, over loopback. No network is between \
the nodes: a real one adds its own latency to both sides of each comparison, and takes nothing of these processors. Each \
run has nodes, and a nats-server or a redis-server, of its own.
- **Dispatch** (`vestry-bench cluster --way far`): from the call of `vestry_dispatch` in one process to the bytes of the \
event at the socket of a client whose stream is another node's; the client is a process of its own, and all read one \
monotonic clock. *Answered* is when the call returns: then the other node has said how many streams have it. Beside it, \
by turns: `natsConnection_Publish` to the callback in the client's process, 300 bytes (what a dispatch's message has), \
libnats as vestry sets it; and a dispatch to a stream of the calling node. One at a time, the next when the last has \
arrived. 64 at once: to 64 streams with keys of their own, by `vestry_cluster_dispatch`, which does not wait for its answers; the next 64 \
when all have arrived and been answered. CPU: of all nodes and nats-server, exact to nanoseconds; not of the client, \
nor of the calling thread between calls.
- **Directory** (`--way digests`): three nodes, each with 10,000 streams under keys of their own; what each stream takes \
on a node. The most: while streams are added one by one, as the table grows. As the allocator counts: what this node \
has allocated when the others' keys had come. Opening and closing: over the memory adapter, 10,000 at once, beside an \
instance of no cluster in the same process and by turns; CPU of the process, until the others know. others_us: what \
nats-server and both others use meanwhile, for opening and closing one. A dispatch to a stream that is here: both \
instances on one thread, by turns.
- **Reconnecting** (`--way reconnect`): 10,000 streams of one node are reset, and connect again as fast as they can. \
Meanwhile another node dispatches to a third one, each time a millisecond after the last has arrived. The sockets \
and processors cost something by themselves: so the same is done with a node that is of no cluster.
- **Over sockets** (`vestry-bench load`): one thread reads all streams, one posts to the first node; the next round begins \
when all of the last one has come. It checks every byte of every event, and **a run with a loss, a disorder or a broken \
stream fails**. CPU is that of all nodes and of the broker for each delivery, the POST included; known to hundredths of a \
second in all. By key: every stream has a key of its own, of 3,000 on three nodes; the POST goes to a node that does \
not have it, or to the one that does.

## What is not alike
- **Socket.IO** is 4.8 with its Redis adapter, a Node process for each node, websockets from the beginning (no long \
polling, nothing compressed), a redis-server without persistence. Its clients here are a lean reader of frames in C, the \
same program that reads vestry's streams; an application would have its own client on top, on machines of its own.
- A websocket's frame has 110 bytes where an event in a chunk has 158: Datastar's names are in it.
- **An answer**: Socket.IO's `io.to(room).emit` tells all nodes and returns; the POST is answered 204 at once, whether or \
not a stream was there. vestry asks the node that holds the key, and answers when that has said how many have it. \
Latency is to the arrival for both; deliveries a second and CPU have vestry's answer in them.
- Redis carries an event to all nodes, also to those without a member of the room; so does Socket.IO's adapter, unless it is sharded.
- Node encodes an event for each node once, and writes to each of its websockets from one thread; vestry has two \
threads a node that write. Three Node processes and Redis are four threads that work on two processors, three nodes of \
vestry and nats-server some more.
- **Centrifugo** is not measured: one of the two was wanted, and Socket.IO comes from npm as it is.
"""


def page(result, runs):
    machine = result["machine"]
    versions = [f"{name} {version}" for name, version in machine["packages"].items() if version]
    versions += [f"{name} {result[field]}" for name, field in
                 (("Node", "node"), ("Socket.IO", "socketio"), ("its Redis adapter", "adapter")) if result[field]]
    runs_text = "one run" if result["repetitions"] == 1 else f"medians of {result['repetitions']} runs"
    others, warning = f"{100 * result['others_share']:.0f} %", ""
    if result["others_share"] > QUIET_SHARE:
        warning = f"\n**Others used {others} of the processors meanwhile: compare with care.**\n"
    bars = far_rows(runs) + digests_rows(runs) + reconnect_rows(runs) + sockets_bars(runs)
    return f"""# Clusters
Measured by `scripts/bench-cluster` on {result['date']}: {runs_text}, interleaved, in {result['took_s'] / 60:.0f} \
minutes; others used {others} of the processors. {machine['cpu']}, {machine['cpus']} processors, Linux \
{machine['kernel']}, {machine['compiler']}; {', '.join(versions)}.
{warning}
Compare within this page only: other machines, and other days, have other numbers.

## What is wanted
{table(["what", "has", "wanted", "met"], bars)}
## A dispatch
{far_table(runs)}
{why(runs)}
## Streams that reconnect
{reconnect_table(runs)}
## What others are told
{alone_table(runs)}
## Over sockets
{sockets_table(runs)}
{NOTES}"""


def main():
    source, directory = sys.argv[1:]
    with open(source, encoding="utf-8") as measured:
        result = json.load(measured)
    with open(os.path.join(directory, "bench-cluster.md"), "w", encoding="utf-8") as output:
        output.write(page(result, Runs(result["runs"])))


main()
