// SPDX-License-Identifier: MIT
// Watches in a page: a clock that ticks, ends with its tab, and returns with it; a countdown that ends itself.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { startExample, newSession, send, closeChrome } = require('./harness.js');

after(closeChrome);

const SOON_MS = 4500; // civetweb checks four times per second, and the machine is busy; Chromium alone would read for five seconds
const TRIES = 3;

async function start(t) {
  const server = await startExample('test_browser_watch');
  t.after(() => server.stop());
  const seen = async () => {
    const now = JSON.parse((await send('GET', `${server.url}seen`)).text);
    assert.equal(now.begun, now.live + now.ended);
    return now;
  };
  return { server, seen, session: await newSession(t) };
}

const beats = async ({ page }) => Number(await page.textContent('#clock'));
const reaches = (tab, n) => tab.until((least) => Number(document.querySelector('#clock').textContent) >= least, n);

// capability: E1
test('watch: a clock ticks in each tab separately, and closes with it', async (t) => {
  const { server, seen, session } = await start(t);
  const first = await session.tab(server.url);
  await reaches(first, 10);
  const second = await session.tab(server.url);
  await reaches(second, 3);
  assert.ok((await beats(first)) > (await beats(second))); // each has a separate watch
  assert.equal((await seen()).live, 2);
  const took = [];
  for (let tab = second; tab; ) {
    const since = Date.now();
    await tab.page.close();
    while ((await seen()).live === 2) continue;
    took.push(Date.now() - since);
    tab = Math.min(...took) < SOON_MS || took.length === TRIES ? null : await session.tab(server.url);
    if (tab) await reaches(tab, 3);
  }
  t.diagnostic(`ended after ${took} ms`);
  assert.ok(Math.min(...took) < SOON_MS); // only the fastest counts, because a busy machine delays some; Chromium would delay all
  const { live, ended, ends } = await seen();
  assert.deepEqual({ live, ended, ends }, { live: 1, ended: took.length, ends: took.length });
  await reaches(first, (await beats(first)) + 5); // the other tab is not affected
  assert.deepEqual(session.problems, []);
});

// quick: civetweb
test('watch: a page that is reloaded has a new one', async (t) => {
  const { server, seen, session } = await start(t);
  const tab = await session.tab(server.url);
  await reaches(tab, 5);
  await tab.page.reload();
  await reaches(tab, 1);
  while ((await seen()).live !== 1) continue;
  const { begun, ends } = await seen();
  assert.deepEqual({ begun, ends }, { begun: 2, ends: 1 });
});

test('watch: a countdown ends itself, and the page does not reconnect', async (t) => {
  const { server, seen, session } = await start(t);
  const tab = await session.tab(server.url);
  await tab.page.click('#start');
  await tab.shows('left', '0');
  while ((await seen()).ends !== 1) continue;
  const now = await beats(tab);
  await reaches(tab, now + 20); // one second
  const { begun, live } = await seen();
  assert.deepEqual({ begun, live }, { begun: 2, live: 1 }); // the clock's watch, and no second countdown
  assert.deepEqual(session.problems, []);
});
