#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the results of run.py as a page: report.py RUNS.json DIRECTORY"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from page import median, table, verdict  # noqa: E402

LABELS = {"vestry": "vestry, 3 nodes", "vestry-one": "vestry, 1 node", "vestry-apart": "vestry, 3 nodes in no cluster",
          "socketio": "Socket.IO, 3 nodes"}
FLOOR_SHARE = 1 / 1.1  # of the floor, where that is lower than the target
TITLES = {"broadcast": "broadcast of 100 bytes", "page": "page of 10 kB, 1 % changes, brotli",
          "keyed": "by key, POST at another node", "keyed-here": "by key, POST at its node"}
QUIET_SHARE = 0.05  # maximum share of other processes on a machine that counts as idle
CPU = "server_cpu_us_per_delivery"


class Runs:
    """Medians by contest and contender; for contests in one process, by contest and measured operation."""

    def __init__(self, runs):
        self.groups = {}
        for run in runs:
            self.groups.setdefault((run["contest"], run.get("what", run["contender"])), []).append(run)

    def has(self, contest, *contenders):
        return all((contest, contender) in self.groups for contender in contenders)

    def get(self, contest, contender, field):
        return median(self.groups[(contest, contender)], field)

    def ratio(self, contest, one, other, field):
        """Return the ratio for each run, because each run contains both values."""
        pairs = zip(self.groups[(contest, one)], self.groups[(contest, other)])
        return median([{"ratio": float(a[field]) / float(b[field])} for a, b in pairs], "ratio")


def at_most(what, value, unit, wanted, form="{:,.2f}"):
    return [what, f"{form.format(value)} {unit}", f"≤ {wanted:,g} {unit}", verdict(value <= wanted)]


def nodes_row(runs, contest):
    """Compare three nodes with one, and with the floor: three nodes that do not know each other, each with its POST."""
    streams = int(runs.get(contest, "vestry", "streams"))
    has, floor = (runs.ratio(contest, nodes, "vestry-one", "deliveries_per_s") for nodes in ("vestry", "vestry-apart"))
    return [f"{TITLES[contest]} to 3 × {streams // 3:,} streams: deliveries per second, compared with one node with "
            f"{streams:,}", f"{has:.2f} ×; three nodes in no cluster, each with its own POST: {floor:.2f} ×",
            "≥ 0.95 ×, or 0.91 × the latter", verdict(has >= min(0.95, FLOOR_SHARE * floor))]


def at_least(what, value, unit, wanted):
    return [what, f"{value:,.2f} {unit}", f"≥ {wanted:,g} {unit}", verdict(value >= wanted)]


def far_rows(runs):
    if not runs.has("far", "bare", "there", "here", "there-busy", "here-busy"):
        return []
    return [
        at_most("a dispatch to a stream of another node, to its socket, compared with a bare NATS message in one "
                "direction: p50",
                runs.ratio("far", "there", "bare", "p50_us"), "×", 2),
        at_most("the same: p99", runs.ratio("far", "there", "bare", "p99_us"), "×", 10),
        at_most("its CPU in all processes, compared with a local dispatch: one at a time",
                runs.ratio("far", "there", "here", "cpu_us"), "×", 8),
        at_most("the same: 64 at once", runs.ratio("far", "there-busy", "here-busy", "cpu_us"), "×", 4),
    ]


def digests_rows(runs):
    if not runs.has("digests", "memory", "life", "local"):
        return []
    return [
        at_most("directory: memory of a stream, on each node: maximum",
                runs.get("digests", "memory", "most_bytes_each"), "bytes", 64, "{:,.1f}"),
        at_most("the same: keys of the other nodes, as the allocator counts them",
                runs.get("digests", "memory", "counted_bytes_each"), "bytes", 64, "{:,.1f}"),
        ["a dispatch to a stream of this node: in addition to the time without a cluster",
         f"{runs.get('digests', 'local', 'more_ns') / 1e3:+.2f} µs", "0 µs (± 0.05)",
         verdict(abs(runs.get("digests", "local", "more_ns")) <= 50)],
        at_most("opening a stream: additional CPU", runs.get("digests", "life", "open_more_us"), "µs", 1),
        at_most("closing it: additional CPU", runs.get("digests", "life", "close_more_us"), "µs", 1),
    ]


def reconnect_rows(runs):
    if not runs.has("reconnect", "quiet", "apart", "within"):
        return []
    streams = int(runs.get("reconnect", "within", "streams"))
    lost = runs.get("reconnect", "within", "unanswered") + runs.get("reconnect", "within", "not_alive")
    p99 = runs.get("reconnect", "within", "p99_us") / 1e3
    apart = runs.get("reconnect", "apart", "p99_us") / 1e3
    return [
        [f"{streams:,} streams of one node reconnect at once: dispatches between other nodes, p99",
         f"{p99:.1f} ms; {apart:.1f} ms if the node is in no cluster", "≤ 1.5 × the latter",
         verdict(p99 <= 1.5 * apart)],
        ["the same: dispatches without an answer, and checks that found a member not alive", f"{lost:g}", "0",
         verdict(not lost)],
    ]


def sockets_bars(runs):
    rows = []
    for contest in ("broadcast", "page"):
        if runs.has(contest, "vestry", "vestry-one", "vestry-apart"):
            rows.append(nodes_row(runs, contest))
    if runs.has("page", "vestry"):
        each = runs.get("page", "vestry", "encodes_each")
        rows.append(["the same: encodings of an event, on each node", f"{each:g}", "1", verdict(each == 1)])
    if runs.has("broadcast", "vestry", "socketio"):
        rows.append(at_least("deliveries per second of a broadcast, compared with Socket.IO",
                             runs.ratio("broadcast", "vestry", "socketio", "deliveries_per_s"), "×", 1))
        rows.append(at_most("CPU of a delivery, compared with Socket.IO",
                            runs.ratio("broadcast", "vestry", "socketio", CPU), "×", 1))
    if runs.has("keyed", "vestry", "socketio"):
        for field, what in (("latency_p50_ms", "p50"), ("p99_ms", "p99"), (CPU, "CPU")):
            rows.append(at_most(f"by key to another node, POST to arrival, compared with Socket.IO: {what}",
                                runs.ratio("keyed", "vestry", "socketio", field), "×", 1))
    return rows


FAR_HEAD = ["what", "p50 µs", "p99 µs", "answered p50 µs", "CPU µs", "of it calling node", "other node", "broker"]
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


RECONNECT_HEAD = ["meanwhile", "dispatches", "p50 µs", "p99 µs", "max µs", "all reconnected after ms",
                  "known to all nodes after ms"]
RECONNECT = {"quiet": "no client reconnects", "apart": "at a node in no cluster", "within": "at a node of the cluster"}


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


SOCKETS_HEAD = ["contest", "servers", "CPU µs", "from–to", "deliveries/s", "p50 ms", "p99 ms", "bytes",
                "memory", "opened/s"]


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
    """Return the explanation of a dispatch to another node, with the figures of this page."""
    if not runs.has("far", "bare", "there", "here"):
        return ""
    def get(what, field):
        return runs.get("far", what, field)
    receiver = max(0, get("bare", "client_cpu_us"))
    return f"""A dispatch to another node consists of two messages, a request and its answer. A single bare \
message takes {get("bare", "cpu_us"):.0f} µs of CPU at the sender and in nats-server, and {receiver:.0f} µs at the \
receiver, because each sleeping thread is woken for one message. Therefore two messages alone cost \
{2 * (get("bare", "cpu_us") + receiver) / get("here", "cpu_us"):.0f} × a local dispatch ({get("here", "cpu_us"):.0f} \
µs). vestry's dispatch takes {get("there", "cpu_us"):.0f} µs, {get("there", "broker_cpu_us"):.0f} of them in \
nats-server. If many dispatches run at once, no thread has to be woken, and one takes \
{get("there-busy", "cpu_us"):.0f} µs, compared with {get("here-busy", "cpu_us"):.1f} µs for a local one.
"""


NOTES = """## Method
- **Two processors for everything**: nodes, broker, and the clients that post and receive, over loopback. There is no \
network between the nodes; a real network would add its latency to both sides of each comparison, and would not use \
these processors. Each run starts new nodes, and a new nats-server or redis-server.
- **Dispatch** (`vestry-bench cluster --way far`): the time from the call of `vestry_dispatch` in one process until \
the bytes of the event are at the socket of a client whose stream is on another node. The client is a separate \
process, and all processes read the same monotonic clock. *Answered* is the time until the call returns, when the \
other node has reported the number of streams that received the event.
    - Compared in turn: `natsConnection_Publish` to the callback in the client's process, with 300 bytes (the \
size of the \
message of a dispatch) and vestry's settings of libnats; and a dispatch to a stream of the calling node.
    - One at a time: the next dispatch begins when the last has arrived.
    - 64 at once: to 64 streams with different keys, with `vestry_cluster_dispatch`, which does not wait for \
answers. The \
next 64 begin when all have arrived and were answered.
    - CPU: of all nodes and nats-server, exact to nanoseconds, without the client, and without the calling \
thread between \
calls.
- **Directory** (`--way digests`): three nodes, each with 10,000 streams under different keys; the memory of each \
stream on a node.
    - Maximum: the highest value while streams are added one by one and the table grows.
    - As the allocator counts: the memory that this node has allocated when it has received the keys of the others.
    - Opening and closing: over the memory adapter, 10,000 at once, in turn with an instance without a cluster \
in the same \
process; the CPU of the process, until the other nodes have received the keys. others_us: the CPU of nats-server and \
both other nodes meanwhile, for opening and closing one stream. Values with "apart" are those of the instance without \
a cluster.
    - A dispatch to a stream of this node: both instances on one thread, in turn.
- **Reconnecting** (`--way reconnect`): 10,000 streams of one node are reset, and reconnect as fast as they can. \
Meanwhile a second node dispatches to a third one, a millisecond after each arrival. Because the sockets and \
processors themselves cause a delay, the measurement is repeated with a node outside of the cluster.
- **Over sockets** (`vestry-bench load`): one thread reads all streams, and one posts to the first node; the next \
round begins when all events of the last one have arrived. It checks every byte of every event. **A run with a lost \
event, a wrong order or a broken stream fails.** CPU is that of all nodes and of the broker for each delivery, \
including the POST; its sum is exact to hundredths of a second. Three nodes in no cluster, each with its own POST, are \
the minimum of three nodes: each of them also makes and encodes the event. By key: each of 3,000 streams on three \
nodes has a different key, and the POST goes to a node without the key, or to the node with it. The other columns are \
those of [bench-streams](bench-streams.md#method).

## Differences between the contestants
- **Socket.IO** is version 4.8 with its Redis adapter: a Node process for each node, websockets from the beginning (no \
long polling, no compression), and a redis-server without persistence. Its clients are the same C program that reads \
vestry's streams, with a minimal reader of frames. An application would add Socket.IO's own client, on other \
machines.
- A websocket frame has 110 bytes. The same event in a chunk has 158 bytes, because it contains Datastar's names.
- **Answers**: Socket.IO's `io.to(room).emit` publishes to all nodes and returns. The POST gets 204 at once, whether \
or not a stream exists. vestry sends a request to the node that holds the key, and answers when that node has \
reported the number of streams. For both, latency ends at the arrival of the event. vestry's deliveries per second \
and CPU include the answer.
- Redis transports an event to all nodes, including nodes without a member of the room, because Socket.IO's adapter is \
not sharded here.
- Node encodes an event once for each node, and one thread writes to all websockets of the node; vestry has two \
writing threads for each node. Three Node processes and Redis run four threads on two processors; three nodes of \
vestry and nats-server run a few more.
- **Centrifugo** was not measured, because one comparison was enough, and Socket.IO can be installed from npm without \
changes.
"""


def page(result, runs):
    machine = result["machine"]
    versions = [f"{name} {version}" for name, version in machine["packages"].items() if version]
    versions += [f"{name} {result[field]}" for name, field in
                 (("Node", "node"), ("Socket.IO", "socketio"), ("its Redis adapter", "adapter")) if result[field]]
    runs_text = "one run" if result["repetitions"] == 1 else f"medians of {result['repetitions']} runs"
    others, warning = f"{100 * result['others_share']:.0f} %", ""
    if result["others_share"] > QUIET_SHARE:
        warning = f"\n**Other programs used {others} of the processors meanwhile: compare with care.**\n"
    bars = far_rows(runs) + digests_rows(runs) + reconnect_rows(runs) + sockets_bars(runs)
    return f"""# Clusters
`scripts/bench-cluster` wrote this page on {result['date']}: {runs_text}, interleaved, in {result['took_s'] / 60:.0f} \
minutes; other programs used {others} of the processors. {machine['cpu']}, {machine['cpus']} processors, Linux \
{machine['kernel']}, {machine['compiler']}; {', '.join(versions)}.
{warning}
Compare figures within this page only, because other machines and other days give other numbers.

## Targets
{table(["what", "measured", "target", "met"], bars)}
## A dispatch
{far_table(runs)}
{why(runs)}
## Streams that reconnect
{reconnect_table(runs)}
## The directory of keys
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
