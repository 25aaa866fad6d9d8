// SPDX-License-Identifier: MIT
// The example progress, used in Chromium.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { HOSTILE, exampleFor, picture, sameOnBoth, closeChrome } = require('./harness.js');

after(closeChrome);

const shows = (tab, id, text) => tab.until(([of, is]) => document.getElementById(of).textContent === is, [id, text]);
const atLeast = (tab, percent) => tab.until((n) => parseInt(document.querySelector('#percent').textContent) >= n, percent);

test('progress: a job goes from nothing to done, in all pages', async (t) => {
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
  const late = await tab(); // comes in the middle, and sees where the job is
  await atLeast(late, 42);
  for (const each of [first, second, late]) {
    await shows(each, 'state', 'done');
    await shows(each, 'percent', '100 %');
    assert.equal(await each.page.evaluate(() => document.querySelector('progress').value), 100);
    assert.deepEqual(each.problems, []);
  }
});

test('progress: any page cancels, and another job begins from nothing', async (t) => {
  const { tab } = await exampleFor(t, 'progress');
  const [first, second] = [await tab(), await tab()];
  await first.page.click('#start');
  await atLeast(second, 3);
  await second.page.click('#cancel');
  await shows(first, 'state', 'cancelled');
  const stopped = await first.page.textContent('#percent');
  await first.page.click('#start');
  await shows(first, 'state', 'running');
  await first.until((was) => parseInt(document.querySelector('#percent').textContent) < parseInt(was), stopped);
  assert.deepEqual([...first.problems, ...second.problems], []);
});

test('progress: a job goes on without pages', async (t) => {
  const { tab, send } = await exampleFor(t, 'progress');
  assert.equal((await send('POST', 'job', '{"name":"alone"}')).status, 204);
  const late = await tab();
  await shows(late, 'job', 'alone');
  await shows(late, 'state', 'done');
});

test('progress: hostile names are names', { skip: sameOnBoth }, async (t) => {
  const { tab } = await exampleFor(t, 'progress');
  const each = await tab();
  for (const text of HOSTILE) {
    await each.page.fill('#name', text);
    await each.page.click('#start');
    await shows(each, 'job', text);
    await each.page.click('#cancel');
    await shows(each, 'state', 'cancelled');
  }
  assert.deepEqual(each.problems, []);
});
