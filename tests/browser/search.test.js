// SPDX-License-Identifier: MIT
// The example search, used in Chromium.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { HOSTILE, exampleFor, picture, sameOnBoth, closeChrome } = require('./harness.js');

after(closeChrome);

const says = (tab, text) => tab.until((is) => document.querySelector('[role=status]').textContent === is, text);

test('search: the list follows what is typed, and marks it', async (t) => {
  const { tab } = await exampleFor(t, 'search');
  const birds = await tab('', { viewport: { width: 390, height: 560 }, colorScheme: 'dark' });
  await says(birds, '42 of 42 birds');
  await birds.page.locator('#query').pressSequentially('FINCH');
  await says(birds, '4 of 42 birds');
  assert.deepEqual(new Set(await birds.page.locator('mark').allTextContents()), new Set(['finch']));
  assert.equal(await birds.page.evaluate(() => document.activeElement.id), 'query', 'one goes on typing');
  await picture(birds.page, 'search');
  await birds.page.fill('#query', '');
  await says(birds, '42 of 42 birds');
  assert.deepEqual(birds.problems, []);
});

test('search: the address can be kept', async (t) => {
  const { tab } = await exampleFor(t, 'search');
  const birds = await tab();
  await birds.page.fill('#query', 'owl');
  await birds.until(() => new URLSearchParams(location.search).get('query') === 'owl');
  await birds.page.reload();
  assert.equal(await birds.page.inputValue('#query'), 'owl');
  await says(birds, '3 of 42 birds');
  assert.deepEqual(birds.problems, []);
});

test('search: it works without a script', async (t) => {
  const { tab } = await exampleFor(t, 'search');
  const { page } = await tab('', { javaScriptEnabled: false });
  await page.fill('#query', 'parus');
  await page.keyboard.press('Enter');
  await page.waitForURL(/query=parus/);
  assert.equal(await page.locator('#results li').count(), 2);
});

test('search: hostile queries find nothing and do nothing', { skip: sameOnBoth }, async (t) => {
  const { tab } = await exampleFor(t, 'search');
  const birds = await tab();
  for (const text of HOSTILE) {
    await birds.page.fill('#query', text);
    await says(birds, `No bird is called “${text}”.`);
    await birds.until((is) => new URLSearchParams(location.search).get('query') === is, text);
    await birds.page.reload();
    assert.equal(await birds.page.inputValue('#query'), text);
  }
  assert.deepEqual(birds.problems, []);
});
