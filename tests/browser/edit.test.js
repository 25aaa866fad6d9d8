// SPDX-License-Identifier: MIT
// The example edit, used in Chromium.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { HOSTILE, exampleFor, isOffline, pressComposing, unforeseen, picture, closeChrome } = require('./harness.js');

after(closeChrome);

const card = (page) => page.locator('#view dd').allTextContents();
const opensForm = async ({ page }) => {
  await page.click('#open');
  await page.waitForSelector('#form input');
};

const LONGEST = HOSTILE[1].padEnd(60, 'ö');
const says = ({ until }, text) => until((is) => document.querySelector('[role=alert]')?.textContent === is, text);

test('edit: a click opens a form with the stored values, and focuses it', async (t) => {
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

test('edit: saved values appear in all pages, and the focus returns', async (t) => {
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

test('edit: a save of another user keeps the focus', async (t) => {
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

// capability: L4
test('edit: half-typed text is restored after a reload, until it is saved or cancelled', async (t) => {
  const { tab } = await exampleFor(t, 'edit');
  const [ada, other] = [await tab(), await tab()];
  const loadsAgain = async () => {
    await ada.page.reload();
    await opensForm(ada);
  };
  await opensForm(ada);
  await ada.page.fill('#name', 'half a na');
  await loadsAgain(); // at once: the page sends it when it is left
  await ada.until(() => document.querySelector('#name').value === 'half a na');
  assert.equal(await ada.page.inputValue('#email'), 'ada@example.org');
  await opensForm(other);
  assert.equal(await other.page.inputValue('#name'), 'Ada Lovelace', 'it is one tab’s alone');
  await ada.page.fill('#name', 'a whole name');
  await ada.page.click('button.first');
  await other.until(() => document.querySelector('#view dd').textContent === 'a whole name');
  await ada.page.waitForSelector('#form input', { state: 'detached' });
  await loadsAgain();
  await ada.until(() => document.querySelector('#name').value === 'a whole name');
  await ada.page.fill('#name', 'not that');
  await ada.page.click('text=Cancel');
  await ada.page.waitForSelector('#form input', { state: 'detached' });
  await loadsAgain();
  assert.equal(await ada.page.inputValue('#name'), 'a whole name');
  assert.deepEqual([...ada.problems, ...other.problems], []);
});

// capability: L10
test('edit: the page shows that the server is away, then reconnects with the half-typed text', async (t) => {
  const { tab, kill, begin, send } = await exampleFor(t, 'edit');
  const ada = await tab();
  await opensForm(ada);
  await ada.page.fill('#name', 'half a na');
  await kill();
  await isOffline(ada, true);
  await ada.page.locator('#name').press('End');
  await ada.page.keyboard.type('me');
  await begin();
  await isOffline(ada, false);
  assert.equal(await ada.page.inputValue('#name'), 'half a name');
  await send('PUT', 'card', '{"name":"Grace","email":"","was_name":"Ada Lovelace","was_email":"ada@example.org"}');
  await ada.until(() => document.querySelector('#view dd').textContent === 'Grace');
  assert.equal(await ada.page.inputValue('#name'), 'half a name');
  await ada.page.click('button.first');
  await says(ada, 'Saved meanwhile by another page: “Grace”, “”. Save again to replace it.');
  await ada.page.click('button.first');
  await ada.until(() => document.querySelector('#view dd').textContent === 'half a name');
  await ada.page.waitForSelector('#form input', { state: 'detached' });
  assert.deepEqual(unforeseen(ada.problems), []);
});

test('edit: an Escape that ends a composition keeps the form, the next one closes it', async (t) => {
  const { tab } = await exampleFor(t, 'edit');
  const ada = await tab();
  const dropped = [];
  ada.page.on('request', (request) => request.method() === 'DELETE' && dropped.push(request.url()));
  await opensForm(ada);
  await ada.page.fill('#name', 'にほん');
  await pressComposing(ada.page.locator('#name'), 'Escape');
  await ada.page.click('button.first'); // the page sends requests in order, so earlier ones were answered before
  await ada.until(() => document.querySelector('#view dd').textContent === 'にほん');
  assert.deepEqual(dropped, []);
  await opensForm(ada);
  await ada.page.locator('#name').press('Escape');
  await ada.page.waitForSelector('#form input', { state: 'detached' });
  assert.equal(dropped.length, 1);
  assert.deepEqual(ada.problems, []);
});

test('edit: a card without a name is rejected, with the reason in the form', async (t) => {
  const { tab } = await exampleFor(t, 'edit');
  const ada = await tab();
  await opensForm(ada);
  await ada.page.fill('#name', '');
  await ada.page.click('button.first');
  await ada.until(() => /name is needed/.test(document.querySelector('[role=alert]').textContent));
  assert.deepEqual(await card(ada.page), ['Ada Lovelace', 'ada@example.org']);
});

test('edit: values saved by another page are not overwritten silently, also after a reload', async (t) => {
  const { tab } = await exampleFor(t, 'edit');
  const [ada, other] = [await tab(), await tab()];
  await opensForm(ada);
  await ada.page.fill('#name', 'Ada King');
  await opensForm(other);
  await other.page.fill('#name', 'Grace');
  await other.page.click('button.first');
  await ada.until(() => document.querySelector('#view dd').textContent === 'Grace');
  await ada.page.reload();
  await opensForm(ada);
  await ada.until(() => document.querySelector('#name').value === 'Ada King');
  await ada.page.click('button.first');
  await says(ada, 'Saved meanwhile by another page: “Grace”, “ada@example.org”. Save again to replace it.');
  assert.equal(await ada.page.inputValue('#name'), 'Ada King');
  await other.until(() => document.querySelector('#view dd').textContent === 'Grace');
  await ada.page.click('button.first'); // confirmed by the user
  await other.until(() => document.querySelector('#view dd').textContent === 'Ada King');
  assert.deepEqual([...ada.problems, ...other.problems], []);
});

test('edit: addresses are checked, fields accept their maximum length as text, Escape cancels', async (t) => {
  const { tab } = await exampleFor(t, 'edit');
  const ada = await tab();
  await opensForm(ada);
  for (const email of ['not an address', '@x.org', 'ada@', 'ada@example', 'a@b@c.org', 'ada@example..org', 'ada@example.']) {
    await ada.page.fill('#email', email);
    await ada.page.click('button.first');
    await says(ada, 'An address looks like name@example.org.');
    assert.equal(await ada.page.inputValue('#email'), email);
  }
  await ada.page.fill('#email', '');
  await ada.page.fill('#name', '  ');
  await ada.page.click('button.first');
  await says(ada, 'A name is needed, and no field may be too long.');
  await ada.page.fill('#name', LONGEST);
  await ada.page.click('button.first');
  await ada.until((is) => document.querySelector('#view dd').textContent === is, LONGEST);
  await opensForm(ada);
  await ada.page.fill('#name', 'Nobody');
  await ada.page.keyboard.press('Escape');
  await ada.until(() => document.activeElement.id === 'open');
  assert.equal(await ada.page.locator('#form input').count(), 0);
  assert.deepEqual(await card(ada.page), [LONGEST, '']);
  assert.deepEqual(ada.problems, []);
});
