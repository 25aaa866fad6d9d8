// SPDX-License-Identifier: MIT
// Fields of each example: the server accepts text of the maximum length in any script, and markup as text; one character
// more, from another page, is rejected with a message, and stays. (Other tests of examples reject other texts.)
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { EXAMPLES, startOwn } = require('./examples.js');
const { newSession, overfill, closeChrome } = require('./harness.js');
const { enter } = require('./purposes.js');

after(closeChrome);

const shows = (page, text) => page.getByText(text).filter({ visible: true }).first().waitFor();
const stays = (page, selector, text) => page.waitForFunction(([where, is]) => document.querySelector(where)?.value === is, [selector, text]);
const logIn = { field: 'input[name=name]', at: '/', outside: true, taken: async (page) => page.locator('form[action="/login"]').waitFor({ state: 'detached' }) };

// For each example: the field, other required fields, a check that the text was accepted, and the message if it was
// not. outside: before the login.
const FIELDS = {
  auction: [{ ...logIn, refused: 'of at most 40 characters' },
    { at: '/', field: '#q', taken: (page, text) => page.getByText(`No lot is called “${text}”`).waitFor() },
    { at: '/offer', field: '#title', bound: 80, send: /^Offer/, taken: (page, text) => page.getByRole('heading', { name: text }).waitFor(), refused: 'longer than the form permits' },
    { at: '/offer', field: '#about', also: { '#title': 'A thing' }, send: /^Offer/, taken: shows, refused: 'longer than the form permits' }],
  board: [{ ...logIn, refused: 'of at most 40 characters' },
    { at: '/board/1', field: '#text', taken: (page, text) => page.locator('article').getByText(text).waitFor() }],
  boxoffice: [{ at: '/', field: '[name=name]', first: (page) => page.getByRole('button', { name: 'Any free seat' }).click(), send: /^Pay € [1-9]/,
    taken: (page) => page.locator('#basket li time').first().waitFor({ state: 'detached' }), refused: 'of at most 40 characters' }],
  chat: [{ ...logIn, refused: 'of at most 40 characters' }],
  embedded: [{ ...logIn, at: '/welcome', refused: 'of at most 20 characters', forgets: true }],
  notices: [{ at: '/', field: '#text', taken: shows, refused: 'of at most 140 characters' },
    { at: '/', field: '#to', also: { '#text': 'for you' }, taken: (page, text) => shows(page, `Stored: ${text} has no page open now`), refused: 'at most 30 characters' }],
  progress: [{ at: '/', field: '#name', taken: async (page, text) => {
    await shows(page, text);
    await page.locator('#cancel').click();
  }, refused: 'at most 40 characters' }],
  search: [{ at: '/', field: '#query', taken: (page, text) => page.getByText(`No bird is called “${text}”`).waitFor() }],
};

const open = async (page, url) => {
  await page.goto(url);
  await page.waitForFunction(() => document.querySelector('.late')?.style.display !== '' || !document.querySelector('script[type=module]'));
};

for (const name of EXAMPLES.filter((one) => FIELDS[one]))
  test(`${name}: fields accept their maximum length and no more, and no text is lost`, async (t) => {
    const example = await startOwn(t, name);
    for (const how of FIELDS[name])
      for (const [script, sign] of [['markup', `"'><b>`], ['emoji', '🦉'], ['Hebrew', 'ש']]) {
        const session = await newSession(t);
        const { page } = await session.tab('about:blank');
        const fill = async (write) => {
          await open(page, new URL(how.at, example.url).href);
          await how.first?.(page);
          for (const [also, text] of Object.entries(how.also ?? {})) await page.locator(also).fill(text);
          await write(page.locator(how.field).first());
          if (how.send) await page.getByRole('button', { name: how.send }).click();
          else await page.locator(how.field).first().press('Enter');
        };
        if (!how.outside) {
          await page.goto(example.url);
          await enter(page);
        }
        await open(page, new URL(how.at, example.url).href);
        const bound = await page.locator(how.field).first().evaluate((el) => el.maxLength);
        assert.ok(bound > 0, `${how.field} has a bound`);
        // As a user types it: the field counts UTF-16 units, so half as many emoji fit.
        const most = sign.repeat(bound).slice(0, bound);
        if (how.refused) {
          const more = sign.repeat(bound + 1);
          await fill((field) => overfill(field, more));
          await shows(page, how.refused);
          if (!how.forgets) await stays(page, how.field, more);
        }
        await fill((field) => field.fill(most + sign)); // the field itself accepts no more
        await how.taken(page, most);
        t.diagnostic(`${how.field}: ${bound} ${script}`);
        await session.context.close(); // an open page would keep its stream
      }
  });
