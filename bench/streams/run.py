#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the contests of scripts/bench-streams, interleaved, and write their lines as JSON: run.py BUILD OUTPUT …

One repetition runs all contests; the next repetition begins each contest with another contender. So no contender always
runs after the same one, and all contenders run in all states of the machine. Each run has a separate server,
which is ended by its process id.
"""
import argparse
import collections
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import machine  # noqa: E402
from servers import Server, free_port, node_version, parse, sdk_version, version_of  # noqa: E402

Contest = collections.namedtuple("Contest", "name streams rounds load contenders")

# The generator decodes after the round, so that its work beside the server is the same for all contenders.
AFTERWARDS = ["--puts-off", "--warm", "5"]
BARE_PAGE = ["--payload-bytes", "113", *AFTERWARDS]  # 171 bytes on the wire, as many as the page has in brotli
PAGE = ["--payload-bytes", "10000", "--change-bytes", "100", *AFTERWARDS]
STALL = ["--payload-bytes", "10000", "--warm", "400"]  # after the warm-up, the sockets of stalled readers are full
KEYED_ROUNDS = 3000
OWN_PART = 4  # memory is counted with this part of the streams, too, to separate it from what exists once
FEW = 1000
# These contenders of a broadcast to all streams run further times: the targets compare them, and differences of 10 %
# need more pairs than those of 100 %.
PAIRED, PAIRS = ["floor", "floor-batched", "microhttpd-one", "floor-batched-two", "microhttpd"], 3
# The servers on Node: their programs below the build directory, each beside the packages that it needs.
ON_NODE = {"node": "datastar-sdk/datastar.mjs", "better-sse": "better-sse/better-sse.mjs", "socketio": "socketio/socketio.mjs"}
DRAIN_MS = 10000
NCHAN = "/usr/lib/nginx/modules/ngx_nchan_module.so"
QUEUE_BYTES = 4 << 20  # bound of a stream; with the default of 1 MiB, stalled streams would be closed
BUDGET_BYTES = 16 << 20  # bound of all streams together


def few(contest):
    """Return the contest with fewer streams, and with civetweb, which needs a thread for each stream."""
    rounds = contest.rounds * (contest.streams // FEW if contest.name == "broadcast" else 1)
    return contest._replace(streams=FEW, rounds=rounds, contenders=contest.contenders + ["civetweb"])


def contests(streams):
    """Return all contests, with at most this number of streams."""
    servers = ["floor", "floor-batched", "microhttpd", "microhttpd-plain", "nchan", *ON_NODE]
    both = [
        Contest("broadcast", streams, max(20, 200000 // streams), ["--warm", "3"],
                servers + ["microhttpd-one", "floor-batched-two"]),
        Contest("keyed", streams, KEYED_ROUNDS, ["--keyed", "--warm", "200"], servers),
    ]
    if streams > FEW:
        both = [each for contest in both for each in (contest, few(contest))]
    return both + [
        Contest("page", streams, 20, PAGE, ["floor-batched", "microhttpd-br", "microhttpd-br-plain", "microhttpd-gzip", "microhttpd", "microhttpd-plain"]),
        Contest("readers", min(FEW, streams), 300, STALL, ["microhttpd", "microhttpd-stalled"]),
        *(Contest("own", count, 1, ["--keyed"], ["microhttpd", "microhttpd-br"]) for count in (streams // OWN_PART, streams)),
        Contest("drain", streams, 1, [], ["microhttpd"]),
    ]


def fill_in(source, directory, values):
    """Write a configuration with its values into a folder, and return its path."""
    values = {"DIRECTORY": directory, "USER": "user root;" if os.getuid() == 0 else "", **values}
    with open(os.path.join(HERE, source), encoding="utf-8") as template:
        text = re.sub("@([A-Z]+)@", lambda match: values[match.group(1)], template.read())
    path = os.path.join(directory, source)
    with open(path, "w", encoding="utf-8") as output:
        output.write(text)
    return path


def start_nchan(descriptors, certificate=None):
    """certificate: a file with a key and its certificate, for HTTP/2 over TLS."""
    directory, port = tempfile.mkdtemp(prefix="vestry-nchan-"), free_port()
    tls = f"ssl_certificate {certificate}; ssl_certificate_key {certificate}; ssl_protocols TLSv1.3;" if certificate else ""
    path = fill_in("nginx.conf", directory, {"PORT": str(port), "DESCRIPTORS": str(descriptors), "MODULE": NCHAN, "TLS": tls,
                                             "VERSION": "ssl http2" if certificate else ""})
    command = [nginx(), "-p", directory, "-c", path, "-e", os.path.join(directory, "error.log")]
    return Server(command, port, directory=directory, children=2)


def nginx():
    return shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def start(build, contender, contest, descriptors):
    bench = os.path.join(build, "bin", "vestry-bench")
    if contender.startswith("floor"):
        batched = ["--batched"] if contender.startswith("floor-batched") else []
        batched += ["--threads", "2"] if contender.endswith("-two") else []
        return Server([bench, "floor", "--port", "0", "--streams", str(contest.streams), *batched])
    if contender == "nchan":
        return start_nchan(descriptors)
    if contender in ON_NODE:
        return Server(["node", os.path.join(build, ON_NODE[contender]), "0"])
    command = [bench, "serve", "--port", "0", "--streams", str(contest.streams)]
    if contender == "civetweb":
        command += ["--adapter", "civetweb", "--threads", str(contest.streams + 64)]
    else:
        command += ["--adapter", "microhttpd", "--threads", "2"]
    if contender.endswith("-plain"):
        command += ["--io", "plain"]
    if contender.endswith("-one"):
        command += ["--workers", "1"]
    command += encoding_of(contender)
    if contest.name == "own":
        command += ["--count-memory"]
    if contest.name == "readers":
        command += ["--queue-bytes", str(QUEUE_BYTES), "--budget-bytes", str(BUDGET_BYTES)]
    return Server(command)


def encoding_of(contender):
    """Return the options of a contender's encoding."""
    return [option for encoding in ("br", "gzip") if encoding in contender.split("-")
            for option in ("--encoding", encoding)]


def load_options(contender, contest):
    is_bare_page = contest.name == "page" and contender.startswith("floor")
    options, streams = list(BARE_PAGE if is_bare_page else contest.load), contest.streams
    options += encoding_of(contender)
    if contender.endswith("-stalled"):
        options += ["--stalled", str(streams // 100)]
        streams -= streams // 100
    if contender in ("nchan", "socketio"):
        options += ["--server", contender]
    if contest.name == "own":
        options += ["--own"]
    if contest.name == "drain":
        options += ["--drain-ms", str(DRAIN_MS)]
    return options + ["--streams", str(streams), "--rounds", str(contest.rounds)]


def closed_for(port, *causes):
    """Return the number of streams that vestry has closed, by cause."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats") as answer:
        counts = json.load(answer)["causes"]
        return {f"closed_{cause}": counts[cause] for cause in causes}


def run(build, contest, contender, descriptors):
    with start(build, contender, contest, descriptors) as server:
        command = [os.path.join(build, "bin", "vestry-bench"), "load", "--port", str(server.port), "--pid",
                   ",".join(map(str, server.pids())), *load_options(contender, contest)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        closed = closed_for(server.port, "full", "budget") if contender.startswith("microhttpd") else {}
    if done.returncode:
        sys.exit(f"{contender}: {' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return {**parse(server.said), **parse(done.stdout), **closed, "contender": contender, "contest": contest.name, "requested_streams": contest.streams}


def can_run(build, contender):
    if contender == "nchan":
        return nginx() is not None and os.path.exists(NCHAN)
    return contender not in ON_NODE or os.path.isdir(os.path.join(build, os.path.dirname(ON_NODE[contender]), "node_modules"))


def order(contest, able, repetition):
    """Return the contenders of a repetition in the order of their runs."""
    rounds = [able]
    if contest.name == "broadcast" and contest.streams > FEW:
        rounds += [[each for each in PAIRED if each in able]] * (PAIRS - 1)
    order = []
    for number, those in enumerate(rounds):
        first = (repetition + number) % max(1, len(those))
        order += those[first:] + those[:first]
    return order


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("output")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--streams", type=int, default=10000)
    parser.add_argument("--only")
    args = parser.parse_args()
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    streams = min(args.streams, (descriptors - 256) * 4 // 5)  # the server needs more descriptors than it has streams
    chosen = [contest for contest in contests(streams) if args.only in (None, contest.name)]
    if not chosen:
        sys.exit(f"--only: there is no contest {args.only}")
    began, before, runs = time.time(), machine.processor_seconds(), []
    for repetition in range(args.repetitions):
        for contest in chosen:
            able = [contender for contender in contest.contenders if can_run(args.build, contender)]
            for contender in order(contest, able, repetition):
                done = run(args.build, contest, contender, descriptors)
                runs.append({**done, "repetition": repetition})
                print(f"{repetition + 1} {contest.name} {contest.streams} {contender}: "
                      f"{done.get('server_cpu_us_per_delivery')} µs, p99 {done.get('p99_ms')} ms", file=sys.stderr)
    share = machine.others_share(before, machine.processor_seconds())
    result = {"date": time.strftime("%Y-%m-%d", time.gmtime(began)), "took_s": round(time.time() - began), "others_share": share,
              "repetitions": args.repetitions, "only": args.only, "streams": streams,
              "requested_streams": args.streams, "descriptors": descriptors,
              "machine": machine.describe(["libmicrohttpd12", "libcivetweb1", "nginx", "libnginx-mod-nchan",
                                           "libbrotli1", "zlib1g"]),
              "node": node_version(), "sdk": sdk_version(args.build),
              "better-sse": version_of(args.build, "better-sse/node_modules/better-sse"),
              "socketio": version_of(args.build, "socketio/node_modules/socket.io"), "runs": runs}
    with open(args.output, "w", encoding="utf-8") as output:
        json.dump(result, output, indent=1)


if __name__ == "__main__":
    main()
