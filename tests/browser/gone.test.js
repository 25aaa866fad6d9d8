// SPDX-License-Identifier: MIT
// A page that is gone: its stream ends soon, however the page went. (Chromium reads on for seconds behind a page that is
// gone, when it could use the connection again for the rest of the answer; so heads of streams say that it cannot.)
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { startExample, newSession, send, closeChrome } = require('./harness.js');

after(closeChrome);

const ROUNDS = 5;
const SOON_MS = 1500; // civetweb looks four times a second
const LATE_MS = 60_000; // and the machine is busy

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
      while ((await seen()).open) continue; // the next round begins with none
    }
    t.diagnostic(`gone after ${took} ms`);
    assert.ok(Math.min(...took) < SOON_MS); // a busy machine makes some later: Chromium would all of them
    assert.deepEqual(session.problems.filter((text) => !/ERR_/.test(text)), []);
  });
}
