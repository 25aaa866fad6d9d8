// SPDX-License-Identifier: MIT
// G12: a log whose stream breaks: no entry is missing or repeated; after a restart, all entries are shown again.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { startExample, newSession, send, closeChrome } = require('./harness.js');

after(closeChrome);

const upTo = (n) => Array.from({ length: n }, (_, i) => String(i + 1));
const linesOf = ({ page }) => page.$$eval('#log i', (all) => all.map((line) => line.textContent));
const reaches = (tab, n) => tab.until((last) => document.querySelector('#log')?.lastElementChild?.textContent === String(last), n);

async function start(t, port = 0) {
  const server = await startExample('test_browser_log', [], port);
  t.after(() => server.stop());
  const post = async (what, lines) => {
    const { status } = await send('POST', `${server.url}${what}?lines=${lines}`, '', { 'Datastar-Request': 'true' });
    assert.equal(status, 204);
  };
  const seen = async () => JSON.parse((await send('GET', `${server.url}seen`)).text);
  return { server, post, seen };
}

// capability: G12
test('g12: a log whose stream breaks repeatedly misses no entry', async (t) => {
  const { server, post, seen } = await start(t);
  const session = await newSession(t);
  await post('write', 3);
  const tab = await session.tab(server.url);
  await reaches(tab, 3); // the state
  let lines = 3;
  for (let i = 0; i < 6; i++) {
    await post('write', 5);
    await post('cut', i * 4); // while the stream is broken
    await post('write', 2);
    lines += 7 + i * 4;
    await reaches(tab, lines);
    assert.deepEqual(await linesOf(tab), upTo(lines));
  }
  const { fresh, gap, replayed, current, events } = await seen();
  t.diagnostic(`replayed ${replayed} times, ${events} lines; ${current} times it had all`);
  assert.deepEqual({ fresh, gap }, { fresh: 1, gap: 0 });
  assert.equal(replayed + current, 6);
  assert.ok(replayed > 0);
});

// capability: G12
test('g12: after a restart of the server, all entries are shown again', async (t) => {
  const first = await start(t);
  const session = await newSession(t);
  const tab = await session.tab(first.server.url);
  await first.post('write', 9);
  await reaches(tab, 9);
  await first.server.kill();
  const second = await start(t, first.server.port);
  await second.post('write', 4); // before or after the reconnect
  await tab.until(() => document.querySelectorAll('#log i').length === 4);
  assert.deepEqual(await linesOf(tab), upTo(4));
  await second.post('write', 1);
  await reaches(tab, 5);
  assert.deepEqual(await linesOf(tab), upTo(5));
  const { fresh, gap } = await second.seen();
  assert.deepEqual({ fresh, gap }, { fresh: 0, gap: 1 }); // its id names an event of the former server
});
