#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The names of metrics in the guide, the dashboard and the alerts: names.py OBSERVE-SERVED DOCS

Each name that they use is served. The guide names each metric that is served, and states the number of series. The
metrics of PostgreSQL are omitted if Debian's postgresql is not installed."""
import contextlib
import http.client
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "postgres"))
import server  # noqa: E402

PATIENCE_S = 60
NAME = re.compile(r"\bvestry_[a-z0-9_]+\b")


class Served:
    """The server, its port, its families by name with their kinds, and the number of series."""

    def __init__(self, program):
        installed = server.installed()
        self.resources = contextlib.ExitStack()
        folder = self.resources.enter_context(tempfile.TemporaryDirectory())
        arguments = [program, folder + "/served.db"]
        if installed:
            postgres = self.resources.enter_context(server.Server(installed[max(installed)]))
            arguments.append(f"host={postgres.folder} user=postgres dbname=postgres")
        self.has_postgres = bool(installed)
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)", self.process.stdout.readline()).group(1))

    def families(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        text = answer.read().decode()
        count = sum(not line.startswith("#") for line in text.splitlines())
        return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)), count

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0
        self.resources.close()


def series(families):
    """The names allowed in queries: families, and the parts of histograms."""
    names = set(families)
    for name, kind in families.items():
        if kind == "histogram":
            names |= {name + end for end in ("_bucket", "_sum", "_count")}
    return names


def expressions(docs):
    """The expressions of the dashboard and of the alerts."""
    board = json.loads((docs / "grafana.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    rules = (docs / "alerts.yml").read_text()
    return found, re.findall(r"^\s+expr: (.*)$", rules, re.M), rules


def in_guide(docs):
    """The names in the guide's table. A row has a whole name, then the ends of names that begin alike: `vestry_a_b`, `_c`."""
    names = set()
    for row in re.findall(r"^\| (`vestry_.*?) \|", (docs / "guide" / "metrics.md").read_text(), re.M):
        whole = ""
        for name in re.findall(r"`([a-z_0-9]+)(?:\{[a-z_]+\})?`", row):
            if name.startswith("vestry_"):
                whole = name
                names.add(name)
            else:
                names.add((whole, name))
    return names


def completed(whole, end, families):
    """The name with this end that shares the longest beginning with the name before it; None: no such name."""
    parts = whole.split("_")
    fitting = ("_".join(parts[:count]) + end for count in range(len(parts), 0, -1))
    return next((name for name in fitting if name in families), None)


def check_count(count, docs, has_postgres):
    guide = (docs / "guide" / "metrics.md").read_text()
    own = int(re.search(r"Vestry has some (\d+) series", guide)[1])
    assert not has_postgres or abs(count - own) <= 10, f"the guide states about {own} series, but there are {count}"


def check(families, docs, has_postgres):
    def is_expected(name):
        return has_postgres or not name.startswith("vestry_postgres_")

    known = series(families)
    board, alerts, rules = expressions(docs)
    assert len(board) > 20 and len(alerts) > 4
    for where in board + alerts + [rules]:
        for name in filter(is_expected, NAME.findall(where)):
            assert name in known, f"{name} is not served: {where}"
    told = set()
    for name in in_guide(docs):
        if not is_expected(name[0] if isinstance(name, tuple) else name):
            continue
        if isinstance(name, tuple):
            full = completed(*name, families)
            assert full, f"the guide's {name[1]} after {name[0]} is not served"
            told.add(full)
        else:
            assert name in families, f"the guide's {name} is not served"
            told.add(name)
    missing = sorted(set(families) - told)
    assert not missing, "the guide lacks " + ", ".join(missing)
    print(f"{len(families)} families; {len(board)} expressions of the dashboard, {len(alerts)} alerts")


def main():
    served = Served(sys.argv[1])
    try:
        families, count = served.families()
        check(families, pathlib.Path(sys.argv[2]), served.has_postgres)
        check_count(count, pathlib.Path(sys.argv[2]), served.has_postgres)
    finally:
        served.end()


if __name__ == "__main__":
    main()
