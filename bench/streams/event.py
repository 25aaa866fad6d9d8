#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare one event to one stream, with its POST, between builds of two commits: event.py BUILD OTHER_BUILD PAIRS

Servers of both commits and a bare one run side by side, with the load generator of BUILD. Blocks of POSTs alternate
between them, in an order that is reversed each time. The time of a block is the processor time of the server's process,
which the kernel counts in nanoseconds. "4 kB" is this commit with as much memory of a connection as libmicrohttpd had
before it served heads of 16 KiB: libmicrohttpd clears this memory after each request.
"""
import os
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from page import interval, table  # noqa: E402
from servers import Server, parse  # noqa: E402

STREAMS, POSTS, WARM = "20", "1000", "100"
CPU, USER, P50 = "server_cpu_us_per_delivery", "server_user_us_per_delivery", "latency_p50_ms"
SERVE = ["serve", "--adapter", "microhttpd", "--threads", "2"]


def block(build, server):
    command = [os.path.join(build, "bin", "vestry-bench"), "load", "--port", str(server.port), "--pid",
               str(server.process.pid), "--streams", STREAMS, "--keyed", "--rounds", POSTS, "--warm", WARM]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}")
    return parse(done.stdout)


def values(runs, field):
    return [float(run[field]) for run in runs]


def main():
    build, other, pairs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    commands = {"bare": (build, ["floor"]), "this": (build, SERVE),
                "this, 4 kB": (build, [*SERVE, "--memory-bytes", "4096"]), "other": (other, SERVE)}
    servers, runs = {}, {name: [] for name in commands}
    try:
        for name, (where, arguments) in commands.items():
            servers[name] = Server([os.path.join(where, "bin", "vestry-bench"), *arguments, "--port", "0", "--streams",
                                    STREAMS])
        for at in range(-1, pairs):
            for name in list(servers)[::-1 if at % 2 else 1]:
                said = block(build, servers[name])
                if at >= 0:  # the first round warms up
                    runs[name].append(said)
    finally:
        for server in servers.values():
            server.end()
    rows = []
    for name, of in runs.items():
        cpu = values(of, CPU)
        cells = [name, f"{statistics.median(cpu):.2f}", f"{min(cpu):.2f}", f"{statistics.mean(values(of, USER)):.1f}",
                 f"{statistics.median(values(of, P50)):.3f}"]
        for base in ("other", "bare"):
            ratios = [one / two for one, two in zip(cpu, values(runs[base], CPU))]
            least, most = interval(ratios)
            cells.append("" if name == base else f"{statistics.median(ratios):.2f} × ({least:.2f} to {most:.2f})")
        rows.append(cells)
    print(table(["server", "CPU µs of a POST and its delivery", "least", "outside of the kernel", "p50 ms",
                 "compared with other", "compared with bare"], rows))
    print(f"Medians of {pairs} blocks of {POSTS} POSTs; ratios of pairs, with the interval of the median (95 %).")


main()
