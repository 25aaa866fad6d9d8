// SPDX-License-Identifier: MIT
// D1, D19: live pages in a browser: all tabs are current, and pages recover from every fault. Features of the client
// that the stand-in lacks are tested with the real one only (DATASTAR_JS).
//
// Headless Chromium shows all tabs at once. Therefore the test replaces the properties by which a page detects that it
// is hidden: document.hidden and visibilityState, with visibilitychange at each change; `#hidden` in the address is a
// tab loaded in the background.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { chromium } = require('playwright-core');
const { CHROMIUM, FLAGS, client, startExample, newSession, send, canBeHidden, closeChrome } = require('./harness.js');
const { startProxy } = require('./proxy.js');

after(closeChrome);

const NAME = 'test_browser_pages';
const HEARTBEAT_MS = 800; // the server's value
const PATIENCE_MS = 2.5 * HEARTBEAT_MS; // time until a page detects silence
const SOON_MS = 1000;
const ROUNDS = 10; // only the fastest counts, because a busy machine delays some; a fault would delay all
const BUSY_MS = 10_000; // additional time on a busy machine
const real = process.env.DATASTAR_JS ? false : 'the stand-in for the client does not model it';

// Runs in the page, before its scripts.
function watchPage() {
  window.attempts = []; // times of requests for a stream
  window.asked = window.fetch;
  window.fetch = (...args) => {
    const method = args[1]?.method ?? 'GET';
    if (method === 'GET') window.attempts.push(Date.now());
    return window.asked(...args);
  };
  window.violations = [];
  document.addEventListener('securitypolicyviolation', (evt) => window.violations.push(evt.violatedDirective));
  // Count how often the banner becomes visible, from the first frame on.
  window.banners = 0;
  const look = () => {
    const banner = document.querySelector('.vestry-banner');
    if (banner && getComputedStyle(banner).display !== 'none') window.banners++;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

const banner = (tab, is) =>
  tab.until((wanted) => (getComputedStyle(document.querySelector('.vestry-banner')).display !== 'none') === wanted, is);
const text = (tab, is) => tab.shows('text', is);
const hide = (tab, is) => tab.page.evaluate((value) => window.setHidden(value), is);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Wait for a condition, with a time limit. */
async function until(condition, what, ms = 120_000) {
  const since = Date.now();
  for (let last; ; await pause(10)) {
    last = await condition();
    if (last) return last;
    if (Date.now() - since > ms) assert.fail(`not within ${ms} ms: ${what}`);
  }
}

async function start(t, options = {}) {
  if (options.isQuiet) process.env.PAGES_HEARTBEAT_MS = '15000'; // so that an immediate reaction cannot come from the watchdog
  const server = await startExample(NAME, [], options.port ?? 0);
  delete process.env.PAGES_HEARTBEAT_MS;
  t.after(async () => {
    await send('POST', `${server.url}wake`); // a waiting handler would delay the stop
    await server.stop();
  });
  const proxy = await startProxy(t, server);
  const session = async () => {
    const made = await newSession(t);
    await made.context.addInitScript(canBeHidden);
    await made.context.addInitScript(watchPage);
    return made;
  };
  const seen = async () => JSON.parse((await send('GET', `${server.url}seen`)).text);
  return {
    server,
    proxy,
    session,
    seen,
    post: async (where, body = '') => assert.equal((await send('POST', server.url + where, body)).status, 204),
    streams: (count, ms) => until(async () => (await seen()).streams === count, `${count} streams`, ms),
  };
}

// Messages of the browser about a broken connection are not errors of the page.
const faults = (problems) => problems.filter((problem) => !/ERR_|Failed to load resource/.test(problem));

async function login(session, url, user) {
  const answer = await session.context.request.post(`${url}login`, { form: { user } });
  assert.equal(answer.status(), 204);
}

// capability: D1
test('d1: a change appears in every tab at once; a private page shows only its user\'s data', async (t) => {
  const { server, session, post, streams } = await start(t);
  const [ada, bob] = [await session(), await session()];
  await login(ada, server.url, 'ada');
  await login(bob, server.url, 'bob');
  const tabs = [await ada.tab(server.url), await ada.tab(`${server.url}own`), await bob.tab(`${server.url}own`)];
  tabs.push(await bob.tab(`${server.url}shared`));
  await streams(4);
  const took = [];
  while (took.length < ROUNDS && !(Math.min(...took) <= SOON_MS)) {
    const since = Date.now(), change = `change ${took.length}`;
    await post('text', change);
    await Promise.all(tabs.map((tab) => text(tab, change)));
    took.push(Date.now() - since);
  }
  t.diagnostic(`in ${tabs.length} tabs after ${took} ms`);
  assert.ok(Math.min(...took) <= SOON_MS);
  await post('text/ada', 'for Ada');
  await post('text/bob', 'for Bob');
  await Promise.all([tabs[0].shows('own', 'for Ada'), tabs[1].shows('own', 'for Ada'), tabs[2].shows('own', 'for Bob')]);
  await post('text', 'and another'); // after these events, all tabs have received everything
  await Promise.all(tabs.map((tab) => text(tab, 'and another')));
  const users = await Promise.all(tabs.map((tab) => tab.page.textContent('#user')));
  const own = await Promise.all(tabs.map((tab) => tab.page.textContent('#own')));
  assert.deepEqual(users, ['ada', 'ada', 'bob', 'nobody']);
  assert.deepEqual(own, ['for Ada', 'for Ada', 'for Bob', '']);
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

// capability: D19
test('d19: twenty tabs of one browser share six connections', async (t) => {
  const { server, session, post, streams, seen } = await start(t);
  const { context, tab, problems } = await session();
  const tabs = [];
  // Every second tab is loaded in the background, before it is shown.
  for (let i = 0; i < 20; i++) {
    const isBehind = i % 2 === 1;
    if (!isBehind && i) await hide(tabs[i - 2], true);
    tabs.push(await tab(`${server.url}many/${i}${isBehind ? '#hidden' : ''}`));
    if (!isBehind) await text(tabs[i], await tabs[0].page.textContent('#text'));
    assert.ok((await seen()).streams <= 3, 'the streams of hidden tabs end'); // two of them may be ending
  }
  await streams(1);
  await hide(tabs[18], true);
  await streams(0);
  for (const [i, each] of tabs.entries()) {
    const news = `news ${i}`;
    await post('text', news);
    await hide(each, false);
    await text(each, news);
    await streams(1);
    await each.page.fill('#draft', news);
    await each.page.click('#send'); // it can be used, too
    await until(async () => (await seen()).draft === news, 'the tab posts');
    await hide(each, true);
  }
  await streams(0);
  assert.equal((await seen()).documents, 20);
  assert.deepEqual(problems, []);
  assert.equal(context.pages().length, 20);
});

// capability: D19
test('d19: tabs hidden during their attempts give up, and start again when shown', { skip: real }, async (t) => {
  const { proxy, session, seen, streams, post } = await start(t);
  const { tab, problems } = await session();
  const tabs = [];
  for (let i = 0; i < 8; i++) tabs.push(await tab(`${proxy.url}many/${i}#hidden`));
  proxy.fail = Infinity;
  for (const each of tabs) {
    await hide(each, false);
    await banner(each, true);
    await hide(each, true);
  }
  proxy.fail = 0;
  await pause(3 * PATIENCE_MS); // the time in which they would have tried again
  assert.equal((await seen()).opened, 0);
  await post('text', 'well again');
  await hide(tabs[7], false);
  await text(tabs[7], 'well again');
  await banner(tabs[7], false);
  await hide(tabs[7], true);
  await hide(tabs[7], false);
  await streams(1); // not two, with one of them forgotten
  assert.deepEqual(faults(problems), []);
});

// capability: D1
test('d1: a tab that is shown again is current, and receives nothing if nothing changed', async (t) => {
  const { proxy, session, post, streams } = await start(t);
  const { tab, problems } = await session();
  const each = await tab(proxy.url);
  const last = () => proxy.streams.at(-1);
  await until(() => last()?.signs() >= 2, 'heartbeats');
  assert.equal(last().contents(), 0); // the document contained the content
  assert.ok(last().headers['last-event-id']);
  await post('text', 'once');
  await text(each, 'once');
  assert.equal(last().contents(), 1);
  for (let round = 1; round <= 3; round++) {
    await hide(each, true);
    await streams(0);
    await hide(each, false);
    await until(() => proxy.streams.length === round + 1 && last().signs() >= 2, 'another stream');
    assert.equal(last().contents(), 0);
    t.diagnostic(`shown again, nothing changed: ${last().text.length} bytes, two signs in them`);
    await streams(1);
  }
  await hide(each, true);
  await streams(0);
  await post('text', 'behind its back');
  assert.equal(await each.page.textContent('#text'), 'once');
  await hide(each, false);
  await text(each, 'behind its back');
  assert.equal(last().contents(), 1);
  // Signals of the page are private: the stream's address does not contain them.
  assert.deepEqual([...new URL(last().url, proxy.url).searchParams], [['datastar', '{}']]);
  assert.equal(await each.page.evaluate(() => window.banners), 0);
  assert.deepEqual(problems, []);
});

// capability: D1
test('d1: a page can stay current while it is hidden', async (t) => {
  const { server, session, post, streams } = await start(t);
  const { tab, problems } = await session();
  const each = await tab(`${server.url}kept#hidden`);
  await streams(1);
  await post('text', 'behind');
  await text(each, 'behind');
  await hide(each, false);
  await hide(each, true);
  await post('text', 'still');
  await text(each, 'still');
  await streams(1);
  assert.deepEqual(problems, []);
});

// capability: D19
test('d19: the browser is online again', async (t) => {
  const { proxy, session, seen, post, streams } = await start(t, { isQuiet: true });
  const { tab, problems } = await session();
  const each = await tab(proxy.url);
  const behind = await tab(`${proxy.url}many/1#hidden`);
  await until(() => proxy.streams[0], 'a stream');
  await streams(1);
  proxy.lose();
  await post('text', 'meanwhile');
  for (const { page } of [behind, each]) await page.evaluate(() => dispatchEvent(new Event('online')));
  await text(each, 'meanwhile');
  await streams(1); // instead of the lost one; the hidden tab has none
  assert.equal((await seen()).opened, 2);
  await post('text', 'and then');
  await text(each, 'and then');
  assert.deepEqual(problems, []);
});

// capability: D19
test('d19: back from another page', async (t) => {
  const { server, session, post, streams, seen } = await start(t, { isQuiet: true });
  const { context, tab, problems } = await session();
  const each = await tab(server.url);
  await streams(1);
  // A page restored from the browser cache, as far as events show it, with its stream dead and no event about it.
  await post('text', 'meanwhile');
  await text(each, 'meanwhile');
  const { opened } = await seen();
  await each.page.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
  await until(async () => (await seen()).opened === opened + 1, 'another stream');
  await streams(1); // instead of the former one
  await post('text', 'and then');
  await text(each, 'and then');
  assert.deepEqual(problems, []);

  // The browser's cache, which keeps a page whose stream is closed.
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: FLAGS,
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  });
  t.after(() => browser.close());
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  await page.route(/cdn\.jsdelivr\.net/, (route) => route.fulfill(client));
  await page.addInitScript(() => {
    window.events = [];
    addEventListener('pageshow', (evt) => window.events.push(evt.persisted ? 'kept' : 'loaded'));
    document.addEventListener('visibilitychange', () => window.events.push(document.visibilityState));
  });
  const shows = (is) =>
    page.waitForFunction((wanted) => document.querySelector('#text')?.textContent === wanted, is, { polling: 50 });
  await page.goto(server.url);
  await shows('and then');
  await streams(2);
  const away = async () => {
    await page.goto(`${server.url}login`);
    await streams(1);
  };
  await away();
  await post('text', 'behind its back');
  await page.evaluate(() => history.back());
  await shows('behind its back');
  await streams(2);
  t.diagnostic(`back: ${await page.evaluate(() => window.events)}`);
  await post('text', 'it lives');
  await shows('it lives');
  // Back on an unchanged page: one stream, and no content.
  await away();
  const then = await seen();
  await page.evaluate(() => history.back());
  await streams(2);
  await until(async () => (await seen()).renders > then.renders, 'a render');
  const now = await seen();
  t.diagnostic(`back, unchanged: ${now.opened - then.opened} streams, ${now.changed - then.changed} contents`);
  assert.equal(now.opened - then.opened, 1);
  assert.equal(now.changed - then.changed, 0);
  assert.equal(context.pages().length, 1);
});

// capability: D19
test('d19: a duplicated tab', async (t) => {
  const { server, session, post, streams } = await start(t, { isQuiet: true });
  const { context, tab, problems } = await session();
  const each = await tab(server.url);
  const [other] = await Promise.all([context.waitForEvent('page'), each.page.evaluate(() => void window.open(location.href))]);
  const shows = (page, is) =>
    page.waitForFunction((wanted) => document.querySelector('#text')?.textContent === wanted, is, { polling: 50 });
  await streams(2);
  await post('text', 'for both');
  await Promise.all([text(each, 'for both'), shows(other, 'for both')]);
  await each.page.close();
  await streams(1);
  await post('text', 'for one');
  await shows(other, 'for one');
  assert.deepEqual(problems, []);
});

// capability: D19
test('d19: the page recovers by itself from three responses with 502', async (t) => {
  const { proxy, session, post, streams } = await start(t, { isQuiet: true });
  const { tab, problems } = await session();
  const each = await tab(proxy.url);
  await until(() => proxy.streams[0], 'a stream');
  await streams(1);
  assert.equal(await each.page.evaluate(() => window.banners), 0);
  proxy.fail = 3;
  proxy.cut();
  await banner(each, true);
  assert.equal(await each.page.textContent('.vestry-banner'), 'Offline. Trying again…');
  await post('text', 'meanwhile');
  await text(each, 'meanwhile');
  await banner(each, false);
  assert.equal(proxy.failed, 3);
  assert.ok(proxy.streams[1].headers['last-event-id']); // the client repeats the same request
  assert.equal(proxy.streams.length, 2);
  await streams(1);
  assert.deepEqual(faults(problems), []);
});

// quick: civetweb
// capability: D19
test('d19: the server is killed, and starts again', async (t) => {
  const { server, session } = await start(t, { isQuiet: true });
  const { tab, problems } = await session();
  const tabs = [];
  for (let i = 0; i < 5; i++) tabs.push(await tab(`${server.url}many/${i}`)); // of six connections, one stays free
  for (const each of tabs) await each.until(() => window.attempts.length === 1);
  await until(async () => JSON.parse((await send('GET', `${server.url}seen`)).text).streams === 5, 'streams');
  const before = await tabs[0].page.textContent('#text');
  const killed = Date.now();
  await server.kill();
  for (const each of tabs) await banner(each, true);
  const { server: next, post, streams } = await start(t, { port: server.port, isQuiet: true });
  for (const each of tabs) {
    await each.until((old) => document.querySelector('#text').textContent !== old, before);
    await banner(each, false);
  }
  assert.equal(next.port, server.port);
  await post('text', 'as before');
  for (const each of tabs) await text(each, 'as before');
  await streams(5);
  const first = await Promise.all(tabs.map((each) => each.page.evaluate(() => window.attempts[1])));
  const waits = first.map((at) => at - killed);
  t.diagnostic(`the first attempts came after ${waits} ms`);
  assert.ok(Math.min(...waits) >= 200 - 20); // each after a random delay from 200 ms to 400 ms
  assert.ok(Math.max(...waits) - Math.min(...waits) > 10, 'they are spread');
  assert.ok(new Set(waits).size >= 3);
  assert.deepEqual(faults(problems), []);
});

// capability: D19
test('d19: a network that drops everything', async (t) => {
  const { proxy, session, post, streams } = await start(t);
  const { tab, problems } = await session();
  const each = await tab(proxy.url);
  await until(() => proxy.streams[0]?.signs() >= 2, 'heartbeats');
  const signs = proxy.streams[0].signs();
  await until(() => proxy.streams[0].signs() > signs, 'a heartbeat at this moment');
  proxy.swallow();
  const since = Date.now();
  await banner(each, true);
  const took = Date.now() - since;
  t.diagnostic(`it says so after ${took} ms; heartbeats are ${HEARTBEAT_MS} ms apart`);
  assert.ok(took >= PATIENCE_MS - HEARTBEAT_MS - 100);
  assert.ok(took <= PATIENCE_MS + BUSY_MS);
  await post('text', 'unheard');
  await pause(PATIENCE_MS);
  assert.notEqual(await each.page.textContent('#text'), 'unheard');
  proxy.back();
  await text(each, 'unheard');
  await banner(each, false);
  await streams(1); // the old stream is gone
  await post('text', 'heard');
  await text(each, 'heard');
  assert.deepEqual(faults(problems), []);
});

// capability: D1
test('d1: no typed text is lost during changes', { skip: real }, async (t) => {
  const { server, session, post, seen } = await start(t);
  const { tab, problems } = await session();
  const each = await tab(server.url);
  const { page } = each;
  const typed = Array.from({ length: 200 }, (_, i) => String.fromCharCode(97 + (i % 26))).join('');
  let isOver = false;
  let changes = 0;
  const changing = (async () => {
    for (; !isOver; await pause(45)) await post('text', `change ${++changes}`);
  })();
  t.after(() => (isOver = true));
  await each.until(() => Number(document.querySelector('#changes').textContent) >= 3);
  await page.focus('#draft');
  const from = Number(await page.textContent('#changes'));
  await page.keyboard.type(typed, { delay: 10 });
  const to = Number(await page.textContent('#changes'));
  assert.ok(to - from >= 20, `${to - from} changes while it was typed`);
  assert.equal(await page.inputValue('#draft'), typed);
  // The selection stays, under as many changes again.
  await page.evaluate(() => document.querySelector('#draft').setSelectionRange(50, 100, 'backward'));
  await each.until((least) => Number(document.querySelector('#changes').textContent) >= least, to + 20);
  const state = await page.evaluate(() => {
    const { selectionStart, selectionEnd, selectionDirection } = document.querySelector('#draft');
    return [document.activeElement.id, selectionStart, selectionEnd, selectionDirection];
  });
  assert.deepEqual(state, ['draft', 50, 100, 'backward']);
  await page.keyboard.type('!'); // at its place
  const wanted = `${typed.slice(0, 50)}!${typed.slice(100)}`;
  assert.equal(await page.inputValue('#draft'), wanted);
  await page.click('#send');
  await until(async () => (await seen()).draft === wanted, 'the typed text');
  isOver = true;
  await changing;
  await text(each, `change ${changes}`); // the last one
  assert.deepEqual(problems, []);
});

// capability: D19
test('d19: a log-out elsewhere ends the stream, and the page leads to the login', async (t) => {
  const { server, session, post, streams, seen } = await start(t, { isQuiet: true });
  const [ada, bob] = [await session(), await session()];
  await login(ada, server.url, 'ada');
  await login(bob, server.url, 'bob');
  const tabs = [await ada.tab(`${server.url}own`), await ada.tab(`${server.url}own`)];
  const other = await bob.tab(`${server.url}own`);
  const asleep = await ada.tab(`${server.url}own#hidden`);
  const checked = await ada.tab(`${server.url}allowed`);
  await streams(4);
  const since = Date.now();
  assert.equal((await ada.context.request.post(`${server.url}logout`)).status(), 204);
  await until(async () => (await seen()).streams === 1, "Bob's stream alone");
  t.diagnostic(`the streams ended after ${Date.now() - since} ms`);
  assert.ok(Date.now() - since <= BUSY_MS); // the next heartbeat comes later
  for (const each of tabs) await each.page.waitForURL(`${server.url}login`);
  // A page rejected by a status shows the page of this status.
  await checked.until(() => !document.querySelector('.vestry-banner'));
  assert.equal(await checked.page.locator('#text').count(), 0);
  await hide(asleep, false);
  await asleep.page.waitForURL(`${server.url}login`);
  await post('text/ada', 'a secret');
  await post('text', 'for who is there');
  await text(other, 'for who is there');
  assert.deepEqual(faults([...ada.problems, ...bob.problems]), []);
});

// capability: D19
test('d19: a page that was deleted while its tab was offline is loaded again after four refusals', async (t) => {
  const { proxy, session, post, streams } = await start(t, { isQuiet: true });
  const { tab, problems } = await session();
  const each = await tab(`${proxy.url}room`);
  await streams(1);
  await post('text', 'here');
  await text(each, 'here'); // a tab whose stream never opened would not load its page again at once
  let refused = 0;
  each.page.on('response', (answer) => (refused += answer.status() === 404 && 'datastar-request' in answer.request().headers()));
  proxy.fail = Infinity;
  proxy.cut();
  await banner(each, true);
  await post('text', 'deleted');
  proxy.fail = 0;
  await each.until(() => !document.querySelector('.vestry-banner')); // the page of the status 404 has none
  assert.equal(await each.page.locator('#text').count(), 0);
  assert.equal(refused, 4);
  assert.deepEqual(faults(problems), []);
});

// capability: D19
test('d19: three refusals by a proxy whose server restarts load no page', async (t) => {
  const { proxy, session, post, streams } = await start(t, { isQuiet: true });
  const { tab, problems } = await session();
  const each = await tab(proxy.url);
  await streams(1);
  await post('text', 'here');
  await text(each, 'here');
  await each.page.evaluate(() => (window.isFirst = true));
  proxy.failWith = 404;
  for (const change of ['once', 'twice']) {
    proxy.fail = 3;
    proxy.cut();
    await banner(each, true);
    await post('text', change);
    await text(each, change);
    await banner(each, false);
  }
  assert.equal(proxy.failed, 6);
  assert.equal(await each.page.evaluate(() => window.isFirst), true);
  assert.deepEqual(faults(problems), []);
});

// capability: D19
test('d19: a page whose stream alone is refused gives up, and shows this; it tries again when online', async (t) => {
  const { server, session, post, streams } = await start(t);
  const { context, tab, problems } = await session();
  await context.addInitScript(() => sessionStorage.setItem('vestry-expelled', Date.now())); // it was loaded again before
  await post('text', 'still');
  const each = await tab(`${server.url}still`);
  await banner(each, true);
  await each.until(() => document.querySelector('.vestry-banner').textContent === 'This page cannot be updated at the moment.');
  await pause(3 * PATIENCE_MS); // a broken stream would be opened again
  assert.equal(await each.page.evaluate(() => window.attempts.length), 1);
  assert.equal(await each.page.textContent('.vestry-banner'), 'This page cannot be updated at the moment.');
  await post('text', 'open');
  await each.page.evaluate(() => dispatchEvent(new Event('online')));
  await text(each, 'open');
  await banner(each, false);
  await streams(1);
  await post('text', 'and then');
  await text(each, 'and then');
  assert.deepEqual(faults(problems), []);
});

// capability: D19
test('d19: a stream that the page has ended is not opened again', async (t) => {
  const { server, session, post, streams, seen } = await start(t);
  const { tab, problems } = await session();
  const each = await tab(`${server.url}over`);
  await streams(1);
  await post('text', 'over');
  await streams(0);
  const { opened } = await seen();
  await pause(2 * PATIENCE_MS);
  assert.equal((await seen()).opened, opened);
  assert.equal(await each.page.evaluate(() => window.banners), 0);
  assert.deepEqual(problems, []);
});

// capability: D19
test('d19: streams that end early are opened again with growing delays, long-lived ones at once', async (t) => {
  const { proxy, session, streams, seen } = await start(t, { isQuiet: true });
  const each = await (await session()).tab(proxy.url);
  const here = (what) => each.page.evaluate(what);
  for (const [age_ms, wait_ms] of [[0, 1000], [0, 2000], [61_000, 1000], [0, 2000]]) {
    await streams(1);
    await each.until(() => document.querySelector('.vestry-banner').got === 2);
    await here(`document.querySelector('.vestry-banner').asked -= ${age_ms}`);
    const { opened } = await seen();
    proxy.end();
    await until(async () => (await seen()).opened > opened, 'another stream');
    assert.equal(await here("document.querySelector('.vestry-banner').wait"), wait_ms);
  }
});

// capability: D17
test('d17: a stream redirects and reloads the page, under a policy without inline scripts', async (t) => {
  const { server, session, post, streams, seen } = await start(t, { isQuiet: true });
  const { tab, problems } = await session();
  const each = await tab(`${server.url}strict`);
  await streams(1);
  await each.page.evaluate(() => (window.isFirst = true));
  const { documents } = await seen();
  await post('text', 'reload');
  await until(async () => (await seen()).documents === documents + 1, 'the page is reloaded');
  await text(each, 'loaded anew');
  assert.equal(await each.page.evaluate(() => window.isFirst), undefined);
  await post('text', 'and now');
  await text(each, 'and now');
  assert.deepEqual(await each.page.evaluate(() => window.violations), []);
  await post('text', 'go');
  await each.page.waitForURL(`${server.url}login?from=%27strict%27`);
  await streams(0);
  assert.equal((await seen()).documents, documents + 1);
  // Back on the page, which does not repeat the earlier redirect.
  await post('text', 'it stays');
  await each.page.goBack();
  await text(each, 'it stays');
  assert.deepEqual(await each.page.evaluate(() => window.violations), []);
  assert.deepEqual(faults(problems), []);
});

// capability: D19
test('d19: the banner never flashes, under the strictest policy that the client permits', async (t) => {
  const { server, session, post, streams } = await start(t);
  const { context, problems } = await session();
  let release;
  const released = new Promise((done) => (release = done));
  const page = await context.newPage();
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => /error|warning/.test(message.type()) && problems.push(message.text()));
  await page.route(/cdn\.jsdelivr\.net/, async (route) => {
    await released;
    await route.fulfill(client);
  });
  await page.goto(`${server.url}strict`, { waitUntil: 'commit' });
  const banners = () => page.evaluate(() => window.banners);
  const frames = () => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  await page.waitForSelector('.vestry-banner', { state: 'attached' });
  for (let i = 0; i < 5; i++) await frames();
  assert.equal(await banners(), 0); // the client has not run
  assert.equal(await page.getAttribute('.vestry-banner', 'hidden'), '');
  release();
  await streams(1);
  await post('text', 'in spite of it');
  await page.waitForFunction(() => document.querySelector('#text').textContent === 'in spite of it', null, { polling: 50 });
  for (let i = 0; i < 5; i++) await frames();
  assert.equal(await banners(), 0);
  // The banner can be shown.
  await page.evaluate(() => (window.fetch = () => Promise.reject(new TypeError('no network'))));
  await page.evaluate(() => dispatchEvent(new Event('online')));
  await page.waitForFunction(() => window.banners > 0, null, { polling: 50 });
  assert.deepEqual(await page.evaluate(() => window.violations), []);
  assert.deepEqual(problems, []);
});

// capability: D1
test('d1: a response that is cut in the middle of a change', async (t) => {
  const { proxy, session, post, streams } = await start(t, { isQuiet: true });
  const { tab, problems } = await session();
  const each = await tab(`${proxy.url}big`);
  await until(() => proxy.streams[0], 'a stream');
  await streams(1);
  proxy.cutAfter(50_000);
  await post('text', 'all of it');
  await until(() => proxy.streams.length === 2, 'it reconnects');
  assert.equal(proxy.streams[0].open, false);
  await each.shows('last', 'all of it');
  const rows = await each.page.$$eval('p[id^=row-]', (all) => all.filter((row) => row.textContent.startsWith('all of it')).length);
  assert.equal(rows, 2000);
  assert.equal(proxy.streams[1].contents(), 1);
  await streams(1);
  assert.deepEqual(faults(problems), []);
});

// capability: D1
test('d1: a render that waits does not delay other pages', async (t) => {
  const { proxy, session, post, seen } = await start(t);
  const { tab, problems } = await session();
  const sleeper = await tab(`${proxy.url}slow`);
  const other = await tab(proxy.url);
  await until(() => proxy.streams.length === 2 && proxy.streams.every((stream) => stream.signs()), 'two streams');
  const stream = proxy.streams.find(({ url }) => url.startsWith('/slow'));
  await post('sleep');
  await until(async () => (await seen()).sleeping === 1, 'it waits');
  const signs = stream.signs();
  await post('text', 'while it waits');
  await text(other, 'while it waits');
  await sleeper.page.fill('#draft', 'from its page');
  await sleeper.page.click('#send');
  await until(async () => (await seen()).draft === 'from its page', 'a POST from its page');
  await until(() => stream.signs() >= signs + 3, 'heartbeats of its own stream');
  assert.equal((await seen()).sleeping, 1); // still waiting
  assert.notEqual(await sleeper.page.textContent('#text'), 'while it waits');
  await post('wake');
  await text(sleeper, 'while it waits');
  assert.deepEqual(problems, []);
});
