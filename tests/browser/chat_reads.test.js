// SPDX-License-Identifier: MIT
// The example chat, as users read and write in Chromium: unsent messages, unread messages, navigation.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { newSession, picture, closeChrome } = require('./harness.js');
const { arrivalIn, holdArrivals, chatFor, personFor, create, go, isAt, isIn, press, say, textsOf, shows, faults } = require('./chat.js');

after(closeChrome);

const sendingOf = ({ page }) => page.locator('.sending li').allTextContents();
const sendingIs = (tab, wanted) =>
  tab.until((is) => JSON.stringify([...document.querySelectorAll('.sending li')].map((el) => el.textContent)) === is,
    JSON.stringify(wanted));

// capability: D12
test('chat: messages sent while the server is away stay visible, and arrive once each, soon after it is back', async (t) => {
  const chat = await chatFor(t);
  const ada = await personFor(t, chat, 'Ada');
  await say(ada, 'before');
  await shows(ada, 'before');
  await sendingIs(ada, []);
  await chat.kill();
  const texts = ['one', 'two\nlines', 'שלום'];
  for (const text of texts) await say(ada, text);
  await sendingIs(ada, texts);
  await picture(ada.page, 'chat-sending');
  // The first message is repeated constantly, without growing pauses.
  const attempts = [];
  ada.page.on('request', (request) => request.url().endsWith('/message') && attempts.push(Date.now()));
  for (let more = 0; more < 5; more++) await ada.page.waitForRequest(/message$/);
  assert.deepEqual(await sendingOf(ada), texts);
  await chat.begin();
  for (const text of texts) await shows(ada, text);
  await sendingIs(ada, []);
  assert.deepEqual(await textsOf(ada), ['before', ...texts]);
  const [rows] = chat.sql("SELECT text FROM message WHERE channel = 1 ORDER BY id");
  assert.deepEqual(rows.flat(), ['before', ...texts]);
  const pauses = attempts.slice(1, 5).map((at, i) => at - attempts[i]);
  t.diagnostic(`from one attempt to the next: ${pauses} ms`);
  assert.ok(Math.min(...pauses.slice(2)) < 4000); // with doubled pauses: eight seconds, and sixteen
  // A rejected message disappears from the list, and its text returns to the field.
  await say(ada, 'x'.repeat(2001));
  await ada.until(() => document.querySelector('.error').textContent.includes('2,000'));
  await sendingIs(ada, []);
  assert.equal((await ada.page.getByLabel('Message').inputValue()).length, 2001);
  // So does a message that gets an error. It is not repeated, because later messages would wait for it.
  await ada.page.route('**/message', (route) => route.fulfill({ status: 403 }));
  await say(ada, 'not mine');
  await ada.until(() => document.querySelector('.error').textContent.includes('logged in again elsewhere'));
  await sendingIs(ada, []);
  assert.equal(await ada.page.getByLabel('Message').inputValue(), 'not mine');
  await ada.page.unroute('**/message');
  // A message that gets 503 stays in the list, and is repeated.
  await ada.page.route('**/message', (route) => route.fulfill({ status: 503 }), { times: 2 });
  await say(ada, 'mine');
  await shows(ada, 'mine');
  assert.deepEqual((await textsOf(ada)).slice(-2), [texts.at(-1), 'mine']);
  assert.deepEqual(faults(ada.problems), []);
});

// capability: D12
test('chat: a channel opens at the first unread message, counts those below, and names authors every five minutes', async (t) => {
  const chat = await chatFor(t);
  const [ada, bob] = [await personFor(t, chat, 'Ada'), await personFor(t, chat, 'Bob')];
  const many = (from, to, values) => chat.sql(`WITH RECURSIVE n(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${to})
    INSERT INTO message(channel, id, author, text, sent) SELECT 2, i, 'Bob', 'number ' || i, ${values} FROM n`);
  many(1, 4, 'unixepoch() / 900 * 900 - 3600 + CASE i WHEN 1 THEN 0 WHEN 2 THEN 299 WHEN 3 THEN 300 ELSE 599 END');
  await go(ada, 'random');
  await shows(ada, 'number 4');
  const isOn = await ada.page.locator('article').evaluateAll((all) => all.map((article) => article.className === 'on'));
  assert.deepEqual(isOn.slice(1), [true, false, true]);
  assert.equal(await ada.page.locator('[data-new]').count(), 1); // all messages are unread
  // Messages that arrive while the tab navigates to another channel are unread, too: the tab reports its arrival late.
  const arrive = await holdArrivals(ada, 1);
  const arrival = arrivalIn(ada, 1);
  await go(ada, 'general');
  many(5, 44, 'unixepoch()');
  arrive();
  await arrival;
  await ada.page.unroute('**/channel/1');
  await go(ada, 'random');
  await shows(ada, 'number 44');
  const down = ada.page.getByRole('button', { name: 'new ↓' });
  const lineIs = (text) => ada.until((is) => {
    const line = document.querySelector('[data-new]');
    const [box, list] = [line, document.querySelector('#messages')].map((el) => el?.getBoundingClientRect());
    return line?.querySelector('p').textContent === is && box.top >= list.top && box.bottom <= list.bottom &&
      line.querySelector('header b').getBoundingClientRect().height > 10;
  }, text);
  await lineIs('number 5');
  await down.waitFor();
  await picture(ada.page, 'chat-new');
  await down.click();
  await down.waitFor({ state: 'hidden' });
  await ada.until(() => document.activeElement.matches('#composer textarea'));
  // Above the end, new messages are counted, and the position stays.
  await ada.page.evaluate(() => (document.querySelector('#messages').scrollTop = 0));
  await go(bob, 'random');
  for (const text of ['a', 'b', 'c']) await say(bob, text);
  await ada.until(() => document.querySelector('#down').textContent === '3 new ↓');
  assert.equal(await ada.page.locator('#messages').evaluate((list) => list.scrollTop), 0);
  await press(down);
  await ada.until(() => document.querySelector('#down').hidden);
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

// capability: D12
test('chat: by keyboard, the first stop leads to the field, and the focus stays; the title counts unread messages', async (t) => {
  const chat = await chatFor(t);
  const [ada, bob] = [await personFor(t, chat, 'Ada'), await personFor(t, chat, 'Bob')];
  const { keyboard } = ada.page;
  const focusIs = (selector) => ada.until((is) => document.activeElement.matches(is), selector);
  await ada.page.evaluate(() => document.activeElement.blur());
  await keyboard.press('Tab');
  await focusIs('#skip');
  await keyboard.press('Enter');
  await focusIs('#composer textarea');
  for (const text of ['one', 'two']) {
    await keyboard.type(text);
    await keyboard.press('Enter');
    await shows(ada, text);
  }
  const button = (name) => ada.page.locator('article', { hasText: 'one' }).getByRole('button', { name });
  await button('Edit').focus();
  await keyboard.press('Enter');
  await focusIs('#edited');
  await keyboard.press('Escape');
  await focusIs('#m1-1');
  await button('Delete').focus();
  await keyboard.press('Enter');
  await focusIs('#m1-2');
  assert.deepEqual(await textsOf(ada), ['two']);
  await go(bob, 'random');
  await ada.until(() => document.title === '#general');
  await say(bob, 'elsewhere');
  await ada.until(() => document.title === '#general (1)');
  await go(ada, 'random');
  await ada.until(() => document.title === '#random');
  const tree = await ada.page.getByRole('log', { name: 'Conversation' }).getByRole('article').count();
  assert.equal(tree, 1);
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

// capability: D12
test('chat: each channel has an address for Back and for sharing; / shows the last channel', async (t) => {
  const chat = await chatFor(t);
  const ada = await personFor(t, chat, 'Ada');
  await isAt(ada, '/channel/1');
  await ada.page.evaluate(() => (window.isSameDocument = true));
  await say(ada, 'in general');
  await shows(ada, 'in general');
  await go(ada, 'random');
  await isAt(ada, '/channel/2');
  await create(ada, 'plans');
  await isAt(ada, '/channel/3');
  await ada.until(() => document.title === '#plans');
  const back = arrivalIn(ada, 1);
  await ada.page.evaluate(() => history.go(-2));
  await isIn(ada, 'general');
  await ada.until(() => document.title === '#general');
  await press(ada.page.locator('article', { hasText: 'in general' }).getByRole('button', { name: 'Edit' }));
  await ada.until(() => document.activeElement.id === 'edited');
  await back;
  const forward = arrivalIn(ada, 2);
  await ada.page.goForward();
  await isIn(ada, 'random');
  await isAt(ada, '/channel/2');
  await forward;
  await ada.until(() => !document.getElementById('editing').checkVisibility());
  // A navigation that begins while the server is away completes when it is back.
  await chat.kill();
  await press(ada.page.getByRole('link', { name: 'plans' }));
  await isAt(ada, '/channel/3');
  await say(ada, 'said in random');
  // The tab reports its arrivals in their order, however long this takes.
  const arrive = await holdArrivals(ada, 3);
  await chat.begin();
  await isIn(ada, 'plans');
  const arrivals = [3, 2].map((channel) => arrivalIn(ada, channel).then(() => channel));
  await go(ada, 'random');
  await shows(ada, 'said in random');
  arrive();
  assert.equal(await Promise.race(arrivals), 3);
  await Promise.all(arrivals);
  assert.equal(await ada.page.evaluate(() => window.isSameDocument), true);
  await ada.page.goto(chat.url);
  await isIn(ada, 'random');
  await isAt(ada, '/channel/2');
  // A shared link leads to the channel, also through the login, and after a wrong name.
  const stranger = await newSession(t);
  const { page, until } = await stranger.tab(`${chat.url}channel/3`);
  await page.getByLabel('Name').fill(' ');
  await page.getByRole('button', { name: 'Enter' }).click();
  await until(() => document.querySelector('.error').textContent);
  await page.getByLabel('Name').fill('Bob');
  await page.getByRole('button', { name: 'Enter' }).click();
  await isIn({ until }, 'plans');
  await isAt({ until }, '/channel/3');
  assert.deepEqual(faults([...ada.problems, ...stranger.problems]), []);
});

// capability: D12
test('chat: on a phone, the drawer of channels closes by Escape, a click beside it and a choice', async (t) => {
  const chat = await chatFor(t);
  const phone = { viewport: { width: 390, height: 740 } };
  const [ada, bob] = [await personFor(t, chat, 'Ada', phone), await personFor(t, chat, 'Bob')];
  const { keyboard } = ada.page, button = ada.page.getByRole('button', { name: 'Channels and people' });
  const link = ada.page.getByRole('link', { name: 'random', exact: true });
  const isOpen = async (is) => {
    await ada.until((wanted) => document.getElementById('side').checkVisibility() === wanted, is);
    assert.equal(await link.count(), is ? 1 : 0); // it is not visible for a screen reader either
  };
  await isOpen(false);
  await go(bob, 'random');
  await say(bob, 'elsewhere');
  await ada.until(() => document.querySelector('#room > header b').textContent === '1');
  await button.focus();
  await keyboard.press('Enter');
  await isOpen(true);
  await picture(ada.page, 'chat-drawer');
  assert.deepEqual(await ada.page.evaluate(() => {
    const side = document.getElementById('side').getBoundingClientRect(), { clientWidth, scrollWidth } = document.documentElement;
    return [side.left, side.top, side.bottom === innerHeight, scrollWidth <= clientWidth];
  }), [0, 0, true, true]);
  await say(bob, 'more of it'); // a new message does not close it
  await ada.until(() => document.querySelector('nav b').textContent === '2');
  await isOpen(true);
  await keyboard.press('Escape');
  await isOpen(false);
  assert.equal(await ada.page.evaluate(() => document.activeElement.id), 'drawer');
  await button.click();
  await isOpen(true);
  await ada.page.mouse.click(380, 400);
  await isOpen(false);
  await button.click();
  await link.click();
  await isIn(ada, 'random');
  await isOpen(false);
  await shows(ada, 'more of it');
  assert.deepEqual(faults([...ada.problems, ...bob.problems]), []);
});

// capability: D12
test('chat: a page shows 500 of ten thousand messages, at any position, and stays at the one being read', async (t) => {
  const chat = await chatFor(t);
  chat.sql(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
    INSERT INTO message(channel, id, author, text, sent) SELECT 1, i, 'Bob', 'number ' || i, unixepoch() - 10000 + i FROM n`);
  const ada = await personFor(t, chat, 'Ada');
  const firstIs = (text) => ada.until((is) => document.querySelector('#messages article p')?.textContent === is, text);
  const older = () => press(ada.page.getByRole('button', { name: 'Show older' }));
  const count = async () => (await textsOf(ada)).length;
  const top = (id) => ada.page.evaluate((of) => Math.round(document.getElementById(of).querySelector('p').getBoundingClientRect().top), id);
  await firstIs('number 9901');
  for (const first of [9801, 9701, 9601, 9501]) {
    await older();
    await firstIs(`number ${first}`);
  }
  assert.equal(await count(), 500);
  await ada.page.evaluate(() => (document.querySelector('#messages').scrollTop = 0));
  for (const first of [9251, 9001, 8751]) {
    const id = await ada.page.evaluate(() => document.querySelectorAll('article')[5].id), was = await top(id);
    await older();
    await firstIs(`number ${first}`);
    assert.ok(Math.abs((await top(id)) - was) <= 1);
    assert.equal(await count(), 500);
    await ada.page.evaluate(() => (document.querySelector('#messages').scrollTop = 0));
  }
  await press(ada.page.getByRole('button', { name: 'Show newer' }));
  await firstIs('number 9001');
  await ada.page.goto(`${chat.url}channel/1?until=300`);
  await firstIs('number 1');
  assert.equal(await ada.page.getByRole('button', { name: 'Show older' }).count(), 0);
  await ada.page.getByRole('link', { name: 'To the newest: 9700 more' }).waitFor();
  await picture(ada.page, 'chat-until');
  chat.sql("INSERT INTO message(channel, id, author, text) VALUES(1, 10001, 'Bob', 'just now')");
  await ada.page.getByRole('link', { name: 'To the newest: 9701 more' }).waitFor(); // new messages are counted
  await firstIs('number 1');
  await say(ada, 'what was that?'); // the link leads to the newest message
  await shows(ada, 'what was that?');
  assert.equal(await ada.page.evaluate(() => location.search), '');
  await ada.until(() => { const list = document.querySelector('#messages'); return list.scrollHeight - list.scrollTop - list.clientHeight <= 1; });
  await ada.page.goBack();
  await firstIs('number 1');
  await press(ada.page.getByRole('link', { name: /To the newest/ }));
  await shows(ada, 'what was that?');
  assert.equal((await ada.page.goto(`${chat.url}channel/1?until=x`)).status(), 200); // not a number: the newest messages
  await shows(ada, 'what was that?');
  assert.deepEqual(faults(ada.problems), []);
});

// The content for a screen reader, from Chromium's accessibility tree.
const TREE = `- main:
  - link "To the message field":
    - /url: "#composer"
  - complementary "Channels and people":
    - navigation "Channels":
      - list:
        - listitem:
          - text: "#"
          - link "general":
            - /url: /channel/1
        - listitem:
          - text: "#"
          - link "random":
            - /url: /channel/2
    - text: New channel
    - textbox "New channel"
    - button "Create"
    - heading "Here now" [level=2]
    - list:
      - listitem: Ada
    - text: Ada
    - button "Log out"
  - heading "# general" [level=1]
  - log "Conversation":
    - heading DAY [level=2]:
      - time: DAY
    - article:
      - text: Guide
      - time: TIME
      - paragraph: TEXT
    - article:
      - text: Guide
      - time: TIME
      - paragraph: TEXT
    - article:
      - text: Guide
      - time: TIME
      - paragraph: TEXT
    - article:
      - text: Ada
      - time: TIME
      - paragraph: Hello
      - list:
        - button "Edit"
        - button "Delete"
  - text: Message
  - textbox "Message":
    - /placeholder: Write to general
  - button "Send"
  - status`;

// capability: D12
test('chat: a screen reader finds the channels, the users, the conversation and the field', async (t) => {
  const chat = await chatFor(t, ['--welcome']);
  const ada = await personFor(t, chat, 'Ada');
  await say(ada, 'Hello');
  await shows(ada, 'Hello');
  await ada.until(() => document.querySelector('.sending')?.children.length === 0);
  const tree = (await ada.page.locator('body').ariaSnapshot()).replace(/\d\d:\d\d/g, 'TIME').replace(/(heading )"\w+, [^"]*"/g, '$1DAY').replace(/(time: )\w+day,.*/g, '$1DAY')
    .replace(/paragraph: .{20,}/g, 'paragraph: TEXT');
  assert.equal(tree, TREE);
});
