// SPDX-License-Identifier: MIT
// The stream of a closed page ends soon, however the page was closed. (If Chromium could reuse the connection, it would
// read the rest of the response for seconds; therefore the heads of streams forbid reuse.)
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { startExample, newSession, send, closeChrome } = require('./harness.js');

after(closeChrome);

const ROUNDS = 5;
const SOON_MS = 1500; // civetweb checks four times per second
const LATE_MS = 60_000; // maximum on a busy machine

const leave = {
  closed: (page) => page.close(),
  'left for another': (page) => page.goto('about:blank'),
  'loaded again': (page) => page.reload(),
};

for (const [name, go] of Object.entries(leave)) {
  test(`the stream of a page that is ${name} ends soon`, async (t) => {
    const server = await startExample('test_browser_streams');
    t.after(() => server.stop());
    const seen = async () => JSON.parse((await send('GET', `${server.url}seen`)).text);
    const session = await newSession(t);
    const took = [];
    for (let round = 0; round < ROUNDS; round++) {
      const { page, until } = await session.tab(`${server.url}?tab=gone`);
      await until(() => document.querySelector('#server').textContent > '0');
      const { hangups } = await seen();
      const since = Date.now();
      await go(page);
      while ((await seen()).hangups === hangups && Date.now() - since < LATE_MS) continue;
      took.push(Date.now() - since);
      if (!page.isClosed()) await page.close();
      while ((await seen()).open) continue; // the next round begins without streams
    }
    t.diagnostic(`gone after ${took} ms`);
    assert.ok(Math.min(...took) < SOON_MS); // only the fastest counts, because a busy machine delays some; Chromium would delay all
    assert.deepEqual(session.problems.filter((text) => !/ERR_/.test(text)), []);
  });
}
