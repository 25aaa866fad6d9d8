// SPDX-License-Identifier: MIT
// The element that supervises a page's stream: the page has one stream as long as the element is in the page, however
// often it is moved, morphed or inserted again, and the stream ends with the element. Only the real client is tested
// (DATASTAR_JS): its handling of removed elements, and of their requests, depends on its version.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { newSession, send, startExample, closeChrome } = require('./harness.js');
const { startProxy } = require('./proxy.js');

after(closeChrome);

const skip = process.env.DATASTAR_JS ? false : 'the stand-in for the client does not model it';
const HEARTBEAT_MS = 800; // the server's value; a page reacts within a few of them
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(condition, what) {
  for (const since = Date.now(); !(await condition()); await pause(10))
    if (Date.now() - since > 120_000) assert.fail(`not within two minutes: ${what}`);
}

// Runs in the page, before its scripts. Headless Chromium hides no tab, so the page's properties are replaced.
function watchPage() {
  let hidden = false;
  Object.defineProperty(document, 'hidden', { get: () => hidden });
  window.turn = (value) => {
    hidden = value;
    document.dispatchEvent(new Event('visibilitychange'));
  };
  // Handle events like the client does, from an action or a stream.
  window.patch = (argsRaw) => document.dispatchEvent(
    new CustomEvent('datastar-fetch', { detail: { type: 'datastar-patch-elements', el: document.body, argsRaw } }));
  // Trigger every reason for which an element opens its stream.
  window.rouse = () => {
    window.turn(true);
    window.turn(false);
    dispatchEvent(new Event('online'));
    dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
  };
}

// Open a page with its stream, and record what the server and the proxy receive.
async function pageOf(t, prepare = async () => {}) {
  const server = await startExample('test_browser_pages');
  t.after(() => server.stop());
  const proxy = await startProxy(t, server);
  const { context, tab, problems } = await newSession(t);
  await context.addInitScript(watchPage);
  await prepare(context, proxy.url);
  const one = await tab(proxy.url);
  const seen = async () => JSON.parse((await send('GET', `${server.url}seen`)).text);
  // Wait until the server and the proxy both have this number.
  const streams = (count) =>
    until(async () => (await seen()).streams === count && proxy.open() === count, `${count} streams`);
  // Check that the page has one stream, which delivers changes.
  let changes = 0;
  const lives = async (what) => {
    await streams(1);
    const change = `change ${++changes}, ${what}`;
    assert.equal((await send('POST', `${server.url}text`, change)).status, 204);
    await one.shows('text', change);
    await streams(1);
  };
  // Perform an action that opens a stream, and wait for it; a remaining older stream would then be one too many.
  const opens = async (what) => {
    const { opened } = await seen();
    await what();
    await until(async () => (await seen()).opened > opened, 'another stream');
  };
  // Check that no stream opens, for the time in which an element would open one.
  const staysAway = async () => {
    await streams(0);
    const { opened } = await seen(), { failed } = proxy;
    await one.page.evaluate(() => window.rouse());
    await pause(4 * HEARTBEAT_MS);
    assert.deepEqual([(await seen()).opened, proxy.failed], [opened, failed]);
  };
  await streams(1);
  return { ...one, context, server, proxy, streams, lives, opens, staysAway,
    faults: () => problems.filter((problem) => !/ERR_|Failed to load resource/.test(problem)) };
}

const removals = {
  'removed by a patch': () => window.patch({ mode: 'remove', selector: '.vestry-banner' }),
  'removed with what is around it': () => window.patch({ mode: 'inner', selector: 'body', elements: '<p id="text">gone</p>' }),
  'removed by a script': () => document.querySelector('.vestry-banner').remove(),
};
for (const [what, remove] of Object.entries(removals)) {
  test(`element: ${what}, its stream ends, and no other stream opens`, { skip }, async (t) => {
    const { page, lives, staysAway, faults } = await pageOf(t);
    await lives('before');
    await page.evaluate(remove);
    await staysAway();
    assert.deepEqual(faults(), []);
  });
}

test('element: removed between two attempts, it makes no further attempt', { skip }, async (t) => {
  const { page, proxy, streams, staysAway, faults } = await pageOf(t);
  proxy.fail = Infinity;
  proxy.cut();
  await streams(0);
  await until(() => proxy.failed >= 2, 'it tries again');
  await page.evaluate(() => window.patch({ mode: 'remove', selector: '.vestry-banner' }));
  await staysAway();
  assert.deepEqual(faults(), []);
});

test('element: removed after the server has ended its stream, it opens no other', { skip }, async (t) => {
  const { page, proxy, context, staysAway, faults } = await pageOf(t, async ({ request }, url) => {
    assert.equal((await request.post(`${url}login`, { form: { user: 'ada' } })).status(), 204);
  });
  await page.evaluate(() => document.addEventListener('datastar-fetch', ({ detail }) => {
    if (detail.type === 'finished') window.patch({ mode: 'remove', selector: '.vestry-banner' });
  }));
  assert.equal((await context.request.post(`${proxy.url}logout`)).status(), 204);
  await page.waitForSelector('.vestry-banner', { state: 'detached' });
  await staysAway();
  assert.deepEqual(faults(), []);
});

const documentOf = (page) => page.evaluate(async () => (await (await fetch(location.href)).text()));
const elementOf = async (page) =>
  page.evaluate((html) => new DOMParser().parseFromString(html, 'text/html').querySelector('.vestry-banner').outerHTML, await documentOf(page));
const stays = {
  'morphed with its whole document, as it is served now': async (page) => {
    const html = await documentOf(page);
    await page.evaluate((elements) => window.patch({ mode: 'outer', elements }), html);
  },
  'morphed': async (page) => {
    const elements = await elementOf(page);
    await page.evaluate((html) => window.patch({ mode: 'outer', selector: '.vestry-banner', elements: html }), elements);
  },
  'replaced': async (page) => {
    const elements = await elementOf(page);
    await page.evaluate((html) => window.patch({ mode: 'replace', selector: '.vestry-banner', elements: html }), elements);
  },
  'removed, and put in anew': async (page) => {
    const elements = await elementOf(page);
    await page.evaluate(() => window.patch({ mode: 'remove', selector: '.vestry-banner' }));
    await page.evaluate((html) => window.patch({ mode: 'append', selector: 'body', elements: html }), elements);
  },
  'removed, and the same one put in later': async (page, streams) => {
    await page.evaluate(() => (window.kept = document.querySelector('.vestry-banner')).remove());
    await streams(0);
    await page.evaluate(() => document.body.append(window.kept));
  },
  'moved': (page) => page.evaluate(() => document.body.prepend(document.querySelector('.vestry-banner'))),
};
for (const [what, change] of Object.entries(stays)) {
  test(`element: ${what}, it has one stream`, { skip }, async (t) => {
    const { page, lives, opens, streams, faults } = await pageOf(t);
    for (const round of ['first', 'second']) {
      await lives(`${round}, before`);
      await opens(() => change(page, streams));
      await lives(`${round}, after`);
      await opens(() => page.evaluate(() => window.rouse()));
      await lives(`${round}, hidden and shown`);
    }
    assert.deepEqual(faults(), []);
  });
}

test('element: inserted again in the state of the document, it shows that state', { skip }, async (t) => {
  const { page, server, shows, until: inPage, lives, streams, faults } = await pageOf(t);
  const first = await page.textContent('#text');
  await lives('changed');
  await page.evaluate(() => (window.kept = document.querySelector('.vestry-banner')).remove());
  await streams(0);
  assert.equal((await send('POST', `${server.url}first`)).status, 204);
  await page.evaluate(() => document.body.append(window.kept));
  await shows('text', first);
  await inPage(() => document.getElementById('changes').textContent === '0');
  await lives('and then');
  assert.deepEqual(faults(), []);
});

test('element: after many changes of visibility and network at once, there is one stream', { skip }, async (t) => {
  const { page, proxy, lives, streams, faults } = await pageOf(t);
  for (const fail of [0, 1, 2]) {
    await page.evaluate(() => {
      for (let times = 0; times < 9; times++) window.turn(times % 2 === 0); // hidden at the end
    });
    await streams(0);
    await page.evaluate(() => window.turn(false));
    await lives('shown');
    proxy.fail = fail;
    proxy.cut();
    await lives(`cut off, and ${fail} refused`);
    proxy.fail = fail;
    proxy.cut();
    await page.evaluate(() => { // while it tries again
      window.turn(true);
      window.turn(false);
      window.turn(true);
    });
    await streams(0);
    proxy.fail = 0;
    await page.evaluate(() => window.turn(false));
    await lives('hidden while it tried again, and shown');
  }
  assert.deepEqual(faults(), []);
});

test('element: after the page was left and restored, there is one stream', { skip }, async (t) => {
  const { page, proxy, lives, streams, faults } = await pageOf(t);
  for (const round of ['first', 'second']) {
    await lives(round);
    await page.goto(`${proxy.url}login`);
    await streams(0); // the server has detected the close
    await page.goBack();
    await lives(`${round}, back`);
    await page.reload();
    await lives(`${round}, loaded anew`);
  }
  assert.deepEqual(faults(), []);
});
