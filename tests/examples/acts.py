#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Acts of an application whose processes are killed (SIGKILL): acts.py PROGRAM ADAPTER DATABASE [CASE [SEED [SECONDS]]]

PROGRAM is acts.c, and DATABASE sqlite or postgres. Each submission is repeated as by the client until it has a response:
after a lost connection, and after 502 to 504. Then each accepted submission is in the database exactly once, with its
job, and no refused one is.

each    kill a process at each of its calls of the system within a submission, once with another process and once alone
random  clients at two processes, which are killed at random moments, and at random calls of the system. PostgreSQL:
        meanwhile another client terminates backends, changes the role, and restarts the server

Status 77: Debian's postgresql is not installed."""
import collections
import http.client
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../postgres'))
from port import reserve_port  # noqa: E402
import server as postgres  # noqa: E402

PROGRAM, ADAPTER, DATABASE = sys.argv[1:4]
CASE, SEED, SECONDS = (*sys.argv[4:], *('', '1', '10')[len(sys.argv) - 4:])
CLIENTS, REFUSED_BY = 24, 7  # as in acts.c
PATIENCE_S = int(os.environ.get('PATIENCE_S', 240))
# A lease of 2 s, and the waits of a request on a busy machine. Without marks, it would be 60 s.
HANGS_S = 30
AWAY = (502, 503, 504)
WAYS = 'form', 'act', 'signals'


class SQLite:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix='vestry-acts-')
        self.path = os.path.join(self.folder.name, 'acts.db')
        self.options = ['--db', self.path]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def ids(self, table):
        database = sqlite3.connect(f'file:{self.path}?mode=ro', uri=True, timeout=PATIENCE_S)
        found = [row[0] for row in database.execute(f'SELECT id FROM {table}')]
        database.close()
        return found

    def trouble(self, _):
        return 'nothing'


class PostgreSQL:
    """The processes have a role without rights of a superuser."""

    def __init__(self):
        self.server = postgres.Server(list(postgres.installed().values())[-1], ['-c', 'max_connections=60'])
        self.options = ['--postgres', '--db', f'host={self.server.folder} user=acts dbname=postgres']

    def __enter__(self):
        self.server.__enter__()
        self.server.run('CREATE ROLE acts LOGIN', 'GRANT ALL ON SCHEMA public TO acts', 'SET ROLE acts',
                        'CREATE TABLE counted(id bigint)', 'CREATE TABLE later(id bigint)')
        return self

    def __exit__(self, *_):
        self.server.__exit__()

    def ids(self, table):
        return [int(line) for line in self.server.run(f'SELECT id FROM {table}').split()]

    def restart(self, how):
        process = self.server.process
        process.send_signal(how)
        process.wait(PATIENCE_S)
        self.server.__enter__()

    def trouble(self, rng):
        run, role = self.server.run, 'ALTER ROLE acts '
        what = rng.choice(['terminate', 'terminate', 'terminate', 'all', 'login', 'level', 'limit', 'fast', 'crash'])
        ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'acts'"
        if what == 'terminate':
            run(ends + " AND state <> 'idle' LIMIT 1")
        elif what == 'all':
            run(ends)
        elif what == 'login':
            run(role + 'NOLOGIN', ends)
            time.sleep(rng.random() / 2)
            run(role + 'LOGIN')
        elif what == 'level':
            run(role + "SET default_transaction_isolation = 'serializable'", ends)
            time.sleep(rng.random() / 2)
            run(role + 'RESET default_transaction_isolation')
        elif what == 'limit':
            run(role + 'CONNECTION LIMIT 3', ends)
            time.sleep(rng.random() / 2)
            run(role + 'CONNECTION LIMIT -1')
        else:
            self.restart(signal.SIGINT if what == 'fast' else signal.SIGQUIT)
        return what


class Process:
    every = []

    def __init__(self, database, log, *options):
        self.port, self.log, self.process = reserve_port(), log, None
        self.command = [PROGRAM, '--port', str(self.port), '--adapter', ADAPTER, *database.options, *options]
        self.every.append(self)
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        assert re.fullmatch(r'acts: http://127\.0\.0\.1:\d+\n', line), f'the program does not start: {line}'

    def await_end(self, expected=-signal.SIGKILL):
        status = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        assert status == expected, f'the program ended with {status}'

    def revive(self):
        self.await_end()
        self.start()

    def end(self):
        self.process.terminate()
        self.await_end(0)


class Wrong(Exception):
    pass


class Client:
    """A page in a browser. choose gets the status of the last attempt (0: the connection was lost, None: there was
    none), and returns the port of the next one."""

    def __init__(self, choose):
        self.choose, self.cookies, self.longest_s, self.count = choose, {}, 0, 0
        text = self.insist('GET', '/')[1]
        self.csrf, self.once = (re.search(f'name="{name}" value="([0-9a-f]+)"', text)[1] for name in ('csrf', 'once'))

    def request(self, port, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=HANGS_S)
        cookies = '; '.join(f'{name}={value}' for name, value in self.cookies.items())
        since = time.monotonic()
        try:
            connection.request(method, path, body, {'Cookie': cookies, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read().decode()
        except TimeoutError as error:
            raise Wrong(f'{method} {path} hangs for {HANGS_S} s') from error
        except (OSError, http.client.HTTPException):
            return 0, ''
        finally:
            self.longest_s = max(self.longest_s, time.monotonic() - since)
            connection.close()
        for cookie in answer.headers.get_all('Set-Cookie') or []:
            name, value = cookie.split(';')[0].split('=', 1)
            self.cookies[name] = value
        return answer.status, text

    def insist(self, *request):
        """Repeat a request as the client does. Returns the status and the body."""
        until, status, pause_s = time.monotonic() + PATIENCE_S, None, .01
        while time.monotonic() < until:
            status, text = self.request(self.choose(status), *request)
            if status and status not in AWAY:
                return status, text
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, .2)
        raise Wrong(f'{request[:2]} is not accepted: the last status is {status}')

    def submit(self, way, number):
        """Returns whether the act was accepted."""
        self.count += 1
        once = f'{self.once}.{self.count}'
        if way == 'form':
            fields = urllib.parse.urlencode({'csrf': self.csrf, 'once': once, 'id': number})
            status, text = self.insist('POST', '/form', fields, {'Content-Type': 'application/x-www-form-urlencoded'})
            accepted, refused = status in (204, 303), status == 422
        else:
            status, text = self.insist('POST', f'/{way}/{number}', '{}', {
                'Content-Type': 'application/json', 'Datastar-Request': 'true', 'X-CSRF-Token': self.csrf, 'X-Once': once})
            refused = status == 200 and 'not this one' in text
            accepted = status == 204 or (way == 'signals' and status == 200 and f'"counted":{number}' in text)
        if accepted == (number % REFUSED_BY == 0) or accepted == refused:
            raise Wrong(f'{way} {number}: {status} {text[:200]}')
        return accepted


def check(database, accepted):
    """Wait for the jobs of all acts, and compare the rows."""
    until = time.monotonic() + PATIENCE_S
    for table in 'counted', 'later':
        while len(database.ids(table)) < len(accepted) and time.monotonic() < until:
            time.sleep(.05)
        found = collections.Counter(database.ids(table))
        lost, others = sorted(set(accepted) - set(found)), sorted(set(found) - set(accepted))
        twice = [number for number, count in found.items() if count > 1]
        assert not lost and not others and not twice, f'{table}: lost {lost[:9]}, not accepted {others[:9]}, twice {twice[:9]}'


# ---- a kill at each call


def kill_at_each_call(database, log):
    """A submission, whose process is killed at the first, second, third… call, until it ends before that call."""
    accepted, kills, number = [], 0, 0
    one, other = (Process(database, log, '--lease', '50') for _ in range(2))
    for at in one, other:  # which gets the repetition
        def choose(last):
            if last == 0 and at is one:
                one.revive()
            return one.port if last is None else at.port

        client = Client(choose)
        for way in WAYS:
            for call in range(1, 1000):
                number += 1
                process = one.process
                client.request(one.port, 'GET', f'/kill/{call}')
                if client.submit(way, number):
                    accepted.append(number)
                if process is one.process and client.request(one.port, 'GET', '/kill/0')[0] == 204:
                    break  # it was not killed
                kills += 1
                if process is one.process:
                    one.revive()
            assert call > 10, f'{way}: only {call} calls'
    check(database, accepted)
    for process in one, other:
        process.end()
    print(f'{DATABASE}, {ADAPTER}: {number} submissions, {kills} of them killed')


# ---- kills at random


class World:
    def __init__(self, database, log, rng):
        self.database, self.rng, self.lock = database, rng, threading.Lock()
        self.processes = [Process(database, log), Process(database, log)]
        self.number, self.accepted, self.wrong, self.is_over, self.longest_s = 0, [], None, False, 0

    def use(self, seed):
        """A client that submits until the end."""
        rng = random.Random(seed)
        try:
            client = Client(lambda _: rng.choice(self.processes).port)
            while not self.is_over:
                with self.lock:
                    self.number += 1
                    number = self.number
                if client.submit(rng.choice(WAYS), number):
                    with self.lock:
                        self.accepted.append(number)
        except Exception as error:  # whatever it is, the test fails
            self.wrong = self.wrong or error
        with self.lock:
            self.longest_s = max(self.longest_s, client.longest_s)

    def revive(self):
        for process in self.processes:
            if process.process.poll() is not None:
                process.revive()

    def disturb(self):
        victim, how = self.rng.choice(self.processes), self.rng.random()
        if how < .4:
            victim.process.kill()
            victim.await_end()
            time.sleep(self.rng.random() * .3)
            victim.start()
            return 'kill'
        if how < .7:
            try:
                connection = http.client.HTTPConnection('127.0.0.1', victim.port, timeout=HANGS_S)
                connection.request('GET', f'/kill/{self.rng.randrange(1, 400)}')
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                pass
            return 'call'
        return self.database.trouble(self.rng)


def kill_at_random(database, log):
    rng = random.Random(SEED)
    world = World(database, log, rng)
    threads = [threading.Thread(target=world.use, args=(f'{SEED} {i}',)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    until, done = time.monotonic() + float(SECONDS), collections.Counter()
    while time.monotonic() < until and not world.wrong:
        time.sleep(rng.random() * .3)
        done[world.disturb()] += 1
        world.revive()
    world.is_over = True
    since = time.monotonic()
    while any(thread.is_alive() for thread in threads):
        time.sleep(.01)
        world.revive()  # a process may still have a call to be killed at
    calm_s = time.monotonic() - since
    if world.wrong:
        raise world.wrong
    check(database, world.accepted)
    world.revive()
    for process in world.processes:
        process.end()
    print(f'{DATABASE}, {ADAPTER}, seed {SEED}: {world.number} submissions, {len(world.accepted)} accepted; '
          f'{", ".join(f"{what} {count}" for what, count in sorted(done.items()))}; the longest request took '
          f'{world.longest_s:.1f} s, the last submissions {calm_s:.1f} s')
    assert calm_s < HANGS_S, f'the last submissions took {calm_s:.1f} s'


def main():
    if DATABASE == 'postgres' and not postgres.installed():
        sys.exit(postgres.SKIPPED)
    for name, case in (('each', kill_at_each_call), ('random', kill_at_random)):
        if CASE in ('', name):
            with (PostgreSQL if DATABASE == 'postgres' else SQLite)() as database, tempfile.TemporaryFile('w+') as log:
                try:
                    case(database, log)
                except BaseException:
                    log.seek(0)
                    print(log.read()[-20000:])
                    raise
                finally:
                    for process in Process.every:
                        process.process.kill()


main()
