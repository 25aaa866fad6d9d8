// SPDX-License-Identifier: MIT
// L9: the presence of tabs: a tab answers the events of its stream, and a stream without answers ends.
'use strict';
process.env.LEASE_MS = '4000'; // heartbeats come every 800 ms
const { after, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const { startExample, newSession, send, canBeHidden, closeChrome } = require('./harness.js');
const { startProxy } = require('./proxy.js');

after(closeChrome);

// The page opens streams again that were silent for two and a half heartbeats, or two seconds, which a busy machine may
// exceed. Here this is not tested (see alive.test.js), so the patience is longer, and leases are twice as long. Runs in
// the page, before its scripts.
const patient = () => (HTMLElement.prototype.patience = () => 3_600_000);

async function start(t, ...first) {
  const server = await startExample('test_browser_alive');
  t.after(() => server.stop());
  const proxy = await startProxy(t, server);
  const session = await newSession(t);
  for (const script of first) await session.context.addInitScript(script);
  const tab = await session.tab(proxy.url);
  const seen = async () => JSON.parse((await send('GET', `${server.url}seen`)).text);
  const until = async (condition) => {
    while (!(await condition(await seen()))) await new Promise((done) => setTimeout(done, 20));
  };
  const say = async (text) => {
    assert.equal((await send('POST', `${server.url}say`, text)).status, 204);
    for (const id of ['a', 'b']) await tab.shows(id, text);
  };
  return { ...tab, url: server.url, proxy, seen, until, say, problems: session.problems };
}
const faults = (problems) => problems.filter((problem) => !/ERR_|Failed to load resource/.test(problem));

// The tests mostly wait.
describe('lease', { concurrency: 4 }, () => {
  // capability: L9
  test('l9: an open tab answers, and keeps its streams', async (t) => {
    const { until, seen, say, problems } = await start(t, patient);
    await until(({ leases }) => leases === 2);
    await until(({ answers }) => answers >= 16); // about seven heartbeats of each stream; a lease is five
    await say('7');
    const { opened, open, expired, unknown } = await seen();
    assert.deepEqual({ opened, open, expired, unknown }, { opened: 2, open: 2, expired: 0, unknown: 0 });
    assert.deepEqual(problems, []);
  });

  // capability: L9
  test('l9: events are answered even if timers are frozen, and a busy stream is answered now and then', async (t) => {
    const { until, seen, say, problems } = await start(t, patient, () => (window.setInterval = () => 0));
    await until(({ leases }) => leases === 2);
    await until(({ answers }) => answers >= 12);
    const before = await seen();
    for (let n = 1; n <= 30; n++) await say(String(n)); // at once: far more than answers
    const { opened, expired, answers } = await seen();
    assert.deepEqual({ opened, expired }, { opened: 2, expired: 0 });
    assert.ok(answers - before.answers < 60, `${answers - before.answers} answers to 60 events`);
    assert.deepEqual(problems, []);
  });

  // capability: L9
  test('l9: a tab whose network drops everything is removed, and returns with its network', async (t) => {
    const { until, proxy, seen, say, problems } = await start(t);
    await until(({ leases }) => leases === 2);
    proxy.swallow();
    await until(({ open }) => open === 0);
    const { expired, leases } = await seen();
    assert.deepEqual({ expired, leases }, { expired: 2, leases: 0 });
    proxy.back();
    await say('8');
    await until(({ open, leases: begun }) => open === 2 && begun === 2);
    assert.deepEqual(faults(problems), []);
  });

  // capability: L9
  test('l9: if answers cannot reach the server, streams stay open, and the tab stops answering', async (t) => {
    const server = await startExample('test_browser_alive');
    t.after(() => server.stop());
    const proxy = await startProxy(t, server);
    proxy.refuse = 405;
    const session = await newSession(t);
    await session.context.addInitScript(patient);
    const tab = await session.tab(proxy.url);
    const signs = () => proxy.streams.length === 2 && proxy.streams.every((stream) => stream.signs() >= 9); // twice the time of a lease
    while (!signs()) await new Promise((done) => setTimeout(done, 20));
    const { opened, leases, expired } = JSON.parse((await send('GET', `${server.url}seen`)).text);
    assert.deepEqual({ opened, leases, expired }, { opened: 2, leases: 0, expired: 0 });
    assert.equal(proxy.answers, 2);
    await send('POST', `${server.url}say`, '9');
    await tab.shows('a', '9');
  });

  // capability: L9
  test('l9: a failed answer is repeated in time', async (t) => {
    const { until, proxy, seen, problems } = await start(t, patient);
    await until(({ leases }) => leases === 2);
    for (let times = 0; times < 3; times++) {
      proxy.refuse = 502;
      const failed = proxy.answers;
      while (proxy.answers < failed + 2) await new Promise((done) => setTimeout(done, 20));
      proxy.refuse = 0;
      const { answers } = await seen();
      await until((now) => now.answers >= answers + 4);
    }
    const { opened, expired } = await seen();
    assert.deepEqual({ opened, expired }, { opened: 2, expired: 0 });
    assert.deepEqual(faults(problems), []);
  });

  // capability: L9
  test('l9: a tab that is still receiving a large event counts as present', async (t) => {
    const { until, proxy, seen } = await start(t, patient);
    await until(({ leases }) => leases === 2);
    proxy.lose(); // the last bytes of the event never arrive
    const { answers } = await seen();
    await until((now) => now.answers >= answers + 16); // more than twice the time of a lease
    const { opened, open, expired } = await seen();
    assert.deepEqual({ opened, open, expired }, { opened: 2, open: 2, expired: 0 });
  });

  // capability: L9
  test('l9: a hidden tab has no stream, and answers nothing', async (t) => {
    const { until, proxy, page, seen, url, problems } = await start(t, canBeHidden);
    await until(({ leases }) => leases === 2);
    await page.evaluate(() => window.setHidden(true));
    await until(({ open }) => open === 0);
    const { answers } = proxy;
    const other = await (await newSession(t)).tab(url); // in another browser, without the proxy: its heartbeats are the clock
    const { answers: before } = await seen();
    await until(({ answers: now }) => now >= before + 8);
    await other.page.close();
    assert.equal(proxy.answers, answers);
    assert.equal((await seen()).expired, 0);
    await page.evaluate(() => window.setHidden(false));
    await until(({ leases }) => leases === 2);
    assert.deepEqual(problems, []);
  });
});
