// SPDX-License-Identifier: MIT
// The example signup, used in Chromium.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { HOSTILE, exampleFor, picture, sameOnBoth, closeChrome } = require('./harness.js');

after(closeChrome);

const wrong = (tab, field, text) =>
  tab.until(([of, is]) => document.getElementById(`${of}-error`).textContent === is, [field, text]);
async function fill({ page }, fields) {
  for (const [field, text] of Object.entries(fields)) await page.fill(`#${field}`, text);
}

test('signup: what is wrong is said while one types, and taken back', async (t) => {
  const { tab } = await exampleFor(t, 'signup');
  const ada = await tab('', { viewport: { width: 390, height: 640 }, colorScheme: 'light' });
  await fill(ada, { name: 'Ada Lovelace', email: 'ada' });
  await wrong(ada, 'email', 'An address looks like name@example.org.');
  assert.equal(await ada.page.getAttribute('#email', 'aria-invalid'), 'true');
  assert.equal(await ada.page.getAttribute('#email', 'aria-describedby'), 'email-error');
  await fill(ada, { seats: '7' });
  await wrong(ada, 'seats', 'an integer from 1 to 4 is expected');
  assert.equal(await ada.page.inputValue('#seats'), '7', 'nobody is interrupted');
  await picture(ada.page, 'signup');
  await fill(ada, { email: 'ada@example.org', seats: '2' });
  await wrong(ada, 'email', '');
  await wrong(ada, 'seats', '');
  assert.equal(await ada.page.getAttribute('#email', 'aria-invalid'), 'false');
  await wrong(ada, 'name', '');
  assert.deepEqual(ada.problems, []);
});

test('signup: an empty form is refused, field by field', async (t) => {
  const { tab } = await exampleFor(t, 'signup');
  const ada = await tab();
  await ada.page.click('text=Sign up');
  await wrong(ada, 'name', 'This is needed.');
  await wrong(ada, 'email', 'This is needed.');
  assert.equal(await ada.page.textContent('#left'), '12');
});

test('signup: all pages see how many seats are left; an address signs up once', async (t) => {
  const { tab } = await exampleFor(t, 'signup');
  const [ada, bob] = [await tab(), await tab()];
  await fill(ada, { name: 'Ada', email: 'ada@example.org', seats: '3' });
  await ada.page.click('text=Sign up');
  await ada.until(() => document.querySelector('p#form')?.textContent === 'Thank you, Ada! Seats kept for you: 3');
  for (const each of [ada, bob]) await each.until(() => document.querySelector('#left').textContent === '9');
  await fill(bob, { name: 'Bob', email: 'ada@example.org' });
  await wrong(bob, 'email', 'This address has signed up.');
  await bob.page.click('text=Sign up');
  await wrong(bob, 'email', 'This address has signed up.');
  assert.equal(await bob.page.textContent('#left'), '9');
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

test('signup: the last seats, and none beyond them', async (t) => {
  const { tab, send } = await exampleFor(t, 'signup');
  const body = (i, seats) => JSON.stringify({ name: 'N', email: `n${i}@example.org`, seats });
  await Promise.all([4, 4, 3].map((seats, i) => send('POST', 'signup', body(i, seats))));
  const last = await tab();
  await last.until(() => document.querySelector('#left').textContent === '1');
  await fill(last, { name: 'Last', email: 'last@example.org', seats: '2' });
  await wrong(last, 'seats', 'So many are not left.');
  await Promise.all([1, 1, 1, 1].map((seats, i) => send('POST', 'signup', body(i + 9, seats))));
  await last.until(() => document.querySelector('#left').textContent === '0');
});

test('signup: hostile names are names', { skip: sameOnBoth }, async (t) => {
  const { tab } = await exampleFor(t, 'signup');
  const each = await tab();
  for (const [i, text] of HOSTILE.slice(0, 12).entries()) {
    await fill(each, { name: text, email: `m${i}@example.org` });
    await each.page.click('text=Sign up');
    await each.until(
      (is) => document.querySelector('p#form')?.textContent === `Thank you, ${is}! Seats kept for you: 1`, text);
    await each.page.reload();
  }
  assert.deepEqual(each.problems, []);
});
