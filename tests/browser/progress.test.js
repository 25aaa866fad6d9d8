// SPDX-License-Identifier: MIT
// The example progress, used in Chromium.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { exampleFor, picture, closeChrome } = require('./harness.js');

after(closeChrome);

const shows = (tab, id, text) => tab.until(([of, is]) => document.getElementById(of).textContent === is, [id, text]);
const atLeast = (tab, percent) => tab.until((n) => parseInt(document.querySelector('#percent').textContent) >= n, percent);

test('progress: a job runs from the start to the end, in all pages', async (t) => {
  const { tab } = await exampleFor(t, 'progress');
  const [first, second] = [await tab(), await tab('', { viewport: { width: 390, height: 520 }, colorScheme: 'light' })];
  await shows(first, 'state', 'idle');
  await first.page.fill('#name', 'Indexing the library');
  await first.page.click('#start');
  for (const each of [first, second]) {
    await shows(each, 'state', 'running');
    await shows(each, 'job', 'Indexing the library');
  }
  assert.equal(await second.page.getAttribute('#start', 'aria-disabled'), 'true');
  await atLeast(second, 42);
  await picture(second.page, 'progress');
  const late = await tab(); // opens in the middle, and shows the current state
  await atLeast(late, 42);
  for (const each of [first, second, late]) {
    await shows(each, 'state', 'done');
    await shows(each, 'percent', '100 %');
    assert.equal(await each.page.evaluate(() => document.querySelector('progress').value), 100);
    assert.deepEqual(each.problems, []);
  }
});

// The first page starts a job, and the second one cancels it at this percentage; return its final state. A job takes
// four seconds, so on a busy machine it may end before the click is handled: then start another one.
async function cancelled([first, second], percent) {
  for (let tries = 1; tries <= 20; tries++) {
    const name = `job ${percent} ${tries}`;
    await first.page.fill('#name', name);
    await first.page.click('#start');
    await shows(second, 'job', name);
    await atLeast(second, percent);
    await second.page.click('#cancel');
    await first.until((is) => document.querySelector('#job').textContent === is
      && ['cancelled', 'done'].includes(document.querySelector('#state').textContent), name);
    if ((await first.page.textContent('#state')) === 'cancelled') return parseInt(await first.page.textContent('#percent'));
  }
  assert.fail('no job is cancelled');
}

test('progress: any page can cancel, and another job starts from zero', async (t) => {
  const { tab } = await exampleFor(t, 'progress');
  const pages = [await tab(), await tab()];
  // The second job shows less than the first one did; the exact value depends on the machine.
  let first, second;
  for (let tries = 1; tries <= 20; tries++) {
    [first, second] = [await cancelled(pages, 60), await cancelled(pages, 0)];
    if (second < first) break;
  }
  assert.ok(second < first, `cancelled at ${first} %, the next one at ${second} %`);
  assert.deepEqual(pages.flatMap((page) => page.problems), []);
});

test('progress: a job continues without pages', async (t) => {
  const { tab, send } = await exampleFor(t, 'progress');
  assert.equal((await send('POST', 'job', '{"name":"alone"}')).status, 204);
  const late = await tab();
  await shows(late, 'job', 'alone');
  await shows(late, 'state', 'done');
});

test('progress: without its server, a page is disabled and shows no progress; only the state is announced', async (t) => {
  const { tab, kill } = await exampleFor(t, 'progress');
  const each = await tab();
  await each.page.click('#start');
  await atLeast(each, 5);
  assert.equal(await each.page.locator(':is([aria-live], [role=status], output) #percent, output#percent').count(), 0);
  await kill();
  await each.until(() => /^(was running|done) at .*\d/.test(document.querySelector('#state').textContent));
  assert.deepEqual(await each.page.locator('#start, #cancel').evaluateAll((all) => all.map((one) => one.getAttribute('aria-disabled'))),
    ['true', 'true']);
});
