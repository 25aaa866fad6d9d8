// SPDX-License-Identifier: MIT
// L2: a window's first frame, its keys, touch, a list that becomes shorter, announcements for screen readers, and
// proxies that break streams.
'use strict';
const { after, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const { closeChrome } = require('./harness.js');
const { tabFor } = require('./window_tab.js');

after(closeChrome);

// Open a tab whose client loads when the test permits it; record the scroll position in each frame after the document
// is there.
async function withoutClient(t, where) {
  let release;
  const released = new Promise((done) => (release = done));
  const tab = await tabFor(t, 'away', { isReady: false });
  await tab.until(() => document.readyState === 'complete');
  await tab.session.context.route(/datastar[\w.]*\.js$/, async (route) => {
    await released;
    await route.fallback();
  });
  await tab.session.context.addInitScript(() => {
    window.frames = [];
    const frame = () => {
      if (document.readyState !== 'loading' && window.frames.length < 5)
        window.frames.push({ ...window.seen(), links: document.querySelector('.vestry-window-links')?.offsetHeight ?? 0,
          left: document.getElementById('list').scrollLeft });
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  await tab.page.goto(`${tab.proxy.url}${where}`, { waitUntil: 'commit' });
  await tab.until(() => window.frames?.length === 5);
  return { ...tab, release, frames: () => tab.page.evaluate(() => window.frames) };
}

// The first test mostly waits.
describe('ways', { concurrency: 2 }, () => {
  // capability: L8
  test('l2: if a proxy buffers streams, jumps find their rows, and changes arrive', async (t) => {
    const tab = await tabFor(t, 'rows', { breaks: { isHolding: true }, isReady: false });
    await tab.until(() => document.querySelector('.vestry-banner')?.poll);
    for (const part of [0.25, 0.9, 0.5]) {
      await tab.scrollTo(8_000_000 * part);
      await tab.filled();
      const row = Number((await tab.seen()).text.slice(4));
      assert.ok(Math.abs(row - 1_000_000 * part) < 100, `${row}`);
    }
    await tab.page.evaluate(() => {
      const list = document.getElementById('list');
      list.scrollTop = (500_000 / (1_000_000 - 10)) * (list.scrollHeight - list.clientHeight);
    });
    await tab.until(() => document.getElementById('row500000'));
    await tab.upload('touch');
    await tab.until(() => document.getElementById('row500000')?.textContent === 'row 500000 touched');
    assert.ok(await tab.page.evaluate(() => window.isFilled() && document.querySelector('.vestry-banner').poll));
  });

  // capability: L2
  test('l2: the first frame shows the position, before the client has loaded', async (t) => {
    const tab = await withoutClient(t, 'rows?list=500000');
    for (const frame of await tab.frames()) assert.deepEqual(frame, { text: 'row 500000', above: 0, links: 0, left: 0 });
    assert.deepEqual(await tab.page.evaluate(() => window.told), []);
    tab.release();
    await tab.until(() => window.told.includes('datastar-patch-signals'));
    await tab.filled('row 500000');
    assert.equal((await tab.seen()).above, 0);
    for (const [where, text, left] of [['rows', 'row 0', 0], ['rows?list=999999', 'row 999990', 0],
      ['cells?list=500.400', '500/380', 24000]]) {
      await tab.page.goto(`${tab.proxy.url}${where}`, { waitUntil: 'commit' });
      await tab.until(() => window.frames?.length === 5);
      const [first] = await tab.frames();
      assert.ok(where.startsWith('cells') ? first.text.startsWith('500/') : first.text === text, first.text);
      assert.equal(first.left, left);
    }
    await tab.page.goto(`${tab.proxy.url}chat`, { waitUntil: 'commit' });
    await tab.until(() => window.frames?.length === 5);
    const [first] = await tab.frames();
    assert.match(first.text, /^message 99[89]/);
    assert.deepEqual(tab.session.problems, []);
  });

  // capability: L2
  test('l2: scrolling before the client has loaded is kept', async (t) => {
    const tab = await withoutClient(t, 'rows?list=500000');
    await tab.page.evaluate(() => (document.getElementById('list').scrollTop += 400));
    tab.release();
    await tab.until(() => window.told.includes('datastar-patch-signals'));
    await tab.filled('row 500010');
    await tab.until(() => new URLSearchParams(location.search).get('list') === '500010');
  });

  // capability: L2
  test('l2: without a script the rows are visible, and links lead to the next ones', async (t) => {
    const tab = await tabFor(t, 'rows?list=500000', { javaScriptEnabled: false });
    const list = await tab.page.locator('#list').boundingBox();
    const rows = tab.page.locator('.vestry-window-rows > div > *');
    const isSeen = async () => {
      const box = await rows.first().boundingBox();
      return box.y >= list.y - 1 && box.y < list.y + list.height;
    };
    assert.ok(await isSeen());
    assert.equal(await rows.first().textContent(), 'row 499965');
    assert.ok(await tab.page.locator('.vestry-window-links').isVisible());
    await tab.page.locator('.vestry-window-links a').last().click();
    assert.equal(await rows.first().textContent(), 'row 500055');
    await tab.page.locator('.vestry-window-links a').first().click();
    assert.equal(await rows.first().textContent(), 'row 499965');
  });

  // capability: L2
  test('l2: keys scroll the list, even if the focused row is gone', async (t) => {
    const tab = await tabFor(t, 'rows');
    await tab.page.focus('#list');
    const top = async () => {
      await tab.filled(); // between two windows no row is visible for a moment
      return Number((await tab.seen()).text.slice(4));
    };
    for (let presses = 0; presses < 20; presses++) {
      const before = await top();
      await tab.page.keyboard.press('PageDown');
      await tab.until((was) => window.isFilled() && Number(window.seen().text.slice(4)) > was, before);
    }
    await tab.page.keyboard.press('Home');
    await tab.filled('row 0');
    await tab.page.keyboard.press('ArrowDown');
    await tab.until(() => document.getElementById('list').scrollTop > 30);
    for (let rounds = 0; rounds < 5; rounds++) {
      await tab.page.keyboard.press('End');
      await tab.filled('row 999990');
      await tab.page.keyboard.press('Home');
      await tab.filled('row 0');
    }
    await tab.page.focus('#row3 input');
    await tab.page.keyboard.press('Tab');
    assert.equal(await tab.page.evaluate(() => document.activeElement.parentElement.id), 'row4');
    for (let presses = 0; presses < 20; presses++) {
      const before = await top();
      await tab.page.keyboard.press('PageDown');
      await tab.until((was) => window.isFilled() && Number(window.seen().text.slice(4)) > was, before);
    }
    await tab.until(() => !document.getElementById('row4') && document.activeElement.id === 'list');
  });

  // capability: L2
  test('l2: touch scrolls the list', async (t) => {
    const tab = await tabFor(t, 'rows?list=500000', { hasTouch: true });
    const devtools = await tab.session.context.newCDPSession(tab.page);
    const touch = (type, y) =>
      devtools.send('Input.dispatchTouchEvent', { type, touchPoints: y === null ? [] : [{ x: 400, y }] });
    const { y: top } = await tab.page.locator('#list').boundingBox();
    let before = 500000;
    for (let swipes = 0; swipes < 8; swipes++) {
      await touch('touchStart', top + 390);
      for (let y = 370; y >= 10; y -= 30) await touch('touchMove', top + y);
      await touch('touchEnd', null);
      await tab.until((was) => window.isFilled() && Number(window.seen().text.slice(4)) >= was + 5, before);
      before = Number((await tab.seen()).text.slice(4));
      assert.ok(before <= 500000 + (swipes + 1) * 40, `${before}`);
    }
  });

  // capability: L2
  test('l2: a shortened list shows its end to readers who were beyond it', async (t) => {
    for (const [where, place] of [['short', 19_600], ['short', 13_000]]) {
      const tab = await tabFor(t, where);
      await tab.scrollTo(place);
      await tab.filled(`row ${Math.floor(place / 40)}`);
      await tab.upload('fewer');
      await tab.until(() => document.getElementById('list').dataset.window.split(' ')[2] === '300');
      await tab.filled('row 290');
      await tab.page.evaluate(() => (document.getElementById('list').scrollTop -= 400));
      await tab.filled('row 280');
    }
  });

  // capability: L2
  test('l2: a screen reader gets row numbers and the total', async (t) => {
    const tab = await tabFor(t, 'rows?list=500000');
    const devtools = await tab.session.context.newCDPSession(tab.page);
    const tree = async () => {
      const { nodes } = await devtools.send('Accessibility.getFullAXTree');
      const by = new Map(nodes.map((node) => [node.nodeId, node]));
      const all = nodes.filter((node) => !node.ignored).map((node) => {
        let up = by.get(node.parentId);
        while (up?.ignored) up = by.get(up.parentId);
        return { role: node.role?.value, name: node.name?.value, under: up?.role?.value };
      });
      return (role) => all.filter((node) => node.role === role);
    };
    const list = await tree();
    assert.deepEqual(list('region').map(({ name }) => name), ['Rows']);
    assert.deepEqual(list('list').map(({ under }) => under), ['region']);
    assert.equal(list('listitem').length, 90);
    assert.ok(list('listitem').every(({ under }) => under === 'list'));
    const said = (id, ...names) =>
      tab.page.evaluate(([of, all]) => all.map((name) => document.getElementById(of).getAttribute(name)), [id, names]);
    assert.deepEqual(await said('row500000', 'aria-posinset', 'aria-setsize'), ['500001', '1000000']);
    await tab.page.goto(`${tab.proxy.url}cells?list=500.400`);
    await tab.until(() => window.told.includes('datastar-patch-signals'));
    const table = await tree();
    assert.deepEqual(table('table').map(({ under }) => under), ['region']);
    assert.equal(table('row').length, 36);
    assert.ok(table('row').every(({ under }) => under === 'table'));
    assert.equal(table('cell').length, 36 * 45);
    assert.deepEqual(await said('list-rows', 'aria-rowcount', 'aria-colcount'), ['1000', '1000']);
    const [first] = await tab.page.evaluate(() => document.getElementById('list').dataset.window.split(' ').slice(6, 7));
    assert.deepEqual(await said('row500', 'aria-rowindex', 'aria-colindex'), ['501', String(Number(first) + 1)]);
  });
});
