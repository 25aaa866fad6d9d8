#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/demo chat --postgres, from start to end, twice: demo_postgres.py CHAT. It brings a server of its own, and
nothing of it is left. Where Debian's postgresql is not installed: status 77. What a user does wrong has a clear line."""
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile

PROGRAM = sys.argv[1]
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')
sys.argv = ['chat.py', PROGRAM, 'microhttpd']
import chat  # noqa: E402


class Demo(chat.Server):
    def __init__(self, folder):
        environment = {**os.environ, 'DEMO_CHAT': PROGRAM, 'TMPDIR': folder}
        command = [os.path.join(TOP, 'scripts/demo'), 'chat', '--postgres', '--adapter', 'microhttpd', '--port', str(chat.reserve_port())]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.port = int(re.fullmatch(r'chat: http://127\.0\.0\.1:(\d+)\n', self.process.stdout.readline()).group(1))


def refused(*options):
    done = subprocess.run([PROGRAM, '--port', '0', *options], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=chat.PATIENCE_S, check=False)
    assert done.returncode in (1, 2) and not done.stdout, done
    return done.stderr


def run(folder):
    for how in (signal.SIGINT, signal.SIGTERM):
        demo = Demo(folder)
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


def run_without_rights(socket):
    """A user that may neither make tables nor use those of the demo."""
    where = f'host={os.path.dirname(socket)} dbname=postgres'
    psql = sorted(glob.glob('/usr/lib/postgresql/*/bin/psql'))[-1]
    subprocess.run([psql, '-q', '-c', 'DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN', f'{where} user=postgres'], check=True)
    return refused('--postgres', f'{where} user=guest')


if not glob.glob('/usr/lib/postgresql/*/bin/initdb'):
    sys.exit(77)
said = refused('--postgres', 'host=/nonexistent dbname=chat')
assert 'it cannot be reached' in said and '/nonexistent' in said, said
said = refused('--postgres', 'what is this')
assert said.startswith('vestry: error: vestry_postgres_pool_create'), said
assert 'one of them, please' in refused('--postgres', 'dbname=chat', '--db', 'chat.db')
with tempfile.TemporaryDirectory() as where:
    os.chmod(where, 0o755)
    run(where)
