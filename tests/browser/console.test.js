// SPDX-License-Identifier: MIT
// H4, H5: work of an operator in the console: find one stream among many, watch it, see its end and the cause.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { startExample, newSession, send, closeChrome, unforeseen, HOSTILE } = require('./harness.js');

after(closeChrome);

const STREAMS = 10_000;
const post = async (server, what, query) => {
  const { status } = await send('POST', `${server.url}${what}?${new URLSearchParams(query)}`, '', { 'Datastar-Request': 'true' });
  assert.equal(status, 204);
};
const keysOf = ({ page }) => page.$$eval('#streams tbody tr', (all) => all.map((row) => row.cells[1].textContent));
const isLive = (tab) => tab.until(() => document.querySelector('#link').textContent === 'live');
const hasRows = (tab, n) => tab.until((least) => document.querySelectorAll('#streams tbody tr').length >= least, n);
const finds = (tab, key) =>
  tab.until((only) => {
    const rows = document.querySelectorAll('#streams tbody tr');
    return rows.length === 1 && rows[0].cells[1].textContent.includes(only);
  }, key);
const tailHas = (tab, text) => tab.until((part) => document.querySelector('#tail').textContent.includes(part), text);

async function start(t, port = 0, expected) {
  const server = await startExample('test_browser_console', [], port, expected);
  t.after(() => server.stop());
  return server;
}
async function open(t, server, options) {
  const session = await newSession(t, options);
  const tab = await session.tab(`${server.url}observe/console`);
  await isLive(tab);
  return { ...tab, problems: session.problems };
}

// capability: H4, H5
test('one stream of ten thousand can be found, watched, and seen to end with its cause', async (t) => {
  const server = await start(t);
  await post(server, 'open', { count: STREAMS });
  const tab = await open(t, server);
  await hasRows(tab, 50);
  assert.equal((await keysOf(tab)).length, 50); // a window, however many there are
  await tab.until((n) => document.querySelector('#said').textContent.includes(new Intl.NumberFormat('en').format(n)), STREAMS + 1);
  const first = await keysOf(tab);
  await tab.click('next');
  await tab.until((was) => document.querySelector('#streams tbody tr').cells[1].textContent !== was, first[0]);
  await tab.page.fill('#prefix', 'user-7777');
  await finds(tab, 'user-7777');
  await tab.page.click('#streams tbody button');
  await tab.until(() => document.querySelector('#facts').textContent.includes('user-7777'));
  await tab.click('watch');
  await tailHas(tab, 'the tail begins');
  await post(server, 'say', { key: 'user-7777', text: 'a piece of news' });
  await tailHas(tab, 'data: a piece of news');
  await post(server, 'say', { key: 'user-7778', text: 'not for this one' });
  await post(server, 'close', { key: 'user-7777' });
  await tailHas(tab, 'the stream has ended: stalled');
  await tab.until(() => document.querySelector('#state').textContent === 'closed: stalled');
  assert.doesNotMatch(await tab.page.textContent('#tail'), /not for this one/);
  await tab.click('tab-store');
  await tab.until(() => [...document.querySelectorAll('#closed tbody tr')].some((row) => row.textContent === 'stalled11'));
  await tab.until(() => document.querySelector('#last tbody tr').textContent.includes('user-7777'));
  const rowOf = (of, text) => tab.until(([id, part]) => [...document.querySelectorAll(`${id} tbody tr`)].some((row) => row.textContent.includes(part)), [of, text]);
  await rowOf('#closed', 'consoles and tails11'); // the tail, which has ended with its stream
  assert.ok(!(await tab.page.textContent('#last')).includes('a console'));
  await tab.page.check('#consoles');
  await rowOf('#last', 'a console');
  await tab.until(() => !document.querySelector('#closed').textContent.includes('consoles and tails'));
  assert.deepEqual(unforeseen(tab.problems), []);
});

// capability: H4
test('evicted entries are counted, with the time since their last use', async (t) => {
  const server = await start(t, 0, /^vestry: warning: store: it is full, /);
  await post(server, 'open', { count: 10_050 });
  const tab = await open(t, server);
  await tab.click('tab-store');
  const tells = (name, is) => tab.until(([of, pattern]) => {
    const term = [...document.querySelectorAll('#stored dt')].find((dt) => dt.textContent === of);
    return term && new RegExp(pattern).test(term.nextElementSibling.textContent);
  }, [name, is]);
  await tells('evicted', '^0$');
  await tells('median unused time', '^unknown$');
  await post(server, 'open', { count: 1900, name: 'late' }); // the limit evicts this number
  await tab.until(() => [...document.querySelectorAll('#removed tbody tr')].some((row) => row.textContent === 'size1,900'));
  await tab.page.waitForSelector('#evicted tbody tr');
  await tells('evicted', '^1,900$');
  await tells('median unused time', '^at most \\d');
  const counts = await tab.page.$$eval('#evicted tbody tr', (rows) => rows.map((row) => Number(row.cells[1].textContent)));
  assert.ok(counts.length > 0 && counts.every((n) => n > 0 && n < 1900), counts); // one in 16
  assert.deepEqual(tab.problems, []);
});

// capability: H4
test('texts from clients are shown as text', async (t) => {
  const server = await start(t);
  const all = [...HOSTILE, '\u202eright to left'];
  for (const key of all) await post(server, 'hostile', { key });
  const tab = await open(t, server);
  await hasRows(tab, all.length + 1);
  const shown = await keysOf(tab);
  for (const key of HOSTILE.filter((text) => !/["\\]/.test(text)))
    assert.ok(shown.some((text) => text.includes(key)), `${key} in ${shown}`);
  await tab.page.locator('#streams tbody tr', { hasText: 'right to left' }).locator('button').click();
  await tab.page.waitForSelector('#one:not([hidden])');
  await tab.click('watch');
  await tailHas(tab, 'the tail begins');
  const key = all[all.length - 1];
  for (const text of HOSTILE) {
    await post(server, 'say', { key, text });
    await tailHas(tab, text);
  }
  const isolated = await tab.page.$$eval('#streams tbody td:nth-child(2), #tail pre', (cells) => cells.every((cell) => cell.firstElementChild?.localName === 'bdi'));
  assert.ok(isolated);
  assert.equal(await tab.page.$$eval('#streams script, #streams img, #tail img, #tail b, #facts b', (none) => none.length), 0);
  assert.equal(await tab.page.evaluate(() => typeof window.pwned), 'undefined');
  assert.deepEqual(tab.problems, []);
});

const channels = ({ page }) =>
  page.$$eval('#channels tbody tr', (all) => all.map((row) => Array.from(row.cells, (cell) => cell.textContent)));
const said = (tab, text) => tab.until((part) => document.querySelector('#said').textContent.includes(part), text);
const rowHas = (tab, key, column, text) =>
  tab.until(([of, at, part]) => [...document.querySelectorAll('#channels tbody tr')].some(
    (row) => row.cells[0].textContent.includes(of) && row.cells[at].textContent === part), [key, column, text]);

// capability: H1, H4
test('channels are listed by pages and found by keys, with their savings; foreign names stay text', async (t) => {
  const server = await start(t);
  await post(server, 'join', { count: 120 });
  const tab = await open(t, server);
  await tab.click('tab-channels');
  await said(tab, '1 to 50 of 120');
  const all = await channels(tab);
  await tab.click('channels-next');
  await said(tab, '51 to 100 of 120');
  all.push(...await channels(tab));
  await tab.click('channels-next');
  await said(tab, '101 to 120 of 120');
  all.push(...await channels(tab));
  assert.ok(await tab.page.isDisabled('#channels-next'));
  assert.equal(new Set(all.map(([key]) => key)).size, 120);
  assert.ok(all.every(([, members, published]) => members === '2' && published === '0'));
  await tab.page.fill('#channels-prefix', 'room-77');
  await said(tab, '1 to 1 of all matches');
  for (let i = 0; i < 3; i++) await post(server, 'publish', { key: 'room-77' });
  await rowHas(tab, 'room-77', 2, '3');
  const [row] = await channels(tab);
  assert.match(row[8], /^\d+\.\d to 1$/);
  assert.ok(parseFloat(row[8]) > 5, row[8]);
  await tab.page.fill('#channels-prefix', '');
  await said(tab, '1 to 50 of 120');
  for (const key of HOSTILE) {
    await post(server, 'join', { key });
    await post(server, 'publish', { key });
    if (/["\\]/.test(key)) continue; // shown in their JSON form
    await tab.page.fill('#channels-prefix', key);
    await tab.until((of) => [...document.querySelectorAll('#channels tbody tr')].some(
      (one) => one.cells[0].textContent.includes(of) && one.cells[9].textContent.startsWith('1, ')), key);
    assert.ok(await tab.page.$$eval('#channels tbody td:first-child', (cells) => cells.every((cell) => cell.firstElementChild?.localName === 'bdi')));
  }
  assert.equal(await tab.page.$$eval('#channels script, #channels img, #channels b', (none) => none.length), 0);
  assert.equal(await tab.page.evaluate(() => typeof window.pwned), 'undefined');
  await tab.until((n) => document.querySelector('#channels-counts').textContent.includes(n), `channels${120 + HOSTILE.length}`);
  assert.deepEqual(tab.problems, []);
});

// capability: H4
test('a lost server is reported, and shown again when it is back', async (t) => {
  const first = await startExample('test_browser_console');
  await post(first, 'open', { count: 3 });
  const tab = await open(t, first);
  await hasRows(tab, 4);
  await first.kill();
  await tab.until(() => document.querySelector('#link').textContent.startsWith('no connection'));
  const second = await start(t, first.port);
  await isLive(tab);
  await tab.until(() => document.querySelectorAll('#streams tbody tr').length === 1); // the stream of the console itself
  assert.deepEqual(unforeseen(tab.problems), []);
  await second.stop();
});

// capability: H4
test('usable by keyboard alone, on a phone', async (t) => {
  const server = await start(t);
  await post(server, 'open', { count: 20 });
  const tab = await open(t, server, { viewport: { width: 320, height: 640 }, colorScheme: 'dark' });
  await hasRows(tab, 21);
  assert.ok(await tab.page.evaluate(() => document.documentElement.scrollWidth <= 320));
  const focused = () => tab.page.evaluate(() => document.activeElement.id);
  await tab.page.keyboard.press('Tab');
  assert.equal(await focused(), 'tab-streams');
  await tab.page.keyboard.press('ArrowRight');
  assert.equal(await focused(), 'tab-channels');
  await tab.page.waitForSelector('#channels table', { state: 'attached' });
  assert.ok(await tab.page.evaluate(() => document.documentElement.scrollWidth <= 320));
  await tab.page.keyboard.press('Tab');
  assert.equal(await focused(), 'channels-prefix');
  await tab.page.keyboard.press('Shift+Tab');
  await tab.page.keyboard.press('ArrowRight');
  assert.equal(await focused(), 'tab-store');
  await tab.page.waitForSelector('#closed table', { state: 'attached' });
  await tab.page.keyboard.press('ArrowLeft');
  await tab.page.keyboard.press('ArrowLeft');
  await tab.page.keyboard.press('Tab');
  assert.equal(await focused(), 'prefix');
  await tab.page.keyboard.type('user-13');
  await finds(tab, 'user-13');
  while (!(await tab.page.evaluate(() => document.activeElement.closest('#streams tbody')))) await tab.page.keyboard.press('Tab');
  await tab.page.keyboard.press('Enter');
  await tab.until(() => document.querySelector('#facts').textContent.includes('user-13'));
  assert.equal(await focused(), 'title');
  await tab.page.keyboard.press('Tab');
  assert.equal(await focused(), 'watch');
  await tab.page.keyboard.press('Space');
  await tailHas(tab, 'the tail begins');
  await post(server, 'say', { key: 'user-13', text: 'x'.repeat(500) });
  await tailHas(tab, 'xxx');
  assert.ok(await tab.page.evaluate(() => document.documentElement.scrollWidth <= 320));
  await tab.page.keyboard.press('Tab');
  await tab.page.keyboard.press('Enter'); // close
  await tab.page.waitForSelector('#one', { state: 'hidden' });
  assert.deepEqual(tab.problems, []);
});

// capability: H4
test('a client without permission gets no information', async (t) => {
  const server = await start(t);
  for (const where of ['console', 'console/events', 'streams', 'streams/1', 'streams/1/tail', 'channels', 'store', 'pages', 'cluster', 'metrics', 'ready']) {
    const answer = await send('GET', `${server.url}observe/${where}`, '', { 'X-Forwarded-For': '192.0.2.1' });
    assert.equal(answer.status, 403, where);
    assert.equal(answer.text, '');
    assert.equal(answer.headers['content-security-policy'], undefined);
  }
});
