#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The cost of pages over PostgreSQL, and the delay until they show a commit, as a page of Markdown:
report.py BUILD_DIRECTORY OUT_DIRECTORY [--quick] [--only PART]

Each part has a separate PostgreSQL server in a temporary folder, started with Debian's programs. Exit status 77: these
programs are not installed."""
import argparse
import datetime
import os
import pathlib
import re
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tests" / "postgres"))
import machine  # noqa: E402
from page import table, verdict  # noqa: E402
from server import SKIPPED, Server as Database, installed  # noqa: E402
from servers import Server, parse  # noqa: E402

# Default settings, and the settings that guide/postgres.md recommends. With both, commits wait for the disk.
DURABLE = ["-c", "fsync=on"]
RECOMMENDED = [*DURABLE, "-c", "max_pred_locks_per_relation=256", "-c", "max_pred_locks_per_page=200"]
NO_CHECKPOINTS = ["-c", "checkpoint_timeout=1d", "-c", "max_wal_size=16GB"]
WHOLE = {"commits": 500, "default_commits": 100, "delays": 400, "turns": 21, "rows": 5000, "sets": 10000, "many": 100000, "ones": 400,
         "pairs": 61, "pair_s": 2, "written_s": 20, "tabs": 2000, "tabs_s": 40, "warm_s": 10, "pages": 2000, "polling_s": 15, "scale": 10}
QUICK = {"commits": 20, "default_commits": 5, "delays": 20, "turns": 3, "rows": 200, "sets": 200, "many": 1000, "ones": 20, "pairs": 1,
         "pair_s": 1, "written_s": 1, "tabs": 40, "tabs_s": 4, "warm_s": 1, "pages": 200, "polling_s": 2, "scale": 1}


def fail(command, said):
    sys.exit(f"{' '.join(command)}\n{said}")


class Bench:
    """The programs, and the results."""

    def __init__(self, build, programs, size):
        self.build, self.programs, self.size = build, programs, size
        self.bars, self.details = [], []

    def database(self, settings):
        return Database(self.programs, settings)

    def command(self, database, part, *options):
        return [f"{self.build}/bin/vestry-bench", "postgres", "--url", url_of(database), "--only", part,
                *map(str, options)]

    def run(self, command):
        """Run a command. Return for each line its first word and its values."""
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            fail(command, f"exit status {done.returncode}\n{done.stdout}")
        print(done.stdout, end="", file=sys.stderr, flush=True)
        return [(line.split()[0], parse(line)) for line in done.stdout.splitlines()]

    def bar(self, what, has, wanted, is_met, command):
        self.bars.append([what, has, wanted, f"`{command}`", verdict(is_met)])


def url_of(database):
    return f"host={database.folder} user=postgres dbname=postgres"


# ------------------------------------------------------------------------------------------------------- parts --------

LIMITS = {"insert": 1.2, "update": 1.5, "upsert": 1.2}
NAMES = {"insert": "an insert", "update": "an update of one of the last ten", "upsert": "an upsert of `seen`"}


def renders(bench):
    for settings, name, commits in ((RECOMMENDED, "recommended settings", bench.size["commits"]),
                                    (DURABLE, "default settings", bench.size["default_commits"])):
        with bench.database(settings) as database:
            lines = bench.run(bench.command(database, "renders", "--commits", commits))
        for said in (values for _, values in lines):
            change, has = said["change"], float(said["a_commit"])
            bench.details.append([change, name, f"{has:.2f}", said["by_row"], said["by_leaf"], said["by_table"],
                                  said["overtaken"]])
            if change in LIMITS and (settings is RECOMMENDED or change == "insert"):
                bench.bar(f"renders per commit, 200 channels: {NAMES[change]}, {name}", f"{has:.2f}",
                          f"≤ {LIMITS[change]}", has <= LIMITS[change], "--only renders")


def delay(bench):
    with bench.database(RECOMMENDED) as database:
        [(_, said)] = bench.run(bench.command(database, "delay", "--commits", bench.size["delays"]))
    p50, p99 = float(said["after_p50_ms"]), float(said["after_p99_ms"])
    bench.bar("commit → event on the socket, from the commit's answer, idle",
              f"p50 {p50:.1f} ms, p99 {p99:.1f} ms (from before the commit is sent: {said['p50_ms']}, "
              f"{said['p99_ms']})", "p50 ≤ 5 ms, p99 ≤ 20 ms", p50 <= 5 and p99 <= 20, "--only delay")


def record(bench):
    with bench.database(RECOMMENDED) as database:
        lines = bench.run(bench.command(database, "record", "--turns", bench.size["turns"]))
    for said in (values for _, values in lines):
        alone = said["at_once"] == "1"
        limit, more = 0.3 if alone else 1.5, float(said["more_ms"])
        bench.bar(f"recording a render of 50 rows, {'alone' if alone else said['at_once'] + ' at once'}",
                  f"{more:.2f} ms in addition ({said['bare_ms']} → {said['ms']})", f"≤ {limit} ms in addition",
                  more <= limit, "--only record")


def follower(bench):
    with bench.database(RECOMMENDED) as database:
        lines = bench.run(bench.command(database, "follower", "--commits", bench.size["rows"], "--pages",
                                        bench.size["sets"]))
    loads = {said["load"]: said for kind, said in lines if kind == "follower"}
    floor = float(loads["dropped"]["ms_a_mb"])
    for load, name, most in (("aside", "transactions of a row", 15),
                             ("shown", "transactions of a row that pages show", 10), ("bulk", "20,000 rows in one", 15)):
        has = float(loads[load]["ms_a_mb"])
        beside = f"; {floor:.1f} ms to receive and drop the same" if load == "shown" else ""
        bench.bar(f"follower: CPU per MB of WAL, {name}", f"{has:.1f} ms{beside}", f"≤ {most} ms", has <= most,
                  "--only follower")
    [memory] = [said for kind, said in lines if kind == "memory"]
    has = float(memory["mb"])
    bench.bar(f"follower: memory with {int(memory['sets']):,} sets", f"{has:.1f} MB", "≤ 64 MB",
              has <= 64 and memory["coarse"] == "0", "--only follower")


def processor_us(first):
    """Return the processor time of the server: of its first process, and of all others, also those that have ended. If
    one ends meanwhile, look again."""
    children = pathlib.Path(f"/proc/{first}/task/{first}/children")
    while True:
        before = children.read_text(encoding="ascii")
        try:
            stats = [pathlib.Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
                     for process in (first, *before.split())]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if children.read_text(encoding="ascii") == before:
            return sum(sum(map(int, fields[11:15])) for fields in stats) * 1e6 / os.sysconf("SC_CLK_TCK")


def transact(database, seconds):
    """Run the simple updates of pgbench with four clients. Return the transactions per second, and the server's processor
    time for each."""
    before = processor_us(database.process.pid)
    said = database.call("pgbench", "-h", database.folder, "-U", "postgres", "-n", "-N", "-c", 4, "-j", 1, "-T",
                         seconds, "postgres")
    count = int(re.search(r"actually processed: (\d+)", said).group(1))
    return (float(re.search(r"^tps = ([\d.]+)", said, re.M).group(1)),
            (processor_us(database.process.pid) - before) / count)


def beside_a(bench, database, part, seconds):
    """The same, while another program receives the WAL: a node with 200 open pages that follows the commits, or one
    that drops everything."""
    command = bench.command(database, part, "--pages", 200, "--messages", 50)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as node:
        if node.stdout.readline() != "ready\n":
            fail(command, "it is not ready")
        found = transact(database, seconds)
        node.stdin.close()
        said = node.stdout.read()
        if node.wait() or float(parse(said)["read_bytes"]) < 100 * found[0] * seconds:
            fail(command, f"it has not followed: {said}")
    return found


def interval(ratios):
    """Return the median, and its interval of 95 % by ranks."""
    ratios, count = sorted(ratios), len(ratios)
    low = max(0, int(count / 2 - 0.98 * count ** 0.5))
    return statistics.median(ratios), ratios[low], ratios[-1 - low]


def beside(bench):
    """Runs without, with a node, and with the floor, in each order. They are short and many, because other programs
    disturb some of them. The rate of transactions depends on them, too; the processor time of the server, with that of the
    process that sends the WAL, much less. So it decides if the interval of the rates contains the bar. No checkpoint occurs
    during the runs, and most pages were written before them, because the first write of a page after a checkpoint copies
    the page into the WAL, so that a transaction has ten times as much."""
    found = {part: [] for part in (None, "hold", "drop")}
    with bench.database([*RECOMMENDED, *NO_CHECKPOINTS]) as database:
        database.call("pgbench", "-h", database.folder, "-U", "postgres", "-q", "-i", "-s", bench.size["scale"],
                      "postgres")
        database.run("CHECKPOINT")
        transact(database, bench.size["written_s"])
        for number in range(bench.size["pairs"]):
            for part in (None, "hold", "drop", None, "drop", "hold")[number % 2 * 3:][:3]:
                found[part].append(beside_a(bench, database, part, bench.size["pair_s"]) if part else
                                   transact(database, bench.size["pair_s"]))
            print("beside " + " ".join(f"{part or 'without'}={those[-1][0]:.0f},{those[-1][1]:.0f}us"
                                       for part, those in found.items()), file=sys.stderr, flush=True)

    def compare(part, value):
        return interval([one[value] / without[value] for one, without in zip(found[part], found[None])])

    (ratio, low, high), (floor, floor_low, floor_high) = (compare(part, 0) for part in ("hold", "drop"))
    (more, more_low, more_high), (more_floor, *_) = (compare(part, 1) for part in ("hold", "drop"))
    if low < 0.97 <= high:
        is_met = 1 / more >= 0.97 or more - 1 <= 1.1 * (more_floor - 1)
    else:
        is_met = ratio >= 0.97 or 1 - ratio <= 1.1 * (1 - floor)
    bench.bar("concurrent transactions of the application beside it (pgbench, 4 clients)",
              f"{ratio:.3f} × ({low:.3f} to {high:.3f}; {statistics.median(one[0] for one in found[None]):,.0f} per second "
              f"without); the server's CPU for a transaction {more:.3f} × ({more_low:.3f} to {more_high:.3f}); beside a "
              f"client that receives the WAL and drops it: {floor:.3f} × ({floor_low:.3f} to {floor_high:.3f}), CPU "
              f"{more_floor:.3f} ×", "≥ 0.97 ×; if that is within the interval, CPU ≤ 1 ÷ 0.97; or at most 1.1 × the loss "
              "beside that client", is_met, "--only hold")


def many(bench):
    pages = bench.size["many"]
    with bench.database(RECOMMENDED) as database:
        lines = bench.run(bench.command(database, "many", "--pages", pages, "--commits", bench.size["ones"]))
    opened, one, bare, none, transaction, _ = (values for _, values in lines)
    command, name = "--only many", f"{int(opened['pages']):,} pages of one row each"
    has = float(opened["bytes_a_set"])
    bench.bar(f"{name}: memory of the reads of a page", f"{has:.0f} bytes", "≤ 250 bytes", has <= 250, command)
    p99, floor = float(one["p99_ms"]), float(bare["p99_ms"])
    bench.bar(f"{name}: a commit for one, until it is rendered",
              f"p50 {one['p50_ms']} ms, p99 {p99} ms, {float(one['renders_a_commit']):.2f} renders, the follower's CPU "
              f"{one['follower_us']} µs; until the server answers: p99 {one['commit_p99_ms']} ms; until a bare reader of "
              f"the WAL has it, and the row is read: p50 {bare['p50_ms']} ms, p99 {floor} ms",
              "p99 ≤ 10 ms, or at most 1.1 × that of the reader; 1 render",
              p99 <= max(10, 1.1 * floor) and float(one["renders_a_commit"]) < 1.01, command)
    bench.bar(f"{name}: a commit of a row that none shows",
              f"{float(none['renders_a_commit']):.2f} renders, the follower's CPU {none['follower_us']} µs", "0 renders",
              float(none["renders_a_commit"]) == 0, command)
    has, rows = int(transaction["renders"]), int(transaction["rows"])
    bench.bar(f"{name}: one update of {rows:,} rows, each on one page",
              f"{has:,} renders in {transaction['until_shown_ms']} ms", "1.01 renders a row", has <= 1.01 * rows, command)


def tabs(bench):
    size = bench.size
    with bench.database(RECOMMENDED) as database:
        serve = [f"{bench.build}/bin/chat", "--port", "0", "--adapter", "microhttpd", "--postgres", url_of(database),
                 "--rate", "1000000"]
        with Server(serve) as server:
            [(_, said)] = bench.run([f"{bench.build}/bin/vestry-bench", "chat", "--port", str(server.port), "--pid",
                                     str(server.process.pid), "--database-pid", str(database.process.pid), "--tabs",
                                     str(size["tabs"]), "--seconds", str(size["tabs_s"]), "--warm",
                                     str(size["warm_s"])])
    last, missing = float(said["last_p99_ms"]), int(said["missing"])
    bench.bar(f"{size['tabs']:,} chat tabs, 20 messages per second, from before the POST to the last tab",
              f"p99 {last:.0f} ms (p50 {said['last_p50_ms']}), {missing} missing", "p99 ≤ 150 ms, 0 missing",
              last <= 150 and missing == 0, "chat")


def polling(bench):
    with bench.database(RECOMMENDED) as database:
        lines = bench.run(bench.command(database, "polling", "--pages", bench.size["pages"], "--seconds",
                                        bench.size["polling_s"], "--database-pid", database.process.pid))
    ways = {said["way"]: said for kind, said in lines if kind == "polling"}
    ratio, topics, floor = (float(lines[-1][1][name]) for name in ("ratio", "topics", "floor"))
    bench.bar(f"CPU of server and database, compared with {bench.size['pages']:,} pages that are "
              "polled once per second",
              f"{ratio:.2f} × ({ways['followed']['cores']} and {ways['polled']['cores']} cores); {topics:.2f} × if the "
              f"program names the pages, and nothing is followed or recorded; {floor:.2f} × if such a program also reads once for "
              "each message, and keeps the HTML for all pages that show it",
              "≤ 0.25 ×, or at most 1.1 × the latter", ratio <= max(0.25, 1.1 * floor), "--only polling")


PARTS = {"renders": renders, "delay": delay, "beside": beside, "record": record, "follower": follower, "many": many, "tabs": tabs,
         "polling": polling}

# -------------------------------------------------------------------------------------------------------- page --------


def write(out, bench, major, others):
    about = machine.describe([f"postgresql-{major}", "libmicrohttpd12"])
    missed = sum("no" in row[-1] for row in bench.bars)
    verdicts = "All targets are met." if not missed else f"**Missed targets: {missed} of {len(bench.bars)}.**"
    size = bench.size
    text = f"""# Pages over PostgreSQL
`scripts/bench-postgres` wrote this page on {datetime.date.today()}; other programs used {others:.0%} of the processors. \
{about["cpu"]}, {about["cpus"]} processors, Linux {about["kernel"]}, {about["compiler"]}; PostgreSQL \
{about["packages"][f"postgresql-{major}"]}, libmicrohttpd {about["packages"]["libmicrohttpd12"]}. {verdicts}

Compare figures within this page only, because other machines and other days give other numbers. The PostgreSQL \
server, vestry and the measuring programs share these processors. Commits wait for the disk. Recommended settings are \
those of [the guide](guide/postgres.md): `max_pred_locks_per_relation = 256`, `max_pred_locks_per_page = 200`; all \
other settings are the server's defaults.

## Targets
{table(["what", "measured", "target", "vestry-bench postgres", "met"], bench.bars)}
"""
    if bench.details:
        text += f"""## Renders per commit
{table(["change", "settings", "renders per commit", "by a row", "by a leaf", "by a table", "overtaken"], bench.details)}
"""
    text += f"""## Method
- **Renders per commit**: 200 channels with 500 messages each, and one page for each channel, which shows its last \
fifty messages. In the rows `insert+seen` and `upsert`, the page also shows how far its user has read, in twenty rows \
of another table. After each commit, all affected pages are rendered before the next: {size["commits"]} commits with \
recommended settings, {size["default_commits"]} with default settings. The columns count the reason of each render: a \
changed row, a leaf of an index, a whole table. A commit that arrived during a render of its page is overtaken.
- **Commit → event**: one tab, over a socket, and one insert at a time, with pauses. The time runs from the answer of \
the commit until the tab has read the complete event. The figures in brackets begin before the statement is sent, so \
they include the time of the commit and of the disk.
- **Concurrent transactions**: `pgbench -N`, scale {size["scale"]}, {size["pairs"]} rounds of three runs: alone, beside a \
node that follows, and beside a client that receives the WAL and drops it. Each run takes {size["pair_s"]} seconds; no \
checkpoint occurs from {size["written_s"]} seconds before the first run on, because transactions after a checkpoint \
write copies of pages into the WAL. The node has 200 open pages that show other tables. In brackets: the interval of \
95 %.
- **Recording**: 400 pages are rendered repeatedly, alternately with recording, and without it in READ COMMITTED. \
Eight at once: eight threads with a connection each.
- **Follower**: the processor time of its thread for all its work: receiving the WAL from its connection, finding the \
changes of each commit and the affected pages, and refreshing these pages. A row "that pages show" affects one page, \
and its refresh is included. Memory is the sum of all allocations for the database: sets, ring, pool.
- **Many pages**: each shows one row of a table with `fillfactor = 80` by its key. {size["ones"]} commits for one page \
each, in turns of 20 with as many of the bare reader, and as many for rows that no page shows, one after the other with \
pauses of 2 ms; the time runs from before the \
statement is sent to the end of the render.
- **Tabs**: the example chat with 20 channels. Each tab has a separate session and person, and its stream is encoded \
in brotli. One program on the same processors runs all tabs.
- **Polling**: {size["pages"]:,} private pages of 200 channels in memory, and 20 messages per second. Each page is \
polled once per second and its content compared; the other runs have the same pages that follow commits, or topics. CPU \
is that of vestry's process and of the database.
"""
    (out / "bench-postgres.md").write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=PARTS)
    of = parser.parse_args()
    of.out.mkdir(parents=True, exist_ok=True)
    majors = installed()
    if not majors:
        print("there is no PostgreSQL in /usr/lib/postgresql", file=sys.stderr)
        sys.exit(SKIPPED)
    major = max(majors)
    before = machine.processor_seconds()
    bench = Bench(of.build, majors[major], QUICK if of.quick else WHOLE)
    for name, part in PARTS.items():
        if of.only in (None, name):
            part(bench)
    write(of.out, bench, major, machine.others_share(before, machine.processor_seconds()))


if __name__ == "__main__":
    main()
