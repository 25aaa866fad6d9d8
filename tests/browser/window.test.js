// SPDX-License-Identifier: MIT
// L2: a list of a million rows has a scroll bar for all rows, and contains only rows near the visible ones.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { closeChrome } = require('./harness.js');
const { tabFor } = require('./window_tab.js');

after(closeChrome);

// capability: L2
test('l2: a jump of the scroll bar loads the right rows, few of them, with one request at a time', async (t) => {
  const tab = await tabFor(t, 'rows');
  const [height, way] = await tab.page.evaluate(() => {
    const list = document.getElementById('list');
    return [list.clientHeight, list.scrollHeight - list.clientHeight];
  });
  assert.ok(way > 7_000_000);
  for (let i = 0; i < 200; i++) {
    const part = ((i * 7919) % 200) / 199;
    await tab.scrollTo(Math.round(way * part));
    await tab.filled();
    const { text } = await tab.seen();
    const row = Number(text.slice(4));
    const wanted = (Math.round(way * part) / way) * (1_000_000 - height / 40);
    assert.ok(Math.abs(row - wanted) <= 50, `${row} at ${part}, not ${wanted}`);
    assert.ok((await tab.page.evaluate(() => document.querySelectorAll('*').length)) < 2500);
  }
  await tab.scrollTo(way + 1000);
  await tab.until(() => document.getElementById('row999999'));
  await tab.scrollTo(0);
  await tab.filled('row 0');
  assert.equal(await tab.page.evaluate(() => window.most), 1);
});

// capability: L2
test('l2: of many jumps the last one is shown, and rows are in sequence', async (t) => {
  const tab = await tabFor(t, 'rows');
  await tab.page.evaluate(async () => {
    const list = document.getElementById('list');
    for (let i = 1; i <= 60; i++) {
      list.scrollTop = i * 100_000;
      await new Promise(requestAnimationFrame);
    }
  });
  await tab.filled();
  const row = Number((await tab.seen()).text.slice(4));
  assert.ok(Math.abs(row - 750_000) < 500, `${row}`);
  await tab.until((is) => Math.abs(new URLSearchParams(location.search).get('list') - is) <= 1, row);
  // Row by row, past several windows: none is missing, none appears twice.
  let before = Number((await tab.seen()).text.slice(4));
  for (let i = 0; i < 30; i++) {
    await tab.page.evaluate(() => (document.getElementById('list').scrollTop += 200));
    await tab.until((is) => window.isFilled() && Number(window.seen().text.slice(4)) === is, before + 5);
    before += 5;
  }
  assert.equal(await tab.page.evaluate(() => window.most), 1);
});

// capability: L2
test('l2: a reload, Back and a broken stream restore the same rows', async (t) => {
  const tab = await tabFor(t, 'rows');
  await tab.scrollTo(4_000_000);
  await tab.filled();
  const { text } = await tab.seen();
  await tab.until((is) => Math.abs(new URLSearchParams(location.search).get('list') - is) <= 1, Number(text.slice(4)));
  const at = `row ${await tab.place()}`;
  await tab.page.reload();
  await tab.filled(at);
  await tab.until(() => window.told.includes('datastar-patch-signals'));
  await tab.page.evaluate(() => document.getElementById('away').click());
  await tab.until(() => document.getElementById('gone'));
  await tab.page.goBack();
  await tab.until(() => document.getElementById('list'));
  await tab.filled(at);
  await tab.page.evaluate(() => (window.told = []));
  tab.proxy.cut();
  await tab.until(() => window.told.includes('datastar-patch-signals'));
  await tab.filled(at);
});

// capability: L2
test('l2: rows inserted above keep position and focus', async (t) => {
  const tab = await tabFor(t, 'short');
  await tab.scrollTo(4010);
  await tab.filled('row 100');
  await tab.page.evaluate(() => {
    window.field = document.querySelector('#row103 input');
    window.field.focus({ preventScroll: true });
    window.field.value = 'half';
  });
  for (let i = 1; i <= 3; i++) {
    await tab.upload('above');
    await tab.until((is) => document.getElementById('list').dataset.window.split(' ')[2] === String(is), 500 + i * 10);
    await tab.filled('row 100');
    assert.equal((await tab.seen()).above, 10);
  }
  await tab.page.evaluate(() => (document.getElementById('list').scrollTop += 40));
  await tab.filled('row 101');
  assert.ok(await tab.page.evaluate(() => document.activeElement === window.field && window.field.value === 'half'));
  // The address follows, so a reload shows the same rows.
  await tab.until(() => new URLSearchParams(location.search).get('list') === '131');
  await tab.upload('above');
  await tab.until(() => new URLSearchParams(location.search).get('list') === '141');
  await tab.page.reload();
  await tab.filled('row 101');
});

// capability: L2
test('l2: at its top a list shows new rows', async (t) => {
  const tab = await tabFor(t, 'short');
  await tab.filled('row 0');
  for (const first of ['row -10', 'row -20']) {
    await tab.upload('above');
    await tab.filled(first);
  }
  await tab.scrollTo(40);
  await tab.filled('row -19');
  await tab.upload('above');
  await tab.until(() => document.getElementById('list').dataset.window.split(' ')[2] === '530');
  await tab.filled('row -19');
});

// capability: L2
test('l2: a chat stays at its end, or at the reader\'s position', async (t) => {
  const tab = await tabFor(t, 'chat');
  const isAtEnd = (last) => tab.until((id) => {
    const list = document.getElementById('list').getBoundingClientRect();
    const box = document.getElementById(id)?.getBoundingClientRect();
    return box && box.bottom <= list.bottom && box.bottom > list.top;
  }, `m${last}`);
  await isAtEnd(9999);
  await tab.upload('add');
  await isAtEnd(10000);
  // Up, past windows of rows with unknown heights: none is missing.
  let before = 10001;
  for (let i = 0; i < 40; i++) {
    await tab.page.evaluate(() => (document.getElementById('list').scrollTop -= 300));
    await tab.filled('message');
    const row = Number((await tab.seen()).text.match(/\d+/)[0]);
    assert.ok(row < before && before - row < 20, `${row} after ${before}`);
    before = row;
  }
  const seen = await tab.seen();
  await tab.upload('add');
  await tab.until(() => document.getElementById('list').dataset.window.split(' ')[2] === '10002');
  assert.deepEqual(await tab.seen(), seen);
});

for (const dir of ['ltr', 'rtl']) {
  // capability: L2
  test(`l2: a grid scrolls in both directions, and a reload shows the same cells: ${dir}`, async (t) => {
    const tab = await tabFor(t, 'cells', { dir });
    const shows = (place) => tab.until(([down, across, isLeft]) => {
      const list = document.getElementById('list').getBoundingClientRect();
      const box = document.getElementById(`c${down}-${across}`)?.getBoundingClientRect();
      const aside = box && (isLeft ? list.right - box.right : box.left - list.left);
      return box && Math.abs(box.top - list.top) < 400 && aside < 800 && aside >= -1 && box.top >= list.top - 1;
    }, place);
    for (const [row, column] of [[0, 0], [500, 500], [990, 985], [3, 700], [600, 0]]) {
      const place = [row, column, dir === 'rtl'];
      await tab.scrollTo(row * 40, column * 60 * (dir === 'rtl' ? -1 : 1));
      await shows(place);
      assert.ok((await tab.page.evaluate(() => document.querySelectorAll('*').length)) < 2500);
    }
    await tab.until(() => new URLSearchParams(location.search).get('list') === '600.0');
    await tab.page.reload();
    await shows([600, 0, dir === 'rtl']);
  });
}

// capability: L2
test('l2: rows are loaded while the browser limits changes of the address, which follows later', async (t) => {
  const tab = await tabFor(t, 'rows');
  // Safari throws an exception, and Chromium ignores the call.
  for (const [limit, last] of [[() => { throw new DOMException('too often', 'SecurityError'); }, 2_000_000], [() => 0, 3_000_000]]) {
    await tab.page.evaluate((text) => {
      window.refused = 0;
      history.replaceState = () => { window.refused++; return new Function(`return (${text})()`)(); };
    }, String(limit));
    for (const top of [4_000_000, 1_000_000, last]) {
      await tab.scrollTo(top);
      await tab.filled();
    }
    const { text } = await tab.seen();
    await tab.until(() => window.refused > 1); // repeated
    assert.notEqual(await tab.place(), text.slice(4));
    await tab.page.evaluate(() => { delete history.replaceState; });
    await tab.until((is) => new URLSearchParams(location.search).get('list') === is, text.slice(4));
    await tab.filled(text);
  }
});

// capability: L2
test('l2: without a script, links lead through the list', async (t) => {
  const tab = await tabFor(t, 'rows?list=500000', { javaScriptEnabled: false });
  const first = async () => Number((await tab.page.locator('.vestry-window-rows > div > *').first().textContent()).slice(4));
  const here = await first();
  await tab.page.locator('.vestry-window-links a').last().click();
  const later = await first();
  assert.ok(later > here && later <= here + 90);
  await tab.page.locator('.vestry-window-links a').first().click();
  assert.ok((await first()) < later);
});
