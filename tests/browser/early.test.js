// SPDX-License-Identifier: MIT
// Clicks, submits and input before the client runs, under a policy: they are performed once and in order when it runs.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { startExample, newSession, closeChrome } = require('./harness.js');

after(closeChrome);

// Open the page. The client's file arrives at load().
async function start(t) {
  const server = await startExample('test_browser_clock');
  t.after(() => server.stop());
  const { context, tab, problems } = await newSession(t);
  let load;
  const loaded = new Promise((done) => (load = done));
  await context.route('**/datastar.js', async (route) => {
    await loaded;
    await route.fallback();
  });
  const one = await tab(`${server.url}early`, { waitUntil: 'commit' });
  await one.page.waitForSelector('#go');
  const said = async (wanted) => {
    let text;
    do text = (await (await fetch(`${server.url}said`)).text()).trim(); while (text.length < wanted.length);
    assert.equal(text, wanted);
  };
  return { ...one, said, load, problems };
}

// capability: L20
test('early: clicks and a submit are performed once, in their order', async (t) => {
  const { page, said, load, until, problems } = await start(t);
  await page.click('#two');
  await page.click('#one');
  await page.fill('#word', 'thr');
  await page.click('#send');
  await page.fill('#word', 'three'); // the form is sent as it is when the client runs
  await page.press('#word', 'Enter');
  assert.equal(await page.getAttribute('#one', 'aria-busy'), 'true');
  assert.equal(await page.getAttribute('#send', 'aria-busy'), 'true');
  assert.equal(new URL(page.url()).pathname, '/early'); // the browser has not sent the form
  load();
  await said('two one three');
  await until(() => !document.querySelector('[aria-busy]'));
  await page.click('#four'); // another press of the same button within half a second would be a repeat
  await said('two one three four');
  assert.deepEqual(problems, []);
});

// capability: L20
test('early: each click counts, the second of a double click as a repeat', async (t) => {
  const { page, said, load, shows, problems } = await start(t);
  await page.click('#count');
  await page.click('#count');
  await page.click('#tick');
  await page.selectOption('#kind', 'b');
  await page.selectOption('#kind', 'a');
  await page.dblclick('#one'); // deduplicated
  load();
  await shows('sum', '112');
  assert.equal(await page.isChecked('#tick'), true);
  await page.click('#two');
  await said('one two');
  assert.deepEqual(problems, []);
});

// capability: L20
test('early: the client gets the text that was typed, and its own afterwards', async (t) => {
  const { page, load, shows, problems } = await start(t);
  await page.fill('#bound', 'typed early');
  load();
  await shows('text', 'typed early');
  assert.equal(await page.inputValue('#bound'), 'typed early');
  await page.fill('#bound', 'typed later');
  await shows('text', 'typed later');
  assert.equal(await page.locator('head i').count(), 0);
  assert.deepEqual(problems, []);
});

// capability: L20
test('early: lists and radio buttons keep the last choice, which the client gets', async (t) => {
  const { page, load, shows, problems } = await start(t);
  await page.click('#red');
  await page.click('#green');
  await page.click('#red');
  await page.selectOption('#bound-kind', 'b');
  await page.selectOption('#several', ['1', '3']);
  load();
  await shows('kind-is', 'b');
  await page.waitForFunction(() => !document.querySelector('head i'));
  assert.equal(await page.evaluate(() => document.querySelector('[name=colour]:checked').id), 'red');
  assert.deepEqual(await page.evaluate(() => [...document.getElementById('several').selectedOptions].map((one) => one.value)), ['1', '3']);
  // Of the changes of a group, the last one is performed.
  assert.equal(await page.textContent('#colours'), 'red ');
  assert.deepEqual(problems, []);
});

// capability: L20
test('early: a form that says so is sent by the browser', async (t) => {
  const { page, said, load } = await start(t);
  await page.click('#go', { noWaitAfter: true });
  await page.waitForSelector('#said');
  await said('native');
  load();
});

// capability: L20
test('early: a link beside delegated buttons leads away although the client does not come', async (t) => {
  const { page, load } = await start(t);
  await page.click('#away', { noWaitAfter: true });
  await page.waitForURL('**/said', { waitUntil: 'commit', timeout: 10000 });
  load();
});
