#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/demo chat --postgres and boxoffice --postgres, from start to end: demo_postgres.py CHAT BOXOFFICE. Each
starts a separate server, and removes all its files. Status 77: Debian's postgresql is not installed. Errors of the
user have a clear message of one line."""
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

PROGRAM, BOXOFFICE = sys.argv[1:3]
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')
sys.argv = ['chat.py', PROGRAM, 'microhttpd']
import chat  # noqa: E402


class Demo(chat.Server):
    def __init__(self, folder, program, *options):
        name, port = os.path.basename(program), chat.reserve_port()
        environment = {**os.environ, 'DEMO_PROGRAM': program, 'TMPDIR': folder}
        command = [os.path.join(TOP, 'scripts/demo'), name, '--postgres', '--adapter', 'microhttpd', '--port', str(port), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
        self.port = int(re.fullmatch(name + r': http://127\.0\.0\.1:(\d+)\n', self.process.stdout.readline()).group(1))

    def end(self, how=signal.SIGTERM):
        """A Ctrl-C in a terminal reaches all foreground processes."""
        if how == signal.SIGINT:
            os.killpg(self.process.pid, how)
        super().end(0 if how == signal.SIGINT else how)


def refused(*options):
    done = subprocess.run([PROGRAM, '--port', '0', *options], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=chat.PATIENCE_S, check=False)
    assert done.returncode in (1, 2) and not done.stdout, done
    return done.stderr


def talk(folder):
    for how in (signal.SIGINT, signal.SIGTERM):
        demo = Demo(folder, PROGRAM)
        ada = chat.Tab(demo, 'Ada')
        assert 'Welcome!' in chat.texts(ada)[0]
        stream = ada.stream()
        assert ada.act('POST', '/channel/1/message', text='Over PostgreSQL')[0] == 204
        chat.wait_for(stream, 'Over PostgreSQL')
        counters = ada.get('/counters')[1]
        assert '"level":"reads"' in counters, counters
        stream[0].close()
        socket, = glob.glob(os.path.join(folder, '*/.s.PGSQL.*[0-9]'))
        assert 'permission denied' in run_without_rights(socket)
        demo.end(how)
        assert not os.path.exists(socket)
        assert os.listdir(folder) == [], os.listdir(folder)


def sell(folder):
    """Two nodes, which open an empty database at the same time; a page of one node shows the purchases of robots at
    the other."""
    demo = Demo(folder, BOXOFFICE, '--nodes', '2', '--robots', '20', '--pace', '200')
    until = time.monotonic() + chat.PATIENCE_S
    shown = ''
    while not re.search(r'<dt>paid</dt><dd>[1-9]', shown) or shown.count('class="up"') != 2:
        assert time.monotonic() < until, shown
        with urllib.request.urlopen(f'http://127.0.0.1:{demo.port}/', timeout=chat.PATIENCE_S) as answer:
            shown = answer.read().decode()
    assert '<dl class="right">' in shown and 'psql -c' in shown
    demo.end(signal.SIGINT)
    assert os.listdir(folder) == [], os.listdir(folder)


def run_without_rights(socket):
    """A user who may neither create tables nor use those of the demo."""
    where = f"host='{os.path.dirname(socket)}' dbname=postgres"
    psql = sorted(glob.glob('/usr/lib/postgresql/*/bin/psql'))[-1]
    subprocess.run([psql, '-q', '-c', 'DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN', f'{where} user=postgres'], check=True)
    return refused('--postgres', f'{where} user=guest')


if not glob.glob('/usr/lib/postgresql/*/bin/initdb'):
    sys.exit(77)
said = refused('--postgres', 'host=/nonexistent dbname=chat')
assert 'cannot connect' in said and '/nonexistent' in said, said
said = refused('--postgres', 'what is this')
assert said.startswith('vestry: error: vestry_postgres_pool_create'), said
assert 'exclude each other' in refused('--postgres', 'dbname=chat', '--db', 'chat.db')
with tempfile.TemporaryDirectory(prefix='a folder ') as where:
    os.chmod(where, 0o755)
    talk(where)
    sell(where)
