// SPDX-License-Identifier: MIT
// F6: a server that is to end sends its pages away, each with a hint when to come back (include/vestry/drain.h). They
// come back by themselves, none before its time, to the server that has taken over.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { startExample, newSession, send, closeChrome } = require('./harness.js');

after(closeChrome);

const NAME = 'test_browser_streams';
const TABS = ['one', 'two', 'three'];
const WINDOW_MS = 1200;
const RETRY_AFTER_MS = 1000; // the server's
const SLACK_MS = 500; // a page can be told of the end by its client before it is told by us; it is less than any hint

// Runs in the page, before its scripts: reads along with its client what hint the stream gives, and when it breaks.
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
test('f6: pages come back by themselves, not before their time, to the next server', async (t) => {
  const old = await startExample(NAME);
  t.after(() => old.stop());
  const first = await seenBy(old);
  const pages = await Promise.all(TABS.map((name) => open(t, old.url, name)));
  for (const page of pages) await page.server(first.server);

  const begun = Date.now();
  const drain = () => send('POST', `${old.url}drain`, JSON.stringify({ window_ms: WINDOW_MS }), { 'Datastar-Request': 'true' });
  assert.equal((await drain()).status, 204);
  assert.equal((await drain()).status, 409); // it is begun once
  // Who comes meanwhile is refused, and tries again until there is another server.
  const late = await open(t, old.url, 'late');
  await late.until(() => window.streams.length > 0);
  assert.equal((await late.streams())[0].status, 503);

  for (const page of pages) await page.until(() => window.streams[0].broken !== null);
  let last = await seenBy(old);
  for (let tries = 0; last.left && tries < 1000; tries++) last = await seenBy(old); // a page can hear of it first
  assert.equal(last.left, 0);
  assert.equal(last.drained, TABS.length);
  assert.equal(last.discarded, 0); // what they were sent before was written
  await old.stop();
  const next = await startExample(NAME, [], old.port);
  t.after(() => next.stop());

  const { server } = await seenBy(next);
  assert.notEqual(server, first.server);
  for (const page of [...pages, late]) await page.server(server); // it shows what is so now
  const seen = [...last.seen, ...(await seenBy(next)).seen];
  const hints = new Set();
  for (const page of pages) {
    const [stream] = await page.streams();
    const [, back] = seen.filter(([tab]) => tab === page.name)[1]; // whoever took it, and whatever was the answer
    t.diagnostic(`${page.name}: gone ${stream.broken - begun} ms after, hint ${stream.hint} ms, back ${back - begun} ms after`);
    hints.add(stream.hint);
    assert.ok(stream.hint >= RETRY_AFTER_MS);
    assert.ok(back >= stream.broken + stream.hint - SLACK_MS);
    assert.ok(back >= begun + WINDOW_MS + RETRY_AFTER_MS - SLACK_MS); // nor before the window and the pause are over
    assert.deepEqual(page.problems.filter((text) => !/ERR_|503/.test(text)), []); // the broken stream; an old server still there
  }
  assert.equal(hints.size, TABS.length); // each its own
  assert.deepEqual(late.problems.filter((text) => !/ERR_|503/.test(text)), []);
});
