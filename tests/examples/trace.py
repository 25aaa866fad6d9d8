#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Spans of a chat that is started with --trace, read like a collector does: trace.py PROGRAM ADAPTER"""
import json
import os
import re
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chat import Server, Tab, wait_for  # noqa: E402

FIRST, SECOND, UNSAMPLED = ('4bf92f3577b34da6a3ce929d0e0e47%d0' % i for i in range(3))
TRIES = 8
ABROAD = '00f067aa0ba902b7'
MARK = 'mark7c1'  # part of all texts of a user, which must not appear in spans
KINDS = {'request': 2, 'dispatch': 1, 'remote-request': 3, 'render': 1, 'write': 1}


def attributes(owner):
    given = {}
    for attribute in owner['attributes']:
        (kind, value), = attribute['value'].items()
        assert kind in ('stringValue', 'intValue') and isinstance(value, str), attribute
        given[attribute['key']] = value if kind == 'stringValue' else int(value)
    return given


def read(file):
    """Return the spans of a file, each with the attributes of its line."""
    spans = []
    with open(file, encoding='utf-8') as lines:
        for line in lines:
            assert line.endswith('\n'), line
            (resource,), = json.loads(line).values()
            process = attributes(resource['resource'])
            assert process['service.name'] == 'chat' and process['process.pid'] > 0, process
            scope, = resource['scopeSpans']
            assert scope['scope']['name'] == 'vestry' and scope['scope']['version'], scope
            span, = scope['spans']
            spans.append({**span, 'pid': process['process.pid'], **attributes(span)})
    return spans


def check(spans, begun_s, ended_s):
    """Check the rules that hold for all spans."""
    known = {(span['traceId'], span['spanId']): span for span in spans}
    assert len(known) == len(spans), 'two have one id'
    for span in spans:
        assert re.fullmatch('(?!0{32})[0-9a-f]{32}', span['traceId']) and re.fullmatch('(?!0{16})[0-9a-f]{16}', span['spanId']), span
        kind = span['vestry.kind']
        assert span['kind'] == KINDS[kind] and span['name'].split(' ')[0] == kind, span
        assert span['status'] in ({}, {'code': 2, 'message': span['status'].get('message')}), span
        assert isinstance(span['startTimeUnixNano'], str), span
        start, end = int(span['startTimeUnixNano']), int(span['endTimeUnixNano'])
        assert (begun_s - 1) * 1e9 < start <= end < (ended_s + 1) * 1e9, (begun_s, span, ended_s)
        if span['parentSpanId'] in ('', ABROAD):
            continue
        parent = known.get((span['traceId'], span['parentSpanId']))
        assert parent, f'{span} has a parent that is not there'
        assert int(parent['startTimeUnixNano']) <= start and parent['pid'] == span['pid'], (parent, span)


def of(trace):
    """Return several traces, which differ in their last digits."""
    return [f'{trace[:-2]}{number:02x}' for number in range(int(trace[-2:], 16), int(trace[-2:], 16) + TRIES)]


def says(server, traces, flags, tab=None):
    """Send messages, each by a request that belongs to a trace; another user sees them."""
    ada = tab or Tab(server, f'Ada {MARK}')
    ada.server = server
    ada.load()
    bob = Tab(server, 'Bob')
    stream = bob.stream()
    assert ada.act('POST', '/channel/1/message', text=f'{MARK} before {traces[0]}')[0] == 204
    wait_for(stream, f'before {traces[0]}')  # now its database is followed
    for trace in traces:
        text = f'{MARK} {trace}'
        headers = {'traceparent': f'00-{trace}-{ABROAD}-{flags}', 'X-Mark': MARK}
        assert ada.act('POST', '/channel/1/message', more=headers, text=text, mark=MARK)[0] == 204
        wait_for(stream, text)
    stream[0].close()
    assert ada.get(f'/nowhere/{MARK}%22%0A%FF?x={MARK}')[0] in (400, 404)
    return ada


def is_whole(spans, trace):
    """The spans run from the request through the render that its commit caused to the socket. A render that another
    change has requested, too, can belong to the trace of that change."""
    own = [span for span in spans if span['traceId'] == trace]
    request, = [span for span in own if span['vestry.kind'] == 'request']
    assert request['name'] == 'request POST' and request['parentSpanId'] == ABROAD, request
    renders = {span['spanId']: span for span in own if span['vestry.kind'] == 'render'}
    assert all(span['parentSpanId'] == request['spanId'] for span in renders.values()), own
    return any(span['parentSpanId'] in renders and span['vestry.bytes'] > 100 for span in own if span['vestry.kind'] == 'write')


def run(folder):
    database, file = os.path.join(folder, 'chat.db'), os.path.join(folder, 'spans.jsonl')
    begun_s = time.time()
    server = Server(database, 0, '--trace', file)
    ada = says(server, of(FIRST), '01')
    says(server, [UNSAMPLED], '00', ada)
    server.end(signal.SIGINT)
    assert os.stat(file).st_mode & 0o077 == 0, 'others may read it'
    check(read(file), begun_s, time.time())
    with open(file, 'rb') as all_lines:
        before = all_lines.read()

    # After a restart, the file keeps its content, including a line that a kill has cut, which is the only invalid one.
    with open(file, 'ab') as torn:
        torn.write(b'{"resourceSpans":[{')
    server = Server(database, server.port, '--trace', file)
    says(server, of(SECOND), '01', ada)
    server.end(signal.SIGINT)
    with open(file, 'rb') as all_lines:
        text = all_lines.read()
    assert text.startswith(before + b'{"resourceSpans":[{\n{')
    with open(file, 'wb') as whole:
        whole.write(text.replace(b'{"resourceSpans":[{\n', b''))
    spans = read(file)
    check(spans, begun_s, time.time())
    for traces in (of(FIRST), of(SECOND)):
        assert any([is_whole(spans, trace) for trace in traces]), traces
    assert len({span['pid'] for span in spans}) == 2
    assert not any(span['traceId'] == UNSAMPLED for span in spans)
    secrets = [MARK, ada.cookie.split('=')[1], ada.token, ada.nonce, ada.id]
    assert all(secrets) and not [secret for secret in secrets if secret.encode() in text]

    # Without space, the chat continues, and its log reports this once.
    with tempfile.TemporaryFile('w+') as log:
        server = Server(database, server.port, '--trace', '/dev/full', log=log)
        says(server, [FIRST], '01', ada)
        server.end(signal.SIGINT)
        log.seek(0)
        said = log.read()
        assert said == 'vestry: warning: vestry_trace_file: /dev/full: No space left on device; spans are omitted until there is space\n', said

    # The folder does not exist.
    with tempfile.TemporaryFile('w+') as log:
        import subprocess
        status = subprocess.run([sys.argv[1], '--port', '0', '--db', database, '--trace', os.path.join(folder, 'none/spans')], stderr=log).returncode
        log.seek(0)
        said = log.read()
        assert status == 2 and re.fullmatch(r'vestry: error: vestry_trace_file_create: \S+/none/spans: No such file or directory\n', said), (status, said)


with tempfile.TemporaryDirectory() as folder:
    run(folder)
