# SPDX-License-Identifier: MIT
"""Compare vestry's reading of real servers' WAL with pg_waldump: waldump.py RECORDS

A workload makes every kind of record that vestry reads, and many others. Both programs must agree on each record: its
position, its resource manager and transaction, its blocks, its effects on rows and leaves, and the transactions that it
ends. The comparison runs for each major version that Debian's packages have installed."""
import pathlib
import re
import subprocess
import sys

from server import SKIPPED, Server, installed

SEGMENT, PAGE = 1 << 20, 8192
MANAGERS = {"Transaction": 1, "RelMap": 7, "Heap2": 9, "Heap": 10, "Btree": 11}
FORKS = {"main": 0, "fsm": 1, "vm": 2, "init": 3}
WANTED = {"INSERT", "DELETE", "UPDATE", "HOT_UPDATE", "MULTI_INSERT", "INSERT_LEAF", "INSERT_POST", "SPLIT_L",
          "SPLIT_R", "upper split", "MARK_PAGE_HALFDEAD", "DEDUP", "COMMIT", "ABORT", "COMMIT_PREPARED",
          "ABORT_PREPARED", "PREPARE", "LOCK",
          "HEAP_CONFIRM", "INPLACE"}

SAVEPOINTS = "BEGIN; " + " ".join(f"SAVEPOINT s{i}; INSERT INTO t(v) VALUES ({i});" for i in range(80)) + " COMMIT"
WORKLOAD = [
    "CREATE TABLE t(id bigserial PRIMARY KEY, v int, text text) WITH (fillfactor = 50)",
    "CREATE INDEX t_v ON t(v)", "CREATE TABLE plain(a int, b text)",
    "INSERT INTO t(v, text) SELECT i % 7, repeat('x', 40) FROM generate_series(1, 6000) i",
    "INSERT INTO t(v, text) SELECT random() * 100000, repeat('y', 40) FROM generate_series(1, 3000) i",
    "UPDATE t SET text = 'hot' WHERE id % 5 = 0", "UPDATE t SET v = v + 1 WHERE id % 3 = 0",
    "UPDATE t SET text = repeat('z', 900) WHERE id % 50 = 0",
    "DELETE FROM t WHERE id BETWEEN 1000 AND 5000", "VACUUM t", "VACUUM (FREEZE) t", "ANALYZE t",
    "COPY plain FROM PROGRAM 'seq 1 3000 | sed s/$/,words/' WITH (FORMAT csv)",
    "BEGIN; INSERT INTO plain VALUES (1, 'gone'); ROLLBACK", SAVEPOINTS,
    "BEGIN; SAVEPOINT a; UPDATE t SET v = 1 WHERE id = 7000; ROLLBACK TO a; UPDATE t SET v = 2 WHERE id = 7001; COMMIT",
    "BEGIN; SAVEPOINT a; INSERT INTO t(v) VALUES (1); ROLLBACK",
    "BEGIN; UPDATE t SET v = 3 WHERE id = 7002; SAVEPOINT b; DELETE FROM t WHERE id = 7003; PREPARE TRANSACTION 'one'",
    "COMMIT PREPARED 'one'", "BEGIN; UPDATE t SET v = 3 WHERE id = 7004; PREPARE TRANSACTION 'two'",
    "ROLLBACK PREPARED 'two'", "BEGIN; SELECT count(*) FROM (SELECT 1 FROM t WHERE id > 8900 FOR UPDATE) x; COMMIT",
    "INSERT INTO t(id, v) VALUES (8999, 1), (99999, 2) ON CONFLICT (id) DO UPDATE SET v = t.v + 1", "CHECKPOINT",
    "UPDATE t SET v = v + 1 WHERE id % 9 = 0", "SET wal_compression = pglz; CHECKPOINT",
    "SET wal_compression = pglz; UPDATE t SET v = v + 1 WHERE id % 8 = 0",
    "SELECT pg_logical_emit_message(true, 'vestry', repeat('m', 300000)) IS NULL",
    "SELECT pg_switch_wal() IS NULL", "INSERT INTO plain VALUES (2, 'in the next segment')",
    "CREATE INDEX plain_hash ON plain USING hash (a)", "CREATE INDEX plain_brin ON plain USING brin (a)",
    "CREATE INDEX plain_gin ON plain USING gin (to_tsvector('simple', b))",
    "CREATE TABLE places(p point)", "CREATE INDEX places_gist ON places USING gist (p)",
    "CREATE INDEX places_spgist ON places USING spgist (p)",
    "INSERT INTO places SELECT point(random(), random()) FROM generate_series(1, 500)",
    "INSERT INTO plain SELECT i, 'indexed' FROM generate_series(1, 500) i",
    "CREATE TABLE wide(k text)", "ALTER TABLE wide ALTER k SET STORAGE PLAIN",
    "CREATE INDEX wide_k ON wide(k)",
    "INSERT INTO wide SELECT repeat('p', 1500) || i FROM generate_series(1, 400) i",
    "CREATE TABLE short(a int)",
    "INSERT INTO short VALUES (1)", "TRUNCATE short", "ALTER TABLE t ADD COLUMN more int DEFAULT 7",
    "DROP TABLE short", "CREATE DATABASE other TEMPLATE template0", "CREATE ROLE reader",
    "SELECT pg_switch_wal() IS NULL", "CHECKPOINT", "CREATE TABLE last(a int)"]


def place(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def lsn(at):
    return f"{at >> 32:X}/{at & 0xffffffff:X}"


def number(name, text):
    return int(re.search(rf"\b{name}:? (\d+)", text)[1])


def expected(line, seen):
    """Convert a line of pg_waldump to the format of `records`; None if vestry does not report the record."""
    head = re.match(r"rmgr: (\S+)\s+len.*?tx:\s+(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), prev \S+, desc: (\S+)(.*)$", line)
    manager = MANAGERS.get(head[1])
    operation, rest = head[4].rstrip(":"), head[5]
    desc, _, references = rest.partition("blkref #")
    seen.add(operation.replace("+INIT", ""))
    if manager is None:
        return None
    high, low = head[3].split("/")
    said = f"{high}/{int(low, 16):08X} {manager} {head[2]}"
    blocks = {}
    for block in re.finditer(r"(\d+): rel \d+/(\d+)/(\d+)(?: fork (\w+))? blk (\d+)", references):
        blocks[int(block[1])] = (block[3], block[5])
        said += f" {block[1]}:{block[2]}/{block[3]}/{FORKS[block[4] or 'main']}/{block[5]}"

    def touch(what, block, offset=0, to=0):
        return f" {what}:{blocks[block][0]}/{blocks[block][1]}/{offset}/{to}"

    operation = operation.replace("+INIT", "")
    if manager in (9, 10):
        if operation in ("DELETE", "UPDATE", "HOT_UPDATE"):
            old = re.search(r"(?:old_)?off:? (\d+)", desc)[1]
            said += touch("changed", 1 if 1 in blocks else 0, old)
        if operation in ("INSERT", "UPDATE", "HOT_UPDATE", "MULTI_INSERT"):
            said += touch("inserted", 0)
    elif manager == 11:
        if operation in ("INSERT_LEAF", "INSERT_POST"):
            said += touch("entered", 0)
        elif operation in ("SPLIT_L", "SPLIT_R"):
            if number("level", desc) == 0:
                said += touch("entered", 0) + touch("moved", 0, 0, blocks[1][1])
            else:
                seen.add("upper split")
        elif operation == "MARK_PAGE_HALFDEAD":
            said += touch("moved", 0, 0, number("right", desc))
    elif operation in ("COMMIT", "ABORT", "COMMIT_PREPARED", "ABORT_PREPARED"):
        prepared = re.match(r" (\d+):", desc)
        said += f" {operation.split('_')[0].lower()}:{prepared[1] if prepared else head[2]}"
        found = re.search(r"subxacts: ([\d ]+)", desc)
        said += "".join(f" sub:{sub}" for sub in found[1].split()) if found else ""
        if "COMMIT" in operation:
            found = re.search(r"inval msgs:([^;]*)", desc)
            said += "".join(f" relation:{oid}" for oid in re.findall(r"relcache (\d+)", found[1])) if found else ""
    return said


def compare(major, programs, records):
    settings = ["-c", "wal_keep_size=1GB", "-c", "max_prepared_transactions=4", "-c", "autovacuum=off"]
    with Server(programs, settings, ["--wal-segsize=1"]) as server:
        start = place(server.run("SELECT pg_current_wal_insert_lsn()")) // PAGE * PAGE
        for statements in WORKLOAD:
            server.run(*statements.split("; "))
        end = place(server.run("SELECT pg_current_wal_flush_lsn()"))
        dump = server.call("pg_waldump", "-p", server.data / "pg_wal", "-s", lsn(start), "-e", lsn(end))
        wal = b""
        for segment in range(start // SEGMENT, end // SEGMENT + 1):
            per_file = (1 << 32) // SEGMENT
            name = f"{1:08X}{segment // per_file:08X}{segment % per_file:08X}"
            path = server.data / "pg_wal" / name
            wal += path.read_bytes() if path.exists() else b""
    base = start // SEGMENT * SEGMENT
    wal = wal[start - base:end - base]
    seen = set()
    lines = [line for line in dump.splitlines() if line.startswith("rmgr:")]
    wanted = [said for line in lines if (said := expected(line, seen))]
    for piece in (1, 1000, 131072):
        done = subprocess.run([records, str(major), str(start), str(SEGMENT), str(piece)], input=wal, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            sys.exit(f"PostgreSQL {major}: {done.stderr.decode()}")
        read = done.stdout.decode().splitlines()
        for there, here in zip(wanted, read):
            if there != here:
                sys.exit(f"PostgreSQL {major}:\npg_waldump: {there}\nvestry:     {here}")
        if len(read) != len(wanted) or int(done.stderr) != len(lines):
            sys.exit(f"PostgreSQL {major}: {len(read)} of {int(done.stderr)} records are told, pg_waldump has "
                     f"{len(wanted)} of {len(lines)}; {read[len(wanted):][:1]} {wanted[len(read):][:1]}")
    missing = WANTED - seen
    if missing:
        sys.exit(f"PostgreSQL {major}: the workload made no {', '.join(sorted(missing))}")
    print(f"PostgreSQL {major}: {len(lines)} records, {len(wanted)} told, {len(wal)} bytes, the same as pg_waldump's")


def main():
    found = {major: programs for major, programs in installed().items() if (programs / "pg_waldump").exists()}
    if not found:
        print("There is no PostgreSQL server in /usr/lib/postgresql: its WAL is not compared. Debian: apt-get install "
              "postgresql")
        sys.exit(SKIPPED)
    for major, programs in found.items():
        compare(major, programs, pathlib.Path(sys.argv[1]))


main()
