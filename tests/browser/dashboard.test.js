// SPDX-License-Identifier: MIT
// The example dashboard, used in Chromium by several users at once.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const path = require('node:path');
const { exampleFor, startExample, newSession, picture, send, closeChrome, temporaryDirectory } = require('./harness.js');

after(closeChrome);

// Return the content of a page. The number of samples is derived from the movement of the charts.
function read(root) {
  const [tabs, renders] = [...root.querySelectorAll('#cost b')].map((b) => Number(b.textContent));
  const [, , width] = root.querySelector('svg').getAttribute('viewBox').split(' ').map(Number);
  const moved = /-?\d+/.exec(root.querySelector('svg g').getAttribute('transform'))[0];
  return { samples: width + 1 - Number(moved), tabs, renders, charts: root.querySelector('#charts').outerHTML };
}
const shown = ({ page }) => page.evaluate(`(${read})(document)`);
const moves = async (tab, times) => {
  const { samples } = await shown(tab);
  await tab.until((least) => 1 + document.querySelector('svg').viewBox.baseVal.width - Number(/-?\d+/.exec(document.querySelector('svg g').getAttribute('transform'))[0]) >= least,
    samples + times);
};
const tabsAre = (tab, count) =>
  tab.until((wanted) => Number(document.querySelector('#cost b').textContent) === wanted, count);
// Return a current document: this is no render of a stream.
const now = async (example) => {
  const { text } = await send('GET', example.url);
  const [tabs, renders] = [.../<b>(\d+)<\/b>/g[Symbol.matchAll](text)].map((found) => Number(found[1]));
  return { samples: 1 + Number(/viewBox="0 0 (\d+)/.exec(text)[1]) - Number(/translate\((-?\d+)\)/.exec(text)[1]), tabs, renders };
};

test('dashboard: the charts move, with axes and units', async (t) => {
  const one = await (await exampleFor(t, 'dashboard')).tab();
  await moves(one, 3);
  // The charts are not empty at the start: the first samples fill half a minute.
  assert.equal(await one.page.evaluate(() => document.querySelector('svg').viewBox.baseVal.width), 30);
  const values = await one.page.locator('section b').allTextContents();
  assert.equal(values.length, 4);
  assert.match(values[0], /^\d{1,3} %$/);
  assert.match(values[1], /^[\d.]+ [kMGT]B$/);
  for (const value of values.slice(2)) assert.match(value, /^[\d.]+ [kMGT]?B\/s$/);
  assert.equal(await one.page.getByRole('img').count(), 3);
  for (const name of await one.page.getByRole('img').evaluateAll((all) => all.map((el) => el.getAttribute('aria-label'))))
    assert.match(name, /of the last (30 s|1 min|3 min), up to/);
  assert.deepEqual(await one.page.locator('.up').first().locator('span').allTextContents(), ['100 %', '50 %', '0']);
  const { samples, charts } = await shown(one);
  const [, points] = /class="line-0" d="([^"]*)"/.exec(charts);
  assert.equal(points.split(' ').length - 1, samples, 'a point for each sample');
  assert.deepEqual(one.problems, []);
});

// capability: D7
test('dashboard: all users see the same page, which is rendered once for all', async (t) => {
  const example = await exampleFor(t, 'dashboard');
  const one = await example.tab();
  const others = [await example.tab(), await example.tab(), await example.tab()];
  await tabsAre(one, 4);
  const before = await shown(one);
  await moves(one, 4);
  const after = await shown(one);
  const [samples, renders] = [after.samples - before.samples, after.renders - before.renders];
  assert.ok(renders >= samples - 1 && renders <= samples + 1, `${renders} renders for ${samples} samples`);
  // Compare at the same sample.
  for (const other of others)
    for (;;) {
      const [a, b] = await Promise.all([shown(one), shown(other)]);
      if (a.samples !== b.samples) continue;
      assert.equal(a.charts, b.charts);
      break;
    }
  for (const tab of [one, ...others]) assert.deepEqual(tab.problems, []);
});

// capability: D7
test('dashboard: without open pages nothing is rendered, and the history continues', async (t) => {
  const example = await exampleFor(t, 'dashboard');
  const one = await example.tab();
  await moves(one, 1);
  await one.page.close();
  const until = async (is) => {
    for (;;) {
      const seen = await now(example);
      if (is(seen)) return seen;
      await new Promise((done) => setTimeout(done, 100));
    }
  };
  const before = await until(({ tabs }) => tabs === 0);
  const after = await until(({ samples }) => samples >= before.samples + 3);
  assert.equal(after.renders, before.renders);
});

test('dashboard: a page reconnects by itself after a loss of its server', async (t) => {
  let server = await startExample('dashboard');
  t.after(() => server.stop());
  const session = await newSession(t);
  const one = await session.tab(server.url);
  await moves(one, 2);
  await server.stop();
  await one.until(() => document.querySelector('.vestry-banner').checkVisibility());
  server = await startExample('dashboard', [], server.port);
  await one.until(() => !document.querySelector('.vestry-banner').checkVisibility());
  await moves(one, 2);
});

for (const [device, viewport] of Object.entries({ phone: { width: 360, height: 740 }, desk: { width: 1120, height: 470 } }))
  for (const colorScheme of ['light', 'dark'])
    test(`dashboard: layout, ${device}, ${colorScheme}`, async (t) => {
      const one = await (await exampleFor(t, 'dashboard')).tab('', { viewport, colorScheme });
      const keeps = process.env.PICTURES && device === 'desk' && colorScheme === 'light';
      for (let i = 0; i < (keeps ? 40 : 1); i++) await moves(one, 2);
      await one.page.screenshot({ path: path.join(temporaryDirectory(t), `dashboard-${device}-${colorScheme}.png`) });
      if (keeps) await picture(one.page, 'dashboard');
      const seen = await one.page.evaluate(() => ({
        overflow: document.documentElement.scrollWidth - innerWidth,
        columns: getComputedStyle(document.querySelector('#charts')).gridTemplateColumns.split(' ').length,
        cut: [...document.querySelectorAll('section span, section b')].filter((el) => el.scrollWidth > el.parentElement.clientWidth).length,
        flat: [...document.querySelectorAll('svg')].filter((el) => el.getBoundingClientRect().width < 200).length,
      }));
      assert.deepEqual(seen, { overflow: 0, columns: device === 'desk' ? 3 : 1, cut: 0, flat: 0 });
      assert.deepEqual(one.problems, []);
    });
