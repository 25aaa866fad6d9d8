// SPDX-License-Identifier: MIT
// The counter's page, used in Chromium.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { ADAPTER, CLIENT, startCounter, newSession, closeChrome } = require('./harness.js');

after(closeChrome);

async function counterFor(t, options = [], expected = undefined) {
  const counter = await startCounter(options, 0, expected);
  t.after(() => counter.stop());
  return counter;
}

// Return a counter, a session and its tab.
async function tabFor(t, options = [], start = 0) {
  const counter = await counterFor(t, options);
  const session = await newSession(t);
  const tab = await session.tab(counter.url);
  if (start) await tab.click('start').then(() => tab.atLeast(start));
  return { counter, session, tab };
}

// capability: A11
test('a started counter ticks once per second', async (t) => {
  const { counter, session, tab } = await tabFor(t);
  assert.equal(await tab.counter(), 0);
  await tab.shows('state', 'stopped');
  const clicked = Date.now();
  await tab.click('start');
  await tab.shows('state', 'running');
  await tab.ticks(3);
  const took = Date.now() - clicked;
  assert.ok(took >= 2990, `three ticks in ${took} ms`);
  assert.ok((await tab.counter()) >= 3);
  assert.equal(await tab.page.getAttribute('#start', 'aria-disabled'), 'true');
  assert.deepEqual(session.problems, []);
});

// quick: civetweb, microhttpd
// capability: A8
test('a second tab of the session adds ten, which the first one shows; another session is unaffected', async (t) => {
  const counter = await counterFor(t);
  const session = await newSession(t);
  const stranger = await newSession(t);
  const bystander = await stranger.tab(counter.url);
  const first = await session.tab(counter.url);
  await first.click('start');
  await first.atLeast(1);

  const second = await session.tab(counter.url);
  await second.shows('state', 'running'); // it opened its stream by itself, because the counter was running
  const before = await first.counter();
  await second.click('add');
  await first.atLeast(before + 10);
  await second.atLeast(before + 10);
  const handled = await first.handled();
  assert.match(handled, /^[0-9a-f]{8,}$/);
  await second.until((is) => document.querySelector('#handled').dataset.handled === is, handled);
  assert.equal(await first.page.isVisible('#handled'), true);

  const keys = await counter.keys();
  assert.equal(keys.keys.length, 1);
  assert.deepEqual(keys.keys[0].key, ['counter', 1]);
  assert.equal(keys.keys[0].connections, 2);
  assert.equal(keys.open, 2);
  assert.equal(keys.opened, keys.open + keys.closed);
  const [cookie] = (await session.context.cookies()).filter(({ name }) => name === 'vestry_session');
  assert.match(cookie.value, /^-[0-9a-f]{32}$/);
  assert.equal(cookie.httpOnly, true);
  assert.equal(cookie.sameSite, 'Lax');
  assert.ok(!JSON.stringify(keys).includes(cookie.value), 'a usable session is on show');

  assert.equal(await bystander.counter(), 0);
  assert.equal(await bystander.state(), 'stopped');
  assert.equal(await bystander.page.isVisible('#handled'), false);
  assert.deepEqual([...session.problems, ...stranger.problems], []);
});

test('add ten without a stream opens a stream as the response', async (t) => {
  const { counter, session, tab } = await tabFor(t);
  await tab.click('add');
  await tab.atLeast(10);
  await tab.click('add');
  await tab.atLeast(20);
  assert.equal(await tab.counter(), 20);
  assert.equal(await tab.state(), 'stopped');
  assert.deepEqual((await counter.keys()).keys, []);
  assert.deepEqual(session.problems, []);
});

test('stop resets all tabs, and the ticks end', async (t) => {
  const { counter, session, tab: first } = await tabFor(t, [], 2);
  const second = await session.tab(counter.url);
  await second.shows('state', 'running');
  await second.click('stop');
  for (const tab of [first, second]) {
    await tab.shows('counter', '0');
    await tab.shows('state', 'stopped');
  }
  // Another session is the clock: while it ticks three times, this one does not change.
  const witness = await (await newSession(t)).tab(counter.url);
  await witness.click('start');
  await witness.atLeast(3);
  for (const tab of [first, second]) {
    assert.equal(await tab.counter(), 0);
    assert.equal(await tab.state(), 'stopped');
  }
  const keys = await counter.keys();
  assert.equal(keys.keys.length, 1); // the other session
  await first.click('start'); // a new counter, from zero
  await first.atLeast(1);
  assert.ok((await first.counter()) < (await witness.counter()));
  assert.deepEqual(session.problems, []);
});

test('a reload shows the current value, and continues by itself', async (t) => {
  for (const policy of ['many', 'replace', 'reuse', 'reject']) {
    const { counter, session, tab } = await tabFor(t, ['--policy', policy], 2);
    const html = await (await session.context.request.get(counter.url)).text();
    assert.match(html, /<p id="counter"[^>]*>[2-9]<\/p>/, 'rendered by the server');
    await tab.page.reload();
    assert.ok((await tab.counter()) >= 2);
    await tab.shows('state', 'running');
    await tab.ticks(2);
    assert.equal((await counter.keys()).open, 1, policy);
    assert.deepEqual(session.problems, [], policy);
    await counter.stop();
  }
});

test('after a restart of the server, open pages of all tabs tick again, with the old cookie', async (t) => {
  let counter = await counterFor(t);
  const session = await newSession(t);
  const tabs = [await session.tab(counter.url)];
  await tabs[0].click('start');
  await tabs[0].atLeast(2);
  tabs.push(await session.tab(counter.url));
  await tabs[1].ticks(1);
  const [cookie] = await session.context.cookies();
  assert.deepEqual(session.problems, []);

  const { port } = counter;
  await counter.stop();
  for (const tab of tabs) await tab.shows('state', 'connection lost, retrying');
  counter = await startCounter([], port);
  t.after(() => counter.stop());
  for (const tab of tabs) {
    await tab.shows('state', 'running');
    await tab.ticks(2);
  }
  assert.deepEqual((await session.context.cookies())[0], cookie);
  assert.equal((await counter.keys()).keys[0].connections, 2);
  await tabs[0].click('add');
  await tabs[1].atLeast(10);
});

// capability: A14
test('policy replace: the newest tab has the stream', async (t) => {
  const { counter, session, tab: first } = await tabFor(t, ['--policy', 'replace'], 1);
  const second = await session.tab(counter.url);
  await second.shows('state', 'running');
  await first.shows('state', 'another tab has the stream');
  await second.ticks(2);
  const keys = await counter.keys();
  assert.equal(keys.keys[0].connections, 1);
  assert.equal(keys.causes.replaced, 1);
  await first.click('start'); // and the first tab can take it back
  await first.shows('state', 'running');
  await second.shows('state', 'another tab has the stream');
  assert.deepEqual(session.problems, []);
});

test('policy reuse: the first tab keeps the stream, and gets the events of others', async (t) => {
  const { counter, session, tab: first } = await tabFor(t, ['--policy', 'reuse'], 1);
  const second = await session.tab(counter.url);
  await second.shows('state', 'another tab has the stream');
  await second.click('add');
  await first.atLeast(11);
  assert.equal(await first.state(), 'running');
  assert.equal((await counter.keys()).keys[0].connections, 1);
  await second.click('stop');
  await first.shows('state', 'stopped');
  await second.shows('state', 'stopped');
  await second.click('start');
  await second.ticks(2);
  assert.deepEqual(session.problems, []);
});

test('policy reject: a second stream is rejected, and the page shows the reason', async (t) => {
  const { counter, session, tab: first } = await tabFor(t, ['--policy', 'reject'], 1);
  const second = await session.tab(counter.url);
  await second.shows('state', 'another tab has the stream');
  await first.ticks(2);
  assert.equal((await counter.keys()).keys[0].connections, 1);
  await first.page.close();
  await second.until(() => { // the place is free when the server has detected the close of the tab
    const state = document.querySelector('#state').textContent;
    if (state === 'another tab has the stream') document.querySelector('#start').click();
    return state === 'running';
  });
  await second.ticks(2);
});

const threadsAreNoBound = ADAPTER === 'civetweb' ? false : 'its threads are no bound for streams';
test('a full server is asked again until it has room', { skip: threadsAreNoBound }, async (t) => {
  // Two streams, and two threads for other requests.
  const counter = await counterFor(t, ['--threads', '4'], /a stream got 503, because all 2 places are taken/);
  const sessions = [await newSession(t), await newSession(t), await newSession(t)];
  const tabs = [];
  for (const session of sessions) {
    tabs.push(await session.tab(counter.url));
    await tabs.at(-1).click('start');
    if (tabs.length < 3) await tabs.at(-1).shows('state', 'running');
  }
  await tabs[2].shows('state', 'the server is busy, retrying');
  await tabs[0].page.close();
  await tabs[2].shows('state', 'running');
  await tabs[2].ticks(1);
});

test('while the connection is lost, actions whose results would be lost are disabled', async (t) => {
  const { counter, tab } = await tabFor(t, [], 1);
  await counter.stop();
  await tab.shows('state', 'connection lost, retrying');
  const shown = await tab.counter();
  const asked = [];
  tab.page.on('request', (request) => asked.push(request.method()));
  for (const id of ['start', 'add', 'stop']) {
    assert.equal(await tab.page.getAttribute(`#${id}`, 'aria-disabled'), 'true');
    await tab.page.click(`#${id}`, { force: true });
  }
  assert.equal(await tab.counter(), shown);
  assert.deepEqual(asked.filter((method) => method !== 'PUT'), []);
});

test('the page reports that its client cannot be loaded', async (t) => {
  const counter = await counterFor(t);
  const session = await newSession(t);
  await session.context.route(/cdn\.jsdelivr\.net/, (route) => route.abort());
  const tab = await session.tab(counter.url);
  await tab.until(() => getComputedStyle(document.querySelector('.late')).visibility === 'visible');
  assert.equal(await tab.counter(), 0);
});

test('the server itself can serve the client', async (t) => {
  const counter = await counterFor(t, ['--datastar-file', CLIENT]);
  const session = await newSession(t);
  await session.context.route(/cdn\.jsdelivr\.net/, (route) => route.abort());
  const tab = await session.tab(counter.url);
  await tab.click('start');
  await tab.atLeast(2);
  assert.deepEqual(session.problems, []);
});
