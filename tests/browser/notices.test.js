// SPDX-License-Identifier: MIT
// The example notices, used in Chromium.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { exampleFor, picture, closeChrome } = require('./harness.js');

after(closeChrome);

// Open a user's page with its stream: a notice to it was shown, and dismissed.
async function pageOf(tab, user, options) {
  const page = await tab(`?user=${encodeURIComponent(user)}`, options);
  do await send(page, user, 'hello');
  while ((await page.page.textContent('#message')) !== 'Sent to 1 page.');
  await page.page.getByLabel('Dismiss').click();
  return page;
}
// Send a notice, and wait for the response, which empties the field.
async function send({ page, until }, to, text) {
  await page.fill('#to', to);
  await page.fill('#text', text);
  await page.click('text=Send');
  await until(() => document.querySelector('#text').value === '');
}
const first = (tab, text) => tab.until((is) => document.querySelector('#notices li span span')?.textContent === is, text);

test('notices: to all users, and to one', async (t) => {
  const { tab } = await exampleFor(t, 'notices');
  const ada = await pageOf(tab, 'ada', { viewport: { width: 390, height: 560 }, colorScheme: 'dark', reducedMotion: 'reduce' });
  const bob = await pageOf(tab, 'bob');
  await send(bob, '', 'The library closes at six.');
  await first(ada, 'The library closes at six.');
  await first(bob, 'The library closes at six.');
  assert.match(await bob.page.textContent('#message'), /^Sent to 2 pages\.$/);
  await send(bob, 'ada', 'Your book is back, do fetch it.');
  await first(ada, 'Your book is back, do fetch it.');
  await send(ada, 'bob', 'Thanks!');
  await first(bob, 'Thanks!'); // no other notice came before it
  assert.equal(await bob.page.locator('#notices li').count(), 2);
  assert.equal(await ada.page.textContent('#notices li b'), 'bob');
  await picture(ada.page, 'notices');
  await send(ada, 'nobody', 'Hello?');
  await ada.until(() => document.querySelector('#message').textContent === 'Stored: nobody has no page open now, and will see the notice later.');
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

test('notices: scripts count the notices and mark the title, until they are dismissed', async (t) => {
  const { tab } = await exampleFor(t, 'notices');
  const ada = await tab('?user=ada');
  assert.equal(await ada.page.isVisible('#unread'), false);
  assert.equal(await ada.page.title(), 'Notices');
  await ada.page.close();
  const bob = await pageOf(tab, 'bob');
  await send(bob, 'bob', 'one');
  await first(bob, 'one');
  await bob.until(() => document.querySelector('#unread').textContent === '1' && document.title === '● Notices');
  await bob.page.getByLabel('Dismiss').click();
  await bob.until(() => !document.querySelector('#unread').checkVisibility() && document.title === 'Notices');
  assert.equal(await bob.page.locator('#notices li').count(), 0);
  assert.deepEqual(bob.problems, []);
});

test('notices: notices sent to a closed or disconnected page appear later; dismissed ones do not', async (t) => {
  const { tab, send: post } = await exampleFor(t, 'notices');
  const notice = (text) => post('POST', 'send', JSON.stringify({ user: 'bob', to: 'ada', text }));
  await notice('one');
  await notice('two');
  const ada = await tab('?user=ada');
  const texts = (page) => page.locator('#notices li span span').allTextContents();
  await first(ada, 'two');
  assert.deepEqual(await texts(ada.page), ['two', 'one']);
  assert.equal(await ada.page.textContent('#unread'), '2');
  await Promise.all([ada.page.waitForResponse(/dismiss/), ada.page.getByLabel('Dismiss').first().click()]);
  await ada.page.reload();
  await first(ada, 'one');
  assert.deepEqual(await texts(ada.page), ['one']);
  await ada.page.close();
  await notice('three');
  const again = await tab('?user=ada');
  await first(again, 'three');
  assert.deepEqual(await texts(again.page), ['three', 'one']);
});

test('notices: a text that cannot be sent stays, with a message', async (t) => {
  const { tab, kill } = await exampleFor(t, 'notices');
  const ada = await pageOf(tab, 'ada');
  await kill();
  await ada.until(() => document.documentElement.hasAttribute('data-stale'));
  await ada.page.fill('#text', 'Where are you?');
  await ada.page.click('text=Send');
  await ada.until(() => /^Not sent/.test(document.querySelector('#message').textContent));
  assert.equal(await ada.page.inputValue('#text'), 'Where are you?');
});

test('notices: an empty text is rejected', async (t) => {
  const { tab } = await exampleFor(t, 'notices');
  const ada = await tab('?user=ada');
  await ada.page.click('text=Send');
  await ada.until(() => /needs a text/.test(document.querySelector('#message').textContent));
});
