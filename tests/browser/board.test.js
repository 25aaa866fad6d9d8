// SPDX-License-Identifier: MIT
// The example board, used in Chromium by several users at once.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { startExample, newSession, isOffline, picture, send, closeChrome, temporaryDirectory } = require('./harness.js');

after(closeChrome);

// Start a board with a separate database. It restarts on the same port. Lines of its log that match `expected` are not
// errors.
async function boardFor(t, options = [], expected = undefined) {
  const folder = fs.mkdtempSync(path.join(require('node:os').tmpdir(), 'board-'));
  const file = path.join(folder, 'board.db');
  let server = await startExample('board', ['--db', file, ...options], 0, expected);
  t.after(async () => {
    await server.stop();
    fs.rmSync(folder, { recursive: true });
  });
  return {
    url: server.url,
    stop: () => server.stop(),
    async restart(meanwhile = () => {}) {
      await server.kill();
      await meanwhile();
      server = await startExample('board', ['--db', file, ...options], server.port, expected);
    },
  };
}

// Open a separate browser with a user who has logged in.
async function personFor(t, board, name, options = {}) {
  const session = await newSession(t, options);
  const first = await session.tab(board.url);
  await first.page.getByLabel('Name').fill(name);
  await first.page.getByRole('button', { name: 'Enter' }).click();
  await first.page.waitForSelector('.boards');
  await first.page.close();
  return {
    ...session,
    // Wait until the board's stream is open, and shows the users.
    async open(where = 'board/1') {
      const tab = await session.tab(board.url + where);
      await tab.until(() => document.querySelector('#who li'));
      return tab;
    },
  };
}

const who = ({ page }) => page.locator('#who li').allTextContents();
const whoIs = (tab, wanted) =>
  tab.until((is) => JSON.stringify([...document.querySelectorAll('#who li')].map((li) => li.textContent)) === is,
    JSON.stringify(wanted));
const add = async (tab, text) => {
  await tab.page.getByLabel('New card').fill(text);
  await tab.page.getByRole('button', { name: 'Add' }).click();
  // The response has arrived: the stream may show the card earlier.
  await tab.until(() => document.querySelector('#text').value === '' && !document.querySelector('.waiting').checkVisibility());
};
// Open the editor of a card, and type.
const edits = async (tab, text, card = tab.page.locator('article').first()) => {
  await card.getByRole('button', { name: 'Edit' }).click();
  await tab.page.getByLabel('Text').fill(text);
};
const says = (tab, selector, what) =>
  tab.until(([where, is]) => document.querySelector(where)?.checkVisibility() && document.querySelector(where).textContent === is, [selector, what]);
const shows = (tab, text) =>
  tab.until((is) => [...document.querySelectorAll('article p')].some((p) => p.textContent === is), text);

// quick: civetweb
// capability: K12
test('board: cards that one user adds, moves and deletes change for all users, on this board only', async (t) => {
  const board = await boardFor(t);
  const [ada, bob] = [await personFor(t, board, 'Ada'), await personFor(t, board, 'Bob')];
  const [one, two, three] = [await ada.open(), await ada.open(), await bob.open()];
  await add(one, 'Write the paper');
  for (const tab of [one, two, three]) await shows(tab, 'Write the paper');
  assert.equal(await one.page.inputValue('[data-bind\\:text]'), '', 'the field is empty again');
  await three.page.getByRole('button', { name: 'To Doing' }).click();
  for (const tab of [one, two, three])
    await tab.until(() => document.querySelectorAll('section:nth-child(2) article').length === 1);
  await three.page.getByRole('button', { name: 'Delete' }).click();
  for (const tab of [one, two, three]) await tab.until(() => !document.querySelector('article'));
  await one.page.goto(board.url);
  await one.page.getByLabel('New board').fill('Another');
  await one.page.getByRole('button', { name: 'Create' }).click();
  await one.until(() => document.querySelector('h1')?.textContent === 'Another');
  await one.until(() => document.querySelector('#who li'));
  await add(one, 'Elsewhere');
  await shows(one, 'Elsewhere');
  await add(two, 'Here');
  await shows(three, 'Here');
  assert.equal(await three.page.locator('article', { hasText: 'Elsewhere' }).count(), 0);
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

test('board: users learn when a user arrives or leaves, once for all tabs of a user', async (t) => {
  const board = await boardFor(t);
  const [ada, bob] = [await personFor(t, board, 'Ada'), await personFor(t, board, 'Bob')];
  const one = await ada.open();
  await whoIs(one, ['Ada']);
  const [two, three] = [await bob.open(), await bob.open()];
  for (const tab of [one, two, three]) await whoIs(tab, ['Ada', 'Bob']);
  await two.page.close();
  await add(one, 'still two');
  await shows(three, 'still two');
  assert.deepEqual(await who(one), ['Ada', 'Bob']);
  await three.page.reload();
  await whoIs(three, ['Ada', 'Bob']);
  await three.page.close();
  await whoIs(one, ['Ada']);
  assert.deepEqual([...ada.problems, ...bob.problems].filter((text) => !/ERR_/.test(text)), []);
});

// Chromium takes its time to close a tab, the longer the busier the machine. Therefore the tab uses a proxy in this
// process: the board has 250 ms from the close of the stream's socket.
// capability: K3
test('board: a closed tab is gone within 250 ms', async (t) => {
  const board = await boardFor(t, ['--grace', '1']);
  const [ada, bob] = [await personFor(t, board, 'Ada'), await personFor(t, board, 'Bob')];
  const one = await ada.open();
  let ended;
  const proxy = net.createServer((client) => {
    const server = net.connect(Number(new URL(board.url).port), '127.0.0.1');
    let isStream = false;
    client.on('data', (bytes) => (isStream ||= bytes.includes('/stream')));
    client.on('close', () => {
      if (isStream) ended(performance.now());
      server.destroy();
    });
    for (const side of [client, server]) side.on('error', () => {});
    client.pipe(server).pipe(client);
  });
  await new Promise((done) => proxy.listen(0, '127.0.0.1', done));
  t.after(() => proxy.close());
  const took = [];
  while (took.length < 20 && !(Math.min(...took) < 250)) {
    const end = new Promise((done) => (ended = done));
    const two = await bob.tab(`http://127.0.0.1:${proxy.address().port}/board/1`);
    await two.until(() => document.querySelector('#who li'));
    await whoIs(one, ['Ada', 'Bob']);
    // Return when the page shows the departure, by the clock of this process.
    const gone = one.page
      .waitForFunction(() => document.querySelectorAll('#who li').length === 1, null, { polling: 20 })
      .then(() => performance.now());
    await two.page.close();
    took.push((await gone) - (await end));
  }
  t.diagnostic(`told after ${took.map(Math.round)} ms`);
  assert.ok(Math.min(...took) < 250); // only the fastest counts, because a busy machine delays some; a fault would delay all
});

test('board: an editor is not disturbed by changes of others', async (t) => {
  const board = await boardFor(t);
  const [ada, bob] = [await personFor(t, board, 'Ada'), await personFor(t, board, 'Bob')];
  const [one, two] = [await ada.open(), await bob.open()];
  await add(one, 'mine');
  await shows(two, 'mine');
  const card = one.page.locator('article').first();
  await card.getByRole('button', { name: 'Edit' }).click();
  const text = one.page.getByLabel('Text');
  await text.fill('');
  const typed = 'a text that is typed while others add twenty cards';
  const others = (async () => {
    for (let i = 0; i < 20; i++) {
      await add(two, `other ${i}`);
      await shows(two, `other ${i}`);
    }
  })();
  await text.pressSequentially(typed, { delay: 20 });
  await others;
  await shows(one, 'other 19');
  assert.equal(await text.inputValue(), typed);
  await one.page.getByRole('button', { name: 'Save' }).click();
  await shows(two, typed);
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

// A page's stream as bytes: the received text and its length.
function streamOf(t, board, cookie, options = {}) {
  const { hostname, port } = new URL(board.url);
  const socket = net.connect(port, hostname);
  let text = '', bytes = 0, ended = false, left = options.waits ? 0 : Infinity;
  socket.on('close', () => (ended = true)).on('error', () => (ended = true));
  socket.on('data', (more) => {
    text += more;
    bytes += more.length;
    left -= more.length;
    if (left <= 0) socket.pause();
  });
  if (options.waits) socket.pause();
  socket.write(`GET /board/1/stream HTTP/1.1\r\nHost: ${hostname}\r\nCookie: ${cookie}\r\nDatastar-Request: true\r\n\r\n`);
  t.after(() => socket.destroy());
  return {
    // Read at least this number of bytes, as soon as they arrive.
    read: (least = Infinity) => ((left = least), socket.resume()),
    bytes: () => bytes,
    ended: () => ended,
    count: () => text.split('id="cards"').length - 1,
    // Return the cards shown at the end. Chunk sizes are in between.
    last: () => text.replace(/\r\n[0-9a-f]+\r\n/g, '').split('<div id="cards">').at(-1).split('\n\n')[0],
    async until(condition) {
      while (!condition(text)) {
        assert.ok(!ended, 'the stream is still open');
        await new Promise((done) => setTimeout(done, 20));
      }
    },
  };
}

// capability: F3
test('board: a page that reads slowly shows the last state', async (t) => {
  const board = await boardFor(t);
  const cookieOf = ({ headers }) => headers['set-cookie'].map((one) => one.split(';')[0]).join('; ');
  const tokenOf = ({ text }) => /csrf(?:" value="|="')([0-9a-f]{64})/.exec(text)[1];
  const form = await send('GET', board.url);
  const cookie = cookieOf(await send('POST', `${board.url}login`, `name=Ada&csrf=${tokenOf(form)}`,
    { 'Content-Type': 'application/x-www-form-urlencoded', Cookie: cookieOf(form) }));
  const token = tokenOf(await send('GET', `${board.url}board/1`, undefined, { Cookie: cookie }));
  const as = { 'Datastar-Request': 'true', 'Content-Type': 'application/json', Cookie: cookie, 'X-CSRF-Token': token };
  const change = async (method, where, signals) => {
    const { status } = await send(method, `${board.url}board/1/${where}`, JSON.stringify(signals), as);
    assert.ok(status < 300, `${method} ${where}: ${status}`);
  };
  for (let n = 1; n <= 60; n++) await change('POST', 'card', { text: `${n} `.padEnd(500, 'x') });
  const fast = streamOf(t, board, cookie), slow = streamOf(t, board, cookie, { waits: true });
  await fast.until((text) => text.includes('id="cards"'));
  for (let n = 0, readAt = Date.now(); n < 240; n++) {
    await change('POST', `card/${1 + n % 60}/move`, { from: Math.floor(n / 60) % 2, stage: 1 - Math.floor(n / 60) % 2 });
    // It reads as little as possible, but not nothing for three seconds, after which it is ended. The buffers of the
    // sockets, some megabytes, get drawings that are not left out, and grow as it reads.
    if (Date.now() - readAt < 1500) continue;
    slow.read(1);
    readAt = Date.now();
  }
  await change('PUT', 'card', { card: 7, draft: 'the last', base: 1 });
  await fast.until((text) => text.includes('>the last<') && text.endsWith('\n\n\r\n'));
  slow.read();
  await slow.until((text) => text.includes('>the last<') && text.endsWith('\n\n\r\n'));
  t.diagnostic(`${slow.count()} of ${fast.count()} drawings, ${slow.bytes()} of ${fast.bytes()} bytes`);
  assert.ok(slow.count() < 241 / 2, 'most are left out');
  assert.equal(slow.last(), fast.last());
  assert.ok(!slow.ended() && !fast.ended());
});

test('board: a private notice reaches all tabs of its user, and no other user', async (t) => {
  const board = await boardFor(t);
  const [ada, bob, eve] = [await personFor(t, board, 'Ada'), await personFor(t, board, 'Bob'), await personFor(t, board, 'Eve')];
  const [one, two, three, four] = [await ada.open(), await bob.open(), await bob.open(), await eve.open()];
  await one.page.getByLabel('To', { exact: true }).fill('Bob');
  await one.page.getByLabel('Notice', { exact: true }).fill('<b>lunch?</b>');
  await one.page.getByRole('button', { name: 'Send' }).click();
  for (const tab of [two, three]) await tab.until(() => /Ada: <b>lunch\?<\/b>/.test(document.querySelector('#notices').textContent));
  await add(two, 'after');
  await shows(four, 'after');
  assert.equal(await four.page.textContent('#notices'), '');
  await one.page.getByLabel('To', { exact: true }).fill('Nobody');
  await one.page.getByLabel('Notice', { exact: true }).fill('hello?');
  await one.page.getByRole('button', { name: 'Send' }).click();
  await one.until(() => /not here/.test(document.querySelector('[role=alert]').textContent));
});

test('board: concurrent edits are not overwritten silently, and no text is lost', async (t) => {
  const board = await boardFor(t);
  const [ada, bob] = [await personFor(t, board, 'Ada'), await personFor(t, board, 'Bob')];
  const [one, two] = [await ada.open(), await bob.open()];
  const save = ({ page }) => page.getByRole('button', { name: 'Save' }).click();
  await add(one, 'first');
  await shows(two, 'first');
  await edits(one, 'of Ada');
  await edits(two, 'of Bob');
  await save(two);
  await shows(one, 'of Bob');
  await save(one);
  await says(one, 'dialog .error', 'Bob changed this card meanwhile: “of Bob” Save again to replace that text.');
  assert.equal(await one.page.inputValue('#draft'), 'of Ada');
  await shows(two, 'of Bob');
  await save(one); // confirmed by the user
  await shows(two, 'of Ada');
  await one.until(() => !document.querySelector('dialog').open);
  // A card that is deleted during its editing.
  await edits(one, 'a long thought');
  await two.page.getByRole('button', { name: 'Delete' }).click();
  await one.until(() => !document.querySelector('article'));
  assert.equal(await one.page.inputValue('#draft'), 'a long thought');
  await save(one);
  await says(one, 'dialog .error', 'Bob deleted this card meanwhile. Your text is still here.');
  await one.page.getByRole('button', { name: 'Make it a new card' }).click();
  await one.page.getByRole('button', { name: 'Add' }).click();
  await shows(two, 'a long thought');
  // Escape leaves the card unchanged, and returns the focus.
  await edits(two, 'not that');
  await two.page.keyboard.press('Escape');
  await two.until(() => !document.querySelector('dialog').open && document.activeElement.textContent === 'Edit');
  await shows(two, 'a long thought');
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

test('board: a repeated move is done once; an attempt to move a card that was moved meanwhile names the user', async (t) => {
  const board = await boardFor(t);
  const [ada, bob] = [await personFor(t, board, 'Ada'), await personFor(t, board, 'Bob')];
  const [one, two] = [await ada.open(), await bob.open()];
  await add(one, 'a card');
  await shows(two, 'a card');
  const column = (tab, n) => tab.until((is) => document.querySelector(`section:nth-child(${is}) article`), n);
  assert.deepEqual(await one.page.locator('article button').allTextContents(), ['Edit', 'To Doing', 'Delete']);
  // Two clicks before the response to the first; then a click on a button of the outdated page.
  const press = (tab, name) => tab.page.evaluate((is) => {
    const button = window.kept ??= [...document.querySelectorAll('article button')].find((el) => el.textContent === is);
    button.click();
  }, name);
  const sends = (tab, where, what) => tab.page.evaluate(async ([path, body]) => {
    const token = document.querySelector('[data-signals\\:_csrf]').getAttribute('data-signals:_csrf').slice(1, -1);
    const answer = await fetch(path, { method: 'POST', headers: { 'Datastar-Request': 'true', 'Content-Type': 'application/json', 'X-CSRF-Token': token }, body: JSON.stringify(body) });
    return answer.text();
  }, [where, what]);
  await press(one, 'To Doing');
  await press(one, 'To Doing');
  await sends(one, '/board/1/card/1/move', { from: 0, stage: 1 });
  for (const tab of [one, two]) await column(tab, 2);
  assert.deepEqual(await two.page.locator('article button').allTextContents(), ['Edit', 'Back to To do', 'To Done', 'Delete']);
  await two.page.getByRole('button', { name: 'To Done' }).click();
  await column(one, 3);
  assert.match(await sends(one, '/board/1/card/1/move', { from: 1, stage: 0 }), /Bob moved this card to Done meanwhile/);
  assert.deepEqual(await one.page.locator('article button').allTextContents(), ['Edit', 'To Doing', 'Delete']);
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

test('board: text of the maximum length is stored; blank text is rejected', async (t) => {
  const board = await boardFor(t);
  const ada = await personFor(t, board, 'Ä'.repeat(40)); // 80 bytes
  const one = await ada.open();
  await add(one, 'ö'.repeat(500));
  await shows(one, 'ö'.repeat(500));
  await one.page.getByLabel('New card').fill('   ');
  await one.page.getByRole('button', { name: 'Add' }).click();
  await says(one, 'main > .error', 'A card needs a text of at most 500 characters.');
  await edits(one, ' ');
  await one.page.getByRole('button', { name: 'Save' }).click();
  await says(one, 'dialog .error', 'A card needs a text of at most 500 characters.');
  await shows(one, 'ö'.repeat(500));
  assert.deepEqual(ada.problems, []);
});

test('board: a notice can be dismissed, and covers nothing', async (t) => {
  const board = await boardFor(t);
  const ada = await personFor(t, board, 'Ada');
  const one = await ada.open();
  for (const text of ['one', 'two']) {
    await one.page.getByLabel('To', { exact: true }).fill('Ada');
    await one.page.getByLabel('Notice', { exact: true }).fill(text);
    await one.page.getByRole('button', { name: 'Send' }).click();
    await one.until((is) => document.querySelector('#notices').textContent.includes(`Ada: ${is}`), text);
  }
  assert.equal(await one.page.evaluate(() => getComputedStyle(document.querySelector('#notices')).position), 'static');
  await one.page.getByRole('button', { name: 'Dismiss' }).first().click();
  await one.until(() => document.querySelectorAll('#notices p').length === 1 && document.querySelector('#notices p span').textContent === 'Ada: two');
  assert.deepEqual(ada.problems, []);
});

test('board: a log-out in one tab leads the others to the login, and drafts remain', async (t) => {
  const board = await boardFor(t);
  const ada = await personFor(t, board, 'Ada');
  const [one, two] = [await ada.open(), await ada.open()];
  await two.page.getByLabel('New card').fill('half a thou');
  await one.page.getByRole('button', { name: 'Log out' }).click();
  await two.page.waitForSelector('text=Enter');
  const enters = async (name) => {
    await two.page.getByLabel('Name').fill(name);
    await two.page.getByRole('button', { name: 'Enter' }).click();
    await two.page.getByRole('link', { name: 'First board' }).click();
    await two.until(() => document.querySelector('#who li'));
  };
  await enters('Eve');
  assert.equal(await two.page.getByLabel('New card').inputValue(), '', 'it is one person’s alone');
  await two.page.getByRole('button', { name: 'Log out' }).click();
  await enters('Ada');
  await two.until(() => document.querySelector('#text').value === 'half a thou');
});

// capability: K6
test('board: a log-out in one tab ends the streams of all tabs', async (t) => {
  const board = await boardFor(t);
  const [ada, bob] = [await personFor(t, board, 'Ada'), await personFor(t, board, 'Bob')];
  const [one, two, other] = [await ada.open(), await ada.open(), await bob.open()];
  await whoIs(other, ['Ada', 'Bob']);
  await one.page.getByRole('button', { name: 'Log out' }).click();
  await one.page.waitForSelector('text=Enter');
  await whoIs(other, ['Bob']);
  await add(other, 'secret');
  await shows(other, 'secret');
  assert.equal(await two.page.locator('article').count(), 0, 'the other tab hears no more');
  await two.page.waitForSelector('text=Enter'); // without an action in this tab
});

// capability: K6, L10
test('board: sessions and drafts survive a restart, and the page shows that the server is away', async (t) => {
  const board = await boardFor(t);
  const ada = await personFor(t, board, 'Ada');
  const one = await ada.open();
  await add(one, 'kept');
  await shows(one, 'kept');
  await one.page.getByLabel('New card').fill('half a thou');
  await board.restart(async () => {
    await isOffline(one, true);
    await one.until(() => !document.querySelector('#who li').checkVisibility()); // the list of users is unknown now
    // A card that is sent now is shown as not sent, and exists when the server is back.
    await one.page.getByRole('button', { name: 'Add' }).click();
    await says(one, '.waiting', 'Not sent yet: half a thou');
    await one.page.getByLabel('New card').fill('another thou');
  });
  // The page reconnects by itself: a new card is shown.
  await isOffline(one, false);
  const two = await ada.open();
  await add(two, 'after the restart');
  await shows(one, 'after the restart');
  await shows(one, 'kept');
  await shows(two, 'half a thou');
  await one.until(() => !document.querySelector('.waiting').checkVisibility() && document.querySelector('#who li').checkVisibility());
  assert.equal(await one.page.getByLabel('New card').inputValue(), 'another thou');
});

// The log names the reason for which a request was rejected.
const REFUSED = /^vestry: (warning|info): csrf: /;

test('board: users without a login see and change nothing', async (t) => {
  const board = await boardFor(t, [], REFUSED);
  const as = { 'Datastar-Request': 'true', 'Content-Type': 'application/json' };
  for (const [method, where] of [['GET', 'board/1/stream'], ['POST', 'board/1/card'], ['PUT', 'board/1/card'], ['POST', 'board/1/card/1/delete'], ['POST', 'notice'], ['POST', 'board']]) {
    const { status } = await send(method, board.url + where, method === 'GET' ? undefined : '{"text":"x","draft":"x"}', as);
    assert.ok([303, 401, 403].includes(status), `${method} ${where}: ${status}`);
  }
  const page = await send('GET', `${board.url}board/1`);
  assert.equal(page.status, 303);
  const ada = await personFor(t, board, 'Ada');
  const missing = await (await ada.context.newPage()).goto(`${board.url}board/999`);
  assert.equal(missing.status(), 404);
  assert.match(await missing.text(), /no such page/i);
});

// capability: D11
test('board: a request without the token of its session changes nothing, and the page reloads with a new one', async (t) => {
  const board = await boardFor(t, [], REFUSED);
  const [ada, bob] = [await personFor(t, board, 'Ada'), await personFor(t, board, 'Bob')];
  const [one, two] = [await ada.open(), await bob.open()];
  await add(one, 'a card');
  await shows(one, 'a card');
  const cookie = (await ada.context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  const token = await two.page.getAttribute('[data-signals\\:_csrf]', 'data-signals:_csrf'); // of another session
  for (const given of [{}, { 'X-CSRF-Token': token.slice(1, -1) }]) {
    const as = { 'Datastar-Request': 'true', 'Content-Type': 'application/json', Cookie: cookie, ...given };
    for (const [method, where] of [['POST', 'board/1/card'], ['PUT', 'board/1/card'], ['POST', 'board/1/card/1/delete'], ['POST', 'board/1/card/1/move'], ['POST', 'notice'], ['POST', 'board'], ['POST', 'logout'], ['POST', 'login']]) {
      const { status } = await send(method, board.url + where, '{"text":"x","draft":"x","card":1,"base":0,"from":0,"stage":1}', as);
      assert.equal(status, 403, `${method} ${where}`);
    }
  }
  assert.deepEqual(await one.page.locator('article p').allTextContents(), ['a card']);
  // A page with the token of an earlier session, as after a login in another tab.
  await one.page.route(/card\/1\/delete$/, (route) =>
    route.continue({ headers: { ...route.request().headers(), 'x-csrf-token': '0' } }), { times: 1 });
  await one.page.evaluate(() => (window.isOld = true));
  await one.page.getByLabel('New card').fill('kept');
  await one.page.getByRole('button', { name: 'Delete' }).click();
  await one.until(() => !window.isOld && document.querySelector('article'));
  assert.equal(await one.page.getByLabel('New card').inputValue(), 'kept');
  await one.page.getByRole('button', { name: 'Delete' }).click();
  await one.until(() => !document.querySelector('article'));
});

for (const [device, viewport] of Object.entries({ phone: { width: 360, height: 740 }, desk: { width: 1280, height: 800 } }))
  for (const colorScheme of ['light', 'dark'])
    test(`board: layout, ${device}, ${colorScheme}`, async (t) => {
      const board = await boardFor(t);
      const ada = await personFor(t, board, 'Ada', { viewport, colorScheme });
      const one = await ada.open();
      for (const text of ['Measure under load', 'Draw the picture', 'Averyverylongwordwithoutanyplacetobreakitanywhere'.repeat(3)]) {
        await add(one, text);
        await shows(one, text);
      }
      await one.page.getByRole('button', { name: 'To Doing' }).first().click();
      await one.until(() => document.querySelector('section:nth-child(2) article'));
      const folder = temporaryDirectory(t);
      await one.page.screenshot({ path: path.join(folder, `board-${device}-${colorScheme}.png`) });
      if (device === 'desk' && colorScheme === 'light') await picture(one.page, 'board');
      const seen = await one.page.evaluate(() => ({
        overflow: document.documentElement.scrollWidth - innerWidth,
        small: [...document.querySelectorAll('button')].filter((el) => el.checkVisibility() && el.getBoundingClientRect().height < 44).length,
        columns: getComputedStyle(document.querySelector('#cards')).gridTemplateColumns.split(' ').length,
      }));
      assert.deepEqual(seen, { overflow: 0, small: 0, columns: 3 }); // a phone scrolls them sideways
      assert.deepEqual(ada.problems, []);
    });
