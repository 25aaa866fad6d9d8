// SPDX-License-Identifier: MIT
// The example search, used in Chromium.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { exampleFor, isOffline, sameInFirefox, unforeseen, picture, closeChrome } = require('./harness.js');

after(closeChrome);

const says = (tab, text) => tab.until((is) => document.querySelector('[role=status]').textContent === is, text);

test('search: the list follows the typed text, and marks it', async (t) => {
  const { tab } = await exampleFor(t, 'search');
  const birds = await tab('', { viewport: { width: 390, height: 560 }, colorScheme: 'dark' });
  await says(birds, '42 of 42 birds');
  await birds.page.locator('#query').pressSequentially('FINCH');
  await says(birds, '4 of 42 birds');
  assert.deepEqual(new Set(await birds.page.locator('mark').allTextContents()), new Set(['finch']));
  assert.equal(await birds.page.evaluate(() => document.activeElement.id), 'query', 'the focus stays');
  await picture(birds.page, 'search');
  await birds.page.fill('#query', '');
  await says(birds, '42 of 42 birds');
  assert.deepEqual(birds.problems, []);
});

test('search: the address contains the search', async (t) => {
  const { tab } = await exampleFor(t, 'search');
  const birds = await tab();
  await birds.page.fill('#query', 'owl');
  await birds.until(() => new URLSearchParams(location.search).get('query') === 'owl');
  await birds.page.reload();
  assert.equal(await birds.page.inputValue('#query'), 'owl');
  await says(birds, '3 of 42 birds');
  assert.deepEqual(birds.problems, []);
});

// capability: L3
test('search: back and forward, without another document', async (t) => {
  const { tab } = await exampleFor(t, 'search');
  const birds = await tab();
  await birds.page.evaluate(() => (window.isTheSame = true));
  await birds.page.locator('#query').pressSequentially('owl');
  await says(birds, '3 of 42 birds');
  await birds.page.keyboard.press('Enter'); // done: text typed from now on is another search
  await birds.page.fill('#query', 'finch');
  await says(birds, '4 of 42 birds');
  await birds.page.goBack();
  await says(birds, '3 of 42 birds');
  await birds.until(() => document.querySelector('#query').value === 'owl' && location.search === '?query=owl');
  await birds.page.goBack();
  await says(birds, '42 of 42 birds');
  await birds.page.goForward();
  await says(birds, '3 of 42 birds');
  assert.ok(await birds.page.evaluate(() => window.isTheSame));
  assert.deepEqual(birds.problems, []);
});

// capability: L10
test('search: a word that a keyboard still composes is searched for', { skip: sameInFirefox }, async (t) => {
  const { tab } = await exampleFor(t, 'search');
  const birds = await tab();
  const keys = await birds.page.context().newCDPSession(birds.page);
  await birds.page.focus('#query');
  for (const text of ['C', 'Co', 'Coot']) await keys.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length });
  await says(birds, '1 of 42 birds');
  assert.equal(await birds.page.inputValue('#query'), 'Coot');
  assert.deepEqual(birds.problems, []);
});

// capability: L10
test('search: text typed while the server is away is searched for when it is back', async (t) => {
  const { tab, kill, begin } = await exampleFor(t, 'search');
  const birds = await tab();
  await birds.page.fill('#query', 'owl');
  await says(birds, '3 of 42 birds');
  await kill();
  await isOffline(birds, true);
  await birds.page.fill('#query', 'finch');
  await begin();
  await says(birds, '4 of 42 birds');
  await isOffline(birds, false);
  assert.equal(await birds.page.inputValue('#query'), 'finch');
  assert.deepEqual(unforeseen(birds.problems), []);
});

test('search: spaces around and between words are ignored', async (t) => {
  const { tab } = await exampleFor(t, 'search');
  const birds = await tab();
  await birds.page.fill('#query', '  blue   tit ');
  await says(birds, '1 of 42 birds');
  await birds.page.fill('#query', ' tit ');
  await birds.until(() => /^\d+ of 42 birds$/.test(document.querySelector('[role=status]').textContent)
    && document.querySelectorAll('mark').length > 1);
  assert.deepEqual(new Set(await birds.page.locator('mark').allTextContents()), new Set(['tit']));
  await birds.page.fill('#query', 'ä'.repeat(40));
  await says(birds, `No bird is called “${'ä'.repeat(40)}”.`);
  assert.deepEqual(birds.problems, []);
});

test('search: while the server is away, the list names its search', async (t) => {
  const { tab, kill } = await exampleFor(t, 'search');
  const birds = await tab('?query=robin');
  assert.equal(await birds.page.isVisible('#not-yet'), false);
  await kill();
  await birds.until(() => document.querySelector('#not-yet').checkVisibility());
  assert.match(await birds.page.textContent('#not-yet'), /^These are the birds for “robin”\./);
});

test('search: works without a script', async (t) => {
  const { tab } = await exampleFor(t, 'search');
  const { page } = await tab('', { javaScriptEnabled: false });
  await page.fill('#query', 'parus');
  await page.keyboard.press('Enter');
  await page.waitForURL(/query=parus/);
  assert.equal(await page.locator('#results li').count(), 2);
});
