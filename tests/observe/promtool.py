#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Metrics as Prometheus reads them: promtool.py VESTRY-BENCH OBSERVE-SERVED DOCS

Debian's promtool reports no problem. A Prometheus that scrapes both servers has their series and values, and evaluates
each expression of the dashboard and of the alerts. Skipped (77) if Prometheus is not installed."""
import http.client
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
import names  # noqa: E402
import port  # noqa: E402

BENCH, SERVED, DOCS = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
PATIENCE_S = 240


def get(at, path, accept=None):
    connection = http.client.HTTPConnection("127.0.0.1", at, timeout=PATIENCE_S)
    connection.request("GET", path, headers={"Accept": accept} if accept else {})
    answer = connection.getresponse()
    return answer.status, answer.getheader("Content-Type"), answer.read().decode()


def until(holds):
    end = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < end, "that does not come"
        time.sleep(0.05)
    return found


def start(adapter):
    process = subprocess.Popen([BENCH, "serve", "--adapter", adapter, "--port", "0", "--pages"], stdout=subprocess.PIPE, text=True)
    return process, int(re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline()).group(1))


def check(at):
    """promtool reads the text format; the scrape checks the format that Prometheus itself requests."""
    status, kind, text = get(at, "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8"), (status, kind)
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout + checked.stderr
    planted = subprocess.run(["promtool", "check", "metrics"], input=text + "x y z\n", capture_output=True, text=True)
    assert planted.returncode, "promtool takes anything"
    status, kind, text = get(at, "/metrics", "application/openmetrics-text;version=1.0.0")
    assert status == 200 and kind.startswith("application/openmetrics-text; version=1.0.0") and text.endswith("# EOF\n"), kind


def evaluate(query):
    """Evaluate each expression of the documentation as Grafana and Prometheus do; an invalid one is an error."""
    board, alerts, _ = names.expressions(DOCS)
    for expression in board + alerts:
        asked = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
        answer = query(urllib.parse.quote(asked))
        assert answer.get("status") == "success", f"{asked}: {answer}"
    assert query(urllib.parse.quote("rate(vestry_streams_open")).get("status") == "error"
    rules = subprocess.run(["promtool", "check", "rules", DOCS / "alerts.yml"], capture_output=True, text=True)
    assert (rules.returncode, rules.stderr) == (0, ""), rules.stdout + rules.stderr
    print(f"{len(board)} expressions of the dashboard, {len(alerts)} of alerts")


def check_lost_node(folder):
    """The alert of a node that stays lost is firing after two hours, too, and a cluster of this size has none."""
    labels = {"instance": "a"}
    lost = {"exp_labels": {"severity": "critical", **labels},
            "exp_annotations": {"summary": "a is connected to fewer nodes than before.",
                                "description": "A node has died, or the broker separates nodes: see vestry_cluster_gaps_total."}}
    cases = [{"interval": "1m", "input_series": [{"series": 'vestry_cluster_nodes_alive{instance="a"}', "values": values}],
              "alert_rule_test": [{"alertname": "VestryNodeLost", "eval_time": at, "exp_alerts": expected} for at, expected in checks]}
             for values, checks in (("2x10 1x180", [("5m", []), ("30m", [lost]), ("3h", [lost])]), ("2x190", [("3h", [])]))]
    path = pathlib.Path(folder) / "lost_node.yml"
    path.write_text(json.dumps({"rule_files": [str(DOCS.resolve() / "alerts.yml")], "evaluation_interval": "1m", "tests": cases}))
    tested = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def scrape(folder, ports, has_postgres):
    at = port.reserve_port()
    config = {"global": {"scrape_interval": "1s"},
              "rule_files": [str(DOCS.resolve() / "alerts.yml")],
              "scrape_configs": [{"job_name": "vestry", "static_configs": [{"targets": [f"127.0.0.1:{one}" for one in ports]}]}]}
    path = pathlib.Path(folder) / "prometheus.yml"
    path.write_text(json.dumps(config))  # JSON is YAML
    prometheus = subprocess.Popen(
        ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{at}", "--log.level=error"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def query(expression):
        return json.loads(get(at, f"/api/v1/query?query={expression}")[2])

    def ask(expression):
        try:
            return query(expression).get("data", {}).get("result", [])
        except (OSError, ValueError):  # it begins
            return []

    try:
        up = until(lambda: [one for one in ask("up") if one["value"][1] == "1"] if len(ask("up==1")) == len(ports) else None)
        assert len(up) == len(ports)
        kinds = json.loads(get(at, "/api/v1/metadata?metric=vestry_streams_open")[2])["data"]
        assert kinds["vestry_streams_open"][0]["type"] == "gauge", kinds
        assert len(ask("vestry_streams_open")) == len(ports)
        before = until(lambda: ask("sum(vestry_requests_total)"))[0]["value"][1]
        until(lambda: float(ask("sum(vestry_requests_total)")[0]["value"][1]) > float(before))  # scrapes are requests
        known = json.loads(get(at, "/api/v1/label/__name__/values")[2])["data"]
        print(f"{sum(name.startswith('vestry_') for name in known)} names of vestry's in Prometheus")
        assert "vestry_streams_closed_total" in known and "vestry_sqlite_commits_total" in known, known
        assert ("vestry_postgres_commits_total" in known) == has_postgres, known
        evaluate(query)
        alerts = json.loads(get(at, "/api/v1/rules")[2])["data"]["groups"][0]["rules"]
        assert len(alerts) > 4 and all(rule.get("lastError", "") == "" for rule in alerts), alerts
    finally:
        prometheus.send_signal(signal.SIGTERM)
        prometheus.wait(PATIENCE_S)


def main():
    if not shutil.which("promtool") or not shutil.which("prometheus"):
        print("there is no Prometheus")
        return 77
    started = [start(adapter) for adapter in ("civetweb", "microhttpd")]
    served = names.Served(SERVED)
    try:
        ports = [at for _, at in started] + [served.port]
        for at in ports:
            check(at)
        with tempfile.TemporaryDirectory() as folder:
            check_lost_node(folder)
            scrape(folder, ports, served.has_postgres)
    finally:
        served.end()
        for process, _ in started:
            process.send_signal(signal.SIGINT)
    for process, _ in started:
        assert process.wait(PATIENCE_S) == 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
