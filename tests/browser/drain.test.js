// SPDX-License-Identifier: MIT
// F6: a server that shuts down drains its pages, each with a reconnect delay (include/vestry/drain.h). They reconnect
// by themselves, none before its delay, to the next server.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { startExample, newSession, send, closeChrome } = require('./harness.js');

after(closeChrome);

const NAME = 'test_browser_streams';
const TABS = ['one', 'two', 'three'];
const WINDOW_MS = 1200;
const RETRY_AFTER_MS = 1000; // the server's value
const SLACK_MS = 500; // the page's client may notice the end before the test does; less than any delay

// Runs in the page, before its scripts: record the delays that the client receives, and the end of the stream.
function readAlong() {
  const real = window.fetch;
  window.streams = [];
  window.fetch = async (...args) => {
    const answer = await real(...args);
    if (!/\/stream\?/.test(String(args[0]?.url ?? args[0])) || !answer.body) return answer;
    const stream = { status: answer.status, hint: null, broken: null };
    window.streams.push(stream);
    const [theirs, ours] = answer.body.tee();
    (async () => {
      const reader = ours.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      try {
        for (let part; !(part = await reader.read()).done; ) {
          text += part.value;
          stream.hint = Number(/(?:^|\n)retry: (\d+)\n/.exec(text)?.[1] ?? 0);
        }
      } catch {
        stream.broken = Date.now();
      }
    })();
    return new Response(theirs, { status: answer.status, headers: answer.headers });
  };
}

async function open(t, url, name) {
  const { context, tab, problems } = await newSession(t);
  await context.addInitScript(readAlong);
  const { page, until } = await tab(`${url}?tab=${name}`);
  return {
    name,
    problems,
    streams: () => page.evaluate(() => window.streams),
    until,
    server: (pid) => until((is) => document.querySelector('#server').textContent === String(is), pid),
  };
}

const seenBy = async (server) => JSON.parse((await send('GET', `${server.url}seen`)).text);

// capability: F6
test('f6: pages reconnect by themselves, not before their delay, to the next server', async (t) => {
  const old = await startExample(NAME);
  t.after(() => old.stop());
  const first = await seenBy(old);
  const pages = await Promise.all(TABS.map((name) => open(t, old.url, name)));
  for (const page of pages) await page.server(first.server);

  const begun = Date.now();
  const drain = () => send('POST', `${old.url}drain`, JSON.stringify({ window_ms: WINDOW_MS }), { 'Datastar-Request': 'true' });
  assert.equal((await drain()).status, 204);
  assert.equal((await drain()).status, 409); // a second drain is rejected
  // A page that arrives meanwhile is rejected, and tries again until there is another server.
  const late = await open(t, old.url, 'late');
  await late.until(() => window.streams.length > 0);
  assert.equal((await late.streams())[0].status, 503);

  for (const page of pages) await page.until(() => window.streams[0].broken !== null);
  let last = await seenBy(old);
  for (let tries = 0; last.left && tries < 1000; tries++) last = await seenBy(old); // a page may notice the end first
  assert.equal(last.left, 0);
  assert.equal(last.drained, TABS.length);
  assert.equal(last.discarded, 0); // all earlier events were written
  await old.stop();
  const next = await startExample(NAME, [], old.port);
  t.after(() => next.stop());

  const { server } = await seenBy(next);
  assert.notEqual(server, first.server);
  for (const page of [...pages, late]) await page.server(server); // it shows the current state
  const seen = [...last.seen, ...(await seenBy(next)).seen];
  const hints = new Set();
  for (const page of pages) {
    const [stream] = await page.streams();
    const [, back] = seen.filter(([tab]) => tab === page.name)[1]; // the first attempt, at either server, with any result
    t.diagnostic(`${page.name}: gone ${stream.broken - begun} ms after, hint ${stream.hint} ms, back ${back - begun} ms after`);
    hints.add(stream.hint);
    assert.ok(stream.hint >= RETRY_AFTER_MS);
    assert.ok(back >= stream.broken + stream.hint - SLACK_MS);
    assert.ok(back >= begun + WINDOW_MS + RETRY_AFTER_MS - SLACK_MS); // nor before the end of the window and the pause
    assert.deepEqual(page.problems.filter((text) => !/ERR_|503/.test(text)), []); // network errors of the broken stream; the old server still responds
  }
  assert.equal(hints.size, TABS.length); // each page has a different delay
  assert.deepEqual(late.problems.filter((text) => !/ERR_|503/.test(text)), []);
});
