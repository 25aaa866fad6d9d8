# SPDX-License-Identifier: MIT
"""Run the suites over PostgreSQL under settings of a role: settings.py TEST_POSTGRES NUMBER [SUITE…]

Each setting that a role may change has a value other than its default in one of twelve sets; NUMBER counts from 1. The
sets come from the server's pg_settings, so that they include settings of newer versions. The suites run with a set in
PGOPTIONS, which connections of the tests themselves do not use. The settings of the just-in-time compiler are in the
last set; in the others it is off, because disabled plans have such high estimates that each statement is compiled. If a
suite fails, the set is halved until the settings that cause the failure are found.

In the thirteenth set, the search_path also has a schema of another role. Its operators and functions have the names of
those in vestry's statements, and fail (shop.h)."""
import os
import pathlib
import subprocess
import sys

from server import SKIPPED, Server, installed

SETS = 12
HOSTILE, HOSTILE_PATH = SETS + 1, {"search_path": "public,hostile"}
# Suites whose own statements name no operator that the schema replaces.
HOSTILE_RUN = ["action", "exact", "forms", "jobs", "locks", "once", "reason", "recorded", "sessions", "tab", "topics"]
# Chosen manually: settings whose other values slow down or end a connection, and texts.
VALUES = {
    "DateStyle": "German", "TimeZone": "Asia/Kathmandu", "application_name": "role", "client_encoding": "LATIN1",
    "bytea_output": "escape", "client_connection_check_interval": "1000", "client_min_messages": "debug5",
    "default_text_search_config": "pg_catalog.simple", "extra_float_digits": "-15",
    "default_transaction_isolation": "serializable", "force_parallel_mode": "on", "debug_parallel_query": "on",
    "idle_in_transaction_session_timeout": "1h", "idle_session_timeout": "1h", "lock_timeout": "1h",
    "statement_timeout": "1h", "transaction_timeout": "1h", "tcp_user_timeout": "600000", "wal_sender_timeout": "3s",
    "jit_above_cost": "5000", "lc_monetary": "POSIX", "lc_numeric": "POSIX", "lc_time": "POSIX",
    "plan_cache_mode": "force_generic_plan", "stats_fetch_consistency": "snapshot", "synchronous_commit": "local",
    "timezone_abbreviations": "India", "vacuum_cost_delay": "0.1", "work_mem": "64", "xmlbinary": "hex",
    "temp_buffers": "100", "gin_fuzzy_search_limit": "100000", "commit_siblings": "0",
    # Settings of a superuser.
    "session_replication_role": "replica", "track_counts": "off", "track_functions": "all", "track_activities": "off",
    "wal_compression": "on", "compute_query_id": "on", "lo_compat_privileges": "on", "deadlock_timeout": "100",
    "commit_delay": "10", "update_process_title": "off", "log_statement": "all", "wal_init_zero": "off",
    "wal_recycle": "off", "max_stack_depth": "1MB"}
# Not settable at a session's start, or with a single valid value on a plain server.
LEFT_OUT = {"transaction_deferrable", "transaction_isolation", "transaction_read_only", "local_preload_libraries",
            "default_table_access_method", "default_tablespace", "temp_tablespaces", "createrole_self_grant",
            "restrict_nonsystem_relation_kind", "search_path"}
# Cases that repeat an action up to a thousand times; no setting changes which allocations it makes.
WITHOUT = "allocation_failure*"
# Suites that take long, or that set settings or rights of roles.
NOT_RUN = {"left", "oracle", "schema", "state"}
# The plan of a query determines its reads. Pages stay correct with any plan, but these suites count renders.
PLANS = ("enable_", "cpu_", "jit", "parallel_", "min_parallel", "max_parallel", "geqo", "force_parallel", "debug_parallel",
         "random_page", "seq_page", "plan_cache", "work_mem", "effective_", "constraint_exclusion", "hash_mem",
         "track_counts", "default_statistics", "from_collapse", "join_collapse", "cursor_tuple", "recursive_")
COUNTING = {"action", "epoch", "exact", "follower", "locks", "reason", "recorded"}
# Settings that switch off what a suite checks.
NOT_WITH = {"pool": {"session_replication_role"},  # no deferred constraint is checked
            "recorded": {"row_security"},  # a query that a policy would filter fails
            "forms": {"track_counts"}}  # without counters, a page is followed by the tables that it reads
# In these suites a role without superuser rights connects.
PLAIN = {"exact", "fault", "jobs", "recorded"}


def other_value(name, kind, value, least, most, words):
    """Return a value other than the default, or None if none is known."""
    if name in VALUES:
        return VALUES[name]
    if kind == "bool":
        return "off" if value == "on" else "on"
    if kind == "enum":
        return next(word for word in words.split(",") if word != value)
    if kind in ("integer", "real"):
        number = float(value)
        other = number / 2 if number > 1 and number / 2 >= float(least) else number + 1
        if other > float(most):
            other = (number + float(least)) / 2
        return str(int(other)) if kind == "integer" else str(other)
    return None


def settings_of(server):
    """Return each setting with its other value, and whether it needs a superuser."""
    rows = server.run("SELECT name, context, vartype, boot_val, min_val, max_val, array_to_string(enumvals, ',') FROM pg_settings"
                      " WHERE context = 'user' OR name IN ('" + "', '".join(VALUES) + "') ORDER BY name")
    found, unknown = {}, []
    for line in rows.splitlines():
        name, context, *facts = line.split("|")
        if name in LEFT_OUT:
            continue
        value = other_value(name, *facts)
        if value is None:
            unknown.append(name)
        found[name] = (value, context == "superuser")
    if unknown:
        sys.exit(f"settings.py does not know another value of {', '.join(unknown)}: add them to VALUES or LEFT_OUT")
    return found


def fails(program, suite, settings):
    options = " ".join(f"-c {name}={value}".replace("=read ", "=read\\ ") for name, value in settings.items())
    hostile = {"VESTRY_HOSTILE": "1"} if settings is HOSTILE_PATH else {}
    env = {**os.environ, "PGOPTIONS": options, "VESTRY_CASES_NOT": WITHOUT, **hostile}
    done = subprocess.run([program, suite], env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    return done.stdout if done.returncode not in (0, SKIPPED) else None


def find(program, suite, settings):
    """Halve the settings while the suite fails with one half, and return the rest."""
    names = list(settings)
    for half in (names[:len(names) // 2], names[len(names) // 2:]):
        some = {name: settings[name] for name in half}
        if len(names) > 1 and fails(program, suite, some):
            return find(program, suite, some)
    return settings


def run_hostile(program, suites):
    wrong = 0
    for suite in suites:
        said = fails(program, suite, HOSTILE_PATH)
        if said:
            wrong += 1
            print(said, f"{suite} fails with operators of another role", sep="\n")
    return wrong > 0


def main():
    program, number, only = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    suites = sorted(path.name[:-len("_test.c")] for path in pathlib.Path(__file__).parent.glob("*_test.c"))
    gone = {*HOSTILE_RUN, *COUNTING, *PLAIN, *NOT_RUN}.difference(suites)
    if gone:
        sys.exit(f"settings.py names suites that do not exist: {', '.join(sorted(gone))}")
    versions = installed()
    if not versions:
        sys.exit(SKIPPED)
    if number == HOSTILE:
        return run_hostile(program, only or HOSTILE_RUN)
    with Server(list(versions.values())[-1]) as server:
        every = settings_of(server)
    others = [name for name in every if not name.startswith("jit")]
    jit = [name for name in every if name.startswith("jit_")]
    names = jit if number == SETS else others[number - 1::SETS - 1]
    wrong = 0
    for suite in only or [suite for suite in suites if suite not in NOT_RUN]:
        some = {name: every[name][0] for name in names
                if not (suite in COUNTING and name.startswith(PLANS)) and not (suite in PLAIN and every[name][1])
                and name not in NOT_WITH.get(suite, ())}
        if number != SETS:
            some["jit"] = "off"
        said = fails(program, suite, some)
        if said:
            wrong += 1
            culprits = find(program, suite, some)
            print(said, f"{suite} fails with {culprits}", sep="\n")
    print(f"set {number}: {', '.join(f'{name} = {every[name][0]}' for name in names)}")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
