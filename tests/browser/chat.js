// SPDX-License-Identifier: MIT
// Helpers for tests of the example chat: users in separate browsers, and their actions.
'use strict';
const http = require('node:http');
const https = require('node:https');
const { startExample, newSession } = require('./harness.js');
const { databaseFor } = require('./database.js');

// Start a chat with a separate database. It restarts on the same port. Lines of its log that match expected are not
// errors.
async function chatFor(t, options = [], database = null, expected = undefined) {
  const kept = database ?? (await databaseFor(t));
  const start = (port) => startExample('chat', [...kept.options, ...options], port, expected);
  let server = await start(0);
  t.after(() => server.stop());
  return {
    url: server.url,
    kill: () => server.kill(),
    begin: async () => (server = await start(server.port)),
    sql: kept.sql,
  };
}

// Open a separate browser with a user who has logged in.
async function personFor(t, chat, name, options = {}) {
  const session = await newSession(t, options);
  // When the page requests its stream, its script runs, and handles typed text. The document alone contains names of
  // users, too.
  const alive = async (act) => {
    const isStream = (answer) => answer.status() === 200 && new URL(answer.url()).searchParams.has('datastar');
    const [tab] = await Promise.all([act(), session.context.waitForEvent('response', isStream)]);
    return tab;
  };
  const open = async (where = '') => {
    const tab = await alive(() => session.tab(chat.url + where));
    await tab.until((is) => [...document.querySelectorAll('#people li span')].some((el) => el.textContent === is), name);
    return tab;
  };
  const first = await session.tab(chat.url);
  await first.page.getByLabel('Name').fill(name);
  await alive(() => first.page.getByRole('button', { name: 'Enter' }).click());
  await first.until((is) => [...document.querySelectorAll('#people li span')].some((el) => el.textContent === is), name);
  return { ...session, open, ...first };
}

// Without the frames that a mouse would wait for, which are rare in a background tab.
const press = (locator) => locator.evaluate((el) => el.click());
const say = async ({ page }, text) => {
  await page.getByLabel('Message').fill(text);
  await press(page.getByRole('button', { name: 'Send' }));
};
const textsOf = ({ page }) => page.locator('#messages article p').allTextContents();
const shows = (tab, text) =>
  tab.until((is) => [...document.querySelectorAll('#messages article p')].some((p) => p.textContent === is), text);
const isIn = (tab, channel) => tab.until((is) => document.querySelector('h1')?.textContent === is, channel);
const isAt = (tab, path) => tab.until((is) => location.pathname === is, path);
// On a phone, the channels are in a drawer.
const openDrawer = ({ page }) =>
  page.evaluate(() => {
    const button = document.getElementById('drawer');
    if (button.checkVisibility() && !document.getElementById('side').checkVisibility()) button.click();
  });
const go = async (tab, channel) => {
  await openDrawer(tab);
  await press(tab.page.getByRole('navigation').getByRole('link', { name: channel, exact: true }));
  await isIn(tab, channel);
};
const create = async (tab, channel) => {
  await openDrawer(tab);
  await tab.page.getByLabel('New channel').fill(channel);
  await press(tab.page.getByRole('button', { name: 'Create' }));
  await isIn(tab, channel);
};
const complains = (tab, what) => tab.until((is) => document.querySelector('.error').textContent.includes(is), what);
const unreadIs = (tab, wanted) =>
  tab.until((is) => JSON.stringify([...document.querySelectorAll('nav li')].map((li) => {
    const count = li.querySelector('b');
    return count && getComputedStyle(count).display !== 'none' ? count.textContent : '';
  })) === is, JSON.stringify(wanted));
const hereAre = (tab, wanted) =>
  tab.until((is) => JSON.stringify([...document.querySelectorAll('#people li span')].map((el) => el.textContent)) === is,
    JSON.stringify(wanted));
const action = (page, where, method = 'POST') =>
  page.waitForRequest((request) => request.method() === method && new URL(request.url()).pathname.endsWith(where));
const isArrival = (request, channel) =>
  request.method() === 'POST' && new URL(request.url()).pathname === `/channel/${channel}` && 'x-once' in request.headers();
// Wait until a tab of this user has reported its arrival in a channel, and has the response, so that the server knows
// it. Call this before the tab navigates, and await it before its page is left: unsent reports are lost.
const arrivalIn = ({ context }, channel) =>
  context.waitForEvent('response', (answer) => isArrival(answer.request(), channel) && answer.status() === 204);
// Hold back a page's reports of arrivals in a channel until they are released.
async function holdArrivals({ page }, channel) {
  let go;
  const held = new Promise((done) => (go = done));
  await page.route(`**/channel/${channel}`, async (route) => {
    if (isArrival(route.request(), channel)) await held;
    await route.continue();
  });
  return go;
}
const faults = (problems) => problems.filter((text) => !/ERR_|Failed to load resource/.test(text));

// From now on, the tab records when it first shows each text, by the machine's clock.
const watchArrivals = ({ page }) =>
  page.evaluate(() => {
    window.arrivals = {};
    new MutationObserver(() => {
      for (const p of document.querySelectorAll('#messages article p')) window.arrivals[p.textContent] ??= Date.now();
    }).observe(document, { childList: true, subtree: true });
  });
const arrivalOf = ({ page }, text) => page.evaluate((of) => window.arrivals[of], text);

// Send the requests of this user's page without it: with its cookie, its token and its tab id; each with a new nonce.
async function scriptOf({ context, page }) {
  const saved = action(page, '/draft');
  const said = action(page, '/message');
  await page.getByLabel('Message').fill('x');
  await saved;
  await press(page.getByRole('button', { name: 'Send' }));
  const headers = await (await said).allHeaders();
  await (await said).response(); // the message is shown: later messages of the script come after it
  const { tabId } = (await said).postDataJSON();
  const cookie = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  const { Agent, request: requestOf } = page.url().startsWith('https:') ? https : http;
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  let count = 0;
  const nonce = () => `${headers['x-once'].split('.')[0]}.${process.pid}-${++count}`;
  const post = (url, signals, once = nonce(), change = {}) =>
    new Promise((done) => {
      const as = { 'Datastar-Request': 'true', 'Content-Type': 'application/json', Cookie: cookie,
        'X-CSRF-Token': headers['x-csrf-token'], 'X-Once': once, ...change };
      for (const name of Object.keys(as)) if (as[name] === undefined) delete as[name];
      const request = requestOf(url, { method: 'POST', agent, headers: as }, (answer) => {
        answer.resume().on('end', () => done(answer.statusCode)).on('error', () => done(0));
      });
      request.on('error', () => done(0));
      request.end(JSON.stringify({ tabId, ...signals }));
    });
  return { post, nonce, token: headers['x-csrf-token'] };
}

module.exports = { chatFor, personFor, press, say, textsOf, shows, isIn, isAt, openDrawer, go, create, complains, unreadIs, hereAre, action, arrivalIn, holdArrivals, faults, watchArrivals, arrivalOf, scriptOf };
