#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Programs that are started with closed standard descriptors (cmd <&- >&- 2>&-), as some supervisors do: no socket and
no file gets one of their numbers, because log lines and printf would be written into it: closed.py FOLDER-OF-PROGRAMS

Each program that is there listens, and then its descriptors 0, 1 and 2 are open and lead to /dev/null."""
import os
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from port import reserve_port  # noqa: E402

PROGRAMS = os.path.abspath(sys.argv[1])
PATIENCE_S = 240
SMALL = ('counter', 'dashboard', 'poll', 'edit', 'search', 'progress', 'notices', 'signup')
STORING = ('board', 'chat', 'auction', 'cells', 'boxoffice')
COMMANDS = [(name, '--port', '{port}', '--adapter', 'microhttpd') for name in SMALL + STORING]
COMMANDS += [('counter', '--port', '{port}', '--adapter', 'civetweb'), ('chat', '--port', '{port}', '--adapter', 'civetweb'),
             ('counter', '--port', '{port}', '--adapter', 'h2'), ('counter', '--port', '{port}', '--log', 'debug'),
             ('embedded', '--port', '{port}'), ('embedded', '--port', '{port}', '--server', 'civetweb'),
             ('evhttp', '{port}'), ('vestry-bench', 'serve', '--port', '{port}')]


def wait_until_it_listens(process, port):
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return socket.create_connection(('127.0.0.1', port)).close()
        except ConnectionRefusedError:
            assert process.poll() is None and time.monotonic() < end, f'{process.args}: does not listen: {process.returncode}'
            time.sleep(0.01)


def check(command, folder):
    port = reserve_port()
    program = [os.path.join(PROGRAMS, command[0]), *(word.format(port=port) for word in command[1:])]
    if command[0] in STORING:
        program += ['--db', os.path.join(folder, 'data.db')]
    process = subprocess.Popen(['sh', '-c', 'exec "$@" <&- >&- 2>&-', 'sh', *program], cwd=folder)
    try:
        wait_until_it_listens(process, port)
        found = [os.readlink(f'/proc/{process.pid}/fd/{fd}') for fd in range(3)]
        assert found == ['/dev/null'] * 3, f'{" ".join(command)}: 0, 1 and 2 are {found}'
    finally:
        process.kill()
        process.wait()


def main():
    checked = 0
    for command in COMMANDS:
        if os.path.exists(os.path.join(PROGRAMS, command[0])):
            with tempfile.TemporaryDirectory() as folder:
                check(command, folder)
                checked += 1
    assert checked, f'{PROGRAMS} has no program'
    print(f'{checked} programs')


if __name__ == '__main__':
    main()
