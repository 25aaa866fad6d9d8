// SPDX-License-Identifier: MIT
// Many tabs of one browser over HTTP/2: all are live at once over one connection. With HTTP/1.1, the seventh tab would
// wait for the end of another one's stream.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const { send, closeChrome } = require('./harness.js');
const { chatFor, personFor, press, say, faults } = require('./chat.js');

after(closeChrome);

const TABS = 30;
const streamsOf = async (server) => {
  const { streams } = JSON.parse((await send('GET', `${server.url}observe/streams`)).text);
  return streams.filter((stream) => stream.path);
};
// Connections of the server's port that the system knows; those of the requests above have ended, or end soon.
const connectionsOf = (server) => {
  const port = Number(new URL(server.url).port).toString(16).toUpperCase().padStart(4, '0');
  return fs.readFileSync('/proc/net/tcp', 'utf8').split('\n').filter((line) => new RegExp(`^ *\\d+: \\w+:${port} \\w+:\\w+ 01 `).test(line)).length;
};
const until = async (is) => { while (!(await is())) await new Promise((done) => setTimeout(done, 20)); };

// capability: C17
test('many tabs of a browser are live at once over one connection, and each sends and receives', async (t) => {
  const chat = await chatFor(t, ['--console']);
  const ada = await personFor(t, chat, 'Ada');
  const tabs = [ada];
  while (tabs.length < TABS) tabs.push(await ada.open());
  await until(async () => (await streamsOf(chat)).length === TABS);
  const streams = await streamsOf(chat);
  assert.deepEqual([...new Set(streams.map(({ connection }) => connection))].length, 1);
  assert.ok(streams.every((stream) => stream.connection_streams_count >= TABS));
  // A browser may begin a connection more, and not use it.
  await until(() => connectionsOf(chat) <= 3);
  const took = [];
  for (const [i, tab] of tabs.entries()) {
    const answered = tab.page.waitForResponse(/\/message$/);
    await say(tab, `from tab ${i}`);
    const answer = await answered;
    assert.equal(answer.status(), 204);
    const { requestStart, responseStart } = answer.request().timing();
    took.push(Math.round(responseStart - requestStart));
  }
  took.sort((a, b) => a - b);
  t.diagnostic(`a POST beside ${TABS} streams was answered after ${took[0]} to ${took[TABS - 1]} ms, median ${took[TABS / 2]} ms`);
  // In Firefox, a look at a page takes 80 ms, so one look sees all messages.
  const all = tabs.map((_, i) => `from tab ${i}`);
  for (const tab of tabs)
    await tab.until((wanted) => {
      const texts = [...document.querySelectorAll('#messages article p')].map((p) => p.textContent);
      return wanted.every((text) => texts.includes(text));
    }, all);
  assert.deepEqual(faults(ada.problems), []); // a lease may expire on a busy machine, and its stream begins again
});

// A page may put too many signals into the URL of a GET. Beyond 64 KiB the connection ends (docs/security.md).
test('a head that is too large gets 431, and the streams of its connection go on', async (t) => {
  const chat = await chatFor(t, ['--console']);
  const ada = await personFor(t, chat, 'Ada');
  const before = await streamsOf(chat);
  const status = (bytes) => ada.page.evaluate(async (n) => (await fetch(`/?q=${'a'.repeat(n)}`)).status, bytes);
  for (const [bytes, is] of [[20_000, 431], [60_000, 431], [1, 200]]) assert.equal(await status(bytes), is);
  assert.deepEqual((await streamsOf(chat)).map(({ id }) => id), before.map(({ id }) => id));
  assert.deepEqual(faults(ada.problems).filter((text) => !/431/.test(text)), []); // the console reports each 431
});

// capability: H4
test('the console shows the streams of one connection', async (t) => {
  const chat = await chatFor(t, ['--console']);
  const [ada, bob] = [await personFor(t, chat, 'Ada'), await personFor(t, chat, 'Bob')];
  await ada.open();
  await until(async () => (await streamsOf(chat)).length === 3);
  const own = Math.min(...(await streamsOf(chat)).map(({ connection }) => connection)); // of Ada, who came first
  const tab = await bob.tab(`${chat.url}observe/console`);
  const rows = (count) => tab.until((n) => document.querySelectorAll('#streams tbody tr').length === n, count);
  await rows(4);
  await press(tab.page.locator('#streams tbody tr', { hasText: `#${own}` }).first().getByRole('button'));
  await tab.until((text) => document.querySelector('#facts').textContent.includes(text), `#${own}, with 2 streams and requests`);
  assert.match(await tab.page.textContent('#facts'), /windows[\d.]+ [kM]?B of the stream, [\d.]+ [kM]?B of the connection/);
  await press(tab.page.getByRole('button', { name: 'list them' }));
  await rows(2);
  await press(tab.page.getByRole('button', { name: `all streams, not only those of connection #${own}` }));
  await rows(4);
  assert.deepEqual(faults([...ada.problems, ...bob.problems]), []);
});
