#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check the console of every example with --console, and of vestry-bench's server: it is available from this machine
only; the programs end by Ctrl-C, and start again on the same files: console.py FOLDER-OF-PROGRAMS ADAPTER [EXAMPLE…]"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from first_day import ADAPTER, EXAMPLES, PATIENCE_S, PROGRAMS, SERVER, Program, ask, reserve_port  # noqa: E402

WITH_PAGES = ('search', 'auction', 'board', 'boxoffice', 'cells', 'chat', 'dashboard', 'poll')
WITH_DATABASES = ('auction', 'board', 'boxoffice', 'cells', 'chat')
FOREIGN = ({'Host': 'example.org'}, {'Host': '127.0.0.1.example.org'}, {'X-Forwarded-For': '127.0.0.1'}, {'Forwarded': 'for=127.0.0.1'})


def check_local_console(port, prefix='/observe'):
    """This machine gets a response; a page of another site, or a client behind a proxy, gets one without
    information. Return the response."""
    status, _, text = ask(port, 'GET', f'{prefix}/metrics', headers={'Accept': 'application/openmetrics-text'})
    assert status == 200 and 'vestry_streams_open ' in text and text.endswith('# EOF\n'), (status, text[:200])
    assert ask(port, 'GET', f'{prefix}/live')[0] == 200 and ask(port, 'GET', f'{prefix}/ready')[0] == 200
    status, headers, page = ask(port, 'GET', f'{prefix}/console')
    nonce = re.search(r"script-src 'nonce-([^']+)'", headers['Content-Security-Policy'] or '')
    assert status == 200 and nonce and f'<script nonce="{nonce.group(1)}">' in page, (status, headers.items(), page[:200])
    for what in ('metrics', 'console'):
        for foreign in FOREIGN:
            status, headers, refused = ask(port, 'GET', f'{prefix}/{what}', headers=foreign)
            assert (status, headers['Content-Security-Policy'], refused) == (403, None, ''), (what, foreign, status, refused)
    return text


def printed_port(program, name, node=''):
    """Read the line that contains its address."""
    line = program.stdout.readline()
    said = re.fullmatch(rf'{name}: console{node}: http://127\.0\.0\.1:(\d+)/observe/console\n', line)
    assert said, line
    return int(said.group(1))


def starts_and_ends_twice(name, kind, folder):
    options = ('--db', os.path.join(folder, 'console.db')) if kind.keeps else ()
    port = 0
    for life in range(2):
        program = Program(name, *options, '--console', port=port).listens()
        port = program.port
        assert printed_port(program.process, name) == port
        if kind.keeps:
            kind(port, 'Ada').write(f'life {life}')
        else:
            kind(port).opens()
        seen = check_local_console(port)
        for metric, names in (('vestry_page_fragments ', WITH_PAGES), ('vestry_sqlite_pool_checkouts_total ', WITH_DATABASES),
                              ('vestry_sqlite_commits_total{', set(WITH_DATABASES) & set(WITH_PAGES))):
            assert (metric in seen) == (name in names), (name, metric)
        program.end()
    program = Program(name, *options).listens()
    assert 'vestry_' not in ask(program.port, 'GET', '/observe/metrics')[2], 'the console is available without --console'
    program.end()


def assert_refused(name, *options):
    """Options that would make it available to no client, or to all clients."""
    refused = subprocess.run([os.path.join(PROGRAMS, name), '--port', str(reserve_port()), '--console', *options], capture_output=True, text=True,
                             timeout=PATIENCE_S, check=False)
    assert refused.returncode == 2 and re.fullmatch(rf'{name}: --console is only for this machine: .*use .*\n', refused.stderr), refused


def console_listens_at_its_address(name, address):
    """If another address of this machine is set, the console prints it, and listens there."""
    port = reserve_port()
    command = [os.path.join(PROGRAMS, name), '--port', str(port), '--listen', address, *SERVER, '--console']
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = [program.stdout.readline() for _ in range(2)][1]
    assert said == f'{name}: console: http://{address}:{port}/observe/console\n', said
    with urllib.request.urlopen(f'http://{address}:{port}/observe/live', timeout=PATIENCE_S) as answer:
        assert answer.status == 200
    program.send_signal(signal.SIGINT)
    assert program.wait(PATIENCE_S) == 0
    program.stdout.close()


def each_node_has_a_console(folder):
    """Each node has its own port, because an address does not identify the node behind the common port. A proxy on
    this machine would forward requests of the network, so such requests are rejected."""
    file = os.path.join(folder, 'nodes.db')
    assert_refused('boxoffice', '--db', file, '--nodes', '2', '--listen', '0.0.0.0')
    program = Program('boxoffice', '--db', file, '--nodes', '2', '--console').listens()
    ports = [printed_port(program.process, 'boxoffice', f' of node {number}') for number in (1, 2)]
    assert len({program.port, *ports}) == 3
    for port in ports:
        check_local_console(port)
    program.end()


def embedded_console_needs_no_login():
    """The previous program has a separate login."""
    for _ in range(2):
        command = [os.path.join(PROGRAMS, 'embedded'), '--port', str(reserve_port()), '--server', ADAPTER, '--console']
        program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert re.fullmatch(r'embedded: http://127\.0\.0\.1:\d+\n', program.stdout.readline())
        port = printed_port(program, 'embedded')
        check_local_console(port)
        assert ask(port, 'GET', '/')[0] == 303
        program.send_signal(signal.SIGINT)
        assert program.wait(PATIENCE_S) == 0
        program.stdout.close()


def bench_server_has_a_console():
    """vestry-bench serve always has a console, without a prefix."""
    program = subprocess.Popen([os.path.join(PROGRAMS, 'vestry-bench'), 'serve', '--port', '0', *SERVER, '--streams', '100'],
                               stdout=subprocess.PIPE, text=True)
    check_local_console(int(re.match(r'vestry-bench: http://127\.0\.0\.1:(\d+) ', program.stdout.readline()).group(1)), '')
    program.send_signal(signal.SIGINT)
    assert program.wait(PATIENCE_S) == 0
    program.stdout.close()


def main():
    asked = sys.argv[3:]

    def is_wanted(name, always_built=False):
        return (not asked or name in asked) and (always_built or os.path.exists(os.path.join(PROGRAMS, name)))

    for name, kind in EXAMPLES.items():
        if is_wanted(name):
            with tempfile.TemporaryDirectory() as folder:
                starts_and_ends_twice(name, kind, folder)
    if is_wanted('search', always_built=True):
        assert_refused('search', '--listen', '192.0.2.1')
        assert_refused('search', '--unix-socket', '/nowhere/x.sock', '--adapter', 'microhttpd')
        console_listens_at_its_address('search', '127.0.0.2')
    # This program has a server already, of civetweb or libmicrohttpd, in which vestry serves; no such server has HTTP/2.
    if is_wanted('embedded', always_built=True) and ADAPTER != 'h2':
        embedded_console_needs_no_login()
    if is_wanted('vestry-bench'):
        bench_server_has_a_console()
    if is_wanted('boxoffice'):
        with tempfile.TemporaryDirectory() as folder:
            each_node_has_a_console(folder)


main()
