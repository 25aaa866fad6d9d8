#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Test the chat's behaviour by its protocol: chat.py PROGRAM ADAPTER. Other tests use its classes for a chat and its
tabs."""
import http.client
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from port import reserve_port  # noqa: E402

PROGRAM, ADAPTER = sys.argv[1:]
PATIENCE_S = 240


class Server:
    def __init__(self, file, port=0, *options, log=None):
        command = [PROGRAM, '--port', str(port or reserve_port()), '--adapter', ADAPTER, '--db', file, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        self.port = int(re.fullmatch(r'chat: http://127\.0\.0\.1:(\d+)\n', self.process.stdout.readline()).group(1))

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        status = self.process.wait(PATIENCE_S)
        assert status == (-how if how == signal.SIGKILL else 0), status


class Tab:
    """A tab in a separate session, as far as that is possible without a browser."""

    def __init__(self, server, name):
        self.server, self.cookie, self.count = server, '', 0
        form = self.get('/')[1]
        assert '<label for="name">Name</label>' in form and '>Enter</button>' in form
        token = re.search(r'name="csrf" value="(\w{64})"', form).group(1)
        status, _ = self.request('POST', '/login', urllib.parse.urlencode({'name': name, 'csrf': token}), 'application/x-www-form-urlencoded')
        assert status == 303, status
        self.load()

    def load(self):
        self.status, self.document = self.get('/')
        self.token = re.search(r"_csrf=\"'(\w{64})'", self.document).group(1)
        self.nonce = re.search(r"_once=\"'(\w{64})'", self.document).group(1)
        self.id = re.search(r"take\(\) \|\| '(\w{64})'", self.document).group(1)

    def request(self, method, path, body=None, content='application/json', headers=None):
        connection = http.client.HTTPConnection('127.0.0.1', self.server.port, timeout=PATIENCE_S)
        connection.request(method, path, body, {'Cookie': self.cookie, 'Content-Type': content, **(headers or {})})
        answer = connection.getresponse()
        for cookie in answer.headers.get_all('Set-Cookie') or []:
            self.cookie = cookie.split(';')[0]
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def get(self, path):
        return self.request('GET', path)

    def act(self, method, path, once=None, token=None, more=None, **signals):
        self.count += 1
        headers = {'Datastar-Request': 'true', 'X-CSRF-Token': self.token if token is None else token,
                   'X-Once': once or f'{self.nonce}.{self.count}', **(more or {})}
        all_signals = json.dumps({'tabId': self.id, **signals})
        if method == 'DELETE':
            return self.request(method, f'{path}?datastar={urllib.parse.quote(all_signals)}', None, headers=headers)
        return self.request(method, path, all_signals, headers=headers)

    def stream(self):
        connection = http.client.HTTPConnection('127.0.0.1', self.server.port, timeout=PATIENCE_S)
        query = urllib.parse.quote(json.dumps({'tabId': self.id}))
        connection.request('GET', f'/?datastar={query}', headers={'Cookie': self.cookie, 'Datastar-Request': 'true'})
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        return connection, answer


def wait_for(stream, text):
    """Read events until one contains the text."""
    while True:
        line = stream[1].readline().decode()
        assert line, f'the stream has ended before {text}'
        if text in line:
            return line


def texts(tab):
    return re.findall(r'<article.*?<p[^>]*>(.*?)</p>', tab.get('/')[1], re.S)


def run(file):
    server = Server(file)
    ada, bob = Tab(server, 'Ada'), Tab(server, '<b>Bob')
    assert '<h1>general</h1>' in ada.document and 'aria-current="page"' in ada.document
    stream = bob.stream()

    # Send a message, see it, edit it, delete it.
    assert ada.act('POST', '/channel/1/message', text='Hello & <b>welcome')[0] == 204
    line = wait_for(stream, 'welcome')
    assert 'Hello &amp; &lt;b&gt;welcome' in line and '<b>Ada</b>' in line
    assert bob.act('PUT', '/channel/1/message', edit=1, edited='mine')[0] == 404
    assert bob.act('DELETE', '/channel/1/message', drop=1)[0] == 404
    assert ada.act('PUT', '/channel/1/message', edit=1, edited='Hello')[0] == 200
    wait_for(stream, '>Hello</p>')
    assert bob.act('POST', '/channel/1/message', text='Good morning')[0] == 204
    assert '&lt;b&gt;Bob' in wait_for(stream, 'Good morning')
    assert ada.act('DELETE', '/channel/1/message', drop=1)[0] == 200
    assert '>Hello</p>' not in wait_for(stream, 'Good morning')

    # Each tab has its channel.
    status, answer = ada.act('POST', '/channel', name='plans & <plots>')
    assert status == 200 and '"name":""' in answer
    assert '"error":"A channel of this name exists' in ada.act('POST', '/channel', name='plans & <plots>')[1]
    wait_for(stream, 'plans &amp; &lt;plots&gt;')
    assert '<h1>plans &amp; &lt;plots&gt;</h1>' in ada.get('/channel/3')[1]
    assert ada.act('POST', '/channel/3/message', text='a secret plan')[0] == 204
    wait_for(stream, '"c3&quot;:1'.replace('"', '&quot;'))  # Bob has unread messages in another channel
    assert 'a secret plan' not in bob.get('/channel/1')[1]
    status, page = bob.get('/channel/99')
    assert status == 404 and 'There is no such channel' in page and 'href="/channel/1"' in page
    assert bob.get('/nowhere')[0] == 404
    assert 'function follow' in bob.get('/chat.js')[1]

    # Limits, and permissions.
    assert 'needs some text' in ada.act('POST', '/channel/1/message', text=' \n')[1]
    assert 'at most 2,000' in ada.act('POST', '/channel/1/message', text='ä' * 2001)[1]
    assert ada.act('POST', '/channel/1/message', text='ä' * 2000)[0] == 204
    assert ada.act('POST', '/channel/1/message', text='x' * 70000)[0] == 413
    assert ada.act('POST', '/channel/1/message', token='', text='x')[0] == 403
    assert ada.act('POST', '/channel/1/message', token=bob.token, text='x')[0] == 403
    assert ada.act('POST', '/channel/99/message', text='x')[0] == 404
    assert ada.act('POST', '/channel/1/message', edit=1)[0] == 404  # the text is missing

    # All of this is tracked exactly: by the pages of the database file that a render has read.
    counters = json.loads(ada.get('/counters')[1])
    assert counters['level'] == 'pages', counters
    assert counters['coarse'] == 0 and counters['recorded'] > 0 and counters['refreshed'] > 0, counters
    assert counters['commits'] >= 7 and counters['streams'] == 1, counters
    connection = http.client.HTTPConnection('127.0.0.1', server.port, timeout=PATIENCE_S)
    connection.request('GET', '/counters')
    assert connection.getresponse().status == 303  # only for users who have logged in
    connection.close()

    # Another process.
    with sqlite3.connect(file, timeout=PATIENCE_S) as other:
        other.execute("INSERT INTO message(channel, id, author, text) SELECT 1, max(id) + 1, 'cron', 'by another process' FROM message WHERE channel = 1")
    bob.act('POST', '/channel/1')
    wait_for(stream, 'by another process')
    stream[0].close()

    # Acknowledged data survives a crash, and a repeated message exists once; sessions, tokens and drafts survive, too.
    once = f'{ada.nonce}.crash'
    assert ada.act('POST', '/channel/1/message', once, text='just before')[0] == 204
    draft = f'draft1_{ada.id[:6]}'
    assert ada.act('POST', '/channel/1/draft', **{draft: 'half a "thought"'})[0] == 204
    server.end(signal.SIGKILL)
    server = Server(file, server.port)
    ada.server = bob.server = server
    assert ada.act('POST', '/channel/1/message', once, text='just before')[0] == 204
    assert [text for text in texts(bob) if text == 'just before'] == ['just before']
    with sqlite3.connect(file, timeout=PATIENCE_S) as other:
        states = [json.loads(row[0]) for row in other.execute('SELECT data FROM vestry_tab')]
    assert {draft: 'half a "thought"'} in [state.get('drafts') for state in states], states

    # Deleted messages do not count as unread, regardless of the user and the time, also if deleted before this version.
    def unread(tab):
        last = dict(re.findall(r'&quot;(c\d+)&quot;:(\d+)', re.search(r'data-signals:_last="([^"]*)"', tab.document).group(1)))
        seen = dict(re.findall(r'&quot;(c\d+)&quot;:(\d+)', re.search(r'data-signals:_seen="([^"]*)"', tab.document).group(1)))
        return int(last.get('c2', 0)) - int(seen.get('c2', 0))

    def until_unread(tab, count):
        end = time.monotonic() + PATIENCE_S
        while True:
            tab.load()
            if unread(tab) == count:
                return
            assert time.monotonic() < end, unread(tab)

    for i in range(5):
        assert bob.act('POST', '/channel/2/message', text=f'news {i}')[0] == 204
    until_unread(ada, 5)
    assert bob.act('DELETE', '/channel/2/message', drop=4)[0] == 200
    until_unread(ada, 4)
    with sqlite3.connect(file, timeout=PATIENCE_S) as other:
        other.execute('UPDATE message SET text = NULL WHERE channel = 2 AND id = 1')
    until_unread(ada, 3)
    server.end()
    with sqlite3.connect(file, timeout=PATIENCE_S) as other:
        other.executescript('DROP TRIGGER message_dropped; DROP TABLE dropped; DROP TABLE gone; PRAGMA user_version = 0; UPDATE message SET text = NULL WHERE channel = 2 AND id = 5')
    server = Server(file, server.port)
    ada.server = bob.server = server
    until_unread(ada, 2)
    assert ada.act('POST', '/channel/2')[0] == 204
    until_unread(ada, 0)
    assert bob.act('DELETE', '/channel/2/message', drop=2)[0] == 200
    assert bob.act('POST', '/channel/2/message', text='more news')[0] == 204
    until_unread(ada, 1)

    # Older messages; then the log-out.
    for i in range(150):
        assert bob.act('POST', '/channel/1/message', text=f'number {i}')[0] == 204
    assert len(texts(bob)) == 100 and texts(bob)[-1] == 'number 149'
    assert 'Show older' in bob.get('/')[1]
    assert ada.act('POST', '/logout')[0] == 200
    assert '<label for="name">Name</label>' in ada.get('/')[1]
    server.end()


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as folder:
        run(os.path.join(folder, 'chat.db'))
