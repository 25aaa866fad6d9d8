#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The box office under stress: run.py BOXOFFICE [--nodes N] [--seconds N] [--kill-every S] [--lock S] [--pace MS]

Robots buy seats. Meanwhile nodes are killed in turn, and another process locks the database once for a while. A viewer
reads the page's stream, and measures the delay from each write until it arrives. At the end, an audit of the database
counts the seats that were sold, paid, sold twice and lost, and searches for each payment that was confirmed to a robot.
Exit status 1: a number is not as required."""
import argparse
import http.client
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

AUDIT = """SELECT (SELECT count(*) FROM ticket), (SELECT coalesce(sum(seats), 0) FROM payment),
  (SELECT count(*) FROM (SELECT 1 FROM ticket GROUP BY show, seat HAVING count(*) > 1)),
  (SELECT count(*) FROM payment p WHERE seats <> (SELECT count(*) FROM ticket t WHERE t.payment = p.id)) +
  (SELECT count(*) FROM ticket t LEFT JOIN payment p ON p.id = t.payment WHERE p.id IS NULL)"""

PATIENCE_S = 240  # beyond --seconds, until something was sold and shown


class Viewer(threading.Thread):
    """A tab without a browser: it opens its stream again whenever the stream breaks."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.took, self.opened, self.is_over = port, [], 0, False

    def run(self):
        while not self.is_over:
            try:
                self.look()
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)

    def look(self):
        """Read a stream. Writes from before it was opened are in its first event, and are not measured."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=15)
        connection.request('GET', '/')
        tab = re.search(r"el\.stash\.take\(\) \|\| '([0-9a-f]+)'", connection.getresponse().read().decode()).group(1)
        path = '/?datastar=' + json.dumps({'tabId': tab}).replace('"', '%22').replace(' ', '')
        connection.request('GET', path, headers={'Datastar-Request': 'true', 'Accept': 'text/event-stream'})
        answer = connection.getresponse()
        self.opened += 1
        since, newest = time.time() * 1000, {}
        while not self.is_over:
            line = answer.readline()
            if not line:
                break
            found = re.search(rb'_at: (\d+)', line)
            if found and line.startswith(b'data: elements'):
                at, block = int(found.group(1)), line[:120]
                if at > max(since, newest.get(block, 0)):
                    self.took.append(time.time() * 1000 - at)
                newest[block] = at
        connection.close()


def nodes_of(process):
    with open(f'/proc/{process.pid}/task/{process.pid}/children', encoding='ascii') as file:
        return [int(pid) for pid in file.read().split()]


def hold(file, seconds):
    db = sqlite3.connect(file, timeout=60, isolation_level=None)
    db.execute('BEGIN IMMEDIATE')
    time.sleep(seconds)
    db.execute('ROLLBACK')
    db.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('program')
    parser.add_argument('--nodes', type=int, default=3)
    parser.add_argument('--robots', type=int, default=300)
    parser.add_argument('--seconds', type=float, default=60)
    parser.add_argument('--kill-every', type=float, default=10)
    parser.add_argument('--lock', type=float, default=5)
    parser.add_argument('--pace', type=int, default=6000)
    parser.add_argument('--adapter', default='microhttpd')
    parser.add_argument('--most-ms', type=float, help='p99 from commit to stream must not be above')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file, receipts_file = os.path.join(folder, 'office.db'), os.path.join(folder, 'receipts')
        process = subprocess.Popen(
            [args.program, '--port', '0', '--adapter', args.adapter, '--db', file, '--nodes', str(args.nodes),
             '--robots', str(args.robots), '--pace', str(args.pace), '--receipts', receipts_file],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        port = int(re.search(r':(\d+)$', process.stdout.readline().strip()).group(1))
        viewer = Viewer(port)
        viewer.start()
        begun, killed, is_held = time.monotonic(), 0, args.lock <= 0

        def is_measured():
            return viewer.took and os.path.exists(receipts_file) and os.path.getsize(receipts_file)

        # Before the first sale, which a busy machine may delay, there is nothing to audit.
        while (elapsed := time.monotonic() - begun) < args.seconds or (not is_measured() and elapsed < args.seconds + PATIENCE_S):
            if args.kill_every > 0 and args.nodes > 1 and args.seconds > elapsed >= (killed + 1) * args.kill_every:
                pids = nodes_of(process)
                os.kill(pids[killed % len(pids)], signal.SIGKILL)
                killed += 1
            if not is_held and elapsed > args.seconds / 3:
                is_held = True
                threading.Thread(target=hold, args=(file, args.lock), daemon=True).start()
            time.sleep(0.05)
        viewer.is_over = True
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=60)
        with sqlite3.connect(file, timeout=60) as db:
            sold, paid, twice, lost = db.execute(AUDIT).fetchone()
            paid_for = {nonce for (nonce,) in db.execute('SELECT nonce FROM payment')}
        with open(receipts_file, encoding='ascii') as lines:
            receipts = lines.read().split()
    missing = len([nonce for nonce in receipts if nonce not in paid_for])
    took = sorted(viewer.took)
    at = (lambda percent: took[min(len(took) - 1, len(took) * percent // 100)]) if took else (lambda _: float('nan'))
    print(f'{args.nodes} nodes, {args.robots} robots, {args.seconds:g} s; killed {killed}, the database held for {args.lock:g} s')
    print(f'sold {sold} = paid {paid}, twice {twice}, lost {lost + missing}; robots received {len(receipts)} receipts')
    print(f'ms from a write to its event in a tab: half {at(50):.0f}, 99 % {at(99):.0f}, of {len(took)}; '
          f'the tab has opened {viewer.opened} streams')
    wrong = sold != paid or twice or lost or missing or not sold or not receipts or len(set(receipts)) != len(receipts)
    wrong = wrong or process.returncode or not took or (args.most_ms and at(99) > args.most_ms)
    if wrong:
        print(f'status {process.returncode}\n{complaints[-3000:]}')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
