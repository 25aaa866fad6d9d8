// SPDX-License-Identifier: MIT
// L10: a stream without a live page is supervised, and never frozen unnoticed.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { startExample, newSession, send, canBeHidden, closeChrome } = require('./harness.js');
const { startProxy } = require('./proxy.js');

after(closeChrome);

async function start(t, where = '', prepare = () => {}) {
  const server = await startExample('test_browser_alive');
  t.after(() => server.stop());
  const proxy = await startProxy(t, server);
  const session = await newSession(t);
  await session.context.addInitScript(canBeHidden);
  await session.context.addInitScript(prepare);
  const tab = await session.tab(proxy.url + where);
  const seen = async () => JSON.parse((await send('GET', `${server.url}seen`)).text);
  const until = async (condition) => {
    while (!(await condition())) await new Promise((done) => setTimeout(done, 20));
  };
  return {
    ...tab,
    server,
    proxy,
    seen,
    until,
    problems: session.problems,
    ask: async (what, body = '') => assert.equal((await send('POST', server.url + what, body)).status, 204),
    both: async (is) => {
      for (const id of ['a', 'b']) await tab.shows(id, is);
    },
    // Return whether the banners are visible.
    banners: (...are) =>
      tab.until(
        (wanted) => [...document.querySelectorAll('.vestry-banner')].map((el) => getComputedStyle(el).display !== 'none').join() === wanted,
        are.join(),
      ),
    open: (count) => until(async () => (await seen()).open === count),
    does: (what, argument) => tab.page.evaluate(what, argument),
  };
}
const faults = (problems) => problems.filter((problem) => !/ERR_|Failed to load resource/.test(problem));

// capability: L10
test('l10: two streams stay current without banners, and reconnect after a cut', async (t) => {
  const { ask, both, banners, open, proxy, problems, until } = await start(t);
  await open(2);
  await ask('say', '7');
  await both('7');
  await until(() => proxy.streams.every((stream) => stream.signs() >= 3)); // the first event, and heartbeats
  await banners(false, false);
  proxy.fail = Infinity;
  proxy.cut();
  await ask('say', '8');
  await banners(true, true);
  proxy.fail = 0;
  await both('8');
  await banners(false, false);
  await open(2);
  assert.deepEqual(faults(problems), []);
});

// The URL is too long for either text (414, 431), and half a surrogate pair is not valid UTF-8.
const NOTES = { 'Latin letters': 'word '.repeat(4000), 'Chinese letters': '今日天气很好我们去公园'.repeat(200), 'half a surrogate pair': 'x\ud83d' };
// capability: L10
test('l10: streams reconnect after a cut or a hidden tab, whatever a bound field contains', async (t) => {
  const { ask, both, banners, open, proxy, problems, does } = await start(t);
  await open(2); // only an open stream receives a number
  let number = 0;
  const lives = async () => {
    await ask('say', String(++number));
    await both(String(number));
    await banners(false, false);
    await open(2);
  };
  await lives();
  for (const [what, text] of Object.entries(NOTES)) {
    await does((value) => {
      const note = document.getElementById('note');
      note.value = value;
      note.dispatchEvent(new Event('input', { bubbles: true }));
    }, text);
    proxy.fail = 2;
    proxy.cut();
    await lives();
    await does(() => window.setHidden(true));
    await open(0);
    await does(() => window.setHidden(false));
    await lives();
    t.diagnostic(what);
  }
  assert.deepEqual(faults(problems), []);
});

// capability: L10
test('l10: a network that drops everything shows the banner, and the streams are opened again', async (t) => {
  const { ask, both, banners, open, proxy, page, problems } = await start(t);
  await open(2); // only an open stream receives a number
  await ask('say', '1');
  await both('1');
  proxy.swallow();
  await banners(true, true);
  assert.deepEqual(await page.locator('.vestry-banner').allTextContents(), ['Offline. Trying again…', "<b> & 'gone'"]);
  await ask('say', '2');
  proxy.back();
  await both('2');
  await banners(false, false);
  await open(2);
  await ask('say', '3');
  await both('3');
  assert.deepEqual(faults(problems), []);
});

// capability: L10
test('l10: if one of two streams is lost, only its banner is visible', async (t) => {
  const { ask, both, banners, proxy, open } = await start(t);
  await open(2); // only an open stream receives a number
  await ask('say', '1');
  await both('1');
  proxy.fail = Infinity; // no stream can be opened again
  const lost = proxy.streams.find((stream) => stream.url.startsWith('/stream/b'));
  lost.isLost = true;
  await banners(false, true);
  const signs = proxy.streams[0].signs() + proxy.streams[1].signs();
  while (proxy.streams[0].signs() + proxy.streams[1].signs() < signs + 3) await new Promise((done) => setTimeout(done, 50));
  await banners(false, true);
  proxy.fail = 0;
  await ask('say', '2');
  await both('2');
  await banners(false, false);
});

// capability: L10
test('l10: a stopped server (SIGSTOP) shows the banner, and the page is current when it continues', async (t) => {
  const { ask, both, banners, server, open } = await start(t);
  await open(2); // only an open stream receives a number
  await ask('say', '1');
  await both('1');
  server.signal('SIGSTOP');
  try {
    await banners(true, true);
  } finally {
    server.signal('SIGCONT');
  }
  await banners(false, false);
  await ask('say', '2');
  await both('2');
  await open(2);
});

// capability: L10
test('l10: streams are current after hidden, shown, back from the cache, online and sleep', async (t) => {
  const { ask, both, does, open, seen, proxy, until } = await start(t);
  await open(2);
  await does(() => window.setHidden(true));
  await open(0);
  await ask('say', '3');
  await does(() => window.setHidden(false));
  await both('3');
  await open(2);
  for (const [what, number] of [[() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })), '4'],
    [() => dispatchEvent(new Event('online')), '5']]) {
    const { opened } = await seen();
    await does(() => new Promise((done) => setTimeout(done, 1100))); // a stream that was shown a moment before is not opened twice
    proxy.lose();
    await ask('say', number);
    await does(what);
    await both(number);
    await until(async () => (await seen()).opened >= opened + 2);
    await open(2);
  }
  // A laptop after sleep: its clock has advanced, and its streams are dead without any event.
  proxy.lose();
  await ask('say', '6');
  await does(() => {
    const now = Date.now;
    Date.now = () => now() + 3_600_000;
  });
  await both('6');
});

// capability: L10
test('l10: no stream follows a clean end; a rejected stream reloads its page', async (t) => {
  const { ask, banners, open, does, shows, seen, proxy, until } = await start(t);
  await open(2);
  const { opened } = await seen();
  await ask('end');
  await open(1);
  await does(() => dispatchEvent(new Event('online')));
  await until(async () => (await seen()).opened > opened); // the stream /stream/a
  await open(1);
  assert.equal((await seen()).opened, opened + 1);
  await banners(false, false);
  await ask('forbid');
  proxy.cut();
  await shows('may', 'no');
});

// capability: L10
test('l10: a permitted page with rejected streams is not reloaded in a loop, and gives up until it is online', async (t) => {
  const { ask, banners, does, open, page, proxy, shows } = await start(t, '', () => {
    const own = performance.now.bind(performance), request = fetch;
    performance.now = () => own() + 60_000; // as if the page had been open for long
    window.asked = 0;
    window.fetch = (...args) => {
      window.asked += args[1]?.method !== 'POST'; // a renewal of a lease is a POST
      return request(...args);
    };
  });
  let loads = 0;
  page.on('load', () => loads++);
  await open(2);
  await ask('forbid');
  proxy.cut();
  await shows('may', 'no');
  await banners(true, true);
  await does(() => new Promise((done) => setTimeout(done, 5000))); // six heartbeats
  assert.equal(await does(() => window.asked), 2);
  assert.equal(loads, 1);
  await banners(true, true);
  await ask('permit');
  await does(() => dispatchEvent(new Event('online')));
  await open(2);
  await banners(false, false);
});

// capability: L10
test('l10: removing the element ends its stream', async (t) => {
  const { open, does } = await start(t);
  await open(2);
  await does(() => document.querySelector('.vestry-banner').remove());
  await open(1);
});

// The failure that the tests above prevent.
test('l10: with data-init alone, a frozen stream is not detected', async (t) => {
  const { ask, shows, proxy, page, open } = await start(t, 'bare');
  await open(1);
  await ask('say', '1');
  await shows('a', '1');
  proxy.lose();
  await ask('say', '2');
  await new Promise((done) => setTimeout(done, 5000)); // six heartbeats
  assert.equal(await page.textContent('#a'), '1');
});
