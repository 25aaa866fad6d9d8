// SPDX-License-Identifier: MIT
// L8: pages behind a proxy that breaks streams: it buffers them, cuts them, or removes headers. A page uses long polls,
// is current soon, and opens a stream again when the proxy lets streams through.
'use strict';
const { after, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const http = require('node:http');
const https = require('node:https');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const readline = require('node:readline');
const { ADAPTER, startExample, newSession, send, canBeHidden, closeChrome } = require('./harness.js');
const { startProxy } = require('./proxy.js');

after(closeChrome);

process.env.PAGES_RETRY_MS = '1000'; // the default
const SOON_MS = 3000;
const ROUNDS = 6; // only the fastest round counts, because a busy machine delays some; a fault would delay all

async function until(condition, what) {
  const since = Date.now();
  while (!(await condition())) {
    if (Date.now() - since > 120_000) assert.fail(`not within two minutes: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

// Wait until two streams have failed: pages detect this by the clock, after five seconds and ten more.
const givesUp = (tab) => tab.until(() => {
  const el = document.querySelector('.vestry-banner');
  if (el?.run && !el.poll && !el.count) el.silent();
  return el?.poll;
});

// byClock: the page detects the fault by the clock, which takes its time.
async function start(t, program, breaks, where = '', { hides = false, byClock = false } = {}) {
  const server = await startExample(program);
  t.after(() => server.stop());
  const proxy = await startProxy(t, server);
  Object.assign(proxy, breaks);
  const session = await newSession(t);
  if (hides) await session.context.addInitScript(canBeHidden);
  const tab = await session.tab(proxy.url + where);
  if (breaks.isHolding && !byClock) await givesUp(tab);
  const isPoll = (stream) => /_vestry":\{"poll":[1-9]/.test(decodeURIComponent(stream.url));
  return { ...tab, server, proxy, session, isPoll, problems: session.problems,
    polls: () => proxy.streams.filter(isPoll),
    seen: async () => (await fetch(`${server.url}seen`)).json(),
    post: async (what, body = '') => assert.equal((await send('POST', server.url + what, body)).status, 204),
    polling: (count = 1) => until(() => proxy.streams.filter(isPoll).length >= count, `${count} long polls`),
    // Wait for a held long poll: it contains the page's state tag and has no answer.
    held: () => until(() => {
      const last = proxy.streams.at(-1);
      return last?.open && isPoll(last) && last.headers['last-event-id'] && !last.contents();
    }, 'a held long poll'),
    // Wait for a stream that continues.
    streaming: () => until(() => {
      const last = proxy.streams.at(-1);
      return last?.open && last.signs() > 1 && !isPoll(last);
    }, 'a stream'),
    // The element that supervises the stream.
    element: (run, value) => tab.page.evaluate(([code, given]) =>
      new Function('el', 'given', code)(document.querySelector('.vestry-banner'), given), [run, value]) };
}
const faults = (problems) => problems.filter((problem) => !/ERR_|Failed to load resource/.test(problem));
const clear = (page) => Object.assign(page.proxy, { isHolding: false, cutsMs: 0, isStripping: false });

// Change the page repeatedly: each change is shown soon.
async function assertCurrent(t, page, shows, show = page.shows) {
  const took = [];
  const isSoon = () => took.length > 2 && Math.min(...took.slice(1)) <= SOON_MS;
  for (let round = 0; round < ROUNDS && !isSoon(); round++) {
    const since = Date.now(), news = `news ${round} of ${since}`;
    await page.post('text', news);
    await show('text', news);
    took.push(Date.now() - since);
  }
  t.diagnostic(`${shows}: ${took} ms`);
  assert.ok(isSoon(), `${took}`);
}

// Start a server with room for 36 streams, and send long polls that belong to no tab.
async function startSmall(t) {
  const room = ADAPTER === 'civetweb' ? ['--threads', '40'] : ['--streams', '36'];
  const child = spawn(process.env.BENCH, ['serve', '--port', '0', '--adapter', ADAPTER, '--pages', ...room],
    { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const sockets = [];
  t.after(async () => {
    for (const one of sockets) one.destroy();
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
  });
  const [line] = await Promise.race([once(readline.createInterface({ input: child.stdout }), 'line'), exited]);
  const [, url] = /^vestry-bench: (https?:\/\/127\.0\.0\.1:\d+) /.exec(line) ?? assert.fail(`no server: ${line}`);
  const page = '/page?topic=news&private=1';
  const poll = (had) => {
    const one = { text: '', hasEnded: false };
    const query = `&datastar=${encodeURIComponent(JSON.stringify({ _vestry: { poll: 25000 } }))}`;
    const headers = { 'Datastar-Request': 'true', ...(had ? { 'Last-Event-ID': had } : {}) };
    const request = (url.startsWith('https:') ? https : http).get(url + page + query, { agent: false, headers }, (answer) => {
      one.status = answer.statusCode;
      answer.on('data', (data) => (one.text += data)).on('error', () => {}).on('end', () => (one.hasEnded = true));
    });
    request.on('error', () => {});
    sockets.push(request);
    return one;
  };
  const stats = async () => (await fetch(`${url}/stats`, { headers: { Connection: 'close' } })).json();
  return { poll, stats, send: (what, body) => send('POST', url + what, body) };
}

// The tests mostly wait.
describe('long_polls', { concurrency: 6 }, () => {
  for (const [name, breaks] of Object.entries({
    'holds bytes back': { isHolding: true },
    'cuts after a second': { cutsMs: 1000 },
    'takes headers away': { isStripping: true },
    'holds back, and takes headers away': { isHolding: true, isStripping: true },
  })) {
    for (const where of ['', 'shared']) {
      // capability: L8
      test(`l8: a proxy that ${name}: /${where} is current soon, and has a stream when the proxy permits it`, async (t) => {
        const page = await start(t, 'test_browser_pages', breaks, where, { byClock: name === 'holds bytes back' && where === '' });
        if (breaks.isHolding || breaks.cutsMs) await page.polling();
        await assertCurrent(t, page, name);
        clear(page);
        await page.page.evaluate(() => dispatchEvent(new Event('online')));
        await page.streaming();
        await page.post('text', 'all is well');
        await page.shows('text', 'all is well');
        assert.deepEqual(faults(page.problems), []);
      });
    }
  }

  // capability: L8
  test('l8: a long poll is held while nothing changes, and no change is missed', async (t) => {
    const page = await start(t, 'test_browser_pages', { isHolding: true });
    await page.polling();
    await page.post('text', 'one');
    await page.shows('text', 'one');
    await page.held();
    const { length } = page.polls();
    for (let round = 0; round < 20; round++) await page.seen(); // the page does not change
    assert.equal(page.polls().length, length);
    assert.equal(page.polls().at(-1).contents(), 0);
    await page.post('text', 'two');
    await page.shows('text', 'two');
    assert.equal(page.polls()[length - 1].contents(), 1);
    assert.equal(await page.element('return getComputedStyle(el).display'), 'none');
  });

  for (const [name, breaks] of Object.entries({ 'holds bytes back': { isHolding: true }, 'cuts after a second': { cutsMs: 1000 } })) {
    // capability: L8
    test(`l8: the page tries one stream after a while, which delays it little if the proxy still ${name}`, async (t) => {
      const page = await start(t, 'test_browser_pages', breaks);
      await page.polling();
      const { length } = page.proxy.streams;
      await page.element('el.until = 0');
      await page.post('text', 'one');
      await page.shows('text', 'one');
      const tried = () => page.proxy.streams.slice(length).findIndex((stream) => !page.isPoll(stream));
      await until(() => tried() >= 0, 'a stream');
      await until(() => page.proxy.streams.slice(length + tried()).some(page.isPoll), 'a long poll after it');
      const count = page.proxy.streams.slice(length + tried()).findIndex(page.isPoll);
      assert.ok(count <= 2, 'one stream, then long polls'); // or two, if the cut came before any data of the first
      await assertCurrent(t, page, 'after a failed attempt to open a stream');
      clear(page);
      await page.element('el.until = 0');
      await page.post('text', 'two');
      await page.streaming();
      await assertCurrent(t, page, 'by a stream');
      assert.deepEqual(faults(page.problems), []);
    });
  }

  // capability: L8
  test('l8: with too many long polls, some are held, others are answered at once, and none is rejected', async (t) => {
    const small = await startSmall(t);
    const first = small.poll();
    await until(() => first.hasEnded, 'the whole content');
    const had = /\nid: (.*)\n/.exec(first.text)[1];
    const all = [];
    for (let n = 0; n < 27; n++) {
      all.push(small.poll(had));
      await until(async () => all[n].status === 200 && (await small.stats()).pages.streams === n + 1, 'it is held');
    }
    for (let n = 27; n < 100; n++) { // quickly, because the others are held for 25 s only
      all.push(small.poll(had));
      await until(() => all[n].hasEnded, 'three quarters are held');
    }
    assert.ok(all.slice(0, 27).every((one) => !one.hasEnded));
    assert.ok(all.every((one) => one.status === 200 && !/patch-elements/.test(one.text)));
    const isTold = (one) => one.text.split('event: datastar-patch-signals').length >= 3; // it ended without a cut
    assert.ok(all.slice(27).every(isTold));
    const { pages } = await small.stats();
    assert.deepEqual([pages.asks, pages.asks_brief], [101, 73]);
    assert.equal((await small.send('/state?topic=news', 'changed')).status, 204);
    await until(() => all.every((one) => one.hasEnded), 'those that are held are answered');
    assert.ok(all.slice(0, 27).every((one) => /changed/.test(one.text)));
    assert.ok(!/changed/.test(all[27].text));
    const late = small.poll(had);
    await until(() => late.hasEnded, 'a later long poll');
    assert.match(late.text, /changed/);
  });

  // capability: L8
  test('l8: two tabs poll; when one is closed during its long poll, the server removes it', async (t) => {
    const page = await start(t, 'test_browser_pages', { isHolding: true });
    const other = await page.session.tab(page.proxy.url);
    await givesUp(other);
    await page.polling();
    assert.ok(await page.element('return el.poll'));
    await page.post('text', 'of both');
    await page.shows('text', 'of both');
    await other.shows('text', 'of both');
    await until(async () => (await page.seen()).streams === 2, 'both are held');
    await other.page.close();
    await until(async () => (await page.seen()).streams === 1, 'one is held');
    await page.post('text', 'of one');
    await page.shows('text', 'of one');
    assert.deepEqual(faults(page.problems), []);
  });

  // capability: L8
  test('l8: a hidden tab does not poll, and is current when it is shown again', async (t) => {
    const page = await start(t, 'test_browser_pages', { isHolding: true }, '', { hides: true });
    await page.polling();
    for (let round = 0; round < 2; round++) {
      await page.post('text', `before ${round}`);
      await page.shows('text', `before ${round}`); // between two polls
      await page.page.evaluate(() => window.setHidden(true));
      await until(async () => (await page.seen()).streams === 0, 'it has ended');
      await page.post('text', `after ${round}`);
      await page.page.evaluate(() => new Promise((done) => setTimeout(done, 1200))); // longer than the time between two polls
      assert.equal((await page.seen()).streams, 0);
      await page.page.evaluate(() => window.setHidden(false));
      await page.shows('text', `after ${round}`);
    }
    assert.deepEqual(faults(page.problems), []);
  });

  // capability: L8
  test('l8: a page whose signals are selected by a pattern polls, and sends them', async (t) => {
    const page = await start(t, 'test_browser_pages', { isHolding: true }, 'kept');
    await page.polling();
    await assertCurrent(t, page, 'with a pattern between slashes');
    for (const poll of page.polls()) {
      const signals = JSON.parse(new URL(poll.url, page.proxy.url).searchParams.get('datastar'));
      assert.deepEqual(Object.keys(signals).sort(), ['_vestry', 'draft']);
      assert.deepEqual(Object.keys(signals._vestry), ['poll']);
    }
  });

  // capability: L8
  test('l8: if a proxy ends requests earlier than long polls end, they become shorter', async (t) => {
    const page = await start(t, 'test_browser_pages', { isHolding: true });
    await page.polling();
    await page.post('text', 'one');
    await page.shows('text', 'one');
    await page.held();
    await page.element('el.asked -= 16000'); // as if it had been held for this time
    page.polls().at(-1).timeOut();
    await page.polling(page.polls().length + 1);
    await until(async () => (await page.element('return el.poll')) < 12500, 'a shorter one');
    assert.ok((await page.element('return el.poll')) > 5000);
    await assertCurrent(t, page, 'with shorter ones');
  });

  // capability: L8
  test('l8: a polling page is current after a restart of the server', async (t) => {
    const page = await start(t, 'test_browser_pages', { isHolding: true });
    await page.polling();
    await until(async () => (await page.seen()).streams === 1, 'it is held');
    await page.server.stop(); // at once: the held long poll ends
    await page.until(() => getComputedStyle(document.querySelector('.vestry-banner')).display !== 'none');
    const again = await startExample('test_browser_pages', [], page.server.port);
    t.after(() => again.stop());
    await assertCurrent(t, page, 'after a restart');
    await page.until(() => getComputedStyle(document.querySelector('.vestry-banner')).display === 'none');
  });

  // capability: L8
  test('l8: a private page that polls leaves after a log-out elsewhere', async (t) => {
    const server = await startExample('test_browser_pages');
    t.after(() => server.stop());
    const proxy = await startProxy(t, server);
    proxy.isHolding = true;
    const session = await newSession(t);
    for (const where of ['own', 'allowed']) {
      assert.equal((await session.context.request.post(`${server.url}login`, { form: { user: 'ada' } })).status(), 204);
      const tab = await session.tab(proxy.url + where);
      await givesUp(tab);
      for (const news of ['one', 'two']) {
        assert.equal((await send('POST', `${server.url}text/ada`, news)).status, 204);
        await tab.shows('own', news);
      }
      assert.equal((await session.context.request.post(`${server.url}logout`)).status(), 204);
      if (where === 'own') await tab.page.waitForURL(`${proxy.url}login`);
      else await tab.until(() => !document.querySelector('.vestry-banner'));
      assert.equal(await tab.page.locator('#text').count(), 0);
      await tab.page.close();
    }
    assert.deepEqual(faults(session.problems), []);
  });

  // capability: L8
  test('l8: submissions are shown as saved while streams are buffered', async (t) => {
    const page = await start(t, 'test_browser_sent', { isHolding: true });
    const press = (id) => page.page.evaluate((of) => document.getElementById(of).click(), id);
    for (let n = 1; n <= 6; n++) {
      await press('add');
      await page.shows('count', String(n));
      await page.shows('saving', '0');
      if (n === 1) await page.polling();
    }
    await press('same'); // no visible change
    await page.shows('saving', '0');
    await press('bad');
    await page.shows('saving', '0');
    await page.shows('failed', '422');
    const { length } = page.proxy.streams;
    await page.page.evaluate(() => new Promise((done) => setTimeout(done, 3000)));
    assert.ok(page.proxy.streams.length - length < 5, 'each submission is reported once');
    assert.deepEqual(faults(page.problems), []);
  });

  // capability: L8
  test('l8: navigation within a document works while streams are buffered', async (t) => {
    const page = await start(t, 'test_browser_navigate', { isHolding: true }, 'list');
    const heading = (is) => page.until((wanted) => document.querySelector('#heading')?.textContent === wanted, is);
    await page.page.evaluate(() => (window.isSame = true));
    await page.polling();
    for (const [id, is, at] of [['second', '2 0', '/list?page=2'], ['third', '3 0', '/list?page=3'],
      ['item', 'item 7', '/item/7']]) {
      await page.page.evaluate((of) => document.getElementById(of).click(), id);
      await heading(is);
      assert.equal(await page.page.evaluate(() => location.pathname + location.search), at);
    }
    await page.page.evaluate(() => history.back());
    await heading('3 0');
    await page.until(() => !document.querySelector('[aria-busy]'));
    const { length } = page.proxy.streams;
    await page.page.evaluate(() => new Promise((done) => setTimeout(done, 3000)));
    assert.ok(page.proxy.streams.length - length < 5, 'each navigation is reported once');
    assert.ok(await page.page.evaluate(() => window.isSame));
    assert.deepEqual(faults(page.problems), []);
  });
});
