#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run all hostile clients against vestry-bench serve, beside honest clients; print a table and a verdict.

soak.py BENCH [--server civetweb|microhttpd|tls|h2]… [--only ATTACK]… [--seconds N] [--mixed N] [--short] [--seed N]

Each attack has a separate server, and these phases: honest clients alone (quiet); the same attackers against another
server of the same kind, on the same processors, which measures the cost of sharing the machine (beside); the attack;
after it, the time until a page and a stream are served again and all descriptors and slots of the attackers are free; a
second attack, after which the server must not be larger than during the first; the counters; the end.

--short leaves out all checks that depend on the speed of the machine: it checks that honest clients lose nothing, that
attackers leave nothing behind, and that the counters are consistent."""
import argparse
import collections
import os
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import attacks  # noqa: E402
import attacks_h2  # noqa: E402,F401
import examples  # noqa: E402
import field  # noqa: E402
import honest  # noqa: E402
import observe  # noqa: E402
import replay  # noqa: E402
import target  # noqa: E402

MB = 1 << 20
QUIET_S = 4.0
SERVED_S = 1.0  # after the attack, until a page and a stream are served
CLEAR_S = 1.0  # … and until all resources of the attackers are free
WAIT_S = 40.0  # maximum time to wait for this, to report its duration
LATE_S = 60.0  # for attackers on a busy machine: to begin, and to end
REST_S = 10.0  # for counters that change a moment after a client has gone
LEAST_MS = 5.0  # a lower p99 is not held against the server, because the scheduler of the machine causes it
TRIES = 3  # a single delay by the machine does not repeat three times
STREAMS = 20
IDLE_CPU = 0.25  # of a processor, above quiet, when attackers send almost nothing
GROWTH_BYTES = 4 * MB
MEMORY_BYTES = 256 << 10  # as counted by vestry's allocator
LOG_BYTES = 256 << 10
SLACK = 2  # descriptors of honest clients that are between two requests

BOUNDS = ["--request-bytes", str(64 * MB), "--answer-bytes", str(64 * MB), "--request-ms", "2000", "--per-address", "64"]
SERVERS = {
    "civetweb": ("civetweb", ["--threads", "128", *BOUNDS], False),
    "microhttpd": ("microhttpd", ["--threads", "2", *BOUNDS], False),
    "tls": ("microhttpd", ["--threads", "2", *BOUNDS], True),
    "h2": ("h2", ["--threads", "2", *BOUNDS], True),
}

REPLAY = "replayed-broker-messages"
OBSERVE = "observe"

Row = collections.namedtuple("Row", "server attack sources did quiet beside loud seen cpu peak grew served clear wrong")


class Watch:
    """Measure the resources of the server meanwhile."""

    def __init__(self, server):
        self.server = server
        self.cpu, self.at, self.rss, self.descriptors = server.cpu(), time.monotonic(), server.rss(), server.descriptors()
        self.peak = self.rss
        self.request_bytes = (server.stats() or {"request_bytes": 0})["request_bytes"]  # kept connections of honest clients

    def look(self):
        self.peak = max(self.peak, self.server.rss())
        self.server.read_log()

    def share(self):
        """Return the used share of a processor."""
        return (self.server.cpu() - self.cpu) / max(0.001, time.monotonic() - self.at)


def finish(started, seconds, watch):
    """Wait for attackers, and watch the server meanwhile. Return attack name → (count, responses)."""
    until = time.monotonic() + seconds + LATE_S
    while any(p.is_alive() for _, p, _ in started) and time.monotonic() < until:
        watch.look()
        time.sleep(0.05)
    for _, process, _ in started:
        if process.is_alive():
            process.kill()
        process.join()
    return {one.name: field.told(pipe) for one, _, pipe in started}


def streams_open(server):
    """Check that a new stream gets its head."""
    try:
        with server.connect(0.5) as s:
            s.sendall(b"GET /sub?key=fresh HTTP/1.1\r\nHost: soak\r\n\r\n")
            return honest.read_head(s)[0] == 200
    except (OSError, ValueError):
        return False


def left_behind(server, stats, watch, streams):
    """Return remains of the attackers, beyond the resources that honest clients had before: descriptors, streams,
    memory of requests, responses and queues. A list of texts."""
    most = {"descriptors": watch.descriptors + SLACK, "open": streams + 1, "request_bytes": watch.request_bytes + target.REST_BYTES,
            "answer_bytes": target.REST_BYTES, "queued_bytes": target.REST_BYTES}
    has = {**stats, "descriptors": server.descriptors()}
    return [f"{has[name]} {name}, expected at most {bound}" for name, bound in most.items() if has[name] > bound]


def recover(server, watch, streams):
    """Return the time until pages and streams are served, and until no remains are left (WAIT_S: never); and the
    remains."""
    began = time.monotonic()
    served = clear = WAIT_S  # represents never
    left = ["no counters"]
    while time.monotonic() - began < WAIT_S and server.alive():
        stats = server.stats(0.5)
        if not stats and server.dies():
            break
        if stats and served == WAIT_S:
            served = time.monotonic() - began if streams_open(server) else WAIT_S
        left = left_behind(server, stats, watch, streams) if stats else left
        if stats and not left:
            clear = time.monotonic() - began
            break
        watch.look()
        time.sleep(0.02)
    return served, clear, left


def memory_at_rest(server, most):
    """Return the count of the server's allocator when it is at most most (None: at once). Memory of a current
    request or event of honest clients is not the attackers'; memory that is never freed is."""
    until = time.monotonic() + REST_S
    while True:
        stats = server.stats()
        if stats and (most is None or stats["memory"] <= most or time.monotonic() > until):
            return stats["memory"]
        if time.monotonic() > until or not server.alive():
            raise RuntimeError("no counters after the attack")
        time.sleep(0.05)


def p99(marks, kinds):
    return {kind: honest.percentile(marks[kind].samples, 0.99) * 1000 for kind in kinds}


def measure_beside(options, clients, server_name, list_of_attacks, sources, seconds, scale, arguments, descriptors, tls):
    """Measure honest clients while the attackers use another server."""
    adapter, _, secure = SERVERS[server_name]
    other = target.Target(options.bench, adapter, arguments, descriptors, tls if secure else None)
    clients.mark()
    finish(field.launch(other, list_of_attacks, seconds, scale, options.seed, sources, True), seconds, Watch(other))
    beside = clients.mark()
    other.stop()
    return beside


def assault(options, server_name, list_of_attacks, sources, name, seconds, scale, tls):
    """Run one attack (or several at once) on one server; return a row of the table."""
    adapter, arguments, secure = SERVERS[server_name]
    descriptors = list_of_attacks[0].descriptors if len(list_of_attacks) == 1 else None
    if name == "mixed" and adapter == "civetweb":
        arguments = ["--threads", "512", *BOUNDS]  # one thread for each blocking connection
    server = target.Target(options.bench, adapter, arguments, descriptors, tls if secure else None)
    clients = honest.Honest(server, STREAMS)
    wrong, marks, did, stats = [], {}, {}, {}
    try:
        time.sleep(0.5)
        clients.mark()
        quiet_watch = Watch(server)
        time.sleep(0.5 if options.short else QUIET_S)
        quiet = clients.mark()
        quiet_cpu = quiet_watch.share()
        beside = quiet if options.short else measure_beside(options, clients, server_name, list_of_attacks, sources, seconds, scale,
                                                            arguments, descriptors, tls)
        watch = Watch(server)
        sizes = []
        for turn in range(2):
            before = Watch(server)
            attackers = field.launch(server, list_of_attacks, seconds, scale, options.seed + turn, sources, not options.short)
            did = finish(attackers, seconds, before)
            cpu = before.share()
            marks = clients.mark() if turn == 0 else add(marks, clients.mark())
            watch.peak = max(watch.peak, before.peak)
            served, clear, left = recover(server, watch, STREAMS)
            stats = server.stats() or {}
            # After the first attack: its peak. Memory that malloc keeps for reuse is no growth.
            most = sizes[0][1] + MEMORY_BYTES if turn else None
            sizes.append((server.rss() if turn else max(server.rss(), before.peak), memory_at_rest(server, most)))
            if turn == 0 and (served >= WAIT_S or clear >= WAIT_S):
                break  # another attack would give no more information
        verdict(options, server, server_name, list_of_attacks, sources, did, quiet, beside, marks,
                cpu - quiet_cpu, watch, sizes, served, clear, left, wrong)
        clients.stop()
        wrong += settle(server)
    except (OSError, RuntimeError, EOFError) as e:
        wrong.append(f"{type(e).__name__}: {e}")
        quiet = beside = marks = {kind: honest.Seen() for kind in honest.KINDS}
        cpu = quiet_cpu = served = clear = 0.0
        sizes = [(0, 0)]
        watch = Watch(server)
        clients.stop()
    ended = server.stop()
    if ended:
        wrong.append(ended)
    if options.verbose or wrong:
        sys.stderr.write(f"{name}: {did}\nturned away: {(stats or {}).get('turned_away')}\n")
        sys.stderr.write(server.log.decode(errors="replace")[-8000:])
    return Row(server_name, name, sources, sum(count for count, _ in did.values()), p99(quiet, honest.KINDS), p99(beside, honest.KINDS), p99(marks, honest.KINDS),
               {kind: marks[kind].count for kind in honest.KINDS}, cpu - quiet_cpu, watch.peak - watch.rss,
               sizes[-1][0] - sizes[0][0] if len(sizes) > 1 else 0, served, clear, wrong)


def add(first, second):
    for kind in honest.KINDS:
        first[kind].samples += second[kind].samples
        for name, count in second[kind].count.items():
            first[kind].count[name] += count
    return first


class Late(str):
    """Judge effects that a busy machine has, too: they count only if they repeat each time."""


def verdict(options, server, server_name, list_of_attacks, sources, did, quiet, beside, marks, cpu, watch, sizes, served, clear, left, wrong):
    """Judge the attack; add its faults to wrong."""
    idle = [name for name, (count, _) in did.items() if not count]
    if idle and (len(idle) == len(did) or not options.short):
        wrong.append(f"{', '.join(idle)} did nothing")
    if not server.alive():
        wrong.append("the server died")
        return
    denied = any(server_name in (one.denies if sources == "many" else one.denies_one) for one in list_of_attacks)
    kinds = [kind for kind in honest.KINDS if kind != "visitor" or not denied]
    for kind in kinds:
        seen = marks[kind].count
        for what in ("lost", "ended") if options.short else ("lost", "ended", "failed", "refused"):
            if seen[what]:
                wrong.append(f"{kind}: {seen[what]} {what} of {sum(seen.values())}")
        if not seen["served"]:
            wrong.append(f"{kind}: none served")
    if served >= WAIT_S:
        wrong.append(f"not served again within {WAIT_S:.0f} s")
    if clear >= WAIT_S:
        wrong.append(f"not clear within {WAIT_S:.0f} s: {', '.join(left)}")
    if len(sizes) > 1:
        grew, memory = (sizes[1][i] - sizes[0][i] for i in (0, 1))
        if grew > GROWTH_BYTES and not options.short:
            wrong.append(f"RSS grew by {grew / MB:.1f} MB")
        if memory > MEMORY_BYTES:
            wrong.append(f"memory grew by {memory >> 10} kB")
    if server.log_bytes > LOG_BYTES:
        wrong.append(f"{server.log_bytes >> 10} kB of log")
    if options.short:
        return
    before, shared, after = p99(quiet, kinds), p99(beside, kinds), p99(marks, kinds)
    for kind in kinds:
        if after[kind] > max(2 * before[kind], 2 * shared[kind], LEAST_MS):
            wrong.append(Late(f"{kind}: p99 {after[kind]:.1f} ms, beside {shared[kind]:.1f}, quiet {before[kind]:.1f}"))
    if SERVED_S < served < WAIT_S:
        wrong.append(f"served again after {served:.1f} s")
    if CLEAR_S < clear < WAIT_S:
        wrong.append(f"clear after {clear:.1f} s")
    if cpu > IDLE_CPU and all(one.idle for one in list_of_attacks):
        wrong.append(f"{cpu * 100:.0f} % of a processor for nothing")
    room = max(one.peak_mb for one in list_of_attacks) * MB
    if watch.peak - watch.rss > room:
        wrong.append(f"RSS rose by {(watch.peak - watch.rss) / MB:.0f} MB")


def settle(server):
    """All clients have gone: no stream is open, and the counters are consistent, when all events were counted."""
    until = time.monotonic() + REST_S
    while True:
        stats = server.stats()
        wrong = ["no counters at the end"]
        if stats:
            wrong = target.uneven(stats)
            wrong += [f"{stats[what]} {what} at the end" for what in ("open", "queued_bytes") if stats[what]]
        if not wrong or time.monotonic() > until or not server.alive():
            return wrong
        time.sleep(0.05)


COLUMNS = ("server", "attack", "from", "attacks", "page p99 ms", "event p99 ms", "post p99 ms", "CPU %", "peak MB", "grew MB", "served s", "clear s")


def show(row, failed="**FAILS**"):
    cells = [row.server, row.attack, row.sources]
    if row.quiet:
        cells += [f"{row.did:,}"]
        cells += [f"{row.quiet[kind]:.1f} / {row.beside[kind]:.1f} → {row.loud[kind]:.1f}" for kind in ("visitor", "readers", "poster")]
        cells += [f"{row.cpu * 100:+.0f}", f"{row.peak / MB:+.1f}", f"{row.grew / MB:+.1f}", f"{row.served:.2f}" if row.served < WAIT_S else "–"]
        cells.append(f"{row.clear:.2f}" if row.clear < WAIT_S else "–")
    else:
        cells += [""] * 9
    print("| " + " | ".join(cells) + " | " + ("ok" if not row.wrong else f"{failed}: " + "; ".join(row.wrong)) + " |", flush=True)


def wanted(options, name):
    return not options.only or name in options.only


def assault_again(*arguments):
    """If honest clients only waited too long after an attack, another attack decides."""
    for again in range(TRIES):
        row = assault(*arguments)
        if not row.wrong or not all(isinstance(one, Late) for one in row.wrong):
            break
        if again + 1 < TRIES:
            show(row, "again")
    return row


def rows(options, server_name, tls):
    adapter, _, secure = SERVERS[server_name]
    fitting = [one for one in attacks.TABLE
               if (secure or not one.tls_only) and (adapter in one.adapters if one.adapters else adapter != "h2")]
    for one in fitting:
        for sources in one.sources:
            if wanted(options, one.name):
                yield assault_again(options, server_name, [one], sources, one.name, options.seconds, 1.0, tls)
    if options.mixed and wanted(options, "mixed"):
        all_of_them = [one for one in fitting if not one.descriptors]
        yield assault_again(options, server_name, all_of_them, "many", "mixed", options.mixed, 1 / 8, tls)


def broker_row(options):
    """Run the attack with two servers, and a broker between them; return a row, or none without nats-server."""
    came = replay.replayed_broker_messages(options.bench, options.seconds, options.seed)
    if came is None:
        print("no nats-server: replayed broker messages are left out", file=sys.stderr)
        return
    played, _, wrong = came
    yield Row("microhttpd", f"{REPLAY} ({played:,})", "", 0, None, None, None, None, 0, 0, 0, 0, 0, wrong)


def observe_rows(options):
    """Check the counters, on each server without TLS; the seconds are those of one server."""
    for server_name in options.server or list(SERVERS):
        if server_name not in observe.SERVERS:
            continue
        last, scrapes, wrong = observe.reconcile(options.bench, server_name, options.seconds, options.seed)
        seen = f"{last['opened']:,} streams, {last['accepted']:,} events" if last else "nothing"
        yield Row(server_name, f"{OBSERVE}: {seen}, {scrapes:,} scrapes", "", 0, None, None, None, None, 0, 0, 0, 0, 0, wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--server", action="append", choices=list(SERVERS))
    parser.add_argument("--only", action="append", metavar="ATTACK")
    parser.add_argument("--seconds", type=float, default=4.0, help="of an attack; each comes twice")
    parser.add_argument("--mixed", type=float, default=20.0, help="seconds of all attacks at once; each comes twice; 0: none")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=float, metavar="MINUTES", help="only the chat and the auction behind proxies (examples.py)")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    known = {one.name for one in attacks.TABLE} | {"mixed", REPLAY, OBSERVE}
    for name in options.only or ():
        if name not in known:
            parser.error(f"--only {name}: one of {', '.join(sorted(known))}")
    print(f"seed {options.seed}\n")
    if options.examples:
        return 1 if examples.run(os.path.dirname(options.bench), options.examples, options.seed) else 0
    began, failed, count = time.monotonic(), 0, 0
    print("| " + " | ".join(COLUMNS) + " | verdict |\n" + "|---" * (len(COLUMNS) + 1) + "|", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        tls = target.make_certificate(directory)
        for server_name in options.server or list(SERVERS):
            for row in rows(options, server_name, tls):
                show(row)
                count += 1
                failed += bool(row.wrong)
        of_their_own = [(broker_row, REPLAY), (observe_rows, OBSERVE)]
        for row in (row for make, name in of_their_own if wanted(options, name) for row in make(options)):
            show(row)
            count += 1
            failed += bool(row.wrong)
    print(f"\n{count} runs in {time.monotonic() - began:.0f} s: " + (f"{failed} FAILED" if failed else "all held"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
