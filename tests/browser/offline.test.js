// SPDX-License-Identifier: MIT
// A page that cannot load its client reports this at its top, in every example, and covers no controls; when the client
// has loaded, the message disappears. On phone and desktop.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { EXAMPLES, startOwn } = require('./examples.js');
const { newSession, closeChrome, picture } = require('./harness.js');

after(closeChrome);

const SIZES = { phone: { width: 320, height: 640 }, desk: { width: 1280, height: 800 } };

// The message appears by an animation: the test sets its time, independently of the machine. Without its styles a page
// shows all elements, and has no animation, so the test waits for the styles.
const at = async (page, ms) => {
  await page.locator('.late').waitFor({ state: 'attached' });
  await page.waitForFunction(() => document.querySelector('.late')?.getAnimations().length === 1, null, { polling: 50 });
  await page.evaluate((time) => {
    const [animation] = document.querySelector('.late').getAnimations();
    animation.pause();
    animation.currentTime = time;
  }, ms);
};

// Enter a name if the page requires one, by its plain form.
async function enter(page) {
  const name = page.locator('form[action="/login"] input[name=name]');
  if (!(await name.count())) return;
  await name.fill('Ada');
  await Promise.all([page.waitForEvent('framenavigated'), name.press('Enter')]);
}

const late = (page) => page.locator('.late').filter({ visible: true });

// Return the controls that the message covers.
const covered = (page) => page.evaluate(() => {
  const said = document.querySelector('.late').getBoundingClientRect();
  return [...document.querySelectorAll('a, button, input, textarea, select, h1')]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest('.late'))
    .filter((one) => {
      const box = one.getBoundingClientRect();
      return box.left < said.right && box.right > said.left && box.top < said.bottom && box.bottom > said.top;
    })
    .map((one) => one.outerHTML);
});

for (const name of EXAMPLES) {
  test(`${name}: without a client`, async (t) => {
    const example = await startOwn(t, name);
    for (const [size, viewport] of Object.entries(SIZES)) {
      const { context } = await newSession(t, { viewport });
      await context.route(/\/datastar\.js$/, (route) => route.abort());
      const page = await context.newPage();
      await page.goto(example.url);
      await enter(page);
      await at(page, 2999);
      assert.equal(await late(page).count(), 0, 'it is reported at once');
      await at(page, 3000);
      await late(page).waitFor();
      assert.match(await late(page).innerText(), /script/);
      const { y, height } = await late(page).boundingBox();
      assert.ok(y >= 0 && y + height <= viewport.height, `${size}: it is not seen without scrolling`);
      assert.deepEqual(await covered(page), [], size);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${size}: it scrolls sideways`);
      await picture(page, `${name}-no-client-${size}`);
    }
  });

  test(`${name}: with a client that loads late`, async (t) => {
    const example = await startOwn(t, name);
    const { context } = await newSession(t);
    let go;
    const gone = new Promise((done) => (go = done));
    await context.route(/\/datastar\.js$/, async (route) => {
      await gone;
      await route.fallback();
    });
    const page = await context.newPage();
    await page.goto(example.url, { waitUntil: 'commit' });
    if (name === 'embedded') await enter(page); // its first page needs no client
    await at(page, 3000);
    await late(page).waitFor();
    go();
    await late(page).waitFor({ state: 'detached' });
  });
}
