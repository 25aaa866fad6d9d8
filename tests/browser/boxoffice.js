// SPDX-License-Identifier: MIT
// Helpers for tests of the example boxoffice: offices, their tabs, and buyers without a browser.
'use strict';
const assert = require('node:assert/strict');
const { startExample, newSession, send } = require('./harness.js');
const { databaseFor } = require('./database.js');

// PostgreSQL refuses a purchase that has met others in all its attempts; a busy machine makes this likely for robots.
const CONFLICT = /could not serialize access .*\(40001\); begin the transaction again/;
// Start a box office with a separate database. It restarts on the same port. Lines of its log that match expected are
// not errors.
async function officeFor(t, options = [], database = null, expected = undefined) {
  const kept = database ?? (await databaseFor(t));
  const all = [...kept.options, ...(options.includes('--robots') ? [] : ['--robots', '0']), ...options];
  expected ??= options.includes('--robots') ? CONFLICT : undefined;
  let server = await startExample('boxoffice', all, 0, expected);
  t.after(() => server.stop());
  const port = server.port;
  return {
    sql: kept.sql,
    get server() { return server; },
    start: async () => { server = await startExample('boxoffice', all, port, expected); },
    tab: async (settings = {}, where = server.url) => {
      const session = await newSession(t, settings);
      const tab = await session.tab(where);
      await tab.until(() => document.querySelectorAll('.seats button').length === 2000);
      await tab.until(() => document.querySelector('#basket form')?.id);
      return { ...tab, session, problems: session.problems };
    },
  };
}
const seat = (tab, block, row, place) => tab.page.locator(`#block-${block} .seats button[aria-label^="Row ${row}, seat ${place}:"]`);
const is = (tab, block, row, place, what) => tab.until(([b, name]) =>
  [...document.querySelectorAll(`#block-${b} .seats button`)].some((one) => one.ariaLabel === name), [block, `Row ${row}, seat ${place}: ${what}`]);
const isMine = (tab, count) => tab.until((n) => document.querySelectorAll('.own .mine').length === n && document.querySelectorAll('#basket time').length === n, count);
// Open a tab that holds any seat. On a busy machine, robots may buy the whole house first: the tab then waits for the
// next evening.
async function tabWithSeat(office, settings) {
  for (;;) {
    const tab = await office.tab(settings);
    await tab.until(() => document.querySelector('.seats button[aria-label$=": free"]'));
    await tab.page.click('#basket .any');
    await tab.until(() => document.querySelector('.own .mine') || document.querySelector('#message [role=alert]').textContent);
    if (await tab.page.locator('.own .mine').count()) {
      await isMine(tab, 1);
      return tab;
    }
    await tab.page.close();
  }
}
const ticker = (tab, text) => tab.until((wanted) => [...document.querySelectorAll('#ticker dd')].map((one) => one.textContent).join() === wanted, text);
// A minute is short on a busy machine.
const LONGER = 'UPDATE seat SET until_ms = until_ms + 3600000 WHERE until_ms > 0 AND payment = 0';
// Wait until the typed name is in the database, sent by the page.
async function isKept(office, name) {
  const until = Date.now() + 120_000;
  while (!JSON.stringify(office.sql('SELECT hex(pairs) FROM vestry_form')).includes(Buffer.from(name).toString('hex').toUpperCase())) {
    assert.ok(Date.now() < until, 'the typed text is not stored');
    await new Promise((done) => setTimeout(done, 50));
  }
}
const renders = (tab) => tab.page.evaluate(() => Object.fromEntries([...document.querySelectorAll('.hall section')].map((one) => [one.id.slice(6), +one.querySelector('.renders').textContent])));

// A buyer without a browser, with a tab of that office: hold returns the message for the page, '' if the seat is held.
// A request that gets 503 is repeated, as by the client.
async function buyerAt(office) {
  const { text: page } = await send('GET', office.server.url);
  const nonce = /_once="'(\w{64})'/.exec(page)[1], tabId = /take\(\) \|\| '(\w{64})'/.exec(page)[1];
  let count = 0;
  const press = async (to, path, type, body) => {
    const headers = { 'Datastar-Request': 'true', 'Content-Type': type, 'X-Once': `${nonce}.${++count}` };
    let answer;
    do answer = await send('POST', to.server.url + path, body, headers);
    while (answer.status === 503);
    const { status, text } = answer;
    if (status === 204) return ''; // it was committed, but its response was lost
    assert.equal(status, 200, `${path}: ${status} ${text}`);
    return JSON.parse(text)._message;
  };
  return {
    hold: (number, to = office) => press(to, `hold/${number}`, 'application/json', JSON.stringify({ tabId })),
    pay: (to = office) => press(to, 'pay', 'application/x-www-form-urlencoded', `tabId=${tabId}&name=Ada`),
  };
}

module.exports = { officeFor, seat, is, isMine, tabWithSeat, ticker, LONGER, isKept, renders, buyerAt };
