// SPDX-License-Identifier: MIT
// Repeated requests of the client, and repeated clicks. With the stand-in each test runs twice: its repetitions are
// built anew, as by current clients, or are sent unchanged ('kept'). A real client behaves as it does.
'use strict';
const { after, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { startExample, newSession, send, closeChrome } = require('./harness.js');
const chatting = require('./chat.js');
const { sqlAt } = require('./database.js');

after(closeChrome);

const clients = process.env.DATASTAR_JS ? ['rebuilt'] : ['rebuilt', 'kept'];
const testEach = (name, run) => {
  for (const retries of clients)
    test(process.env.DATASTAR_JS ? name : `${name} (${retries})`, (t) => run(t, retries));
};

// Start an example with a separate database, always on the same port.
async function exampleOn(t, name) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `${name}-`));
  const file = path.join(folder, `${name}.db`);
  let server = await startExample(name, ['--db', file]);
  t.after(async () => {
    await server.stop();
    fs.rmSync(folder, { recursive: true });
  });
  return {
    url: server.url,
    port: server.port,
    kill: () => server.kill(),
    begin: async () => (server = await startExample(name, ['--db', file], server.port)),
    sql: (statement) => sqlAt(file, statement)[0],
  };
}

// Wait until the client has reported `count` further attempts.
const tries = ({ page }) =>
  page.evaluate(() => {
    window.tries = 0;
    // Of submissions: earlier ones in the queue may not be answered yet.
    document.addEventListener('datastar-fetch', ({ detail }) => (window.tries += detail.type === 'retrying' && Boolean(detail.el.once)));
  });
const hasTried = async (tab, count) => {
  const from = await tab.page.evaluate(() => window.tries);
  await tab.until((least) => window.tries >= least, from + count);
};

const texts = (round) => ['first', 'second', 'third'].map((text) => `${text} of ${round}`);
// The server is killed; three requests are sent; it starts, and is killed again meanwhile, at another moment in each
// round.
async function threeTimes(t, server, tab, put, shows, rows) {
  await tries(tab);
  const all = [];
  for (const round of ['one', 'two', 'three']) {
    await server.kill();
    for (const text of texts(round)) {
      await put(text);
      all.push(text);
      if (round !== 'one') await hasTried(tab, 1);
    }
    if (round === 'one') await hasTried(tab, 2);
    await server.begin();
    if (round === 'two') {
      await shows(texts(round)[0]);
      await server.kill();
      await server.begin();
    }
    await shows(texts(round)[2]);
    assert.deepEqual(rows(), all);
  }
}

const boardTab = async (t, board, retries) => {
  const session = await newSession(t, { retries });
  const tab = await session.tab(board.url);
  await tab.page.getByLabel('Name').fill('Ada');
  await tab.page.getByRole('button', { name: 'Enter' }).click();
  await tab.page.waitForSelector('.boards');
  await tab.page.goto(`${board.url}board/1`);
  await tab.until(() => document.querySelector('#who li'));
  return { ...session, ...tab };
};
const cardIs = (tab, text) =>
  tab.until((is) => [...document.querySelectorAll('article p')].some((p) => p.textContent === is), text);

// The tests mostly wait.
describe('retries', { concurrency: 4 }, () => {
  // capability: D18
  testEach('retries: three messages while the chat is down, three times: each once, in the order of the clicks', async (t, retries) => {
    const chat = await exampleOn(t, 'chat');
    const ada = await chatting.personFor(t, chat, 'Ada', { retries });
    await threeTimes(t, chat, ada, (text) => chatting.say(ada, text), (text) => chatting.shows(ada, text),
      () => chat.sql('SELECT text FROM message ORDER BY id').flat());
    assert.equal(await ada.page.locator('.error').textContent(), '');
    assert.equal(await ada.page.getByLabel('Message').inputValue(), '');
  });

  // capability: D18
  testEach('retries: three cards while the board is down, three times: each once, in the order of the clicks', async (t, retries) => {
    const board = await exampleOn(t, 'board');
    const tab = await boardTab(t, board, retries);
    const add = async (text) => {
      await tab.page.getByLabel('New card').fill(text);
      await tab.page.getByRole('button', { name: 'Add' }).click();
    };
    await threeTimes(t, board, tab, add, (text) => cardIs(tab, text),
      () => board.sql('SELECT text FROM card ORDER BY id').flat());
    assert.equal(await tab.page.getByLabel('New card').inputValue(), '');
  });
});

// With the pause of a hand: the first click has been answered by then. Return whether the second click came within the
// second in which the page takes it for a part of the first.
const clickTwice = async ({ page }, name) => {
  const { x, y, width, height } = await page.getByRole('button', { name }).boundingBox();
  await page.mouse.move(x + width / 2, y + height / 2);
  const answered = page.waitForResponse((answer) => answer.request().method() === 'POST' && !/draft$/.test(answer.url()));
  const since = Date.now();
  for (const clickCount of [1, 2]) {
    await page.mouse.down({ clickCount });
    await page.mouse.up({ clickCount });
    await answered;
  }
  return Date.now() - since < 1000;
};
// Fill a field and click twice, with other texts until a busy machine does it in time. Return the texts.
const twice = async (tab, label, text, name, requests, isShown) => {
  for (const texts = []; ;) {
    assert.ok(texts.length < 20, 'no second click came in time');
    texts.push(`${text}${texts.length || ''}`);
    await tab.page.getByLabel(label).fill(texts.at(-1));
    const before = requests.length, isQuick = await clickTwice(tab, name);
    await isShown(tab, texts.at(-1));
    if (!isQuick) continue;
    assert.equal(requests.length - before, 1);
    return texts;
  }
};
// The submissions to an address, by their numbers: a client on a busy machine may send one again.
const posts = (page, end) => {
  const all = [];
  page.on('request', (request) => {
    const nonce = request.headers()['x-once'];
    if (request.method() === 'POST' && request.url().endsWith(end) && !(nonce && all.includes(nonce))) all.push(nonce);
  });
  return all;
};

// quick: microhttpd
// capability: D18
testEach('retries: a double click makes one message, one channel, one card, one board', async (t, retries) => {
  const [chat, board] = [await exampleOn(t, 'chat'), await exampleOn(t, 'board')];
  const ada = await chatting.personFor(t, chat, 'Ada', { retries });
  const [messages, channels] = [posts(ada.page, '/message'), posts(ada.page, '/channel')];
  const hellos = await twice(ada, 'Message', 'hello', 'Send', messages, chatting.shows);
  await twice(ada, 'New channel', 'third', 'Create', channels, chatting.isIn);
  await chatting.say(ada, 'after');
  await chatting.shows(ada, 'after');
  assert.deepEqual(chat.sql('SELECT text FROM message ORDER BY channel, id').flat(), [...hellos, 'after']);
  const tab = await boardTab(t, board, retries);
  const cards = posts(tab.page, '/card');
  const ones = await twice(tab, 'New card', 'one', 'Add', cards, cardIs);
  const before = cards.length;
  await tab.page.getByLabel('New card').fill('two');
  await tab.page.getByRole('button', { name: 'Add' }).click();
  await cardIs(tab, 'two');
  assert.deepEqual(board.sql('SELECT text FROM card ORDER BY id').flat(), [...ones, 'two']);
  assert.equal(cards.length - before, 1);
  await tab.page.goto(board.url);
  await tab.page.getByLabel('New board').fill('Another');
  await tab.page.getByRole('button', { name: 'Create' }).dblclick();
  await tab.until(() => document.querySelector('h1')?.textContent === 'Another');
  assert.deepEqual(board.sql('SELECT title FROM board ORDER BY id').flat(), ['First board', 'Another']);
});

// ------------------------------------------------------------------------------------ a page with all of it -------

// A proxy that can be shut: then connections are refused, as if no server listened.
async function gateTo(t, port) {
  const sockets = new Set();
  const accept = (client) => {
    const upstream = net.connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => (client.destroy(), upstream.destroy()));
    }
    client.pipe(upstream).pipe(client);
  };
  let server, own = 0;
  const open = async () => {
    server = net.createServer(accept);
    await new Promise((done) => server.listen(own, '127.0.0.1', done));
    own = server.address().port;
  };
  const shut = async () => {
    const closed = new Promise((done) => server.close(done));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await open();
  t.after(shut);
  return { open, shut, url: `http://127.0.0.1:${own}/` };
}

async function guardsFor(t, retries) {
  const server = await startExample('test_browser_guards');
  t.after(() => server.stop());
  const gate = await gateTo(t, server.port);
  const tab = await (await newSession(t, { retries })).tab(gate.url);
  await tab.until(() => document.querySelector('#seen').textContent.length === 32);
  await tab.page.evaluate(() => {
    window.told = [];
    document.addEventListener('datastar-fetch', ({ detail }) =>
      ['FORM', 'BUTTON'].includes(detail.el.tagName) && window.told.push(detail.type));
  });
  return {
    ...tab,
    ...gate,
    seen: async () => JSON.parse((await send('GET', `${server.url}seen`)).text),
    lots: async () => (await send('GET', `${server.url}lots`)).text.split('\n').slice(0, -1),
    told: (what, count = 1) =>
      tab.until(([of, least]) => window.told.filter((type) => type === of).length >= least, [what, count]),
  };
}

// capability: D18
testEach('once: an identical submission is a repeat until the response, and so is a double click', async (t, retries) => {
  const { page, open, shut, seen, lots, told } = await guardsFor(t, retries);
  await page.dblclick('#bid'); // the response may arrive between the clicks
  await told('finished');
  assert.equal((await seen()).bids, 1);
  await page.evaluate((now) => (Date.now = () => now + 3000), Date.now()); // later, it is a separate submission
  await page.click('#bid');
  await told('finished', 2);
  assert.equal((await seen()).bids, 2);
  await page.fill('#what', 'chair');
  await page.dblclick('#lot');
  await told('finished', 3);
  assert.deepEqual(await lots(), ['chair button']);
  // While no server responds.
  await shut();
  await page.fill('#what', 'table');
  for (let i = 0; i < 3; i++) await page.click('#lot');
  await told('retrying');
  assert.equal(await page.getAttribute('#lots', 'aria-busy'), 'true');
  await page.fill('#what', 'lamp'); // a different submission
  await page.click('#lot');
  await open();
  await told('finished', 5);
  assert.deepEqual(await lots(), ['chair button', 'table button', 'lamp button']);
  assert.equal(await page.getAttribute('#lots', 'aria-busy'), null);
});

// capability: D18
testEach('once: a form is sent as it was at the submission, even if it changes afterwards', async (t, retries) => {
  const { page, open, shut, lots, told } = await guardsFor(t, retries);
  await page.click('#lot'); // invalid: the browser reports it, and sends nothing
  assert.equal(await page.evaluate(() => document.activeElement.id), 'what');
  assert.deepEqual(await page.evaluate(() => window.told), []);
  await page.fill('#what', 'chair');
  await page.setInputFiles('#picture', { name: 'cat.txt', mimeType: 'text/plain', buffer: Buffer.from('miaow') });
  await shut();
  await page.click('#lot');
  await told('retrying');
  await page.fill('#what', 'something else');
  await page.setInputFiles('#picture', []);
  await told('retrying', 2);
  await page.fill('#what', ''); // invalid
  await told('retrying', 3);
  await page.evaluate(() => document.querySelector('#lots').remove());
  await open();
  await told('finished');
  assert.deepEqual(await lots(), ['chair button cat.txt']);
  assert.equal(await page.locator('form[id^=vestry-once]').count(), 0);
});

// Return the signals of a request: from its body, or from its query.
const signalsOf = (request) =>
  JSON.parse(request.method() === 'POST' ? request.postData() : new URL(request.url()).searchParams.get('datastar'));

for (const has of ['with its attributes', 'with the nonce alone'])
  testEach('once: signals are always sent as they were at the submission, on a page ' + has, async (t, retries) => {
    const { page, open, shut, seen, told } = await guardsFor(t, retries);
    if (has === 'with the nonce alone') await page.evaluate(() => delete window.vestryOnce);
    const sent = { POST: [], DELETE: [] };
    page.on('request', (request) => request.url().includes('/bid') && sent[request.method()].push(request));
    await page.fill('#typed', 'one');
    await shut();
    await page.click('#bid');
    await page.click('#drop');
    await page.fill('#typed', 'two');
    await told('retrying', 3);
    await open();
    await told('finished', 2);
    assert.equal((await seen()).bids, 2);
    for (const all of Object.values(sent)) {
      const nonces = new Set(all.map((request) => request.headers()['x-once']));
      assert.equal(nonces.size, 1);
      for (const request of all) {
        const { tabId, ...others } = signalsOf(request);
        assert.ok(tabId);
        // Like the client's filter: names that begin with _ are left out, except within a list; and so are empty
        // objects.
        assert.deepEqual(others, { failed: '', seen: tabId.slice(0, 32), typed: 'one', group: { list: [{ _kept: 2 }] } });
      }
    }
    assert.equal(new URL(sent.DELETE[0].url()).searchParams.get('of'), '7');
    assert.ok(sent.POST.length + sent.DELETE.length >= 5);
  });

// capability: D18
testEach('once: an action is sent while a computed signal holds null and undefined', async (t, retries) => {
  const { page, until, seen, told } = await guardsFor(t, retries);
  const values = "{id: 7, note: null, gone: undefined, no: false, zero: 0, empty: '', list: [null], group: {of: null}}";
  await page.evaluate((box) => {
    const elements = `<p id="box" data-computed:box="(${box})" data-text="$box.id"></p>`;
    const argsRaw = { elements, selector: 'body', mode: 'append' };
    const detail = { type: 'datastar-patch-elements', el: document.body, argsRaw };
    document.dispatchEvent(new CustomEvent('datastar-fetch', { detail }));
  }, values);
  await until(() => document.querySelector('#box')?.textContent === '7');
  const sent = page.waitForRequest(/bid/);
  await page.click('#bid');
  const { box } = signalsOf(await sent);
  assert.deepEqual(box, { id: 7, note: null, no: false, zero: 0, empty: '', list: [null], group: { of: null } });
  await told('finished');
  assert.equal((await seen()).bids, 1);
});
