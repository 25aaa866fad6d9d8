// SPDX-License-Identifier: MIT
// L4, in a database: typed text survives the server and is shared by all its processes; and actions of a browser on a
// stored form: input methods, back and forward, several tabs.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { startExample, newSession, send, closeChrome } = require('./harness.js');

// The server warns about the field of a one-time code.
const UNKEPT = /the form \w+ does not keep the text of its field code/;

after(closeChrome);

// Return a separate database, and a function that starts servers of it.
function database(t) {
  const folder = fs.mkdtempSync(path.join(fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), 'vestry-form-'));
  const servers = [];
  t.after(async () => {
    for (const server of servers) await server.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  });
  return async (port = 0) => {
    servers.push(await startExample('test_browser_form', ['--db', path.join(folder, 'forms.db')], port, UNKEPT));
    return { ...servers.at(-1), folder };
  };
}

// Return a function that starts servers of a new database, its first server, and a tab there.
async function begin(t, where = '') {
  const start = database(t);
  const server = await start();
  return { start, server, tab: await open(await newSession(t), server.url + where) };
}

async function open(session, url) {
  const tab = await session.tab(url);
  tab.letters = [];
  tab.page.on('response', (answer) => answer.url().endsWith('/kept') && answer.ok() && tab.letters.push(answer.request().postData()));
  tab.kept = (name, value) => waitFor(() => tab.letters.some((letter) => new URLSearchParams(letter ?? '').get(name) === value),
    () => tab.letters);
  tab.types = (name, value) => tab.page.fill(`[name=${name}]`, value).then(() => tab.kept(`v.${name}`, value));
  // After a reload, the fields have these values.
  tab.reloads = async (fields) => {
    await tab.page.reload();
    await ready(tab);
    for (const [name, value] of Object.entries(fields)) await tab.has(name, value);
  };
  tab.field = (name) => tab.page.evaluate((name) => document.querySelector(`[name=${name}]`).value, name);
  tab.has = (name, value) => waitFor(async () => (await tab.field(name).catch(() => null)) === value, () => tab.field(name));
  await ready(tab);
  return tab;
}

// saw: returns the actual state, for the message at a timeout.
async function waitFor(condition, saw = () => 'nothing') {
  for (let i = 0; !(await condition()); i++) {
    if (i === 1200) assert.fail(`timeout: ${condition}; instead: ${JSON.stringify(await saw())}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

const ready = (tab) => tab.until(() => window.vestryForms?.all?.report?.isKnown());

for (const where of ['', 'plain']) {
  // capability: L4
  test(`l4: /${where}: a server killed during typing keeps all saved text, and receives the rest later`, async (t) => {
    const { start, server, tab } = await begin(t, where);
    await tab.types('title', 'mine');
    await server.kill();
    await tab.page.fill('[name=text]', 'typed while there was none');
    const next = await start(server.port);
    await tab.kept('v.text', 'typed while there was none');
    assert.equal(await tab.field('title'), 'mine');
    await next.kill();
    const last = await start(server.port);
    await tab.reloads({ title: 'mine', text: 'typed while there was none' });
    await tab.page.fill('[name=title]', 'sent');
    await tab.page.click('[type=submit]');
    await tab.has('title', 'Untitled');
    await last.kill();
    await start(server.port);
    await tab.reloads({ title: 'Untitled', text: '' });
  });
}

// capability: L4
test('l4: a server killed before the commit of a submission keeps the text', async (t) => {
  const { start, server, tab } = await begin(t, 'plain');
  await tab.types('title', 'die');
  await tab.page.evaluate(() => {
    const body = new URLSearchParams(new FormData(document.querySelector('form')));
    fetch('/sent', { method: 'POST', body }).catch(() => 0).then(() => { window.isOver = true; });
  });
  await waitFor(async () => (await send('GET', `${server.url}plain`)).status === 0); // it has killed itself
  await server.kill();
  await tab.page.waitForFunction(() => window.isOver); // or the browser sends it once more, to the next server
  await start(server.port);
  await tab.reloads({ title: 'die' });
});

// capability: L4
test('l4: two servers of one database share a form: text typed at one, submitted at the other', async (t) => {
  const start = database(t);
  const [here, there] = [await start(), await start()];
  const session = await newSession(t);
  const tab = await open(session, here.url);
  await tab.types('title', 'mine');
  // Like a load balancer: the same page at the same address from another server.
  const elsewhere = (route) => route.fetch({ url: route.request().url().replace(here.url, there.url), maxRedirects: 0 })
    .then((response) => route.fulfill({ response }), () => route.abort());
  await tab.page.route(/\/report$/, elsewhere);
  await tab.page.click('[type=submit]');
  await tab.has('title', 'Untitled'); // the stream is that of the first one
  await tab.page.unroute(/\/report$/);
  await tab.types('title', 'next');
  await here.kill(); // the second one takes over
  await there.stop();
  await start(here.port);
  await tab.reloads({ title: 'next' });
});

// capability: L4
test('l4: two tabs of a user have separate texts, and submitting one keeps the other', async (t) => {
  const start = database(t);
  const server = await start();
  const session = await newSession(t);
  const [one, two] = [await open(session, server.url), await open(session, server.url)];
  await one.page.fill('[name=title]', 'first');
  await two.page.fill('[name=title]', 'second');
  await one.types('text', 'of the first');
  await two.kept('v.title', 'second');
  await one.page.click('[type=submit]');
  await one.has('title', 'Untitled');
  await two.reloads({ title: 'second', text: '' });
  await one.reloads({ title: 'Untitled' });
});

// capability: L4
test('l4: a page restored from the browser cache takes newer text, and saves no older text', async (t) => {
  const { server, tab } = await begin(t, 'plain');
  await tab.page.fill('[name=title]', 'old');
  await tab.types('text', 'old text');
  await tab.page.evaluate(() => (window.wasLeft = true));
  await tab.page.goto(`${server.url}plain?again`);
  await ready(tab);
  await tab.has('title', 'old');
  await tab.types('title', 'new');
  await tab.page.goBack({ waitUntil: 'commit' }); // usually restored, but a browser may load it again
  t.diagnostic(`as it was left: ${await tab.page.evaluate(() => window.wasLeft === true)}`);
  await tab.has('title', 'new');
  await tab.types('text', 'newer text');
  await tab.reloads({ title: 'new', text: 'newer text' });
});

// The same with a page that was certainly restored: the browser's event is simulated.
for (const isSent of [false, true]) {
  // capability: L4
  test(`l4: a restored page whose form was ${isSent ? 'sent' : 'typed into'} elsewhere meanwhile`, async (t) => {
    const { start, server, tab } = await begin(t, 'plain');
    await tab.page.fill('[name=title]', 'old');
    await tab.page.selectOption('[name=tags]', ['a']);
    await tab.page.uncheck('[name=urgent]');
    await tab.kept('v.title', 'old');
    await waitFor(() => new URLSearchParams(tab.letters.at(-1)).get('v.urgent') === null);
    // Another page of this tab, as if this one were in the cache.
    const letter = new URLSearchParams(tab.letters.at(-1));
    const other = isSent ? ['sent', `tabId=${letter.get('tabId')}&title=old`]
      : ['kept', `tabId=${letter.get('tabId')}&form=report&generation=${letter.get('generation')}&number=${Number(letter.get('number')) + 1}&v.title=new&v.urgent=yes`];
    const answer = await send('POST', server.url + other[0], other[1], { 'Content-Type': 'application/x-www-form-urlencoded' });
    assert.ok(answer.status < 400);
    await tab.page.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
    await tab.has('title', isSent ? 'Untitled' : 'new');
    assert.equal(await tab.page.isChecked('[name=urgent]'), true);
    assert.deepEqual(await tab.page.evaluate(() => document.querySelector('[name=tags]').selectedOptions.length), 0);
    await ready(tab);
    await tab.types('text', 'typed then');
    await tab.reloads({ title: isSent ? 'Untitled' : 'new', text: 'typed then' });
  });
}

// capability: L4
test('l4: text is saved during a composition, which neither saves nor renders disturb', async (t) => {
  const { server, tab } = await begin(t);
  const keys = await tab.page.context().newCDPSession(tab.page);
  await tab.types('text', 'before ');
  tab.letters.length = 0;
  await tab.page.focus('[name=text]');
  await tab.page.evaluate(() => {
    const field = document.querySelector('[name=text]');
    field.setSelectionRange(field.value.length, field.value.length);
    window.composed = [];
    for (const type of ['compositionstart', 'compositionend']) field.addEventListener(type, ({ data }) => window.composed.push([type, data]));
  });
  for (const text of ['n', 'ni', 'nih', 'に', 'にほ', 'にほn', 'にほん']) {
    await keys.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length });
  }
  await tab.has('text', 'before にほん');
  await tab.kept('v.text', 'before にほん');
  for (let i = 1; i < 3; i++) {
    await send('POST', `${server.url}tick`);
    await tab.shows('ticks', String(i));
  }
  assert.deepEqual(await tab.page.evaluate(() => window.composed.map(([type]) => type)), ['compositionstart']);
  await keys.send('Input.insertText', { text: '日本' });
  await tab.has('text', 'before 日本');
  await tab.kept('v.text', 'before 日本');
  assert.deepEqual(await tab.page.evaluate(() => window.composed.at(-1)), ['compositionend', '日本']);
  // A composition that is active when the page is left is stored as it is.
  await keys.send('Input.imeSetComposition', { text: 'ご', selectionStart: 1, selectionEnd: 1 });
  await tab.has('text', 'before 日本ご');
  await tab.reloads({ text: 'before 日本ご' });
});

// capability: L4
test('l4: text typed during a reset is not lost if a render comes first', async (t) => {
  const { tab } = await begin(t);
  await tab.types('title', 'mine');
  // The response to the reset is late.
  let letGo = null;
  const isLetGo = new Promise((done) => (letGo = done));
  await tab.page.route('**/kept', async (route) => {
    const isReset = new URLSearchParams(route.request().postData()).get('clear');
    if (!isReset) return route.continue();
    const response = await route.fetch();
    await isLetGo;
    return route.fulfill({ response }).catch(() => 0);
  });
  const id = await tab.page.evaluate(() => document.querySelector('form').id);
  await tab.page.evaluate(() => {
    document.querySelector('form').reset();
    setTimeout(() => {
      const field = document.querySelector('[name=text]');
      field.value = 'typed after it';
      field.dispatchEvent(new Event('input', { bubbles: true }));
    });
  });
  await waitFor(async () => (await tab.page.evaluate(() => document.querySelector('form').id)) !== id); // the render
  await tab.has('text', 'typed after it');
  letGo();
  await tab.kept('v.text', 'typed after it');
  await tab.page.unroute('**/kept');
  await tab.reloads({ text: 'typed after it', title: 'Untitled' });
});

// capability: L4
test('l4: fields that are never stored are not in the file', async (t) => {
  const start = database(t);
  const server = await start();
  const session = await newSession(t);
  const tab = await open(session, server.url);
  await tab.page.fill('[name=password]', 'geheim1');
  await tab.page.evaluate(() => (document.querySelector('[name=password]').type = 'text'));
  await tab.page.fill('[name=password]', 'geheim2');
  await tab.page.fill('[name=code]', '192837');
  await tab.page.fill('[name=never]', 'mine-alone');
  await tab.page.evaluate(() => {
    const form = document.querySelector('form');
    for (const [name, attributes] of Object.entries({ note: { type: 'file' }, text: { autocomplete: 'section-a cc-number' },
      color: { type: 'hidden', value: 'hidden-token' } })) {
      const field = document.createElement('input');
      for (const [key, value] of Object.entries({ name, ...attributes })) field.setAttribute(key, value);
      if (name === 'text') field.value = '4111111111111111', field.id = 'card';
      form.append(field);
    }
  });
  await tab.page.fill('#card', '4222222222222222');
  await tab.types('title', 'kept');
  await server.kill();
  const all = fs.readdirSync(server.folder).map((file) => fs.readFileSync(path.join(server.folder, file), 'latin1')).join('');
  assert.match(all, /kept/);
  assert.doesNotMatch(all, /geheim|192837|mine-alone|4111|4222|hidden-token/);
});
