// SPDX-License-Identifier: MIT
// The example chat, used in Chromium by several users at once.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const path = require('node:path');
const { HOSTILE, newSession, overfill, picture, pressComposing, send, closeChrome, temporaryDirectory } = require('./harness.js');
const { chatFor, personFor, press, say, textsOf, shows, isIn, isAt, openDrawer, go, create, complains, unreadIs, hereAre, action, arrivalIn, faults, watchArrivals, arrivalOf, scriptOf } = require('./chat.js');

after(closeChrome);

// quick: microhttpd
// capability: D12
test('chat: a message appears at once in all tabs of its channel, and in no other', async (t) => {
  const chat = await chatFor(t);
  const [ada, bob] = [await personFor(t, chat, 'Ada'), await personFor(t, chat, 'Bob')];
  const [two, other] = [await ada.open(), await bob.open()];
  await go(other, 'random');
  const there = [ada, two, bob];
  for (const tab of [...there, other]) await watchArrivals(tab);
  const took = [];
  for (let i = 0; i < 20; i++) {
    await bob.page.getByLabel('Message').fill(`message ${i}`);
    const sent = Date.now();
    await press(bob.page.getByRole('button', { name: 'Send' }));
    for (const tab of there) await shows(tab, `message ${i}`);
    for (const tab of there) took.push((await arrivalOf(tab, `message ${i}`)) - sent);
  }
  took.sort((a, b) => a - b);
  t.diagnostic(`from the click to each of three tabs: median ${took[30]} ms, most ${took[59]} ms`);
  assert.ok(took[0] < 500); // only the fastest counts, because a busy machine delays some; a fault would delay all
  assert.deepEqual(await textsOf(other), []);
  assert.deepEqual(await bob.page.locator('#messages article').last().locator('b').textContent(), 'Bob');
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

// capability: D12
test('chat: killed during a thousand messages, it loses none, and open pages show them once', async (t) => {
  const chat = await chatFor(t, ['--rate', '100000']);
  const [ada, bob, eve] = [await personFor(t, chat, 'Ada'), await personFor(t, chat, 'Bob'), await personFor(t, chat, 'Eve')];
  const elsewhere = await eve.open();
  await go(elsewhere, 'random');
  const script = await scriptOf(ada);
  await shows(bob, 'x');
  for (const [tab, draft] of [[bob, 'half a thought'], [elsewhere, 'another half']]) {
    const saved = tab.page.waitForResponse(/draft$/);
    await tab.page.getByLabel('Message').fill(draft);
    assert.equal((await saved).status(), 204);
  }
  // Eight at a time. A message without a response is sent again with its nonce, as by the client.
  const all = Array.from({ length: 1000 }, (_, i) => `number ${i}`);
  const acknowledged = new Set();
  let killed = null, next = 0, repeated = 0;
  await Promise.all(Array.from({ length: 8 }, async () => {
    while (next < all.length) {
      const text = all[next++], once = script.nonce();
      while ((await script.post(`${chat.url}channel/1/message`, { text }, once)) !== 204) {
        repeated++;
        await killed; // and the server is back
        await new Promise((done) => setTimeout(done, 20));
      }
      acknowledged.add(text);
      if (acknowledged.size === 400)
        killed = chat.kill().then(() => {
          t.diagnostic(`killed when ${acknowledged.size} were acknowledged`);
          return chat.begin();
        });
    }
  }));
  const [rows] = chat.sql("SELECT text, count(*) FROM message WHERE text LIKE 'number %' GROUP BY text");
  assert.deepEqual(rows.filter(([, count]) => count !== 1), []);
  assert.deepEqual(rows.map(([text]) => text).sort(), [...acknowledged].sort());
  t.diagnostic(`${repeated} requests were repeated`);
  const [last] = chat.sql('SELECT text FROM message WHERE channel = 1 ORDER BY id DESC LIMIT 1');
  for (const tab of [ada, bob, eve]) await shows(tab, last[0][0]);
  assert.deepEqual(await textsOf(elsewhere), []);
  for (const [tab, draft] of [[bob, 'half a thought'], [elsewhere, 'another half']]) {
    assert.equal(await tab.page.getByLabel('Message').inputValue(), draft);
    await tab.page.reload();
    await tab.until((is) => document.querySelector('#composer textarea')?.value === is, draft);
  }
  await say(elsewhere, 'as before');
  await shows(elsewhere, 'as before');
  await say(bob, 'here too');
  for (const tab of [ada, bob, eve]) await shows(tab, 'here too');
  assert.deepEqual(faults([...ada.problems, ...bob.problems, ...eve.problems]), []);
});

// capability: D12
test('chat: a tab that changes channels under load shows no message of the old one in the new one', async (t) => {
  const chat = await chatFor(t, ['--rate', '100000']);
  const [ada, bob] = [await personFor(t, chat, 'Ada'), await personFor(t, chat, 'Bob')];
  const script = await scriptOf(bob);
  chat.sql('DELETE FROM message');
  await ada.until(() => !document.querySelector('article'));
  await ada.page.evaluate(() => {
    window.wrong = [];
    window.looks = 0;
    window.newest = 0;
    new MutationObserver(() => {
      const channel = document.querySelector('h1').textContent;
      window.looks++;
      for (const p of document.querySelectorAll('#messages article p')) {
        if (!p.textContent.startsWith(`${channel} `)) window.wrong.push(`${p.textContent} in ${channel}`);
        window.newest = Math.max(window.newest, Number(p.textContent.split(' ').pop()));
      }
    }).observe(document, { childList: true, subtree: true, characterData: true });
  });
  // No faster than the tab can show it, because the server cannot revoke messages that a browser has read and not yet
  // shown.
  const AHEAD = 10;
  let isOver = false, count = 0;
  const fire = (async () => {
    for (; !isOver; count++) {
      if (count % AHEAD === 0) await ada.until((least) => window.newest >= least, count - AHEAD);
      await Promise.all([script.post(`${chat.url}channel/1/message`, { text: `general ${count}` }),
        script.post(`${chat.url}channel/2/message`, { text: `random ${count}` })]);
      await new Promise((done) => setTimeout(done, 10));
    }
  })();
  t.after(() => (isOver = true));
  for (let i = 0; i < 40; i++) await go(ada, i % 2 ? 'general' : 'random');
  isOver = true;
  await fire;
  await shows(ada, `general ${count - 1}`);
  const { wrong, looks } = await ada.page.evaluate(() => ({ wrong: window.wrong, looks: window.looks }));
  t.diagnostic(`40 changes under ${2 * count} messages, looked at ${looks} times`);
  assert.ok(looks > 80);
  assert.deepEqual(wrong, []);
  assert.deepEqual(ada.problems, []);
});

// capability: D12
test('chat: a write of another process is shown', async (t) => {
  const chat = await chatFor(t);
  const ada = await personFor(t, chat, 'Ada');
  await watchArrivals(ada);
  const took = [];
  for (let i = 0; i < 10; i++) {
    const [, done] = chat.sql(`INSERT INTO message(channel, id, author, text) SELECT 1, coalesce(max(id), 0) + 1, 'cron', 'job ${i}'
      FROM message WHERE channel = 1`);
    await shows(ada, `job ${i}`);
    took.push(Math.round((await arrivalOf(ada, `job ${i}`)) - done));
  }
  t.diagnostic(`shown after ${took} ms`);
  assert.ok(Math.min(...took) < 200); // only the fastest counts, because a busy machine delays some; a fault would delay all
  chat.sql("INSERT INTO message(channel, id, author, text) VALUES(2, 1, 'cron', 'elsewhere')");
  await unreadIs(ada, ['', '1']);
  chat.sql("UPDATE channel SET name = 'lobby' WHERE id = 1");
  await isIn(ada, 'lobby');
  assert.deepEqual(ada.problems, []);
});

test('chat: hostile names and texts are shown as text', async (t) => {
  const chat = await chatFor(t);
  const people = [];
  for (const name of [HOSTILE[0], HOSTILE[3], HOSTILE[6]]) people.push(await personFor(t, chat, name));
  const [one, two] = people;
  await hereAre(one, people.map((_, i) => HOSTILE[3 * i]));
  for (const text of HOSTILE) {
    await say(one, text);
    await shows(two, text);
  }
  assert.deepEqual(await textsOf(two), HOSTILE);
  assert.equal(await two.page.locator('#messages article b').first().textContent(), HOSTILE[0]);
  assert.equal(await two.page.locator('article menu:visible').count(), 0);
  await one.page.locator('article').last().hover();
  assert.equal(await one.page.locator('article menu:visible').count(), HOSTILE.length);
  for (const text of HOSTILE) {
    await create(two, text.trim());
    await go(one, text.trim());
    await say(one, text);
    await shows(two, text);
  }
  await two.page.reload();
  await shows(two, HOSTILE.at(-1));
  // As a draft, too.
  const saved = two.page.waitForResponse(/draft$/);
  await two.page.getByLabel('Message').fill(HOSTILE[2]);
  await saved;
  await two.page.reload();
  await two.until((is) => document.querySelector('#composer textarea')?.value === is, HOSTILE[2]);
  assert.deepEqual(people.flatMap(({ problems }) => faults(problems)), []);
});

test('chat: requests without valid tokens are rejected', async (t) => {
  const chat = await chatFor(t, [], null, / csrf: /);
  const [ada, bob] = [await personFor(t, chat, 'Ada'), await personFor(t, chat, 'Bob')];
  const [script, other] = [await scriptOf(ada), await scriptOf(bob)];
  const url = `${chat.url}channel/1/message`;
  assert.equal(await script.post(url, { text: 'without' }, undefined, { 'X-CSRF-Token': undefined }), 403);
  assert.equal(await script.post(url, { text: 'of another' }, undefined, { 'X-CSRF-Token': other.token }), 403);
  assert.equal(await script.post(url, { text: 'from elsewhere' }, undefined, { Origin: 'http://evil.example' }), 403);
  assert.equal(await script.post(url, { text: 'forged' }, 'abc.1'), 403);
  const once = script.nonce();
  assert.deepEqual([await script.post(url, { text: 'good' }, once), await script.post(url, { text: 'good' }, once)], [204, 204]);
  assert.equal(await script.post(`${chat.url}channel/77/message`, { text: 'nowhere' }), 404);
  assert.equal((await send('POST', `${chat.url}login`, 'name=Eve', { 'Content-Type': 'application/x-www-form-urlencoded' })).status, 403);
  assert.equal((await send('GET', `${chat.url}?datastar=%7B%7D`, undefined, { 'Datastar-Request': 'true' })).status, 401);
  await shows(ada, 'good');
  assert.deepEqual(await textsOf(ada), ['x', 'x', 'good']);
});

test('chat: times and days are those of the reader\'s zone', async (t) => {
  const chat = await chatFor(t);
  const times = ['02T09:00', '02T23:58', '03T00:02', '03T09:58', '03T10:02', '04T10:50'].map((at) => Date.parse(`2026-03-${at}Z`));
  for (const [i, at] of times.entries()) chat.sql(`INSERT INTO message(channel, id, author, text, sent) VALUES(1, ${i + 1}, 'Old', 'x', ${at / 1000})`);
  const zones = ['Pacific/Kiritimati', 'Pacific/Niue', 'Asia/Kathmandu']; // the first two are 25 hours apart
  const users = await Promise.all(zones.map((timezoneId, i) => personFor(t, chat, `User ${i}`, { timezoneId })));
  await say(users[0], 'Now');
  for (const [i, user] of users.entries()) {
    await shows(user, 'Now');
    const [days, seen] = await user.page.evaluate(() => ['h2', 'article time'].map((one) => [...document.querySelectorAll(`#messages ${one}`)]
      .filter((el) => !el.hidden).map((el) => [(el.firstElementChild ?? el).dateTime, el.textContent])));
    const [exact, minute] = seen.at(-1), sent = new Date(exact);
    assert.ok(Math.abs(Date.now() - sent) < 600_000, exact);
    const says = (at, options) => new Intl.DateTimeFormat('en', { timeZone: zones[i], ...options }).format(at);
    const dayOf = (at) => says(at, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
    assert.equal(minute, says(sent, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }));
    assert.deepEqual(days.map(([, text]) => text), [...new Set([...times, sent].map(dayOf))]);
  }
  assert.deepEqual(faults(users.flatMap(({ problems }) => problems)), []);
});

test('chat: web addresses in a text are links, and no other text is', async (t) => {
  const chat = await chatFor(t);
  const ada = await personFor(t, chat, 'Ada');
  const text = 'See https://example.org/a_(b)?x=1&y="2, or (http://[::1]:80/a).\nhttps:// javascript:alert(1) http <http://b.test>';
  await say(ada, text);
  await shows(ada, text);
  const links = await ada.page.locator('#messages article p a').evaluateAll((all) => all.map((el) => [el.getAttribute('href'), el.textContent, el.rel]));
  const wanted = ['https://example.org/a_(b)?x=1&y=', 'http://[::1]:80/a', 'http://b.test'];
  assert.deepEqual(links, wanted.map((url) => [url, url, 'noreferrer nofollow']));
  assert.deepEqual(faults(ada.problems), []);
});

test('chat: users edit and delete their own messages only', async (t) => {
  const chat = await chatFor(t);
  const [ada, bob] = [await personFor(t, chat, 'Ada'), await personFor(t, chat, 'Bob')];
  await say(ada, 'A tipo');
  await shows(bob, 'A tipo');
  await say(bob, 'Where?');
  await shows(ada, 'Where?');
  const own = ada.page.locator('article', { hasText: 'tipo' });
  assert.equal(await bob.page.locator('article', { hasText: 'tipo' }).getByRole('button', { name: 'Edit' }).isVisible(), false);
  assert.equal(await ada.page.locator('article', { hasText: 'Where' }).getByRole('button', { name: 'Delete' }).isVisible(), false);
  await press(own.getByRole('button', { name: 'Edit' }));
  const field = ada.page.getByLabel('New text');
  await ada.until(() => document.activeElement.id === 'edited');
  assert.equal(await field.inputValue(), 'A tipo');
  await say(bob, 'I see'); // which does not disturb the editor
  await shows(ada, 'I see');
  await field.fill('A typo');
  const changed = action(ada.page, '/message', 'PUT');
  await press(ada.page.getByRole('button', { name: 'Save' }));
  for (const tab of [ada, bob]) await shows(tab, 'A typo');
  assert.equal(await bob.page.locator('article', { hasText: 'typo' }).locator('small').textContent(), 'edited');
  await ada.page.getByLabel('Message').waitFor({ state: 'visible' });
  // A request that no page sends: with the number of another user's message.
  const { 'x-csrf-token': token } = await (await changed).allHeaders();
  const cookie = (await ada.context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  const as = { Cookie: cookie, 'X-CSRF-Token': token, 'Datastar-Request': 'true', 'Content-Type': 'application/json' };
  const put = await send('PUT', `${chat.url}channel/1/message`, JSON.stringify({ edit: 2, edited: 'mine now' }), as);
  const drop = await send('DELETE', `${chat.url}channel/1/message?datastar=${encodeURIComponent('{"drop":2}')}`, undefined, as);
  assert.deepEqual([put.status, drop.status], [404, 404]);
  await press(ada.page.locator('article', { hasText: 'typo' }).getByRole('button', { name: 'Delete' }));
  for (const tab of [ada, bob]) await tab.until(() => document.querySelectorAll('article').length === 2);
  assert.deepEqual(await textsOf(ada), ['Where?', 'I see']);
  assert.deepEqual(faults([...ada.problems, ...bob.problems]), []);
});

test('chat: Enter saves an edit, Escape cancels it, and the text remains if its message was deleted', async (t) => {
  const chat = await chatFor(t);
  const ada = await personFor(t, chat, 'Ada');
  const two = await ada.open();
  const field = ada.page.getByLabel('New text');
  const edit = async (text) => {
    await press(ada.page.locator('article', { hasText: text }).getByRole('button', { name: 'Edit' }));
    await ada.until(() => document.activeElement.id === 'edited');
  };
  await say(ada, 'first');
  await shows(ada, 'first');
  await edit('first');
  await field.fill('second');
  await field.press('Shift+Enter');
  await field.pressSequentially('line');
  await field.press('Enter');
  for (const tab of [ada, two]) await shows(tab, 'second\nline');
  await field.waitFor({ state: 'hidden' });
  await edit('second');
  await field.fill('third');
  for (const key of ['Enter', 'Escape']) await pressComposing(field, key); // these keys belong to the input method
  assert.ok(await field.isVisible());
  await field.press('Escape');
  await field.waitFor({ state: 'hidden' });
  await edit('second');
  await field.fill('of no use any more');
  await press(two.page.locator('article', { hasText: 'second' }).getByRole('button', { name: 'Delete' }));
  await ada.until(() => !document.querySelector('article'));
  await field.press('Enter');
  await complains(ada, 'was deleted meanwhile');
  assert.equal(await field.inputValue(), 'of no use any more');
  await press(ada.page.getByRole('button', { name: 'Cancel' }));
  await field.waitFor({ state: 'hidden' });
  await ada.until(() => document.querySelector('.error').textContent === '');
  assert.deepEqual(ada.problems, []);
});

test('chat: two hundred channels make no page longer or wider, and Log out stays visible', async (t) => {
  const chat = await chatFor(t);
  chat.sql("WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO channel(name) SELECT 'channel ' || i FROM n");
  const ada = await personFor(t, chat, 'Ä'.repeat(40)); // the maximum length of the field
  for (const viewport of [{ width: 1280, height: 800 }, { width: 390, height: 844 }, { width: 320, height: 640 }]) {
    await ada.page.setViewportSize(viewport);
    const seen = await ada.page.evaluate(() => {
      if (innerWidth < 700) document.getElementById('drawer').click();
      const out = [...document.querySelectorAll('aside footer button')].at(-1).getBoundingClientRect();
      const { scrollWidth, scrollHeight } = document.documentElement;
      return { wide: scrollWidth > innerWidth, high: scrollHeight > innerHeight, out: out.top >= 0 && out.bottom <= innerHeight };
    });
    assert.deepEqual(seen, { wide: false, high: false, out: true }, `at ${viewport.width}`);
  }
});

// capability: D12
test('chat: unread messages are counted', async (t) => {
  const chat = await chatFor(t);
  const [ada, bob] = [await personFor(t, chat, 'Ada'), await personFor(t, chat, 'Bob')];
  const two = await ada.open();
  await go(bob, 'random');
  await say(bob, 'one');
  await say(bob, 'two');
  for (const tab of [ada, two]) await unreadIs(tab, ['', '2']);
  await say(bob, 'a slip');
  await shows(bob, 'a slip');
  for (const tab of [ada, two]) await unreadIs(tab, ['', '3']);
  await press(bob.page.locator('article', { hasText: 'a slip' }).getByRole('button', { name: 'Delete' }));
  for (const tab of [ada, two]) await unreadIs(tab, ['', '2']); // deleted messages do not count
  await go(ada, 'random');
  await shows(ada, 'two');
  for (const tab of [ada, two]) await unreadIs(tab, ['', '']); // a message read in one tab is read in all
  await say(bob, 'three');
  await shows(ada, 'three');
  await unreadIs(two, ['', '1']);
  await go(ada, 'general');
  for (const tab of [ada, two]) await unreadIs(tab, ['', '']);
  await say(bob, 'four');
  await unreadIs(ada, ['', '1']);
  await ada.page.reload();
  await unreadIs(ada, ['', '1']);
  await say(ada, 'my own'); // own messages are not unread
  await unreadIs(bob, ['1', '']);
  const three = await ada.open();
  await go(three, 'random');
  await say(three, 'my own, too');
  await shows(bob, 'my own, too');
  await unreadIs(ada, ['', '']);
  // Messages that a tab showed before it navigated away were read.
  await say(bob, 'five');
  await shows(three, 'five');
  await unreadIs(ada, ['', '1']);
  await three.page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await unreadIs(ada, ['', '']);
  const eve = await personFor(t, chat, 'Eve');
  await unreadIs(eve, ['', '']); // a new user has no unread messages
  assert.deepEqual([...ada.problems, ...bob.problems, ...eve.problems], []);
});

// capability: D12
test('chat: each tab has its channel and its drafts, which survive a reload', async (t) => {
  const chat = await chatFor(t);
  const ada = await personFor(t, chat, 'Ada');
  const two = await ada.open();
  await create(two, 'a third one');
  assert.equal(await ada.page.locator('h1').textContent(), 'general');
  await ada.page.getByRole('link', { name: 'a third one' }).waitFor();
  const draft = async (tab, text) => {
    const saved = tab.page.waitForResponse(/draft$/);
    await tab.page.getByLabel('Message').fill(text);
    await saved;
  };
  const draftIs = (tab, text) => tab.until((is) => document.querySelector('#composer textarea')?.value === is, text);
  await draft(ada, 'for general');
  await draft(two, 'for the third');
  await go(two, 'random');
  await draftIs(two, '');
  await draft(two, 'for random');
  await go(two, 'a third one');
  await draftIs(two, 'for the third');
  for (let i = 0; i < 2; i++) {
    await Promise.all([ada.page.reload(), two.page.reload()]);
    await isIn(two, 'a third one');
    await isIn(ada, 'general');
    await draftIs(two, 'for the third');
    await draftIs(ada, 'for general');
    await go(two, 'random');
    await draftIs(two, 'for random');
    await go(two, 'a third one');
  }
  await press(two.page.getByRole('button', { name: 'Send' }));
  await shows(two, 'for the third');
  await draftIs(two, '');
  await two.page.reload();
  await shows(two, 'for the third');
  await draftIs(two, '');
  assert.deepEqual(faults(ada.problems), []);
});

test('chat: typed text is restored after a reload, a visit elsewhere and Back, in this tab only', async (t) => {
  const chat = await chatFor(t);
  const ada = await personFor(t, chat, 'Ada');
  const two = await ada.open();
  const field = (tab) => tab.page.locator('#composer textarea:enabled');
  const draftIs = (tab, text) => tab.until((is) => document.querySelector('#composer textarea:enabled')?.value === is, text);
  // Nothing of it was sent when the page is left, and the document does not delay this.
  for (let i = 0; i < 5; i++) {
    await field(ada).fill(`half a word ${i}`);
    await ada.page.evaluate(() => setTimeout(() => location.reload(), 20));
    await ada.page.waitForNavigation();
    await draftIs(ada, `half a word ${i}`);
  }
  // The server stores it, too, although the page was left before it could send it.
  for (let tries = 0; ; tries++) {
    const [rows] = chat.sql("SELECT count(*) FROM vestry_tab WHERE instr(data, CAST('half a word 4' AS BLOB)) > 0");
    if (rows[0][0] === 1) break;
    assert.ok(tries < 300, 'it is not saved');
    await ada.page.waitForTimeout(50);
  }
  // Elsewhere for longer than the cookie lives, and back by a link; then by Back.
  await field(two).fill('while I am away');
  await two.page.goto('about:blank');
  await two.page.context().clearCookies({ name: 'vestry-tab' });
  await two.page.goto(chat.url);
  await draftIs(two, 'while I am away');
  await two.page.goto('about:blank');
  await two.page.goBack();
  await draftIs(two, 'while I am away');
  // A document that was rendered for another tab, because its cookie was set first, shows no draft, neither before its
  // stream opens nor afterwards.
  const id = await ada.page.evaluate(() => {
    dispatchEvent(new Event('beforeunload')); // as a reload does
    return document.cookie.match(/vestry-tab=([0-9a-f]+)/)[1];
  });
  await two.page.context().addCookies([{ name: 'vestry-tab', value: id, url: chat.url }]);
  const made = await two.page.request.get(chat.url);
  assert.doesNotMatch(await made.text(), /half a word/);
  await two.page.context().addCookies([{ name: 'vestry-tab', value: id, url: chat.url }]);
  await two.page.evaluate(() => addEventListener('beforeunload', (e) => e.stopImmediatePropagation(), true));
  await two.page.goto(chat.url);
  await draftIs(two, 'while I am away');
  // A tab that is opened from a tab, and copies its storage, has no drafts.
  const [third] = await Promise.all([two.page.context().waitForEvent('page'), two.page.evaluate(() => void open(location.href))]);
  await third.locator('#composer textarea:enabled').waitFor();
  assert.equal(await third.locator('#composer textarea:enabled').inputValue(), '');
  await draftIs(ada, 'half a word 4');
  assert.deepEqual(faults(ada.problems), []);
});

// capability: D12
test('chat: an unknown channel gets 404; each channel has an address', async (t) => {
  const chat = await chatFor(t);
  const ada = await personFor(t, chat, 'Ada');
  const answer = await ada.page.goto(`${chat.url}channel/99`);
  assert.equal(answer.status(), 404);
  await isIn(ada, 'There is no such channel');
  await ada.until(() => document.querySelector('#people li'));
  await go(ada, 'random'); // the page is live
  await say(ada, 'found');
  await shows(ada, 'found');
  await isAt(ada, '/channel/2');
  const reload = arrivalIn(ada, 2);
  await ada.page.reload();
  await shows(ada, 'found');
  await reload;
  const arrival = arrivalIn(ada, 2);
  const two = await ada.open('channel/2');
  await shows(two, 'found');
  await arrival;
  assert.equal((await two.page.goto(`${chat.url}channel/x`)).status(), 404);
  assert.equal(await two.page.textContent('h1'), 'There is no such page');
  await two.page.getByRole('link', { name: 'To the chat' }).click();
  await isIn(two, 'random');
  // A channel that is deleted while it is shown.
  chat.sql('DELETE FROM message WHERE channel = 2');
  chat.sql('DELETE FROM channel WHERE id = 2');
  for (const tab of [ada, two]) await isIn(tab, 'There is no such channel');
  await go(two, 'general');
  await create(ada, 'random');
  await say(ada, 'another one');
  await shows(ada, 'another one');
  await create(two, 'there').catch(() => null);
  await two.page.getByLabel('New channel').fill('random');
  await press(two.page.getByRole('button', { name: 'Create' }));
  await complains(two, 'A channel of this name exists');
  const stranger = await newSession(t);
  const tab = await stranger.tab(`${chat.url}channel/1`);
  await tab.page.getByLabel('Name').waitFor();
  assert.deepEqual(faults([...ada.problems, ...stranger.problems]), []);
});

// capability: D23
test('chat: the list shows the users who are online, and removes those who left', async (t) => {
  const chat = await chatFor(t);
  const [ada, bob] = [await personFor(t, chat, 'Ada'), await personFor(t, chat, 'Bob')];
  const two = await bob.open('channel/2');
  for (const tab of [ada, bob, two]) await hereAre(tab, ['Ada', 'Bob']);
  await bob.page.close();
  await two.page.reload();
  await hereAre(two, ['Ada', 'Bob']);
  await press(two.page.getByRole('button', { name: 'Log out' }));
  await two.page.getByLabel('Name').waitFor();
  await hereAre(ada, ['Ada']);
  await two.page.goto(`${chat.url}channel/1`);
  await two.page.getByLabel('Name').waitFor();
  assert.deepEqual(faults([...ada.problems, ...bob.problems]), []);
});

test('chat: a log-out ends the other tabs, too', async (t) => {
  const chat = await chatFor(t);
  const ada = await personFor(t, chat, 'Ada');
  const two = await ada.open();
  await press(ada.page.getByRole('button', { name: 'Log out' }));
  for (const tab of [ada, two]) await tab.page.getByLabel('Name').waitFor();
});

test('chat: messages beyond a limit are rejected with a message', async (t) => {
  const chat = await chatFor(t, ['--rate', '3']);
  const ada = await personFor(t, chat, 'Ada');
  await say(ada, '  \n ');
  await complains(ada, 'needs some text');
  const long = 'ä'.repeat(2001);
  await say(ada, long);
  await complains(ada, 'at most 2,000 characters');
  await ada.until((is) => document.querySelector('#composer textarea').value === is, long); // the text is not lost
  await say(ada, long.slice(1));
  await shows(ada, long.slice(1));
  await say(ada, 'two');
  await say(ada, 'three');
  await shows(ada, 'three');
  await say(ada, 'four');
  await ada.until(() => document.querySelector('.error').textContent.includes('a few seconds') ||
    [...document.querySelectorAll('article p')].some((p) => p.textContent === 'four')); // ten seconds may just be over
  for (const name of [' ', 'x'.repeat(41)]) {
    await say(ada, ' '.repeat(3)); // another message, so that the next one is new
    await complains(ada, 'needs some text');
    await overfill(ada.page.getByLabel('New channel'), name);
    await press(ada.page.getByRole('button', { name: 'Create' }));
    await complains(ada, 'A channel needs a name, of at most 40');
  }
  const session = await newSession(t);
  const tab = await session.tab(chat.url);
  await overfill(tab.page.getByLabel('Name'), 'x'.repeat(41));
  await tab.page.getByRole('button', { name: 'Enter' }).click();
  await complains(tab, 'of at most 40 characters');
});

test('chat: the link to the message field moves the focus there', async (t) => {
  const chat = await chatFor(t);
  const ada = await personFor(t, chat, 'Ada');
  await ada.page.locator('#composer textarea:enabled').waitFor();
  const focused = await ada.page.evaluate(() => {
    document.querySelector('#skip').click();
    return document.activeElement.matches('#composer textarea');
  });
  assert.ok(focused);
});

// The position of the list: the distance of its end, and the message at its upper edge with its offset.
const placeOf = ({ page }) =>
  page.evaluate(() => {
    const list = document.querySelector('#messages');
    const edge = list.getBoundingClientRect().top;
    const top = (el) => el.querySelector('p').getBoundingClientRect().top - edge; // a head may appear or disappear
    const first = [...list.querySelectorAll('article')].find((el) => top(el) >= 0);
    return { id: first.id, top: Math.round(top(first)),
      left: Math.round(list.scrollHeight - list.scrollTop - list.clientHeight) };
  });
const fill = (chat, channel, count) =>
  chat.sql(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
    INSERT INTO message(channel, id, author, text) SELECT ${channel}, (SELECT coalesce(max(id), 0) FROM message WHERE channel = ${channel}) + i,
      'cron', 'old ' || i FROM n`);

test('chat: a scrolled list stays in place, a list at its end follows; older messages can be loaded', async (t) => {
  const chat = await chatFor(t);
  fill(chat, 1, 250);
  const [ada, bob] = [await personFor(t, chat, 'Ada'), await personFor(t, chat, 'Bob')];
  await shows(ada, 'old 250');
  assert.equal((await textsOf(ada)).length, 100);
  assert.ok((await placeOf(ada)).left <= 1, 'it begins at the end');
  for (let i = 0; i < 3; i++) {
    await say(bob, `new ${i}`);
    await shows(ada, `new ${i}`);
    assert.ok((await placeOf(ada)).left <= 1, 'the end is followed');
  }
  await ada.page.evaluate(() => (document.querySelector('#messages').scrollTop = 900));
  const before = await placeOf(ada);
  for (let i = 3; i < 8; i++) {
    await say(bob, `new ${i}\nof two lines`);
    await shows(ada, `new ${i}\nof two lines`);
    const { id, top } = await placeOf(ada);
    assert.ok(id === before.id && Math.abs(top - before.top) <= 1, `${top} is not ${before.top}`); // positions are fractions of pixels
  }
  // Up to the first message, without losing the position.
  await ada.page.evaluate(() => (document.querySelector('#messages').scrollTop = 0));
  for (const [count, first] of [[200, 'old 59'], [258, 'old 1']]) {
    const { id, top } = await placeOf(ada);
    await press(ada.page.getByRole('button', { name: 'Show older' }));
    await ada.until((is) => document.querySelectorAll('article').length === is, count);
    assert.equal((await textsOf(ada))[0], first);
    const now = await ada.page.evaluate((of) => document.getElementById(of).querySelector('p').getBoundingClientRect().top -
      document.querySelector('#messages').getBoundingClientRect().top, id);
    assert.ok(Math.abs(now - top) <= 1, `${now} is not ${top}`);
  }
  assert.equal(await ada.page.getByRole('button', { name: 'Show older' }).count(), 0);
  await go(ada, 'random');
  await go(ada, 'general');
  await shows(ada, 'new 7\nof two lines');
  assert.equal((await textsOf(ada)).length, 100);
  assert.ok((await placeOf(ada)).left <= 1, 'a channel begins at its end');
  await ada.page.setViewportSize({ width: 900, height: 400 });
  await ada.until(() => { const list = document.querySelector('#messages'); return list.scrollHeight - list.scrollTop - list.clientHeight <= 1; });
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

// Words, and their backgrounds.
function measure() {
  const luminance = (css) => {
    const [r, g, b] = css.match(/[\d.]+/g).slice(0, 3).map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (el) => {
    const color = getComputedStyle(el).backgroundColor;
    return /, 0\)$/.test(color) && el.parentElement ? ground(el.parentElement) : color;
  };
  const faint = [];
  for (const el of document.querySelectorAll('body *')) {
    if (!el.checkVisibility({ checkOpacity: true }) || ![...el.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const [a, b] = [luminance(getComputedStyle(el).color), luminance(ground(el))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push(`${el.tagName} ${el.textContent}`);
  }
  return {
    faint,
    ground: luminance(getComputedStyle(document.documentElement).backgroundColor) > 0.5 ? 'light' : 'dark',
    overflow: document.documentElement.scrollWidth - innerWidth,
    small: [...document.querySelectorAll('button, a, input, textarea')]
      .filter((el) => el.checkVisibility({ checkOpacity: true }) && el.getBoundingClientRect().height < (el.closest('menu') && innerWidth > 900 ? 32 : 44)).map((el) => el.textContent),
  };
}

for (const [device, options] of Object.entries({ phone: { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true },
  desk: { viewport: { width: 960, height: 560 } } }))
  for (const colorScheme of ['light', 'dark'])
    test(`chat: layout, ${device}, ${colorScheme}`, async (t) => {
      const chat = await chatFor(t);
      const names = ['Ada', 'Bob', 'Grace'];
      const people = [];
      for (const name of names) people.push(await personFor(t, chat, name, { ...options, colorScheme }));
      const [ada, bob, grace] = people;
      const folder = temporaryDirectory(t);
      const look = async (tab, name) => {
        await tab.page.screenshot({ path: path.join(folder, `chat-${device}-${colorScheme}-${name}.png`) });
        return tab.page.evaluate(measure);
      };
      const good = { faint: [], ground: colorScheme, overflow: 0, small: [] };
      const talk = [[ada, 'Good morning! Has anybody tried the new build?'], [ada, 'It is in the usual place.'],
        [bob, 'I have. It starts in half the time it took before.'], [grace, 'Same here. The log is quiet, too.\nShall we let it go out today?'],
        [ada, 'Yes. I write the notes, Bob does the rest?'], [bob, 'On it.']];
      for (const [who, text] of talk) {
        await say(who, text);
        for (const tab of people) await shows(tab, text);
      }
      await create(bob, 'releases');
      await say(bob, 'Notes for today');
      await say(bob, 'Please read them');
      await unreadIs(ada, ['', '', '2']);
      await hereAre(ada, names);
      await ada.page.mouse.move(2, 2);
      await ada.page.evaluate(() => document.activeElement.blur());
      assert.deepEqual(await look(ada, 'talk'), good);
      await picture(ada.page, `chat-${device}-${colorScheme}`);
      await openDrawer(ada);
      assert.deepEqual(await look(ada, 'drawer'), good);
      await ada.page.keyboard.press('Escape');
      await ada.page.locator('article').last().scrollIntoViewIfNeeded();
      await ada.page.locator('article', { hasText: 'notes' }).focus(); // which shows its buttons
      await press(ada.page.locator('article', { hasText: 'notes' }).getByRole('button', { name: 'Edit' }));
      await ada.until(() => document.activeElement.id === 'edited');
      assert.deepEqual(await look(ada, 'edit'), good);
      const word = 'Averyverylongwordwithoutanyplacetobreakit'.slice(0, 40);
      await create(grace, word);
      await say(grace, word.repeat(40));
      await shows(grace, word.repeat(40));
      assert.deepEqual(await look(grace, 'long'), good);
      await grace.page.goto(`${chat.url}channel/99`);
      await grace.until(() => document.querySelector('#people li'));
      assert.deepEqual(await look(grace, 'none'), good);
      await openDrawer(grace);
      await press(grace.page.getByRole('button', { name: 'Log out' }));
      await grace.page.getByLabel('Name').waitFor();
      assert.deepEqual(await look(grace, 'login'), good);
      assert.deepEqual(people.flatMap(({ problems }) => faults(problems)), []);
    });
