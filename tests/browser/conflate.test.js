// SPDX-License-Identifier: MIT
// F3: pages that receive more events than they can read. If the events name their states, a page shows at the end the
// same as a page that received every event.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { exampleFor, closeChrome } = require('./harness.js');

after(closeChrome);

const ROUNDS_MAX = 20; // a burst is written while it is sent, so possibly nothing is conflated

// A page that counts the events of its client, and returns its signals.
async function watched(tab, where) {
  const { page, until, problems } = await tab(where);
  await page.evaluate(() => {
    window.patches = { 'datastar-patch-elements': 0, 'datastar-patch-signals': 0 };
    document.addEventListener('datastar-fetch', ({ detail }) => {
      if (detail.type in window.patches) window.patches[detail.type]++;
    });
  });
  await until(() => document.querySelector('#server').textContent !== '0');
  return {
    problems,
    received: () => page.evaluate(() => Object.values(window.patches).reduce((sum, count) => sum + count)),
    signalsCount: () => page.evaluate(() => window.patches['datastar-patch-signals']),
    done: (round) => until((n) => document.querySelector('#done').textContent === String(n), round),
    dom: () => page.innerHTML('main'),
    list: () => page.locator('#list li').count(),
    log: () => page.textContent('#log'),
    async signals() {
      const [request] = await Promise.all([page.waitForRequest((r) => r.url().endsWith('/report')), page.click('#report')]);
      return request.postDataJSON();
    },
  };
}

// capability: F3
test('f3: a page with conflated events shows the same in the end', async (t) => {
  const { tab, send } = await exampleFor(t, 'test_browser_streams');
  const seen = async () => JSON.parse((await send('GET', 'seen')).text);
  const all = await watched(tab, '?tab=all');
  const some = await watched(tab, '?stream=conflating&tab=some');
  const before = { all: await all.received(), some: await some.received(), seen: await seen() };
  assert.equal(before.seen.conflated, 0);
  let round = 0;
  do {
    round++;
    assert.equal((await send('POST', 'burst', '{}')).status, 204);
    await all.done(round);
    await some.done(round);
  } while ((await seen()).conflated === 0 && round < ROUNDS_MAX);
  const { accepted, written, conflated, discarded } = await seen();
  t.diagnostic(`${conflated} of ${(accepted - before.seen.accepted) / 2} left out after ${round} bursts`);
  assert.ok(conflated > 0);
  assert.equal(accepted, written + conflated);
  assert.equal(discarded, 0);
  // Events were conflated for this page only: those with a state, but no appends and scripts.
  const sent = { all: (await all.received()) - before.all, some: (await some.received()) - before.some };
  assert.equal(sent.all, (accepted - before.seen.accepted) / 2);
  assert.equal(sent.some, sent.all - conflated);
  assert.equal(await some.list(), await all.list());
  assert.equal(await some.list(), 20 * round);
  assert.equal((await some.log()).split('; ').length - 1, 4 * round);
  assert.equal(await some.log(), await all.log()); // the state that each script saw
  assert.equal(await some.dom(), await all.dom());
  assert.deepEqual(await some.signals(), await all.signals());
  assert.deepEqual([...all.problems, ...some.problems], []);
});
