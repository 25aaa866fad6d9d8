// SPDX-License-Identifier: MIT
// A form that is declared once, before the content of a page and in it, sent by the client and by a browser without
// JavaScript.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { startExample, newSession, closeChrome } = require('./harness.js');

after(closeChrome);

async function start(t, options, where = '') {
  const server = await startExample('test_browser_declared');
  t.after(() => server.stop());
  const session = await newSession(t, options);
  const url = server.url + where, tab = await session.tab(url);
  const { page } = tab;
  const add = async (text) => {
    await page.getByLabel('Note').fill(text);
    await page.getByRole('button', { name: 'Add' }).click();
  };
  const notes = () => page.locator('li').allTextContents();
  return { ...tab, ...session, server, url, add, notes };
}

// On a page with the form before its content, and in it.
const testBoth = (title, run) => {
  for (const where of ['', 'inner']) test(`${title} (/${where})`, (t) => run(t, where));
};

// capability: L22
testBoth('declared: the client sends the form; a refused one stays, an accepted one is emptied', async (t, where) => {
  const { page, until, add, notes, problems, tab, url } = await start(t, {}, where);
  await add('x');
  await until(() => document.querySelector('[role=alert]').textContent === 'Note: at least 2 characters.');
  assert.equal(await page.getByLabel('Note').inputValue(), 'x');
  // Each field has its message, and is marked, until the next submission.
  const wrong = () => page.$$eval('[data-wrong]', (all) => all.map((at) => {
    const field = document.querySelector(`[aria-describedby=${at.id}]`);
    return at.textContent && `${at.textContent} ${field.getAttribute('aria-invalid')}`;
  }).filter(Boolean));
  assert.deepEqual(await wrong(), ['Note: at least 2 characters. true', 'Colour: choose one of the options. true']);
  await add('no colour');
  await until(() => document.querySelector('[name=text]').getAttribute('aria-invalid') === 'false');
  await until(() => document.querySelector('[role=alert]').textContent === 'Colour: choose one of the options.');
  await page.getByLabel('Green').check();
  await add('full');
  await until(() => document.querySelector('[role=alert]').textContent === 'There is <no> room.');
  await page.getByLabel('Urgent').check();
  await page.getByLabel('Size').selectOption('large');
  await add('  Tea <b>at</b> 4 ');
  await until(() => document.querySelector('li')?.textContent === 'Tea <b>at</b> 4, green, 9!');
  await until(() => document.querySelector('[name=text]').value === '');
  assert.equal(await page.getByRole('alert').textContent(), '');
  assert.deepEqual(await wrong(), []);
  assert.equal(await page.getByLabel('Size').inputValue(), '3');
  assert.equal(await page.getByLabel('Urgent').isChecked(), false);
  assert.equal(await page.getByLabel('Green').isChecked(), false);
  await page.getByLabel('Red').check();
  await until(() => document.querySelector('[role=status]').textContent === '');
  // The second click of a double click adds no note, and the same text is accepted later.
  await page.getByLabel('Note').fill('twice');
  await page.getByRole('button', { name: 'Add' }).dblclick();
  await until(() => document.querySelectorAll('li').length === 2 && document.querySelector('[name=text]').value === '');
  // Typed text and messages are not lost by an event of the page.
  const both = ['Note: at least 2 characters. true', 'Colour: choose one of the options. true'];
  await add('h');
  await until(() => document.querySelector('[role=alert]').textContent);
  const other = await tab(url);
  await other.page.getByLabel('Note').fill('of another tab');
  await other.page.getByLabel('Green').check();
  await other.page.getByRole('button', { name: 'Add' }).click();
  await until(() => document.querySelectorAll('li').length === 3);
  assert.equal(await page.getByLabel('Note').inputValue(), 'h');
  assert.deepEqual(await wrong(), both);
  assert.equal(await page.getByRole('alert').textContent(), 'Note: at least 2 characters.');
  assert.deepEqual(await notes(), ['Tea <b>at</b> 4, green, 9!', 'twice, red, 3', 'of another tab, green, 3']);
  assert.deepEqual(problems, []);
});

// capability: L22
testBoth('declared: a form whose first response is lost is accepted once, and emptied', async (t, where) => {
  const { page, until, add, notes } = await start(t, {}, where);
  let lost = 0;
  await page.route('**/note', async (route) => {
    if (lost++) return route.continue();
    await route.fetch();
    await route.abort();
  });
  await page.getByLabel('Green').check();
  await add('only once');
  await until(() => document.querySelector('li')?.textContent === 'only once, green, 3' && document.querySelector('[name=text]').value === '');
  assert.deepEqual(await notes(), ['only once, green, 3']);
  assert.ok(lost > 1);
});

// capability: L22
testBoth('declared: text that is typed while the form is sent stays when it is accepted', async (t, where) => {
  const { page, until, notes, problems } = await start(t, {}, where);
  let go;
  const may = new Promise((done) => (go = done));
  await page.route('**/note', async (route) => (await may, route.continue()));
  await page.getByLabel('Green').check();
  await page.getByLabel('Note').fill('first');
  const sent = page.waitForRequest('**/note');
  await page.getByRole('button', { name: 'Add' }).click();
  await sent;
  await page.getByLabel('Note').fill('second');
  go();
  await until(() => document.querySelector('li')?.textContent === 'first, green, 3' && !document.querySelector('[role=status]').textContent);
  assert.equal(await page.getByLabel('Note').inputValue(), 'second');
  await page.getByLabel('Green').check();
  await page.getByRole('button', { name: 'Add' }).click();
  await until(() => document.querySelectorAll('li').length === 2 && document.querySelector('[name=text]').value === '');
  assert.deepEqual(await notes(), ['first, green, 3', 'second, green, 3']);
  assert.deepEqual(problems, []);
});

// capability: L22
test('declared: its text returns after a reload, until it is accepted', async (t) => {
  const { page, until, add } = await start(t);
  const kept = page.waitForResponse((response) => response.url().endsWith('/kept') && /v\.text=half/.test(response.request().postData()));
  await page.getByLabel('Red').check();
  await page.getByLabel('Size').selectOption('small');
  await page.getByLabel('Note').fill('half a note');
  await kept;
  await page.reload();
  await until(() => document.querySelector('[name=text]').value === 'half a note');
  assert.equal(await page.getByLabel('Red').isChecked(), true);
  assert.equal(await page.getByLabel('Size').inputValue(), '1');
  await add('a whole note');
  await until(() => document.querySelector('li')?.textContent === 'a whole note, red, 1' && document.querySelector('[name=text]').value === '');
  await page.reload();
  await until(() => document.querySelector('li'));
  assert.equal(await page.getByLabel('Note').inputValue(), '');
});

// capability: L22
testBoth('declared: without JavaScript the response has the message and the text, or leads back', async (t, where) => {
  const { page, add, notes } = await start(t, { javaScriptEnabled: false }, where);
  await add('x');
  assert.equal(await page.getByRole('alert').textContent(), 'Note: at least 2 characters.');
  assert.equal(await page.getByLabel('Note').inputValue(), 'x');
  await page.getByLabel('Red').check();
  await add('full');
  assert.equal(await page.getByRole('alert').textContent(), 'There is <no> room.');
  await page.getByLabel('Urgent').check();
  await page.getByLabel('Size').selectOption('large');
  await add('x');
  assert.equal(await page.getByLabel('Red').isChecked(), true); // also in the document of the refused form
  assert.equal(await page.getByLabel('Size').inputValue(), '9');
  await add('Tea');
  assert.equal(new URL(page.url()).pathname, `/${where}`);
  assert.deepEqual(await notes(), ['Tea, red, 9!']);
  assert.equal(await page.getByLabel('Note').inputValue(), '');
});

// capability: L20
testBoth('declared: if the client cannot be loaded, the browser sends the form', async (t, where) => {
  const { context, tab, url } = await start(t, {}, where);
  let fail;
  const may = new Promise((done) => (fail = done));
  await context.route('**/datastar.js', async (route) => (await may, route.abort()));
  const { page } = await tab(url, { waitUntil: 'commit' });
  await page.getByLabel('Green').check();
  await page.getByLabel('Note').fill('early');
  await page.getByRole('button', { name: 'Add' }).click({ noWaitAfter: true });
  assert.equal(await page.locator('li').count(), 0);
  fail();
  await page.locator('li').waitFor({ timeout: 10000 });
  await page.getByLabel('Green').check();
  await page.getByLabel('Note').fill('late');
  await page.getByRole('button', { name: 'Add' }).click();
  await page.locator('li').nth(1).waitFor({ timeout: 10000 });
  assert.deepEqual(await page.locator('li').allTextContents(), ['early, green, 3', 'late, green, 3']);
});

// capability: L22
test('declared: fields may have the names of properties of forms', async (t) => {
  const { page, until, problems, server } = await start(t);
  await page.goto(new URL('card', server.url).href);
  const kept = page.waitForResponse((response) => response.url().endsWith('/kept') && /v\.reset=half/.test(response.request().postData()));
  await page.locator('[name=reset]').fill('half');
  await kept;
  await page.reload();
  await until(() => document.querySelector('[name=reset]').value === 'half');
  await page.locator('[name=reset]').fill('whole');
  await page.getByRole('button', { name: 'Keep' }).click();
  await until(() => document.querySelector('[name=reset]').value === '');
  assert.equal(await page.locator('[name=id]').inputValue(), '7');
  assert.deepEqual(problems, []);
});
