#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Typical actions of a first day with an example: start it, use it, stop it by Ctrl-C, start it again; start it
twice, kill it, fill the disk, pass a file or a port that it cannot use: first_day.py FOLDER-OF-PROGRAMS ADAPTER
[EXAMPLE or EXAMPLE.CASE…]

Either the example works, or it ends with a nonzero status and a message that names the function, the file or the port,
and a remedy. Acknowledged data always exists afterwards."""
import atexit
import contextlib
import ctypes
import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from port import reserve_port  # noqa: E402

PROGRAMS, ADAPTER = os.path.abspath(sys.argv[1]), sys.argv[2]
# Users of this file speak HTTP/1.1, which h2 also serves.
SERVER = ('--adapter', ADAPTER, *(['--no-tls'] if ADAPTER == 'h2' else []))
PATIENCE_S = 240
CODES = ('argument is outside', 'system or a peer failed', 'could deadlock')  # texts of strerror, no help to a user


def quiet_limits():
    """In the child: a write beyond RLIMIT_FSIZE fails, as on a full disk, instead of ending the process."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


class Program:
    """A process of an example; stderr is its log."""

    def __init__(self, name, *options, port=0, before=(), prepare=quiet_limits, cwd=None):
        self.name = name
        self.errors = tempfile.TemporaryFile('w+')
        command = [*before, os.path.join(PROGRAMS, name), '--port', str(port or reserve_port()), *SERVER, *options, *EXAMPLES[name].options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, text=True, preexec_fn=prepare,
                                        restore_signals=False, cwd=cwd)
        atexit.register(lambda: self.process.poll() is None and self.process.kill())  # when a test has failed

    def listens(self):
        """Wait until it listens; return itself."""
        line = self.process.stdout.readline()
        found = re.fullmatch(rf'{self.name}: http://127\.0\.0\.1:(\d+)\n', line)
        assert found, f'{self.process.args} does not start: {line}{self.log()}'
        self.port = int(found.group(1))
        return self

    def log(self):
        return os.pread(self.errors.fileno(), 1 << 20, 0).decode()

    def end(self, how=signal.SIGINT):
        self.process.send_signal(how)
        status = self.process.wait(PATIENCE_S)
        assert status == (-how if how == signal.SIGKILL else 0), f'{self.process.args}: {status}\n{self.log()}'
        self.close()

    def close(self):
        self.process.stdout.close()
        self.errors.close()

    def must_refuse(self, *said, option=''):
        """It must end, with one line that contains all these words; one of them is the option that helps."""
        status = self.process.wait(PATIENCE_S)
        log = self.log() + self.process.stdout.read()
        assert status not in (0, None) and status > 0, f'{self.process.args}: {status}\n{log}'
        assert any(all(text in line for text in said) for line in log.splitlines()), f'{self.process.args}: not said: {said}\n{log}'
        assert option in log, f'{self.process.args}: {option} is not named\n{log}'
        assert len(log.splitlines()) <= 2 and not any(code in log for code in CODES), log
        self.close()


def ask(port, method, path, body=None, headers=None, timeout=PATIENCE_S):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()


def stream(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=PATIENCE_S)
    connection.request(method, path, body, {'Datastar-Request': 'true', **(headers or {})})
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    return connection, answer


def until(answer, text):
    while True:
        line = answer.readline().decode()
        assert line, f'the stream has ended before {text}'
        if text in line:
            return


# ------------------------------------------------------------------------------------------------------- users -------


class Session:
    """A browser, as far as that is possible without one."""

    def __init__(self, port):
        self.port, self.cookies = port, {}

    def ask(self, method, path, body=None, **headers):
        headers = {name.replace('_', '-'): value for name, value in headers.items()}
        cookie = '; '.join(f'{name}={value}' for name, value in self.cookies.items())
        status, given, text = ask(self.port, method, path, body, {'Cookie': cookie, **headers})
        for one in given.get_all('Set-Cookie') or []:
            name, _, value = one.split(';')[0].partition('=')
            self.cookies[name] = value
        return status, text

    def act(self, method, path, signals, **headers):
        return self.ask(method, path, json.dumps(signals), Datastar_Request='true', Content_Type='application/json', **headers)

    def submit(self, path, **fields):
        return self.ask('POST', path, urllib.parse.urlencode(fields), Content_Type='application/x-www-form-urlencoded')


class Nothing:
    """An example that stores no data: it can be used, and starts again in its initial state."""
    options = ()
    keeps = False

    def __init__(self, port):
        self.port = port
        self.session = Session(port)

    def opens(self):
        status, text = self.session.ask('GET', '/')
        assert status == 200 and '<!doctype html>' in text.lower(), status
        return text


class Counter(Nothing):
    def use(self):
        assert 'data-signals:counter="0"' in self.opens()
        connection, answer = stream(self.port, 'PUT', '/', '{}', {'Cookie': '; '.join(f'{n}={v}' for n, v in self.session.cookies.items())})
        until(answer, '"running":true')
        assert self.session.act('POST', '/jump', {})[0] == 204
        until(answer, '"counter":1')
        return connection


class Dashboard(Nothing):
    def use(self):
        assert 'svg' in self.opens()
        connection, answer = stream(self.port, 'GET', '/')
        until(answer, 'svg')
        return connection


class Poll(Nothing):
    def use(self):
        assert '0 votes' in self.opens()
        assert self.session.act('POST', '/poll/1/vote/1', {})[0] == 204
        assert '1 vote' in self.opens()
        assert self.session.submit('/poll', title='Tea?', answer='yes')[0] == 422


class Edit(Nothing):
    def use(self):
        assert 'Ada Lovelace' in self.opens()
        connection, answer = stream(self.port, 'GET', '/stream')
        assert 'meanwhile' in self.session.act('PUT', '/card', {'name': 'Grace', 'email': 'g@example.org', 'was_name': 'A. L.', 'was_email': ''})[1]
        assert self.session.act('PUT', '/card', {'name': 'Grace', 'email': 'g@example.org', 'was_name': 'Ada Lovelace', 'was_email': 'ada@example.org'})[0] == 200
        until(answer, 'Grace')
        assert 'Grace' in self.opens()
        return connection


class Search(Nothing):
    def use(self):
        assert '42 of 42 birds' in self.opens()
        connection, answer = stream(self.port, 'GET', '/?query=owl')
        until(answer, '3 of 42 birds')
        return connection


class Progress(Nothing):
    def use(self):
        self.opens()
        connection, answer = stream(self.port, 'GET', '/stream')
        until(answer, 'idle')
        assert self.session.act('POST', '/job', {'name': 'dishes'})[0] == 204
        until(answer, 'running')
        return connection


class Notices(Nothing):
    def use(self):
        self.opens()
        signals = urllib.parse.quote(json.dumps({'user': 'bob'}))
        connection, answer = stream(self.port, 'GET', f'/stream?user=bob&datastar={signals}')
        assert 'Sent to' in self.session.act('POST', '/send', {'user': 'ada', 'to': '', 'text': 'hello'})[1]
        until(answer, 'hello')
        return connection


class Signup(Nothing):
    def use(self):
        self.opens()
        assert 'Thank you' in self.session.act('POST', '/signup', {'name': 'Ada', 'email': 'ada@example.org', 'seats': 1})[1]
        assert 'already signed up' in self.session.act('POST', '/check', {'name': 'Ada', 'email': 'ada@example.org', 'seats': 1, 'errors': {'email': ''}})[1]


class Board:
    """A user of the board. write() adds a card; texts() are the cards of all users."""
    keeps = True
    options = ()
    is_alone = False  # the only process on its file; otherwise two may run
    begins_by_writing = False
    disk = '2m'  # enough space to begin
    tables = ('board', 'card')
    # The schema of the first version.
    old = ("PRAGMA journal_mode = WAL; CREATE TABLE session(hash TEXT PRIMARY KEY, user TEXT NOT NULL, created INTEGER, used INTEGER) WITHOUT ROWID;"
           "CREATE TABLE board(id INTEGER PRIMARY KEY, title TEXT NOT NULL);"
           "CREATE TABLE card(id INTEGER PRIMARY KEY, board INTEGER NOT NULL REFERENCES board, stage INTEGER NOT NULL, text TEXT NOT NULL, author TEXT NOT NULL);"
           "INSERT INTO board(title) VALUES('First board'); INSERT INTO card(board, stage, text, author) VALUES(1, 0, 'of long ago', 'Ada')")

    def __init__(self, port, name):
        self.session = Session(port)
        status = self.login(self.session, name)
        assert status == 303, status
        self.read('/board/1')

    def read(self, path):
        """Open a page, and read its token for actions."""
        page = self.session.ask('GET', path)[1]
        self.token = re.search(r"_csrf=\"'(\w{64})'", page).group(1)
        return page

    @staticmethod
    def login(session, name):
        form = session.ask('GET', '/')[1]
        token = re.search(r'name="csrf" value="(\w{64})"', form).group(1)
        return session.submit('/login', name=name, csrf=token)[0]

    @classmethod
    def try_login(cls, port):
        return cls.login(Session(port), 'Eve')

    def moved(self, port):
        self.session.port = port
        return self

    def write(self, text, again=False):
        return self.session.act('POST', '/board/1/card', {'text': text}, X_CSRF_Token=self.token)[0]

    def looks(self):
        return self.session.ask('GET', '/board/1')[0] == 200

    @staticmethod
    def texts(db):
        return [row[0] for row in db.execute('SELECT text FROM card ORDER BY id')]

    def is_shown(self, text):
        cookie = '; '.join(f'{name}={value}' for name, value in self.session.cookies.items())
        connection, answer = stream(self.session.port, 'GET', '/board/1/stream', headers={'Cookie': cookie})
        with contextlib.closing(connection):
            until(answer, text)
        return True


class Chat(Board):
    tables = ('channel', 'message')
    old = ("PRAGMA journal_mode = WAL; CREATE TABLE secret(bytes BLOB NOT NULL); CREATE TABLE session(hash TEXT PRIMARY KEY, user TEXT NOT NULL, created INTEGER, used INTEGER) WITHOUT ROWID;"
           "CREATE TABLE channel(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
           "CREATE TABLE message(channel INTEGER NOT NULL REFERENCES channel, id INTEGER NOT NULL, author TEXT NOT NULL, text TEXT, sent INTEGER NOT NULL DEFAULT (unixepoch()),"
           " edited INTEGER NOT NULL DEFAULT 0, once TEXT UNIQUE, PRIMARY KEY(channel, id)) WITHOUT ROWID;"
           "CREATE TABLE tally(channel INTEGER PRIMARY KEY, last INTEGER NOT NULL);"
           "CREATE TABLE seen(user TEXT NOT NULL, channel INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(user, channel)) WITHOUT ROWID;"
           "CREATE TABLE pace(user TEXT PRIMARY KEY, slot INTEGER NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID;"
           "INSERT INTO secret VALUES(randomblob(32)); INSERT INTO channel(name) VALUES('general');"
           "INSERT INTO message(channel, id, author, text) VALUES(1, 1, 'Ada', 'of long ago');"
           # vestry's tables, as in 0.2.0
           "CREATE TABLE vestry_schema(version INTEGER NOT NULL, part TEXT NOT NULL DEFAULT 'tab') STRICT; INSERT INTO vestry_schema VALUES(1, 'tab');"
           "CREATE TABLE vestry_tab(scope BLOB NOT NULL, tab BLOB NOT NULL, data BLOB NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY(scope, tab)) STRICT, WITHOUT ROWID;"
           "CREATE INDEX vestry_tab_expires ON vestry_tab(expires)")

    def read(self, path):
        self.count, page = 0, super().read('/')
        self.nonce = re.search(r"_once=\"'(\w{64})'", page).group(1)
        self.tab = re.search(r"take\(\) \|\| '(\w{64})'", page).group(1)

    def write(self, text, again=False):
        self.count += not again
        status, answer = self.session.act('POST', '/channel/1/message', {'tabId': self.tab, 'text': text}, X_CSRF_Token=self.token, X_Once=f'{self.nonce}.{self.count}')
        return status if 'error' not in answer else 500

    def looks(self):
        return self.session.ask('GET', '/')[0] == 200

    @staticmethod
    def texts(db):
        return [row[0] for row in db.execute('SELECT text FROM message WHERE channel = 1 ORDER BY id')]

    def is_shown(self, text):
        return text in self.session.ask('GET', '/')[1]


class Auction(Board):
    """A user of the auction. write() offers a lot, without a picture; texts() are the titles of the lots."""
    is_alone = True  # because of its folder of pictures
    begins_by_writing = True  # jobs that end the first lots
    tables = ('lot',)
    old = None  # there was no earlier version
    disk = '24m'  # the initial data needs this space twice: in the file, and in its log

    def read(self, path):
        pass

    @staticmethod
    def login(session, name):
        return session.submit('/login', name=name)[0]

    def write(self, text, again=False):
        parts = {'title': text[:80], 'about': text, 'price': '1.00', 'minutes': '60'}
        body = ''.join(f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts.items())
        status = self.session.ask('POST', '/lots', f'{body}--b--\r\n', Content_Type='multipart/form-data; boundary=b')[0]
        return 204 if status == 303 else status

    def looks(self):
        return self.session.ask('GET', '/')[0] == 200

    @staticmethod
    def texts(db):
        return [row[0] for row in db.execute('SELECT about FROM lot WHERE id > 3 ORDER BY id')]

    def is_shown(self, text):
        return text[:80] in self.session.ask('GET', f'/?q={urllib.parse.quote(text[:60])}')[1]


class Cells:
    """A user of the check boxes. write() ticks the next box, which then represents the text."""
    keeps = True
    options = ()
    is_alone, begins_by_writing, disk = False, False, '2m'
    tables = ('tick',)
    old = None
    boxes, lock = {}, threading.Lock()

    def __init__(self, port, name):
        self.session = Session(port)

    moved, looks = Board.moved, Auction.looks

    @staticmethod
    def try_login(port):
        return 303  # no login is needed

    @classmethod
    def box(cls, text):
        with cls.lock:
            return cls.boxes.setdefault(text, len(cls.boxes))

    def write(self, text, again=False):
        box = self.box(text)
        while True:
            status, _ = self.session.ask('POST', f'/box/{box // 10 * 1000 + box % 10}/1', Datastar_Request='true')
            if status != 429:
                return status
            time.sleep(0.05)  # too many requests at once are rejected

    @classmethod
    def texts(cls, db):
        of = {box: text for text, box in cls.boxes.items()}
        return [of[part // 100 * 100 + box] for part, box in db.execute('SELECT part, box FROM tick ORDER BY part, box')]

    def is_shown(self, text):
        box = self.box(text)
        at = f'{box // 100}.0'
        connection, answer = stream(self.session.port, 'GET', f'/?at={at}')
        with contextlib.closing(connection):
            until(answer, f'value="{box // 10 * 1000 + box % 10}" aria-label="{box // 10 + 1}, {box % 10 + 1}" checked')
        return True


class Boxoffice(Cells):
    """A buyer. write() buys the next seat, which then represents the text; texts() are the names on the tickets."""
    options = ('--robots', '0')
    disk = '8m'
    tables = ('seat', 'payment')
    boxes, names = {}, {}

    def __init__(self, port, name):
        self.session, self.count = Session(port), 0
        page = self.session.ask('GET', '/')[1]
        self.nonce = re.search(r"_once=\"'(\w{64})'", page).group(1)
        self.tab = re.search(r"take\(\) \|\| '(\w{64})'", page).group(1)

    @classmethod
    def seat(cls, text):
        number = cls.box(text) % 2000
        return (number // 200 + 1) * 1000 + number % 200

    def press(self, path, content, body):
        """Return the status; 409 if the page reports a failure instead."""
        self.count += 1
        status, said = self.session.ask('POST', path, body, Datastar_Request='true', Content_Type=content, X_Once=f'{self.nonce}.{self.count}')
        return 409 if is_good(status) and '"_message":""' not in said else status

    def write(self, text, again=False):
        self.names[text[:40]] = text
        status = self.press(f'/hold/{self.seat(text)}', 'application/json', json.dumps({'tabId': self.tab}))
        if is_good(status):
            status = self.press('/pay', 'application/x-www-form-urlencoded', urllib.parse.urlencode({'tabId': self.tab, 'name': text[:40]}))
        return status

    @classmethod
    def texts(cls, db):
        return [cls.names[name] for name, in db.execute('SELECT name FROM payment ORDER BY id')]

    def is_shown(self, text):
        return re.search(f'class="sold" data-press="/hold/{self.seat(text)}"', self.session.ask('GET', '/')[1])


EXAMPLES = {'counter': Counter, 'dashboard': Dashboard, 'poll': Poll, 'edit': Edit, 'search': Search, 'progress': Progress,
            'notices': Notices, 'signup': Signup, 'board': Board, 'chat': Chat, 'auction': Auction, 'cells': Cells,
            'boxoffice': Boxoffice}

# ------------------------------------------------------------------------------------------------ all examples -------


def is_good(status):
    return status in (200, 204)


def texts(kind, file):
    with contextlib.closing(sqlite3.connect(file, timeout=PATIENCE_S)) as db:
        return kind.texts(db)


def start_use_end_start(name, kind, folder):
    """Run three times; streams are open when it ends."""
    file = os.path.join(folder, 'lives.db')
    ada, written = None, []
    for life in range(3):
        program = Program(name, *(('--db', file) if kind.keeps else ())).listens()
        if not kind.keeps:
            connection = kind(program.port).use()
        else:
            ada = ada.moved(program.port) if ada else kind(program.port, 'Ada')
            assert not written or ada.is_shown(written[-1])  # logged-in users stay logged in
            if life != 1:  # the second run writes nothing
                written.append(f'life {life}')
                assert is_good(ada.write(written[-1]))
            assert ada.is_shown(written[-1])
            connection = None
        program.end()
        if connection:
            connection.close()
    assert not kind.keeps or [text for text in texts(kind, file) if text.startswith('life')] == written


def start_twice(name, kind, folder):
    """Start several at once, on one database that does not exist yet, or without a database."""
    for number in range(3):
        file = os.path.join(folder, f'twice{number}.db')
        two = [Program(name, *(('--db', file) if kind.keeps else ())) for _ in range(1 if kind.keeps and kind.is_alone else 2)]
        for program in two:
            program.listens()
        if kind.keeps and kind.is_alone:
            Program(name, '--db', file).must_refuse('vestry_upload_folder_open', f'{file}.pictures', 'another process', 'choose another folder')
        if not kind.keeps:
            connections = [kind(program.port).use() for program in two]
        else:
            connections = []
            people = [kind(program.port, f'Person {i}') for i, program in enumerate(two)]
            for i, person in enumerate(people):
                assert is_good(person.write(f'by {i}'))
            for person in people:
                assert all(person.is_shown(f'by {i}') for i in range(len(two)))
        for program in two:
            program.end()
        for connection in filter(None, connections):
            connection.close()


def start_on_a_used_port(name, kind, folder):
    file, other = (os.path.join(folder, f'port{i}.db') for i in range(2))
    program = Program(name, *(('--db', file) if kind.keeps else ())).listens()
    Program(name, *(('--db', other) if kind.keeps else ()), port=program.port).must_refuse('vestry_', str(program.port), 'Address already in use', 'choose another port', option='--port')
    if kind.keeps:
        assert is_good(kind(program.port, 'Ada').write('all the same'))
    else:
        kind(program.port).opens()
    program.end()


def kill_while_in_use(name, kind, folder):
    """Kill it while it is in use: acknowledged data exists, once."""
    file = os.path.join(folder, 'killed.db')
    written, port = [], 0
    for life in range(3):
        program = Program(name, *(('--db', file) if kind.keeps else ()), port=port).listens()
        port = program.port
        if not kind.keeps:
            connection = kind(port).use()
            program.end(signal.SIGKILL)
            if connection:
                connection.close()
            continue
        people = [kind(port, f'Person {i}') for i in range(3)]
        lock = threading.Lock()

        def write(i):
            with contextlib.suppress(OSError, http.client.HTTPException):
                for number in range(10000):
                    text = f'{life}.{i}.{number}'
                    if not is_good(people[i].write(text)):
                        return
                    with lock:
                        written.append(text)

        threads = [threading.Thread(target=write, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + PATIENCE_S
        while len([text for text in written if text.startswith(f'{life}.')]) < 20:
            assert time.monotonic() < end, program.log()
            time.sleep(0.002)
        program.end(signal.SIGKILL)
        for thread in threads:
            thread.join()
    program = Program(name, *(('--db', file) if kind.keeps else ()), port=port).listens()
    if kind.keeps:
        there = texts(kind, file)
        assert len(set(there)) == len(there) and not set(written) - set(there), set(written) - set(there)
        assert is_good(kind(port, 'Ada').write('after all')) and texts(kind, file)[-1] == 'after all'
    else:
        kind(port).opens()
    program.end()


def give_invalid_options(name, kind, folder):
    """Options that no example knows, and options that this example does not know."""
    Program(name, '--nothing').must_refuse(name, '--nothing', '--help')
    Program(name, port=70000).must_refuse('--port 70000', 'expected a number from 0 to 65535')
    Program(name, '--datastar-file', '/nowhere/x.js').must_refuse('--datastar-file /nowhere/x.js', 'No such file')
    if ADAPTER == 'microhttpd':
        Program(name, '--unix-socket', '/nowhere/x.sock', *(('--db', os.path.join(folder, 'socket.db')) if kind.keeps else ())).must_refuse(
            'vestry_', '/nowhere/x.sock', 'No such file', 'choose another path')


def run_with_few_descriptors(name, kind, folder):
    """With a low limit it works, or names the limit."""
    for count in (8, 20, 64):
        def prepare(count=count):
            quiet_limits()
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))

        program = Program(name, *(('--db', os.path.join(folder, 'few.db')) if kind.keeps else ()), prepare=prepare)
        line = program.process.stdout.readline()
        if line:
            program.port = int(line.rsplit(':', 1)[1])
            assert ask(program.port, 'GET', '/')[0] in (200, 303)
            program.end()
        else:
            program.must_refuse('ulimit -n')


# ------------------------------------------------------------------------------------- examples that store data -------


def all_of(file):
    """Return the content of the file and of its companion files."""
    return {suffix: open(file + suffix, 'rb').read() for suffix in ('', '-wal', '-journal') if os.path.exists(file + suffix)}


def give_unusable_files(name, kind, folder):
    missing = os.path.join(folder, 'missing', 'x.db')
    Program(name, '--db', missing).must_refuse('vestry_sqlite_', missing, 'No such file or directory', 'create the folder')
    Program(name, '--db', folder).must_refuse('vestry_sqlite_', folder, 'unable to open')
    letter = os.path.join(folder, 'letter.db')
    with open(letter, 'w', encoding='ascii') as out:
        out.write('Dear Ada, this is a letter. ' * 100)
    before = all_of(letter)
    Program(name, '--db', letter).must_refuse('vestry_sqlite_', letter, 'not a database', 'choose another file')
    assert all_of(letter) == before
    empty = os.path.join(folder, 'empty.db')
    open(empty, 'wb').close()
    program = Program(name, '--db', empty).listens()
    assert is_good(kind(program.port, 'Ada').write('into what was empty'))
    program.end()
    for memory in (':memory:', ''):
        Program(name, '--db', memory, cwd=folder).must_refuse('vestry_sqlite_pool_create', 'options.path must name a file')


def open_other_versions(name, kind, folder):
    old = os.path.join(folder, 'old.db')
    if kind.old:
        with contextlib.closing(sqlite3.connect(old)) as db:
            db.executescript(kind.old)
    for life in range(2):
        program = Program(name, '--db', old).listens()
        ada = kind(program.port, 'Ada')
        assert not kind.old or ada.is_shown('of long ago')
        assert is_good(ada.write(f'life {life}'))
        program.end()
    assert texts(kind, old) == (['of long ago'] if kind.old else []) + ['life 0', 'life 1']

    # Databases of a later version of the example, and of vestry.
    cases = [('PRAGMA user_version = 99', ('vestry_sqlite_pool_create', 'the tables have version 99'))]
    part = "PRAGMA user_version = {now}; UPDATE vestry_schema SET version = 99 WHERE part = '%s'"
    if name == 'chat':
        cases.append((part % 'tab', ('vestry_sqlite_create', "vestry's tables (tab) have version 99")))
    if name not in ('cells', 'boxoffice'):
        cases.append((part % 'session', ('vestry_sql_sessions_create', "vestry's tables (session) have version 99")))
    with contextlib.closing(sqlite3.connect(old)) as db:
        now = db.execute('PRAGMA user_version').fetchone()[0]
    for sql, said in cases:
        with contextlib.closing(sqlite3.connect(old)) as db:
            db.executescript(sql.format(now=now))
        before = all_of(old)
        for _ in range(2):
            Program(name, '--db', old).must_refuse(old, 'nothing was changed; use the program that wrote them', *said)
        assert all_of(old) == before


def obey_permissions():
    """In the child: root without the capabilities that override permissions (CAP_DAC_OVERRIDE, _READ_SEARCH), after
    exec."""
    quiet_limits()
    if os.getuid() == 0:
        for capability in (1, 2):
            assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP


def run_without_write_permission(name, kind, folder):
    """Without write permission for the folder; for the file in it; for both."""
    for folder_mode, file_mode in ((0o555, 0o444), (0o777, 0o444), (0o555, 0o666)):
        place = os.path.join(folder, f'locked{folder_mode:o}{file_mode:o}')
        os.mkdir(place)
        file = os.path.join(place, 'x.db')
        program = Program(name, '--db', file).listens()
        assert is_good(kind(program.port, 'Ada').write('before'))
        program.end()
        os.chmod(file, file_mode)
        os.chmod(place, folder_mode)
        before = all_of(file)
        Program(name, '--db', file, prepare=obey_permissions).must_refuse('vestry_sqlite_', file, 'this user', 'write')
        assert all_of(file) == before
        if folder_mode == 0o555:
            new = os.path.join(place, 'new.db')
            Program(name, '--db', new, prepare=obey_permissions).must_refuse('vestry_sqlite_', new, 'permit this user to write')
        os.chmod(place, 0o777)
        os.chmod(file, 0o666)
        program = Program(name, '--db', file).listens()
        assert kind(program.port, 'Ada').is_shown('before')
        program.end()


def write_to_a_locked_database(name, kind, folder):
    """A program holds the database: another program waits and reports this, or need not wait."""
    file = os.path.join(folder, 'held.db')
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute('PRAGMA journal_mode = WAL')
        other.execute('BEGIN IMMEDIATE')
        Program(name, '--db', file).must_refuse('vestry_sqlite_', file, 'is locked', 'another program is writing to the database')
        other.execute('ROLLBACK')
        program = Program(name, '--db', file).listens()
        ada = kind(program.port, 'Ada')
        assert is_good(ada.write('first'))
        program.end()
        other.execute('BEGIN IMMEDIATE')
        program = Program(name, '--db', file, port=program.port)
        if kind.begins_by_writing:
            program.must_refuse('vestry_sql_begin (WRITE)', file, 'is locked', 'another program is writing to the database')
            program = Program(name, '--db', file, port=ada.session.port)
            other.execute('ROLLBACK')
        program.listens()
        assert ada.is_shown('first')
        if not kind.begins_by_writing:
            other.execute('ROLLBACK')
        assert is_good(ada.write('second'))
        program.end()


# ------------------------------------------------------------------------------------------------- the full disk -----


def refuse_until_there_is_room(name, kind, program, file, fill, make_room):
    """While the disk is full, writes get an error, which the log contains; pages continue, and no acknowledged data
    is lost. program: it runs, and has space; file: the path for the test."""
    ada, bob = kind(program.port, 'Ada'), kind(program.port, 'Bob')
    said = []
    for round_number in range(2):
        said.append(f'before {round_number}')
        assert is_good(ada.write(said[-1])) and bob.is_shown(said[-1])
        fill()
        refused, end = 0, time.monotonic() + PATIENCE_S
        long_text = 'x' * 400
        while refused < 3:  # some may find space in existing pages
            assert time.monotonic() < end, program.log()
            text = f'{round_number}.{len(said)}.{long_text}'
            status = ada.write(text)
            if is_good(status):
                said.append(text)
            else:
                assert status >= 500, status
                refused += 1
        assert file in program.log(), program.log()
        assert re.search(r'disk is full|free space on the disk|disk full', program.log()), program.log()
        assert ada.looks() and bob.looks() and bob.is_shown(said[0])
        status = kind.try_login(program.port)
        assert status == 303 or status >= 500, status  # not: "the name is wrong"
        make_room()
        assert is_good(ada.write(text, again=True)), program.log()  # the browser repeats the request
        said.append(text)
        assert bob.is_shown(text)
    return said


def exceed_the_file_size_limit(name, kind, folder):
    file = os.path.join(folder, 'limit.db')

    def prepare():
        quiet_limits()
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))

    Program(name, '--db', file, prepare=prepare).must_refuse('vestry_sqlite_', file, 'disk is full')
    program = Program(name, '--db', file).listens()
    pid = program.process.pid

    def fill():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (os.path.getsize(file + '-wal'), resource.RLIM_INFINITY))

    def make_room():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    said = refuse_until_there_is_room(name, kind, program, file, fill, make_room)
    program.end()
    assert texts(kind, file) == said


def fill_the_disk(name, kind, folder):
    """Mount a disk in memory for this process only; if the machine does not permit it, use the limit above."""
    place = os.path.join(folder, 'disk')
    os.mkdir(place)
    mount = 'mount --make-rprivate / && mount -t tmpfs -o size=%s none "$0" && exec "$@"'
    unshare = ['unshare', '--mount'] if os.getuid() == 0 else ['unshare', '--user', '--map-root-user', '--mount']
    if not shutil.which('unshare') or subprocess.run([*unshare, 'sh', '-c', mount % '64k', place, 'true'], stderr=subprocess.DEVNULL, check=False).returncode:
        print('no disk of its own can be had here: a limit on the size of files is the full disk')
        return
    file = os.path.join(place, 'x.db')
    Program(name, '--db', file, before=[*unshare, 'sh', '-c', mount % '4k', place]).must_refuse('vestry_sqlite_', file, 'disk')
    program = Program(name, '--db', file, before=[*unshare, 'sh', '-c', mount % kind.disk, place]).listens()
    inside = f'/proc/{program.process.pid}/root{place}'
    ballast = os.path.join(inside, 'ballast')

    def fill():
        with open(ballast, 'wb', buffering=0) as out, contextlib.suppress(OSError):
            while True:
                out.write(b'x' * 65536)  # the last block is partial

    said = refuse_until_there_is_room(name, kind, program, file, fill, lambda: os.unlink(ballast))
    assert program.process.poll() is None
    there = subprocess.run(['cp', '-r', inside, os.path.join(folder, 'copy')], check=True)
    program.end()
    assert there.returncode == 0 and texts(kind, os.path.join(folder, 'copy', 'x.db')) == said


# --------------------------------------------------------------------------------------------------- all cases -------

OF_ALL = [start_use_end_start, start_twice, start_on_a_used_port, kill_while_in_use, give_invalid_options, run_with_few_descriptors]
OF_STORING = [give_unusable_files, open_other_versions, run_without_write_permission, write_to_a_locked_database, exceed_the_file_size_limit, fill_the_disk]


def main():
    for name, kind in EXAMPLES.items():
        if not os.path.exists(os.path.join(PROGRAMS, name)):
            continue
        for case in OF_ALL + (OF_STORING if kind.keeps else []):
            if sys.argv[3:] and not {name, f'{name}.{case.__name__}'} & set(sys.argv[3:]):
                continue
            with tempfile.TemporaryDirectory() as folder:
                os.chmod(folder, 0o755)
                began = time.monotonic()
                case(name, kind, folder)
                print(f'{name}: {case.__name__}: {time.monotonic() - began:.2f} s', flush=True)


if __name__ == '__main__':
    main()
