// SPDX-License-Identifier: MIT
// The example signup, used in Chromium.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { HOSTILE, exampleFor, isOffline, unforeseen, picture, closeChrome } = require('./harness.js');

after(closeChrome);

const wrong = (tab, field, text) =>
  tab.until(([of, is]) => document.getElementById(`${of}-error`).textContent === is, [field, text]);
async function fill({ page }, fields) {
  for (const [field, text] of Object.entries(fields)) await page.fill(`#${field}`, text);
  await page.evaluate(() => document.activeElement.blur()); // the last field loses the focus
}

test('signup: an error appears when its field is left, and disappears while typing', async (t) => {
  const { tab } = await exampleFor(t, 'signup');
  const ada = await tab('', { viewport: { width: 390, height: 640 }, colorScheme: 'light' });
  await fill(ada, { name: 'Ada Lovelace', seats: '7' });
  await wrong(ada, 'seats', 'Seats: a whole number from 1 to 4.');
  const typed = ada.page.waitForResponse(/typing/);
  await ada.page.locator('#email').pressSequentially('ada');
  await typed; // other fields are checked again; an unfinished address gets no error
  await wrong(ada, 'email', '');
  await ada.page.locator('#email').blur();
  await wrong(ada, 'email', 'An address looks like name@example.org.');
  assert.equal(await ada.page.getAttribute('#email', 'aria-invalid'), 'true');
  assert.equal(await ada.page.getAttribute('#email', 'aria-describedby'), 'email-error');
  assert.equal(await ada.page.inputValue('#seats'), '7', 'other fields stay unchanged');
  await picture(ada.page, 'signup');
  await fill(ada, { email: 'ada@example.org', seats: '2' });
  await wrong(ada, 'email', '');
  await wrong(ada, 'seats', '');
  assert.equal(await ada.page.getAttribute('#email', 'aria-invalid'), 'false');
  await wrong(ada, 'name', '');
  assert.deepEqual(ada.problems, []);
});

test('signup: an empty form is rejected, with an error for each field', async (t) => {
  const { tab } = await exampleFor(t, 'signup');
  const ada = await tab();
  await ada.page.click('text=Sign up');
  await wrong(ada, 'name', 'This field is required.');
  await wrong(ada, 'email', 'This field is required.');
  assert.equal(await ada.page.textContent('#left'), '12');
});

test('signup: all pages show the number of free seats; an address signs up once', async (t) => {
  const { tab } = await exampleFor(t, 'signup');
  const [ada, bob] = [await tab(), await tab()];
  await fill(ada, { name: 'Ada', email: 'ada@example.org', seats: '3' });
  await ada.page.click('text=Sign up');
  await ada.until(() => document.querySelector('p#form')?.textContent === 'Thank you, Ada! Seats reserved for you: 3');
  for (const each of [ada, bob]) await each.until(() => document.querySelector('#left').textContent === '9');
  await fill(bob, { name: 'Bob', email: 'ada@example.org' });
  await wrong(bob, 'email', 'This address has already signed up.');
  await bob.page.click('text=Sign up');
  await wrong(bob, 'email', 'This address has already signed up.');
  assert.equal(await bob.page.textContent('#left'), '9');
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

// capability: L4
test('signup: half-typed text is restored after a reload, and checked; after the sign-up it is gone', async (t) => {
  const { tab } = await exampleFor(t, 'signup');
  const ada = await tab();
  await fill(ada, { name: 'Ada', email: 'ada at home', seats: '3' });
  await ada.page.reload(); // at once: the page sends it when it is left
  await ada.until(() => document.querySelector('#name').value === 'Ada');
  await ada.page.locator('#email').press('End');
  await ada.page.keyboard.type('!');
  await ada.page.locator('#email').blur();
  await wrong(ada, 'email', 'An address looks like name@example.org.');
  assert.equal(await ada.page.inputValue('#seats'), '3');
  await fill(ada, { email: 'ada@example.org' });
  await ada.page.click('text=Sign up');
  await ada.until(() => document.querySelector('p#form')?.textContent === 'Thank you, Ada! Seats reserved for you: 3');
  await ada.page.reload();
  await ada.until(() => window.vestryForms?.all?.signup?.isKnown()); // stored text would be restored by then
  assert.equal(await ada.page.inputValue('#name'), '');
  assert.deepEqual(ada.problems, []);
});

// capability: L10
test('signup: the page shows that the server is away, then reconnects with the half-typed text', async (t) => {
  const { tab, kill, begin, send } = await exampleFor(t, 'signup');
  const ada = await tab();
  await send('POST', 'signup', '{"name":"N","email":"n@example.org","seats":2}');
  await ada.until(() => document.querySelector('#left').textContent === '10');
  await fill(ada, { name: 'Ada', email: 'ada@example.org' });
  await kill();
  await isOffline(ada, true);
  await fill(ada, { seats: '2' });
  await begin(); // as new: all seats are free
  await isOffline(ada, false);
  await ada.until(() => document.querySelector('#left').textContent === '12');
  assert.deepEqual(await Promise.all(['name', 'email', 'seats'].map((id) => ada.page.inputValue(`#${id}`))), ['Ada', 'ada@example.org', '2']);
  await ada.page.click('text=Sign up');
  await ada.until(() => document.querySelector('p#form')?.textContent === 'Thank you, Ada! Seats reserved for you: 2');
  await ada.until(() => document.querySelector('#left').textContent === '10');
  assert.deepEqual(unforeseen(ada.problems), []);
});

test('signup: the last seats can be taken, and none beyond them', async (t) => {
  const { tab, send } = await exampleFor(t, 'signup');
  const body = (i, seats) => JSON.stringify({ name: 'N', email: `n${i}@example.org`, seats });
  await Promise.all([4, 4, 3].map((seats, i) => send('POST', 'signup', body(i, seats))));
  const last = await tab();
  await last.until(() => document.querySelector('#left').textContent === '1');
  await fill(last, { name: 'Last', email: 'last@example.org', seats: '2' });
  await wrong(last, 'seats', 'There are not enough seats left.');
  await Promise.all([1, 1, 1, 1].map((seats, i) => send('POST', 'signup', body(i + 9, seats))));
  await last.until(() => document.querySelector('#left').textContent === '0');
  await last.until(() => document.querySelector('fieldset').disabled && document.querySelector('#form > form > p').checkVisibility());
  assert.equal(await last.page.inputValue('#name'), 'Last', 'the typed text is visible');
  const late = await tab();
  await late.until(() => document.querySelector('fieldset').disabled);
  assert.equal(await late.page.textContent('#left'), '0');
});

test('signup: fields accept their maximum length as text, and spaces are not a name', async (t) => {
  const { tab } = await exampleFor(t, 'signup');
  const ada = await tab();
  await fill(ada, { name: '  ', email: 'ada@example.org' });
  await ada.page.click('text=Sign up');
  await wrong(ada, 'name', 'This field is required.');
  const longest = HOSTILE[1].padEnd(40, 'Ä');
  await fill(ada, { name: longest });
  await ada.page.click('text=Sign up');
  await ada.until((is) => document.querySelector('p#form')?.textContent === `Thank you, ${is}! Seats reserved for you: 1`, longest);
  assert.deepEqual(ada.problems, []);
});
