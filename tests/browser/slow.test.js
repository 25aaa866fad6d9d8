// SPDX-License-Identifier: MIT
// Every example over a slow network: each response takes a second more, and arrives at 30 KB per second. The main
// action works, nothing fails, and no page ever shows that its server is away.
'use strict';
const { after, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const { EXAMPLES, startOwn } = require('./examples.js');
const { newSession, closeChrome } = require('./harness.js');
const { PURPOSES, enter } = require('./purposes.js');

after(closeChrome);

const SLOW = { offline: false, latency: 1000, downloadThroughput: 30 * 1024, uploadThroughput: 30 * 1024 };

// With its 300 robots the box office sends 50 KB per second, and such a page is ever further behind on this network.
const OPTIONS = { boxoffice: ['--robots', '30'] };

// Runs in each document from its start.
function watch() {
  const isAway = () => document.querySelector('.vestry-banner')?.checkVisibility() || document.documentElement?.hasAttribute('data-stale') ||
    /connection lost/.test(document.querySelector('#state')?.textContent);
  setInterval(() => isAway() && console.error('the page says that its server is away'), 50);
}

// The tests mostly wait.
describe('slow', { concurrency: 5 }, () => {
  for (const name of EXAMPLES)
    test(`${name}: over a slow network`, { skip: process.env.BROWSER && 'Chromium makes its network slow' }, async (t) => {
      const example = await startOwn(t, name, OPTIONS[name]);
      const { context, tab, problems } = await newSession(t);
      await context.addInitScript(watch);
      const { page } = await tab('about:blank');
      const devtools = await context.newCDPSession(page);
      await devtools.send('Network.enable');
      await devtools.send('Network.emulateNetworkConditions', SLOW);
      await page.goto(example.url);
      await enter(page);
      await page.waitForLoadState('load');
      await PURPOSES[name](page);
      assert.deepEqual(problems, []);
    });
});
