// SPDX-License-Identifier: MIT
// The connection state that the examples show, all of them at once: killed, frozen, ended and started again on the same
// files, each with an open page.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { EXAMPLES, startOwn } = require('./examples.js');
const { newSession, unforeseen, closeChrome, picture } = require('./harness.js');

after(closeChrome);

// The page with a stream; a name is entered if it is required.
const PATHS = { board: 'board/1' };
async function open(t, name) {
  const example = await startOwn(t, name);
  const session = await newSession(t, { viewport: { width: 390, height: 700 } });
  // A page is open when its stream is: one that is frozen earlier has no state to show yet.
  const isStream = (answer) => /event-stream/.test(answer.headers()['content-type']);
  const streams = session.context.waitForEvent('response', isStream);
  const tab = await session.tab(example.url);
  const field = tab.page.locator('form[action="/login"] input[name=name]');
  if (await field.count()) {
    await field.fill('Ada');
    await Promise.all([tab.page.waitForEvent('framenavigated'), field.press('Enter')]);
  }
  if (PATHS[name]) await tab.page.goto(example.url + PATHS[name]);
  if (name === 'counter') await tab.click('start');
  const one = { name, example, tab, problems: session.problems };
  await streams;
  await says(one, false);
  return one;
}

// The page shows that its server is away, and the time of its last update; or neither. Runs in the page.
const said = ([name, is]) => {
  if (name === 'counter') {
    const state = document.querySelector('#state').textContent;
    return is ? /connection lost/.test(state) && /\d\d/.test(document.querySelector('#since').textContent) : state === 'running';
  }
  if (!is && document.querySelector('.late')?.checkVisibility()) return false; // its script has not loaded yet
  const sign = document.querySelector('.vestry-banner');
  // Its sessions end with it: the page leads to the login when it reconnects.
  if (name === 'embedded' && !is && document.querySelector('form[action="/login"]')) return true;
  if (!sign || sign.checkVisibility() !== is) return false;
  if (name === 'embedded') return true; // its pages have a different layout, with the library's banner only
  const content = getComputedStyle(sign, '::after').content;
  if (is ? !/\d\d/.test(sign.dataset.since) || !/What you see is from/.test(content) : /What/.test(content)) return false;
  if (document.documentElement.hasAttribute('data-stale') !== is) return false;
  const here = document.querySelector('.here, #here ul');
  const isShut = here?.closest('[popover]:not(:popover-open)'); // in a drawer, on a phone
  if (here && !isShut && [...here.children].some((person) => person.checkVisibility()) === is) return false;
  return [...document.querySelectorAll('.now')].every((now) => (getComputedStyle(now).fontSize === '0px') === is);
};
async function says(one, is) {
  try {
    await one.tab.until(said, [one.name, is]);
  } catch (error) {
    assert.fail(`${one.name}, ${is ? 'away' : 'there'}: ${error.message}`);
  }
}

test('every example shows that its server was killed, and is correct when it is back', async (t) => {
  await Promise.all(EXAMPLES.map(async (name) => {
    const one = await open(t, name);
    await one.example.kill();
    await says(one, true);
    await picture(one.tab.page, `truth-${name}`);
    await one.example.again();
    await says(one, false);
    assert.deepEqual(unforeseen(one.problems), [], name);
  }));
});

test('every example shows that its server is frozen, and is correct when it continues', async (t) => {
  const all = await Promise.all(EXAMPLES.map((name) => open(t, name)));
  for (const { example } of all) example.signal('SIGSTOP');
  try {
    await Promise.all(all.map((one) => says(one, true)));
  } finally {
    for (const { example } of all) example.signal('SIGCONT');
  }
  await Promise.all(all.map((one) => says(one, false)));
  for (const { name, problems } of all) assert.deepEqual(unforeseen(problems), [], name);
});

test('every example is ended and started again on the same files, and its page reconnects', async (t) => {
  await Promise.all(EXAMPLES.map(async (name) => {
    const one = await open(t, name);
    await one.example.end(); // requests during the shutdown get 503
    await says(one, true);
    await one.example.again();
    await says(one, false);
    assert.deepEqual(unforeseen(one.problems).filter((text) => !/status of 503/.test(text)), [], name);
  }));
});
