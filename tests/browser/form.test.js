// SPDX-License-Identifier: MIT
// L4: text that is typed into a form is restored, is not disturbed meanwhile, and is cleared when the form is
// submitted.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { startExample, newSession, send, closeChrome } = require('./harness.js');

// The server warns about the field of a one-time code.
const UNKEPT = /the form \w+ does not keep the text of its field code/;

after(closeChrome);

// Return the form's values, as the user sees them.
const read = () =>
  Object.fromEntries(['title', 'text', 'urgent', 'color', 'tags', 'note', 'password', 'code', 'never'].map((name) => {
    const all = [...document.querySelectorAll(`[name=${name}]`)];
    const value = all[0].multiple ? [...all[0].selectedOptions].map((option) => option.value).join()
      : ['checkbox', 'radio'].includes(all[0].type) ? all.filter((one) => one.checked).map((one) => one.value).join()
        : all[0].value;
    return [name, value];
  }));

const EMPTY = { title: 'Untitled', text: '', urgent: 'yes', color: 'red', tags: '', note: '', password: '', code: '', never: '' };
const TYPED = { title: 'a "b" <&', text: 'one\ntwo 🌍', urgent: '', color: 'blue', tags: 'a,c', note: 'noted' };

async function begin(t, where = '') {
  const server = await startExample('test_browser_form', [], 0, UNKEPT);
  t.after(() => server.stop());
  const session = await newSession(t);
  return { server, session, tab: await open(session, server.url + where) };
}

async function open(session, url) {
  const tab = await session.tab(url);
  await ready(tab);
  tab.form = () => tab.page.evaluate(read);
  // The saves that were answered since.
  tab.letters = [];
  tab.page.on('response', (answer) => answer.url().endsWith('/kept') && tab.letters.push(answer.request().postData()));
  tab.kept = (what) => waitFor(() => tab.letters.some((letter) => new URLSearchParams(letter ?? '').get(what[0]) === what[1]));
  return tab;
}

async function waitFor(condition) {
  for (let i = 0; !(await condition()); i++) {
    assert.ok(i < 600, `timeout: ${condition}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

// Wait until the client has run, and supervises the form.
const ready = (tab) => tab.until(() => window.vestryForms?.all?.report?.isKnown());

async function type({ page }) {
  await page.fill('[name=title]', TYPED.title);
  await page.fill('[name=text]', TYPED.text);
  await page.uncheck('[name=urgent]');
  await page.check('[name=color][value=blue]');
  await page.selectOption('[name=tags]', ['a', 'c']);
  await page.fill('[name=note]', TYPED.note);
  await page.fill('[name=password]', 'geheim');
  await page.fill('[name=code]', '123456');
  await page.fill('[name=never]', 'mine alone');
  await page.evaluate(() => (document.querySelector('[name=password]').type = 'text')); // "show password"
}

const has = (tab, wanted) =>
  waitFor(async () => {
    const is = await tab.form().catch(() => ({})); // the page may be loading
    return Object.keys(wanted).every((name) => is[name] === wanted[name]);
  });

for (const where of ['', 'plain']) {
  // capability: L4
  test(`l4: /${where}: typed text is restored after a reload, except for secrets`, async (t) => {
    const { tab } = await begin(t, where);
    await type(tab);
    await tab.page.reload(); // at once: the page sends it when it is left
    await ready(tab);
    await has(tab, { ...TYPED, password: '', code: '', never: '' });
    assert.ok(tab.letters.every((letter) => !/geheim|123456|alone|v.token/.test(letter)));
    // elsewhere and back, later
    await tab.page.goto('about:blank');
    await tab.page.context().clearCookies();
    await tab.page.goBack();
    await ready(tab);
    await has(tab, TYPED);
  });

  // capability: L4
  test(`l4: /${where}: a submitted form is empty, a rejected one is not`, async (t) => {
    const { tab, server } = await begin(t, where);
    await type(tab);
    await tab.page.fill('[name=title]', 'bad');
    await tab.kept(['v.title', 'bad']);
    const answered = tab.page.waitForResponse((answer) => answer.status() === 422);
    await tab.page.click('[type=submit]');
    await answered;
    if (where) await tab.page.goto(server.url + where);
    await ready(tab);
    await has(tab, { ...TYPED, title: 'bad' });
    await tab.page.fill('[name=title]', 'good');
    await tab.page.click('[type=submit]');
    await has(tab, { ...EMPTY, note: where ? '' : (await tab.form()).note }); // signals belong to the application
    await tab.page.reload();
    await ready(tab);
    await has(tab, EMPTY);
  });
}

// capability: L4
test('l4: the console names each declared field that is never stored, with the reason', async (t) => {
  const server = await startExample('test_browser_form', [], 0, UNKEPT);
  t.after(() => server.stop());
  const session = await newSession(t);
  const tab = await session.tab('about:blank');
  const warnings = [];
  tab.page.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()));
  await tab.page.goto(server.url);
  await ready(tab);
  const says = (field, why) => `vestry: the form report does not keep its field ${field}, whose ${why}`;
  assert.deepEqual(warnings, [says('password', 'type is password'), says('code', 'autocomplete is one-time-code')]);
});

// capability: L4
test('l4: text is stored while it is typed; renders change neither text nor caret', async (t) => {
  const { tab, server } = await begin(t);
  await tab.page.fill('[name=text]', 'first');
  await tab.kept(['v.text', 'first']);
  await tab.page.type('[name=text]', ' and more');
  await tab.page.evaluate(() => document.querySelector('[name=text]').setSelectionRange(2, 2));
  await send('POST', `${server.url}tick`);
  await tab.shows('ticks', '1');
  await tab.page.keyboard.type('X');
  assert.equal((await tab.form()).text, 'fiXrst and more');
  // the tab crashes, so the page sends nothing more
  await tab.kept(['v.text', 'fiXrst and more']);
});

// capability: L4
test('l4: a save that arrives after the submission does not restore the text', async (t) => {
  const { tab } = await begin(t);
  let letGo = null;
  const isLetGo = new Promise((done) => (letGo = done));
  await tab.page.route('**/kept', async (route) => {
    await isLetGo;
    await route.continue();
  });
  await tab.page.fill('[name=title]', 'mine');
  const letter = tab.page.waitForRequest('**/kept');
  await letter;
  await tab.page.type('[name=title]', ' too'); // the next save is due
  await tab.page.click('[type=submit]');
  await tab.shows('sent', '1');
  await has(tab, { title: 'Untitled' });
  letGo();
  await tab.kept(['v.title', 'mine']);
  await tab.page.unroute('**/kept'); // routes do not see requests that a page sends when it is left
  await tab.page.reload();
  await ready(tab);
  await has(tab, { title: 'Untitled' });
  await tab.page.fill('[name=title]', 'next');
  await tab.page.reload();
  await ready(tab);
  await has(tab, { title: 'next' });
});

// capability: L4
test('l4: a submitted form keeps the focus in its field', async (t) => {
  const { tab } = await begin(t);
  await tab.page.fill('[name=title]', 'mine');
  await tab.page.keyboard.press('Enter');
  await tab.shows('sent', '1');
  await has(tab, { title: 'Untitled' });
  assert.equal(await tab.page.evaluate(() => document.activeElement.name), 'title');
});

// capability: L4
test('l4: a reset form is empty after a reload, too', async (t) => {
  const { tab, server } = await begin(t);
  await type(tab);
  await tab.kept(['v.note', TYPED.note]);
  await tab.page.click('[type=reset]');
  await tab.kept(['clear', '1']);
  await tab.page.fill('[name=text]', 'after it');
  await send('POST', `${server.url}tick`); // the form stays the same for the page
  await tab.shows('ticks', '1');
  await has(tab, { title: 'Untitled', text: 'after it', urgent: 'yes' });
  await tab.page.reload();
  await ready(tab);
  await has(tab, { title: 'Untitled', text: 'after it', urgent: 'yes' });
});

for (const where of ['', 'plain']) {
  // capability: L4
  test(`l4: /${where}: a duplicated tab has a separate copy`, async (t) => {
    const { tab, session, server } = await begin(t, where);
    await tab.page.fill('[name=title]', 'mine');
    await tab.kept(['v.title', 'mine']);
    // Like a browser that duplicates a tab, or restores it after a crash: with a copy of its storage.
    const storage = await tab.page.evaluate(() => ({ ...sessionStorage }));
    const page = await session.context.newPage();
    await page.addInitScript((copy) => {
      if (!sessionStorage.length) for (const [key, value] of Object.entries(copy)) sessionStorage.setItem(key, value);
    }, storage);
    const twin = { page, form: () => page.evaluate(read) };
    await page.goto(server.url + where);
    await has(twin, { title: 'mine' });
    await page.fill('[name=title]', 'twin');
    await page.reload();
    await has(twin, { title: 'twin' });
    await tab.page.reload();
    await has(tab, { title: 'mine' });
  });
}

// Hold back the page's first request until it is released.
async function hold(tab) {
  let letGo = null;
  const isLetGo = new Promise((done) => (letGo = done));
  await tab.page.route('**/kept', async (route) => {
    await isLetGo;
    await route.continue().catch(() => 0); // the page may be closed
  });
  return letGo;
}

for (const where of ['', 'plain']) {
  // capability: L4
  test(`l4: /${where}: text typed before the form is restored is neither lost nor overwritten`, async (t) => {
    const { tab } = await begin(t, where);
    await type(tab);
    await tab.kept(['v.note', TYPED.note]);
    const letGo = await hold(tab);
    await tab.page.reload();
    await tab.until(() => window.vestryForms?.all?.report);
    await tab.page.fill('[name=text]', 'typed anew');
    // An input method that has begun to compose has changed no text yet.
    await tab.page.evaluate(() =>
      document.querySelector('[name=note]').dispatchEvent(new CompositionEvent('compositionstart', { bubbles: true })));
    letGo();
    await ready(tab);
    await has(tab, { ...TYPED, text: 'typed anew', note: (await tab.form()).note });
    await tab.page.evaluate(() =>
      document.querySelector('[name=note]').dispatchEvent(new CompositionEvent('compositionend', { bubbles: true })));
    await tab.kept(['v.text', 'typed anew']);
    await tab.page.unroute('**/kept');
    await tab.page.reload();
    await ready(tab);
    await has(tab, { ...TYPED, text: 'typed anew', note: '' });
  });
}

// capability: L4
test('l4: a save that fails, or gets 503, is repeated with growing pauses', async (t) => {
  const server = await startExample('test_browser_form', [], 0, UNKEPT);
  t.after(() => server.stop());
  const session = await newSession(t);
  await session.context.addInitScript(() => { // record waits for the next save, and skip them
    const own = setTimeout;
    window.waits = [];
    window.setTimeout = (run, ms, ...rest) => own(run, run.name === 'keep' && ms > 3000 ? window.waits.push(ms) : ms, ...rest);
  });
  const answers = [429, 503, 503, 503, 503];
  await session.context.route('**/kept', (route) =>
    answers.length ? route.fulfill({ status: answers.shift() }) : route.continue());
  const tab = await open(session, server.url);
  answers.push(408);
  await tab.page.fill('[name=title]', 'mine');
  await waitFor(() => tab.letters.filter((letter) => new URLSearchParams(letter).get('v.title') === 'mine').length >= 2);
  const waits = await tab.page.evaluate(() => window.waits);
  for (const [i, wanted] of [5000, 10000, 20000, 30000, 30000, 5000].entries())
    assert.ok(waits[i] >= 0.75 * wanted && waits[i] <= 1.25 * wanted, `${i}: ${waits}`);
  assert.equal(waits.length, 6);
});

// capability: L4
test('l4: a form whose text is rejected shows this, also after a render, until its text is kept again', async (t) => {
  const { tab, server } = await begin(t);
  const warnings = [];
  tab.page.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()));
  const fill = async (text, status) => {
    const answered = tab.page.waitForResponse((answer) => answer.url().endsWith('/kept') && answer.status() === status);
    await tab.page.fill('[name=text]', text);
    await answered;
  };
  const rejected = () => tab.page.getAttribute('form', 'data-form-rejected');
  const shows = (status) => tab.until((wanted) => document.querySelector('form').getAttribute('data-form-rejected') === wanted, status);
  await fill('Ж'.repeat(130_000), 200);
  assert.equal(await rejected(), null);
  await fill('Ж'.repeat(131_072), 413);
  await shows('413');
  await send('POST', `${server.url}tick`);
  await tab.shows('ticks', '1');
  assert.equal(await rejected(), '413');
  await fill('short', 200);
  await shows(null);
  // A guard that redirects: the page of its target is no answer.
  await send('POST', `${server.url}out`);
  await tab.page.fill('[name=text]', 'after the log-out');
  await shows('401');
  await send('POST', `${server.url}in`);
  await fill('in again', 200);
  await shows(null);
  assert.deepEqual(warnings, ['vestry: the form report does not keep its text: status 413, the text is too long',
    'vestry: the form report does not keep its text: status 401']);
  await tab.page.reload();
  await ready(tab);
  await has(tab, { text: 'in again' });
});

// capability: L4
test('l4: an open page loses nothing when its server is killed', async (t) => {
  const { tab, server } = await begin(t);
  await tab.page.click('[type=reset]'); // a generation that the next server does not know
  await tab.kept(['clear', '1']);
  await tab.page.fill('[name=title]', 'mine');
  await tab.kept(['v.title', 'mine']);
  await server.kill();
  tab.letters.length = 0;
  const next = await startExample('test_browser_form', [], server.port, UNKEPT);
  t.after(() => next.stop());
  await tab.kept(['v.title', 'mine']); // sent by the page itself
  await has(tab, { title: 'mine' });
  await tab.page.reload();
  await ready(tab);
  await has(tab, { title: 'mine' });
});
