// SPDX-License-Identifier: MIT
// Layout of the counter's page: on phone and desktop, light and dark. PICTURES=folder stores the pictures.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { startCounter, newSession, closeChrome, picture } = require('./harness.js');

after(closeChrome);

const asDatastar = { headers: { 'Datastar-Request': 'true' } };
const SIZES = { phone: { width: 360, height: 740 }, desk: { width: 1280, height: 800 } };

// Runs in the page. contrast.test.js measures the contrast of its texts.
function measure() {
  const shown = getComputedStyle(document.querySelector('#counter'));
  const box = (selector) => document.querySelector(selector).getBoundingClientRect();
  return {
    red: Number(/\d+/.exec(getComputedStyle(document.documentElement).backgroundColor)[0]),
    overflow: document.documentElement.scrollWidth - innerWidth,
    buttons: ['#start', '#add', '#stop'].map((selector) => ({ height: box(selector).height, right: box(selector).right })),
    counterHeight: box('#counter').height,
    lines: Math.round((box('#counter').height - 2 * parseFloat(shown.paddingTop)) / parseFloat(shown.lineHeight)),
    bottom: box('main').bottom,
  };
}

for (const [device, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ['light', 'dark']) {
    test(`${device}, ${colorScheme}`, async (t) => {
      const counter = await startCounter();
      t.after(() => counter.stop());
      const session = await newSession(t, { viewport, colorScheme, deviceScaleFactor: 2 });
      const tab = await session.tab(counter.url);
      await tab.shows('state', 'stopped');
      assert.equal(await tab.page.getAttribute('#state', 'role'), 'status'); // announced when it changes
      assert.equal(await tab.page.getAttribute('#counter', 'role'), 'timer'); // not announced each second
      await tab.click('start');
      await tab.atLeast(1);
      await tab.click('add');
      await tab.atLeast(11);
      await picture(tab.page, `counter-${device}-${colorScheme}-running`);
      const seen = await tab.page.evaluate(measure);
      assert.ok(colorScheme === 'light' ? seen.red > 220 : seen.red < 50, `red of the ground: ${seen.red}`);
      assert.ok(seen.overflow <= 0, 'the page scrolls sideways');
      for (const { height, right } of seen.buttons) {
        assert.ok(height >= 44, `a button of ${height} px is hard to hit`);
        assert.ok(right <= viewport.width);
      }
      assert.ok(seen.counterHeight >= 72, 'the counter is big');
      assert.ok(seen.bottom <= viewport.height, 'the counter and its buttons are seen without scrolling');
      assert.deepEqual(session.problems, []);
      // Many digits, and the longest of the states: still not wider than the page.
      for (let i = 0; i < 105; i++) await session.context.request.post(`${counter.url}jump`, asDatastar);
      await tab.atLeast(1000);
      await counter.stop();
      await tab.shows('state', 'connection lost, retrying');
      await picture(tab.page, `counter-${device}-${colorScheme}-lost`);
      const lost = await tab.page.evaluate(measure);
      assert.ok(lost.overflow <= 0, 'many digits make the page scroll sideways');
      assert.ok(lost.lines === 1, 'many digits do not fit');
    });
  }
}
