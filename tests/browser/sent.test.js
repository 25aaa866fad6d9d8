// SPDX-License-Identifier: MIT
// L5: a page shows that it is saving until it shows the result, or the failure.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { startExample, newSession, send, canBeHidden, closeChrome } = require('./harness.js');
const { startProxy } = require('./proxy.js');

after(closeChrome);

async function tabFor(t) {
  const server = await startExample('test_browser_sent');
  t.after(() => server.stop());
  const proxy = await startProxy(t, server);
  const session = await newSession(t);
  await session.context.addInitScript(canBeHidden);
  await session.context.addInitScript(() => {
    window.told = [];
    document.addEventListener('datastar-fetch', ({ detail }) =>
      window.told.push(`${detail.el.id} ${detail.type}`));
  });
  const tab = await session.tab(proxy.url);
  await tab.until(() => window.told.includes(' datastar-patch-signals')); // its stream is open
  const { page } = tab;
  await page.evaluate(() => {
    window.cleared = []; // content of the page whenever nothing is being saved
    const saving = document.querySelector('#saving');
    new MutationObserver(() => saving.textContent === '0' && window.cleared.push(document.querySelector('#count').textContent))
      .observe(saving, { childList: true, characterData: true, subtree: true });
  });
  return {
    ...tab,
    proxy,
    press: (what) => page.evaluate((id) => document.getElementById(id).click(), what),
    saving: (is) => tab.until((wanted) => document.querySelector('#saving').textContent === String(wanted), is),
    answered: (what, count = 1) =>
      tab.until(([is, least]) => window.told.filter((type) => type === is).length >= least, [`${what} finished`, count]),
    ask: (what) => send('POST', `${server.url}${what}`),
    text: (what) => page.locator(`#${what}`).textContent(),
    cleared: () => page.evaluate(() => window.cleared),
    hide: (is) => page.evaluate((value) => window.setHidden(value), is),
  };
}

// capability: L5
test('l5: a submission is saving until the page shows its result, even long after the response', async (t) => {
  const tab = await tabFor(t);
  await tab.press('add');
  await tab.saving(0);
  assert.deepEqual(await tab.cleared(), ['1']);
  await tab.ask('hold');
  await tab.press('add');
  await tab.press('add');
  await tab.answered('add', 3);
  assert.equal(await tab.text('saving'), '2');
  assert.equal(await tab.text('count'), '1');
  await tab.ask('go');
  await tab.saving(0);
  assert.equal((await tab.cleared()).at(-1), '3');
  assert.equal(await tab.text('failed'), '');
});

// capability: L5
test('l5: a submission without a change ends, too, and several end separately', async (t) => {
  const tab = await tabFor(t);
  await tab.press('same');
  await tab.saving(0);
  // The request is slow, not the handler, because a waiting handler could occupy a server thread that others need.
  let letGo = null;
  const isLetGo = new Promise((done) => (letGo = done));
  await tab.page.route('**/slow', async (route) => {
    await isLetGo;
    await route.continue();
  });
  await tab.press('slow');
  await tab.press('add');
  await tab.until(() => document.querySelector('#count').textContent === '1');
  await tab.saving(1);
  letGo();
  await tab.saving(0);
  assert.equal((await tab.cleared()).at(-1), '2');
});

// capability: L5
test('l5: a rejected or lost submission is not saving any more, and counts as failed', async (t) => {
  const tab = await tabFor(t);
  await tab.press('bad');
  await tab.until(() => document.querySelector('#failed').textContent === '422');
  assert.equal(await tab.text('saving'), '0');
  await tab.press('add');
  await tab.saving(0);
  assert.equal(await tab.text('failed'), '');
  await tab.page.route('**/add', (route) => route.abort());
  await tab.press('add');
  await tab.until(() => document.querySelector('#failed').textContent === 'network');
  assert.equal(await tab.text('saving'), '0');
  assert.equal(await tab.text('count'), '1');
});

// capability: L5
test('l5: a submission is repeated while a busy server, or a proxy, answers 502 to 504, and given up in the end', async (t) => {
  const tab = await tabFor(t);
  let nonces = [];
  const answers = [];
  for (const path of ['add', 'far'])
    await tab.page.route(`**/${path}`, (route) => {
      nonces.push(route.request().headers()['x-once']);
      return answers.length ? route.fulfill({ status: answers.shift() }) : route.continue();
    });
  const told = async (what) => (await tab.page.evaluate(() => window.told))
    .filter((type) => type.startsWith(`${what} `)).map((type) => type.split(' ')[1]);
  for (const status of [502, 503, 504]) {
    answers.push(status);
    await tab.press('add');
    await tab.saving(0);
  }
  assert.deepEqual(await told('add'), Array(3).fill(['started', 'retrying', 'finished']).flat());
  assert.equal(new Set(nonces).size, 3);
  assert.equal(nonces.length, 6);
  assert.equal(await tab.text('count'), '3');
  assert.equal(await tab.text('failed'), '');
  // The next attempt is after an hour, but an event shows that the server is there.
  answers.push(503);
  await tab.press('far');
  await tab.until(() => window.told.includes('far retrying'));
  await tab.ask('add');
  await tab.saving(0);
  assert.equal(await tab.text('count'), '5');
  // The action is repeated once; then it has failed.
  nonces = [];
  answers.push(503, 503);
  await tab.press('add');
  await tab.until(() => document.querySelector('#failed').textContent === '503');
  assert.deepEqual((await told('add')).slice(9), ['started', 'retrying', 'error', 'finished', 'retries-failed']);
  assert.equal(await tab.text('saving'), '0');
  assert.equal(new Set(nonces).size, 1);
  answers.push(500);
  await tab.press('add');
  await tab.until(() => document.querySelector('#failed').textContent === '500');
  assert.equal(nonces.length, 3);
  assert.equal(await tab.text('count'), '5');
});

// capability: L5
test('l5: a submission that alone cannot be sent is not repeated at each event of the stream', async (t) => {
  const tab = await tabFor(t);
  let tries = 0;
  await tab.page.route('**/far', (route) => {
    tries++;
    return route.abort();
  });
  await tab.press('far');
  for (let count = 1; count <= 9; count++) {
    await tab.until((least) => window.told.filter((type) => type === 'far retrying').length >= least, Math.min(count, 5));
    await tab.ask('add');
    await tab.until((is) => document.querySelector('#count').textContent === is, String(count));
  }
  assert.equal(tries, 5); // the next attempt is the client's, after an hour
});

// capability: L5
test('l5: without a stream, an answered submission is saving until a new stream shows it', async (t) => {
  const tab = await tabFor(t);
  tab.proxy.fail = 1000;
  tab.proxy.cut();
  await tab.until(() => window.told.includes(' retrying'));
  await tab.press('add');
  await tab.answered('add');
  assert.equal(await tab.text('saving'), '1');
  assert.equal(await tab.text('count'), '0');
  tab.proxy.fail = 0;
  await tab.saving(0);
  assert.deepEqual(await tab.cleared(), ['1']);
  // A hidden tab has no stream.
  await tab.hide(true);
  await tab.press('add');
  await tab.answered('add', 2);
  assert.equal(await tab.text('saving'), '1');
  await tab.hide(false);
  await tab.saving(0);
  assert.equal((await tab.cleared()).at(-1), '2');
});

// capability: L5
test('l5: submissions without a server are sent when the stream is back, before the client\'s next attempt, once and in order', async (t) => {
  const tab = await tabFor(t);
  tab.proxy.fail = 1000;
  tab.proxy.cut();
  await tab.page.route('**/far', (route) => route.abort());
  await tab.press('far');
  await tab.until(() => window.told.includes('far retrying'));
  await tab.press('far');
  await tab.press('same');
  await tab.saving(3);
  assert.equal(await tab.text('count'), '0');
  await tab.page.unroute('**/far');
  tab.proxy.fail = 0;
  await tab.saving(0); // the client would try again after an hour
  assert.equal(await tab.text('count'), '2');
  assert.equal(await tab.text('failed'), '');
  assert.deepEqual((await tab.page.evaluate(() => window.told)).filter((type) => / finished/.test(type)).slice(-1), ['same finished']);
});

// capability: L18
test('l18: one listener sends for many buttons, each once, in order, and with its own state', async (t) => {
  const tab = await tabFor(t);
  await tab.ask('hold'); // renders for the stream wait, so nothing is seen yet
  await tab.press('one');
  await tab.press('two'); // inside a link, which leads nowhere
  await tab.press('no'); // disabled
  await tab.answered('many', 2);
  assert.equal(await tab.text('saving'), '2');
  await tab.ask('go');
  await tab.saving(0);
  assert.equal(await tab.text('count'), '2');
  await tab.press('worse');
  await tab.until(() => document.querySelector('#failed').textContent === '422');
  assert.equal(await tab.text('saving'), '0');
  // A double click, whose request is held: one submission, and only its button is busy. The button was not pressed
  // before, because within half a second that is a repeat, too.
  let letGo = null;
  const isLetGo = new Promise((done) => (letGo = done));
  await tab.page.route('**/more', async (route) => {
    await isLetGo;
    await route.continue();
  });
  await tab.page.locator('#five').dblclick();
  await tab.saving(1);
  assert.deepEqual(await tab.page.evaluate(() => [...document.querySelectorAll('[aria-busy]')].map(({ id }) => id)), ['five']);
  letGo();
  await tab.saving(0);
  assert.equal(await tab.text('count'), '7'); // the payload of the button
  await tab.until(() => !document.querySelector('[aria-busy]'));
  assert.equal(new URL(tab.page.url()).pathname, '/');
});

// capability: L18
test('l18: a held key, and a double click whose first click replaces the button, press once', async (t) => {
  const tab = await tabFor(t);
  await tab.page.evaluate(() => {
    const { now } = Date;
    window.ahead = 0;
    Date.now = () => now() + window.ahead;
  });
  await tab.page.focus('#one');
  for (let i = 1; i <= 4; i++) {
    await tab.page.keyboard.down('Enter'); // from the second time on it repeats
    if (i === 1) await tab.answered('many', 1);
    await tab.page.evaluate(() => (window.ahead += 1000)); // no repeat by its time
  }
  await tab.page.keyboard.up('Enter');
  await tab.press('two');
  await tab.answered('many', 2);
  await tab.saving(0);
  assert.equal(await tab.text('count'), '2');
  await tab.page.evaluate(() => (window.ahead += 10000));
  const box = await tab.page.locator('#one').boundingBox();
  const { mouse } = tab.page;
  await mouse.move(box.x + 5, box.y + 5);
  await mouse.down({ clickCount: 1 });
  await mouse.up({ clickCount: 1 });
  await tab.answered('many', 3);
  await tab.page.evaluate(() => {
    const other = document.querySelector('#one').cloneNode(true);
    other.dataset.press = '/add?other';
    document.querySelector('#one').replaceWith(other);
  });
  await mouse.down({ clickCount: 2 });
  await mouse.up({ clickCount: 2 });
  await tab.press('two');
  await tab.answered('many', 4);
  await tab.saving(0);
  assert.equal(await tab.text('count'), '4');
});
