// SPDX-License-Identifier: MIT
// Every example by keyboard alone: Tab reaches every button, link and field, shows the focus, and leaves the page
// again; and the main action of the example works without a mouse.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { EXAMPLES, startOwn } = require('./examples.js');
const { newSession, closeChrome } = require('./harness.js');
const { STOPS_MAX, PURPOSES, enter } = require('./purposes.js');

after(closeChrome);

// Runs in the page, before the walk: collect the elements that Tab must reach. A radio group is one stop, and so is a
// grid or a list with arrow keys (tabindex -1 on all but one).
function begin() {
  const isSeen = (el) => el.checkVisibility({ visibilityProperty: true }) && el.getBoundingClientRect().width > 0;
  const all = [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]')];
  window.toReach = all.filter((el) => isSeen(el) && !el.disabled && el.tabIndex >= 0 && !el.closest('[inert]') &&
    !(el.type === 'radio' && el.name && el.form?.querySelector(`input[name="${el.name}"]:checked`) !== el && !el.checked));
  window.reached = new Set();
  return window.toReach.length;
}

// Runs in the page, at each stop: return its element, whether its surroundings show the focus, and whether it is
// visible.
function look() {
  const el = document.activeElement;
  if (!el || el === document.body || el === document.documentElement || window.reached.has(el)) return { isEnd: true };
  window.reached.add(el);
  const isRinged = [null, '::before', '::after'].some((part) => {
    const { outlineStyle, outlineWidth } = getComputedStyle(el, part);
    return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2;
  });
  const box = el.getBoundingClientRect();
  return { isEnd: false, what: el.outerHTML.slice(0, 140), isRinged,
    isInView: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth };
}

// Walk through the page once.
async function walk(page) {
  const count = await page.evaluate(begin);
  assert.ok(count < STOPS_MAX, `${count} stops`);
  await page.evaluate(look); // a field may have the focus at the start
  const unseen = [];
  // After the last stop, Tab reaches the page itself, and starts again from there: the walk ends at the second time.
  for (let stop = 0, ends = 0; stop <= 2 * STOPS_MAX && ends < 2; stop++) {
    await page.keyboard.press('Tab');
    const { isEnd, what, isRinged, isInView } = await page.evaluate(look);
    if (isEnd) ends++;
    else unseen.push(...(isRinged ? [] : [`no ring: ${what}`]), ...(isInView ? [] : [`out of view: ${what}`]));
  }
  assert.deepEqual(unseen, []);
  const left = await page.evaluate(() =>
    window.toReach.filter((el) => el.isConnected && !el.disabled && !window.reached.has(el)).map((el) => el.outerHTML.slice(0, 140)));
  assert.deepEqual(left, []);
}

for (const name of EXAMPLES)
  test(`${name}: Tab reaches every control and shows the focus, and the main action works`, async (t) => {
    const example = await startOwn(t, name);
    const { context } = await newSession(t);
    const page = await context.newPage();
    await page.goto(example.url);
    await enter(page);
    await page.waitForLoadState('load');
    await walk(page);
    await PURPOSES[name](page);
    await walk(page);
  });
