// SPDX-License-Identifier: MIT
// The million check boxes: users see each other's clicks, wherever they have scrolled to; also after a restart.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { startExample, newSession, send, closeChrome, picture, sameInFirefox } = require('./harness.js');
const { startProxy } = require('./proxy.js');

after(closeChrome);

async function cellsFor(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cells-'));
  const file = path.join(folder, 'cells.db');
  let server = await startExample('cells', ['--db', file]);
  t.after(async () => {
    await server.stop();
    fs.rmSync(folder, { recursive: true });
  });
  const { port } = new URL(server.url);
  const proxy = await startProxy(t, server);
  return {
    proxy,
    restart: async () => {
      await server.stop();
      server = await startExample('cells', ['--db', file], Number(port));
    },
    stop: () => server.stop(),
    start: async () => { server = await startExample('cells', ['--db', file], Number(port)); },
    post: (box, to) => send('POST', `${server.url}box/${box}/${to}`),
    tab: async (where = '', options = {}) => {
      const session = await newSession(t, options);
      await session.context.addInitScript(() => {
        window.pieces = 0; // number of received patches
        document.addEventListener('datastar-fetch', ({ detail }) => {
          if (detail.type === 'datastar-patch-elements') window.pieces++;
        });
        window.box = (value) => document.querySelector(`#at input[value="${value}"]`);
        window.isWhole = () => [...document.querySelectorAll('#at-rows > div > div')].every((part) => part.children.length === 100);
      });
      const tab = await session.tab(`${proxy.url}${where}`);
      await tab.until(() => window.isWhole());
      return { ...tab, problems: session.problems };
    },
  };
}
const press = (tab, value) => tab.page.evaluate((box) => window.box(box).click(), value);
const shows = (tab, value, to) => tab.until(([box, is]) => window.box(box)?.hasAttribute('checked') === is && window.box(box).checked === is, [value, to]);

// capability: L2
test('cells: a click is sent to all users who see its box, and to no others', async (t) => {
  const cells = await cellsFor(t);
  const [one, other, far] = [await cells.tab(), await cells.tab(), await cells.tab('?at=50.50')];
  await far.page.evaluate(() => (window.pieces = 0));
  await press(one, 5005);
  await Promise.all([shows(one, 5005, true), shows(other, 5005, true)]);
  await press(other, 5005);
  await Promise.all([shows(one, 5005, false), shows(other, 5005, false)]);
  await one.page.evaluate(() => window.box(5005).focus());
  for (const [key, to] of [['ArrowRight', 5006], ['ArrowDown', 6006], ['ArrowLeft', 6005], ['ArrowUp', 5005]]) {
    await one.page.keyboard.press(key);
    assert.equal(await one.page.evaluate(() => document.activeElement.value), String(to), key);
  }
  await one.page.bringToFront(); // Firefox lets a key press a button only then
  await one.page.keyboard.press('Space');
  await Promise.all([shows(one, 5005, true), shows(other, 5005, true)]);
  await press(one, 12013);
  await Promise.all([shows(one, 12013, true), shows(other, 12013, true)]);
  assert.equal(await far.page.evaluate(() => window.pieces), 0);
  await press(far, 505505);
  await shows(far, 505505, true);
  await one.page.evaluate(() => document.querySelectorAll('nav a')[1].click()); // the middle
  await one.until(() => window.box(505505) && window.isWhole());
  await shows(one, 505505, true);
  assert.deepEqual([...one.problems, ...other.problems, ...far.problems], []);
});

// capability: L2
test('cells: scrolling in both directions loads few boxes; also by keyboard', async (t) => {
  const cells = await cellsFor(t);
  const tab = await cells.tab();
  await cells.post(999999, 1);
  await cells.post(345678, 1);
  const jumps = [[10000, 20000], [39000, 0], [0, 39500], [25000, 25000], [40000, 40000]];
  for (const [top, left] of jumps) {
    await tab.page.evaluate(([y, x]) => document.getElementById('at').scrollTo(x, y), [top, left]);
    await tab.until(() => {
      const at = document.getElementById('at'), box = at.getBoundingClientRect();
      return [[20, 20], [at.clientWidth - 20, 20], [20, at.clientHeight - 20], [at.clientWidth - 20, at.clientHeight - 20]].every(([x, y]) =>
        document.elementFromPoint(box.left + x, box.top + y)?.closest('#at-rows > div > div')?.children.length === 100);
    });
    assert.ok((await tab.page.evaluate(() => document.querySelectorAll('*').length)) < 2500);
  }
  await shows(tab, 999999, true);
  await tab.page.focus('#at');
  await tab.page.keyboard.press('Home');
  await tab.until(() => window.box(999));
  await tab.page.evaluate(() => document.getElementById('at').scrollTo(678 * 40 - 200, 345 * 40 - 200));
  await tab.until(() => window.box(345678) && window.isWhole());
  await tab.page.evaluate(() => window.box(345678).focus());
  await tab.page.keyboard.press('Space');
  await shows(tab, 345678, false);
  assert.equal(await tab.page.evaluate(() => document.activeElement.value), '345678');
  assert.deepEqual(tab.problems, []);
});

// capability: L2
test('cells: a scroll by one part sends only the new parts; the others stay, and remain live', async (t) => {
  const cells = await cellsFor(t);
  const tab = await cells.tab('?at=20.20');
  const step = async (by) => {
    await tab.page.evaluate(() => {
      window.pieces = 0;
      for (const part of document.querySelectorAll('#at-rows > div > div')) part.isOld = true;
    });
    const was = await tab.page.evaluate(() => document.getElementById('at').dataset.window);
    const isNew = (former) => document.getElementById('at').dataset.window !== former;
    while (!(await tab.page.evaluate(isNew, was))) { // the window is rounded, so a scroll by one part does not always move it
      await tab.page.evaluate((px) => document.getElementById('at').scrollBy(0, px), by);
      await tab.page.waitForFunction(isNew, was, { timeout: 1000 }).catch(() => {});
    }
    await tab.until(() => window.isWhole() && !document.querySelector('main').hasAttribute('aria-busy'));
    return tab.page.evaluate(() => {
      const parts = [...document.querySelectorAll('#at-rows > div > div')];
      const old = parts.filter((part) => part.isOld);
      return { all: parts.length, fresh: parts.length - old.length, pieces: window.pieces, kept: old[0].firstChild.value };
    });
  };
  for (const by of [400, 400, -400]) {
    const { all, fresh, pieces, kept } = await step(by);
    assert.ok(fresh > 0 && fresh < all, `${fresh} of ${all}`);
    assert.equal(pieces, fresh + 1); // and the content
    await cells.post(kept, 1);
    await shows(tab, kept, true);
  }
  assert.deepEqual(tab.problems, []);
});

test('cells: clicks survive a restart, and clicks during it arrive afterwards', async (t) => {
  const cells = await cellsFor(t);
  const tab = await cells.tab();
  await press(tab, 3);
  await shows(tab, 3, true);
  await cells.stop();
  await tab.until(() => getComputedStyle(document.querySelector('.vestry-banner')).display !== 'none');
  await press(tab, 4);
  await tab.until(() => document.querySelector('[role=status]').textContent.startsWith('Saving'));
  await cells.start();
  await Promise.all([shows(tab, 3, true), shows(tab, 4, true)]);
  await tab.until(() => document.querySelector('[role=status]').textContent === '');
  const fresh = await cells.tab();
  await Promise.all([shows(fresh, 3, true), shows(fresh, 4, true)]);
});

test('cells: a rejected click is undone, with a message', async (t) => {
  const cells = await cellsFor(t);
  const tab = await cells.tab();
  await tab.page.evaluate(() => (window.box(7).value = '1000000')); // the server knows no such box
  await press(tab, 1000000);
  await tab.until(() => document.querySelector('[role=status]').textContent.includes('could not'));
  await tab.until(() => !window.box(1000000).checked);
  for (const wrong of ['1000000/1', '-1/1', '5/2', 'x/1', '1e3/1']) {
    assert.ok([400, 404].includes((await send('POST', `${cells.proxy.url}box/${wrong}`)).status));
  }
});

test('cells: layout on phone and desktop, light and dark', { skip: sameInFirefox }, async (t) => {
  const cells = await cellsFor(t);
  for (let i = 0; i < 90; i++) await cells.post((500 + (i % 10)) * 1000 + 500 + ((i * 7) % 18), 1);
  for (const [name, viewport] of [['phone', { width: 390, height: 844 }], ['desk', { width: 1280, height: 800 }]]) {
    for (const colorScheme of ['light', 'dark']) {
      const tab = await cells.tab('?at=50.50', { viewport, colorScheme });
      assert.ok(await tab.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), name);
      const isAt = (text) => tab.until((is) => document.querySelector('header p').textContent === is, text);
      await isAt('Row 501, column 501');
      await tab.page.evaluate(() => document.getElementById('at').scrollBy(80, 120));
      await isAt('Row 504, column 503');
      await picture(tab.page, `cells-${name}-${colorScheme}`);
    }
  }
});
