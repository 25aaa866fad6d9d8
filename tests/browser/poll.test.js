// SPDX-License-Identifier: MIT
// The example poll, used in Chromium by several users at once.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const path = require('node:path');
const { HOSTILE, startExample, newSession, picture, send, closeChrome, temporaryDirectory } = require('./harness.js');

after(closeChrome);

// Start a poll; its users have separate browsers.
async function pollFor(t) {
  const server = await startExample('poll');
  t.after(() => server.stop());
  return {
    ...server,
    async person(options) {
      const session = await newSession(t, options);
      return { ...session, open: (where = 'poll/1') => session.tab(server.url + where) };
    },
  };
}

// Without the frames that a mouse would wait for, which are rare in a background tab.
const vote = ({ page }, answer) => page.getByRole('button', { name: answer }).evaluate((el) => el.click());
// Wait for these bars, as "answer count percent"; and for the mark of the user's own vote.
const barsAre = (tab, wanted) =>
  tab.until((is) => JSON.stringify([...document.querySelectorAll('[id^=bars] li')].map((li) => [
    li.children[0].textContent, li.children[1].firstChild.textContent, li.querySelector('small').textContent,
    li.querySelector('.bar rect').getAttribute('width')].join(' '))) === is, JSON.stringify(wanted));
const ownIs = (tab, wanted) =>
  tab.until((is) => JSON.stringify([...document.querySelectorAll('[aria-pressed=true]')].map((el) => el.textContent)) === is,
    JSON.stringify(wanted));
const ask = async ({ page }, title, answers) => {
  await page.getByLabel('Question').fill(title);
  for (const [i, answer] of answers.entries()) await page.getByLabel(`Answer ${i + 1}`).fill(answer);
  await page.getByRole('button', { name: 'Ask' }).click();
};

// quick: civetweb
// capability: D15
test('poll: votes of three tabs of two users', async (t) => {
  const poll = await pollFor(t);
  const [ada, bob] = [await poll.person(), await poll.person()];
  const [one, two, three] = [await ada.open(), await ada.open(), await bob.open()];
  const all = [one, two, three];
  await vote(one, 'Coffee');
  for (const tab of all) await barsAre(tab, ['Tea 0 0 % 0%', 'Coffee 1 100 % 100%', 'Water 0 0 % 0%']);
  for (const tab of [one, two]) await ownIs(tab, ['Coffee']);
  await ownIs(three, []);
  await vote(three, 'Tea');
  for (const tab of all) await barsAre(tab, ['Tea 1 50 % 50%', 'Coffee 1 50 % 50%', 'Water 0 0 % 0%']);
  await ownIs(three, ['Tea']);
  await vote(two, 'Tea'); // Ada changes her mind, in the other tab
  for (const tab of all) await barsAre(tab, ['Tea 2 100 % 100%', 'Coffee 0 0 % 0%', 'Water 0 0 % 0%']);
  for (const tab of all) await ownIs(tab, ['Tea']);
  await vote(one, 'Tea'); // a repeated vote counts once
  await vote(one, 'Water');
  for (const tab of all) await barsAre(tab, ['Tea 1 50 % 50%', 'Coffee 0 0 % 0%', 'Water 1 50 % 50%']);
  await three.page.reload();
  await ownIs(three, ['Tea']);
  await barsAre(three, ['Tea 1 50 % 50%', 'Coffee 0 0 % 0%', 'Water 1 50 % 50%']);
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

test('poll: the keyboard works, and the focus stays', async (t) => {
  const poll = await pollFor(t);
  const ada = await poll.person();
  const one = await ada.open();
  await one.page.focus('#answer-2');
  await one.page.keyboard.press('Enter');
  await ownIs(one, ['Coffee']);
  assert.equal(await one.page.evaluate(() => document.activeElement.id), 'answer-2');
  assert.equal(await one.page.getByRole('status').filter({ hasText: 'change your mind' }).count(), 1);
  await one.page.keyboard.press('Tab');
  await one.page.keyboard.press('Space');
  await ownIs(one, ['Water']);
  assert.deepEqual(ada.problems, []);
});

test('poll: a new question appears in all lists, with its votes; half-typed text stays', async (t) => {
  const poll = await pollFor(t);
  const [ada, bob] = [await poll.person(), await poll.person()];
  const [one, two] = [await ada.open(''), await bob.open('')];
  await two.page.getByLabel('Question').fill('half a ques');
  await ask(one, 'Cats or dogs?', ['Cats', 'Dogs']);
  await one.until(() => document.querySelector('h1')?.textContent === 'Cats or dogs?');
  assert.equal(new URL(one.page.url()).pathname, '/poll/2');
  await two.until(() => document.querySelector('#questions a')?.textContent === 'Cats or dogs?0 votes');
  await vote(one, 'Cats');
  await two.until(() => document.querySelector('#questions a')?.textContent === 'Cats or dogs?1 vote');
  assert.equal(await two.page.getByLabel('Question').inputValue(), 'half a ques');
  const three = await bob.open('poll/1'); // votes of other questions are separate
  await barsAre(three, ['Tea 0 0 % 0%', 'Coffee 0 0 % 0%', 'Water 0 0 % 0%']);
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

test('poll: rejected and half-typed forms keep their text and place, at the top if there are many questions', async (t) => {
  const poll = await pollFor(t);
  const ada = await poll.person({ viewport: { width: 390, height: 740 } });
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
  for (let i = 0; i < 60; i++) await send('POST', `${poll.url}poll`, `title=${i}&answer=1&answer=2`, form);
  const one = await ada.open('');
  assert.ok((await one.page.locator('form').boundingBox()).y < 200);
  await ask(one, 'Blanks?', ['  ', '\u00a0', 'a third']);
  await one.until(() => /two to six/.test(document.querySelector('[role=alert]').textContent));
  assert.equal(new URL(one.page.url()).pathname, '/');
  assert.equal(await one.page.getByLabel('Question').inputValue(), 'Blanks?');
  assert.equal(await one.page.getByLabel('Answer 3').inputValue(), 'a third');
  await one.page.locator('#questions a').first().click();
  await one.until(() => document.querySelector('#answer-1'));
  await one.page.goBack();
  await one.until(() => document.querySelector('#title')?.value === 'Blanks?');
  assert.equal(await one.page.getByLabel('Answer 3').inputValue(), 'a third');
  await ask(one, 'ö'.repeat(120), ['ä'.repeat(120), '😀'.repeat(60)]); // the maximum length of the fields
  await one.until(() => document.querySelector('h1')?.textContent.startsWith('öö'));
  await one.page.goBack();
  await one.until(() => document.querySelector('#title'));
  assert.equal(await one.page.getByLabel('Question').inputValue(), '', 'a submitted question is not submitted again');
  assert.deepEqual(ada.problems, []);
});

test('poll: a question that waits for the server is marked', async (t) => {
  const poll = await pollFor(t);
  const ada = await poll.person();
  const one = await ada.open('');
  await one.page.getByLabel('Question').fill('While it stands still?');
  for (const n of [1, 2]) await one.page.getByLabel(`Answer ${n}`).fill('x');
  poll.signal('SIGSTOP');
  await one.page.getByRole('button', { name: 'Ask' }).click();
  await one.until(() => document.querySelector('.waiting').checkVisibility({ visibilityProperty: true }));
  assert.equal(await one.page.getByLabel('Question').inputValue(), 'While it stands still?');
  poll.signal('SIGCONT');
  await one.until(() => document.querySelector('h1')?.textContent === 'While it stands still?');
});

test('poll: hostile texts are shown as text', async (t) => {
  const poll = await pollFor(t);
  const ada = await poll.person();
  for (const texts of [HOSTILE.slice(0, 6), HOSTILE.slice(-6)]) {
    const one = await ada.open('');
    await ask(one, texts[0], texts);
    await one.until((is) => document.querySelector('h1')?.textContent === is, texts[0]);
    assert.equal(await one.page.title(), texts[0].trim());
    const two = await ada.open(new URL(one.page.url()).pathname.slice(1));
    await one.page.locator('#answer-2').evaluate((el) => el.click());
    for (const tab of [one, two]) {
      await tab.until((is) => document.querySelector('[aria-pressed=true]')?.textContent === is, texts[1]);
      await tab.until(() => document.querySelector('[id^=bars] h2').textContent === '1 vote');
      assert.deepEqual(await tab.page.locator('[id^=bars] li > span:first-child').allTextContents(), texts);
    }
    const list = await ada.open('');
    assert.equal(await list.page.locator('#questions a span').first().textContent(), texts[0]);
    for (const { page } of [one, two, list]) await page.close(); // a browser has six connections to a host
  }
  assert.deepEqual(ada.problems, []);
});

test('poll: requests that no page sends are rejected', async (t) => {
  const poll = await pollFor(t);
  const post = async (where, body, headers) => (await send('POST', poll.url + where, body, headers)).status;
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
  const json = { 'Datastar-Request': 'true', 'Content-Type': 'application/json' };
  assert.equal(await post('poll/1/vote/4', '{}', json), 404);
  assert.equal(await post('poll/1/vote/0', '{}', json), 404);
  assert.equal(await post('poll/2/vote/1', '{}', json), 404);
  assert.equal((await send('GET', `${poll.url}poll/2`)).status, 404);
  assert.equal((await send('GET', `${poll.url}poll/-1`)).status, 404);
  const bad = ['title=x&answer=1', 'title=&answer=1&answer=2', 'answer=1&answer=2', 'title=x&answer=1&answer=%FF', 'title=x&answer=&answer=1',
    'title=%20%20&answer=1&answer=2', 'title=x&answer=1&answer=%20', `title=${'x'.repeat(121)}&answer=1&answer=2`, `title=x&answer=1&answer=${'x'.repeat(121)}`, `title=x${'&answer=1'.repeat(7)}`];
  for (const body of bad) assert.equal(await post('poll', body, form), 422, body);
  for (let i = 2; i <= 200; i++) assert.equal(await post('poll', 'title=x&answer=1&answer=2', form), 303);
  assert.equal(await post('poll', 'title=x&answer=1&answer=2', form), 503, 'there is room for 200');
});

for (const [device, viewport] of Object.entries({ phone: { width: 360, height: 740 }, desk: { width: 960, height: 450 } }))
  for (const colorScheme of ['light', 'dark'])
    test(`poll: layout, ${device}, ${colorScheme}`, async (t) => {
      const poll = await pollFor(t);
      const ada = await poll.person({ viewport, colorScheme });
      const one = await ada.open();
      for (const answer of ['Coffee', 'Coffee', 'Tea', 'Water', 'Tea', 'Coffee'])
        await send('POST', `${poll.url}poll/1/vote/${['Tea', 'Coffee', 'Water'].indexOf(answer) + 1}`, '{}',
          { 'Datastar-Request': 'true', 'Content-Type': 'application/json' });
      await vote(one, 'Tea');
      await ownIs(one, ['Tea']);
      await barsAre(one, ['Tea 3 43 % 43%', 'Coffee 3 43 % 43%', 'Water 1 14 % 14%']);
      const folder = temporaryDirectory(t);
      const look = async (name) => {
        await one.page.evaluate(() => Promise.all(document.getAnimations().map((each) => each.finished.catch(() => null))));
        await one.page.screenshot({ path: path.join(folder, `poll-${device}-${colorScheme}-${name}.png`) });
        return one.page.evaluate(() => ({
          overflow: document.documentElement.scrollWidth - innerWidth,
          small: [...document.querySelectorAll('button, a, input')].filter((el) => el.checkVisibility() && el.getBoundingClientRect().height < 44).length,
        }));
      };
      assert.deepEqual(await look('one'), { overflow: 0, small: 0 });
      if (device === 'desk' && colorScheme === 'light') await picture(one.page, 'poll');
      const word = 'Averyverylongwordwithoutanyplacetobreakit'.repeat(3).slice(0, 120);
      await one.page.goto(poll.url);
      assert.deepEqual(await look('list'), { overflow: 0, small: 0 });
      await ask(one, word, [word, word, word, word, word, word]);
      await one.until((is) => document.querySelector('h1')?.textContent === is, word);
      assert.deepEqual(await look('long'), { overflow: 0, small: 0 });
      assert.deepEqual(ada.problems, []);
    });
