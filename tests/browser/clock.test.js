// SPDX-License-Identifier: MIT
// The server's clock in pages: over slow networks, beside a clock of the client that is wrong or set, and after sleep.
// The server is three hours ahead of this machine.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const net = require('node:net');
const { startExample, newSession, send, canBeHidden, closeChrome, sameInFirefox } = require('./harness.js');

after(closeChrome);

const HOUR_MS = 3_600_000, AHEAD_MS = 3 * HOUR_MS, RIGHT_MS = 50;

// A network between browser and server: each direction takes this time more.
async function startNetwork(t, server, ms) {
  const sockets = new Set();
  const pass = (from, to) => {
    from.on('data', (data) => setTimeout(() => to.writable && to.write(data), ms));
    from.on('close', () => setTimeout(() => to.destroy(), ms));
    from.on('error', () => {});
    sockets.add(from);
  };
  const network = net.createServer((down) => {
    const up = net.connect(server.port, '127.0.0.1');
    pass(down, up);
    pass(up, down);
  }).listen(0, '127.0.0.1');
  await new Promise((done) => network.once('listening', done));
  t.after(() => {
    network.close();
    for (const socket of sockets) socket.destroy();
  });
  return `http://127.0.0.1:${network.address().port}/`;
}

async function start(t, { ms = 0, skew = 0, scripts = [], clientMs = 0 } = {}) {
  const server = await startExample('test_browser_clock');
  t.after(() => server.stop());
  const { context, tab, problems } = await newSession(t);
  await context.addInitScript((by) => {
    const real = Date.now, running = performance.now.bind(performance);
    window.skew = by; // of the client's clock
    window.slept = 0; // time that performance.now() does not count
    Date.now = () => real() + window.skew;
    performance.now = () => running() - window.slept;
  }, skew);
  for (const script of scripts) await context.addInitScript(script);
  if (clientMs) await context.route('**/datastar.js', async (route) => {
    await new Promise((done) => setTimeout(done, clientMs));
    await route.fallback();
  });
  const url = ms ? await startNetwork(t, server, ms) : server.url;
  return { server, context, problems, url, tab: (where = '') => tab(url + where), post: (path) => send('POST', server.url + path) };
}

// Return by how much the clock of the page differs from the server's, apart from the time of the measurement.
async function error(page, ahead = AHEAD_MS) {
  await page.waitForFunction(() => window.vestryClock, null, { polling: 20 });
  const from = Date.now() + ahead, at = await page.evaluate(() => window.vestryClock()), to = Date.now() + ahead;
  return at < from ? at - from : at > to ? at - to : 0;
}

// Wait until the page's clock is right.
async function isRight(page, ahead) {
  let by;
  do by = await error(page, ahead); while (Math.abs(by) > RIGHT_MS);
}

// Open a page whose document came without a delay of this machine: the other delays are the same in both directions.
async function undisturbed(of, where, ms) {
  for (;;) {
    const one = await of.tab(where);
    const took = await one.page.evaluate(() => {
      const [page] = performance.getEntriesByType('navigation');
      return page.responseStart - page.requestStart;
    });
    if (took < ms + RIGHT_MS) return one;
    await one.page.close();
  }
}

// capability: L19
test('clock: right within 50 ms on a fast network, whose client comes late', async (t) => {
  const of = await start(t, { clientMs: 1820 });
  const { page } = await undisturbed(of, 'bare', 0);
  const by = await error(page);
  t.diagnostic(`off by ${by} ms`);
  assert.ok(Math.abs(by) <= RIGHT_MS);
  assert.deepEqual(of.problems, []);
});

// capability: L19
test('clock: right within 50 ms on a slow network, and beside a clock that is off by hours', async (t) => {
  const of = await start(t, { ms: 300, skew: -5 * HOUR_MS, clientMs: 1000 });
  const { page } = await undisturbed(of, 'bare', 600);
  const by = await error(page);
  t.diagnostic(`off by ${by} ms`);
  assert.ok(Math.abs(by) <= RIGHT_MS);
  assert.deepEqual(of.problems, []);
});

// capability: L19
test('clock: a slow document is followed by a reading of the clock', async (t) => {
  const of = await start(t);
  let reads = 0;
  await of.context.route('**/clock', (route) => {
    reads++;
    return route.fallback();
  });
  await of.context.addInitScript(() => {
    const entries = performance.getEntriesByType.bind(performance); // as if the request had waited in the server
    performance.getEntriesByType = (type) => type !== 'navigation' ? entries(type)
      : entries(type).map((page) => ({ requestStart: page.requestStart - 4000, responseStart: page.responseStart, transferSize: 1 }));
  });
  const { page } = await of.tab();
  await isRight(page);
  assert.ok(reads >= 1);
});

// capability: L19
test('clock: right after the client has slept, and after its clock was set', async (t) => {
  const of = await start(t);
  const { page } = await of.tab();
  const bare = await of.tab('bare');
  await isRight(page);
  await isRight(bare.page);
  await of.post(`ahead/${AHEAD_MS + HOUR_MS}`); // an hour passes at the server and at the client
  const sleep = () => {
    window.skew += 3_600_000;
    document.dispatchEvent(new Event('visibilitychange'));
  };
  await page.evaluate(sleep);
  await bare.page.evaluate(sleep);
  await isRight(page, AHEAD_MS + HOUR_MS);
  await isRight(bare.page, AHEAD_MS + HOUR_MS);
  await page.evaluate(() => (window.skew += 7_200_000)); // set forward: only the server can tell
  await isRight(page, AHEAD_MS + HOUR_MS);
  for (const one of [page, bare.page]) { // set back
    await one.evaluate(() => (window.skew -= 9_000_000));
    await isRight(one, AHEAD_MS + HOUR_MS);
  }
});

// capability: L19
test('clock: elements have their formats, follow patches, and change at the right time', async (t) => {
  const of = await start(t);
  const { page, until, shows } = await of.tab();
  await shows('since', '1 days, 1 h, 01 min');
  await shows('over', 'it is over');
  await until(() => /^3[56]\d\d s$/.test(document.querySelector('#left').textContent));
  await isRight(page);
  const ends = Date.now() + AHEAD_MS + 90_000;
  await page.evaluate(() => {
    window.changes = [];
    const left = document.querySelector('#left');
    new MutationObserver(() => window.changes.push({ text: left.textContent, at: window.vestryClock(), end: Number(left.dataset.countdown) }))
      .observe(left, { childList: true, characterData: true, subtree: true });
  });
  await of.post(`ends/${ends}`); // the patch has an empty element
  await until((end) => window.changes.filter((one) => one.end === end).length >= 5, ends);
  const seen = (await page.evaluate(() => window.changes)).filter(({ end }) => end === ends);
  assert.deepEqual(seen.filter(({ text }) => !/^\d+ s$/.test(text)), []);
  for (const { text, at } of seen) assert.ok(Math.abs(parseInt(text, 10) - Math.ceil((ends - at) / 1000)) <= 1, `${text} at ${ends - at}`);
  const late = seen.slice(1).map(({ text, at }) => at - (ends - (parseInt(text, 10)) * 1000));
  t.diagnostic(`late by ${late} ms`);
  assert.ok(Math.min(...late) >= 0 && Math.min(...late) <= RIGHT_MS); // a busy machine delays some
  await of.post('ends/5');
  await shows('left', '0 s');
  assert.deepEqual(of.problems, []);
});

// capability: L19
test('clock: a hidden tab, and a page without a visible time, have no timer', { skip: sameInFirefox }, async (t) => {
  // Counts the timers of the page's clock, which it knows by their code.
  const count = () => {
    const set = window.setTimeout;
    window.timers = 0;
    window.setTimeout = (run, ...rest) => {
      if (String(run).includes('changes.takeRecords')) window.timers++;
      return set(run, ...rest);
    };
  };
  const of = await start(t, { scripts: [canBeHidden, count] });
  const { page, until } = await of.tab('?hidden'); // two times are visible, of which one is over
  await until(() => window.timers > 1);
  // The visible one disappears.
  await page.evaluate(() => document.querySelector('#since').remove());
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 20)))));
  const before = await page.evaluate(() => window.timers);
  await page.evaluate(() => new Promise((done) => setTimeout(done, 2500)));
  assert.equal(await page.evaluate(() => window.timers), before);
  await page.evaluate(() => (document.querySelector('#live').hidden = false));
  await until((least) => window.timers > least + 1, before);
  await page.evaluate(() => window.setHidden(true));
  const hidden = await page.evaluate(() => window.timers);
  await page.evaluate(() => new Promise((done) => setTimeout(done, 2500)));
  assert.equal(await page.evaluate(() => window.timers), hidden);
  await page.evaluate(() => window.setHidden(false));
  await until((least) => window.timers > least + 1, hidden);
});
