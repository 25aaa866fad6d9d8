// SPDX-License-Identifier: MIT
// The main action of each example, done by keyboard alone.
'use strict';
const assert = require('node:assert/strict');

const STOPS_MAX = 150;

// Enter a name if the page requires one.
async function enter(page, name = 'Ada') {
  const field = page.locator('form[action="/login"] input[name=name]');
  if (!(await field.count())) return;
  await tabTo(page, field);
  await page.keyboard.type(name);
  await Promise.all([page.waitForEvent('framenavigated'), page.keyboard.press('Enter')]);
}

// Press Tab until the focus is there.
async function tabTo(page, locator) {
  await locator.first().waitFor();
  for (let stop = 0; stop < STOPS_MAX; stop++) {
    if (await locator.first().evaluate((el) => el === document.activeElement || el.contains(document.activeElement))) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`Tab does not come to ${locator}: it is at ${await page.evaluate(() => document.activeElement.outerHTML.slice(0, 200))}`);
}

const button = (page, name) => page.getByRole('button', { name, exact: true });
const link = (page, name) => page.getByRole('link', { name });
const field = (page, name) => page.getByLabel(name, { exact: true });

async function write(page, locator, text) {
  await tabTo(page, locator);
  await page.keyboard.press('Control+A');
  await page.keyboard.type(text);
}
async function press(page, locator, key = 'Enter') {
  await tabTo(page, locator);
  await page.keyboard.press(key);
}
const shows = (page, text) => page.getByText(text).filter({ visible: true }).first().waitFor();

// The main action of each example.
const PURPOSES = {
  auction: async (page) => {
    await write(page, field(page, 'Search'), 'telescope');
    await link(page, 'A ship in a bottle').waitFor({ state: 'hidden' });
    await press(page, link(page, 'A brass telescope'));
    await write(page, page.locator('#amount'), '5000');
    await page.keyboard.press('Enter');
    await page.locator('[data-window]').getByText('Ada').first().waitFor();
  },
  board: async (page) => {
    await press(page, link(page, 'First board'));
    await write(page, field(page, 'New card'), 'by keys');
    await page.keyboard.press('Enter');
    await shows(page, 'by keys');
    const card = page.locator('article, li').filter({ hasText: 'by keys' });
    await press(page, card.getByRole('button', { name: 'To Doing' }));
    await card.getByRole('button', { name: 'To Done' }).waitFor();
  },
  boxoffice: async (page) => {
    await press(page, button(page, 'Any free seat'));
    await page.locator('#basket li').first().waitFor();
    await write(page, field(page, 'Name on the tickets'), 'Ada');
    await press(page, page.getByRole('button', { name: /^Pay/ }));
    await page.locator('#basket li time').first().waitFor({ state: 'detached' });
  },
  cells: async (page) => {
    await press(page, page.getByRole('region', { name: /^A million check boxes/ }));
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Space');
    await page.locator('#at input[value="1"][checked]').waitFor();
    await page.keyboard.press('Escape');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'at');
  },
  chat: async (page) => {
    await page.locator('#composer textarea:enabled').waitFor(); // the stream determines whose draft it is
    await press(page, link(page, 'To the message field'));
    await page.keyboard.type('by keys');
    await page.keyboard.press('Enter');
    await page.getByRole('article').getByText('by keys').waitFor();
  },
  counter: async (page) => {
    await press(page, page.locator('#start'));
    const count = page.locator('#add');
    await count.waitFor();
    await press(page, count);
    await page.waitForFunction(() => /[1-9]/.test(document.querySelector('main').textContent));
    await press(page, page.locator('#stop'));
  },
  dashboard: async (page) => page.getByRole('img').first().waitFor(), // it has no controls
  edit: async (page) => {
    await press(page, button(page, 'Edit'));
    await write(page, field(page, 'Name'), 'Ada by keys');
    await press(page, button(page, 'Save'));
    await button(page, 'Edit').waitFor();
    await shows(page, 'Ada by keys');
  },
  embedded: async (page) => {
    const degrees = () => page.locator('#device0').textContent();
    await page.waitForFunction(() => /\d/.test(document.querySelector('#device0').textContent));
    const answered = page.waitForResponse(/\/cool\/0$/);
    await press(page, button(page, 'Cool 0'));
    assert.ok((await answered).ok(), await degrees());
  },
  notices: async (page) => {
    await write(page, page.locator('#text'), 'by keys');
    await page.keyboard.press('Enter');
    await shows(page, 'by keys');
    await press(page, page.getByLabel('Dismiss').first());
    await page.getByText('by keys').first().waitFor({ state: 'hidden' });
  },
  poll: async (page) => {
    await write(page, field(page, 'Question'), 'By keys?');
    for (const n of [1, 2]) await write(page, field(page, `Answer ${n}`), `answer ${n}`);
    await page.keyboard.press('Enter');
    await press(page, page.getByRole('button', { name: 'answer 2' }));
    await shows(page, 'change your mind');
  },
  progress: async (page) => {
    await write(page, page.locator('#name'), 'By keys');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelector('#start').ariaDisabled === 'true');
    await press(page, page.locator('#cancel'));
    await page.waitForFunction(() => document.querySelector('#start').ariaDisabled === 'false');
  },
  search: async (page) => {
    await write(page, page.locator('#query'), 'robin');
    await page.getByText('1 of 42 birds').waitFor();
  },
  signup: async (page) => {
    await write(page, page.locator('#name'), 'Ada');
    await write(page, page.locator('#email'), 'ada@example.org');
    await press(page, button(page, 'Sign up'));
    await page.locator('#name').waitFor({ state: 'hidden' });
  },
};

module.exports = { STOPS_MAX, PURPOSES, enter };
