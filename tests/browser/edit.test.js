// SPDX-License-Identifier: MIT
// The example edit, used in Chromium.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { HOSTILE, exampleFor, picture, sameOnBoth, closeChrome } = require('./harness.js');

after(closeChrome);

const card = (page) => page.locator('#view dd').allTextContents();
const opensForm = async ({ page }) => {
  await page.click('#open');
  await page.waitForSelector('#form input');
};

test('edit: a click opens a form with what is there, the focus in it', async (t) => {
  const { tab } = await exampleFor(t, 'edit');
  const ada = await tab('', { viewport: { width: 390, height: 520 }, colorScheme: 'light' });
  assert.deepEqual(await card(ada.page), ['Ada Lovelace', 'ada@example.org']);
  await opensForm(ada);
  await ada.until(() => document.activeElement.id === 'name');
  assert.equal(await ada.page.inputValue('#name'), 'Ada Lovelace');
  assert.equal(await ada.page.inputValue('#email'), 'ada@example.org');
  assert.equal(await ada.page.isVisible('#view'), false);
  assert.equal(await ada.page.getByLabel('Email').count(), 1);
  await picture(ada.page, 'edit');
  assert.deepEqual(ada.problems, []);
});

test('edit: what is saved is seen in all pages, and the focus returns', async (t) => {
  const { tab } = await exampleFor(t, 'edit');
  const [ada, other, editing] = [await tab(), await tab(), await tab()];
  await opensForm(editing);
  await editing.page.fill('#name', 'half a na');
  await opensForm(ada);
  await ada.page.fill('#name', 'Grace Hopper');
  await ada.page.keyboard.press('Enter');
  await ada.until(() => document.activeElement.id === 'open');
  for (const { page, until } of [ada, other]) {
    await until(() => document.querySelector('#view dd').textContent === 'Grace Hopper');
    assert.equal(await page.isVisible('#view'), true);
  }
  await editing.until(() => document.querySelector('#view dd').textContent === 'Grace Hopper');
  assert.equal(await editing.page.inputValue('#name'), 'half a na', 'whoever edits is not disturbed');
  assert.deepEqual([...ada.problems, ...other.problems, ...editing.problems], []);
});

test('edit: what others save leaves the focus where it is', async (t) => {
  const { tab } = await exampleFor(t, 'edit');
  const [ada, other] = [await tab(), await tab()];
  await ada.page.focus('#open');
  await opensForm(other);
  await other.page.fill('#name', 'Grace Hopper');
  await other.page.keyboard.press('Enter');
  await ada.until(() => document.querySelector('#view dd').textContent === 'Grace Hopper');
  assert.equal(await ada.page.evaluate(() => document.activeElement.id), 'open');
});

test('edit: cancel changes nothing', async (t) => {
  const { tab } = await exampleFor(t, 'edit');
  const ada = await tab();
  await opensForm(ada);
  await ada.page.fill('#name', 'Nobody');
  await ada.page.click('text=Cancel');
  await ada.page.waitForSelector('#form input', { state: 'detached' });
  assert.deepEqual(await card(ada.page), ['Ada Lovelace', 'ada@example.org']);
  await opensForm(ada);
  await ada.until(() => document.querySelector('#name').value === 'Ada Lovelace');
});

test('edit: a card without a name is refused, and the form says why', async (t) => {
  const { tab } = await exampleFor(t, 'edit');
  const ada = await tab();
  await opensForm(ada);
  await ada.page.fill('#name', '');
  await ada.page.click('text=Save');
  await ada.until(() => /name is needed/.test(document.querySelector('[role=alert]').textContent));
  assert.deepEqual(await card(ada.page), ['Ada Lovelace', 'ada@example.org']);
});

test('edit: hostile names are names', { skip: sameOnBoth }, async (t) => {
  const { tab } = await exampleFor(t, 'edit');
  const [ada, other] = [await tab(), await tab()];
  for (const text of HOSTILE) {
    await opensForm(ada);
    await ada.page.fill('#name', text);
    await ada.page.click('text=Save');
    await other.until((is) => document.querySelector('#view dd').textContent === is, text);
    await ada.page.waitForSelector('#form input', { state: 'detached' });
    await other.page.reload();
    assert.equal((await card(other.page))[0], text);
  }
  assert.deepEqual([...ada.problems, ...other.problems], []);
});
