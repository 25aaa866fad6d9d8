// SPDX-License-Identifier: MIT
// Events with names of the application, read by an EventSource in a page without Datastar.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const http = require('node:http');
const { startExample, newSession, closeChrome } = require('./harness.js');

after(closeChrome);

async function start(t) {
  const server = await startExample('test_browser_plain');
  t.after(() => server.stop());
  const post = async (path, body = '') => {
    const { status } = await fetch(server.url + path, { method: 'POST', body });
    assert.equal(status, 204);
  };
  return { server, post, say: (name, data) => post(`say?name=${encodeURIComponent(name)}`, data), session: await newSession(t) };
}

const heard = (page, count) =>
  page.waitForFunction((n) => window.heard.length >= n && window.heard, count, { polling: 20 }).then((h) => h.jsonValue());
const opened = (page, count) => page.waitForFunction((n) => window.opened >= n, count, { polling: 20 });

// capability: K14
test('plain: names, lines and hostile data arrive unchanged', async (t) => {
  const { server, say, session } = await start(t);
  const { page } = await session.tab(server.url);
  await opened(page, 1);
  const events = [
    ['reading', '{"t":21}'], ['', 'no name'], ['two words', 'a\nb'], ['ä', ' two  spaces '], ['reading', ''],
    ['reading', 'a\n\n\nb\n'], ['reading', 'event: other\ndata: x\nid: 7\nretry: 1\n\nevent: message\ndata: y'],
    ['reading', ': no comment'], ['reading', '</script><script>heard=0</script>\u2028\u0000ä\u{1F600}'],
    ['reading', 'x'.repeat(10000)],
  ];
  for (const [name, data] of events) await say(name, data);
  await say('reading', 'a\r\nb\rc'); // each is a line end, and is read as LF
  const expected = [...events.map(([name, data]) => [name || 'message', data]), ['reading', 'a\nb\nc']];
  assert.deepEqual(await heard(page, expected.length), expected);
  assert.deepEqual(session.problems, []);
});

// capability: K14
test('plain: a page whose stream breaks reconnects by itself, and misses nothing', async (t) => {
  const { server, post, say, session } = await start(t);
  const { page } = await session.tab(server.url);
  await opened(page, 1);
  await say('reading', '0'); // the event also sets a short reconnect delay
  await heard(page, 1);
  for (let i = 1; i <= 5; i++) {
    await post('break');
    await say('reading', String(2 * i - 1)); // possibly before it has reconnected
    await opened(page, i + 1);
    await say('reading', String(2 * i));
    await heard(page, 2 * i + 1);
  }
  assert.deepEqual((await heard(page, 11)).map(([, data]) => data), ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10']);
});

test('plain: 204 stops an EventSource', async (t) => {
  const { server, session } = await start(t);
  const { page } = await session.tab(server.url);
  await page.waitForFunction(() => window.away() === EventSource.CLOSED, null, { polling: 20 });
});

test('plain: other programs can read the stream, too', async (t) => {
  const { server, say } = await start(t);
  const text = await new Promise((done, failed) => {
    http.get(`${server.url}readings`, (answer) => {
      assert.equal(answer.headers['content-type'], 'text/event-stream');
      let all = '';
      say('reading', 'a\nb').catch(failed);
      answer.on('data', (part) => {
        all += part;
        if (!/data: b\n\n/.test(all)) return;
        answer.destroy();
        done(all);
      });
    }).on('error', failed);
  });
  assert.match(text, /event: reading\nretry: 50\ndata: a\ndata: b\n\n/);
});
