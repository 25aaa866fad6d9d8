// SPDX-License-Identifier: MIT
// The example embedded, used in Chromium: a program with its own server and login, and with pages of vestry.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { closeChrome, newSession, startExample, isOffline } = require('./harness.js');

after(closeChrome);

// Open a browser with a user who logs in by the monitor's form.
async function person(t, monitor, name) {
  const session = await newSession(t);
  const tab = await session.tab(monitor.url); // which redirects to the login
  await tab.page.fill('[name=name]', name);
  await tab.page.click('button');
  return { ...session, first: tab, open: () => session.tab(monitor.url) };
}

const cool = (tab, device) => tab.page.getByRole('button', { name: `Cool ${device}` }).evaluate((el) => el.click());
// A cooled device shows 20 until the next measurement.
const wasCool = (tab) => tab.page.evaluate(() => {
  window.cooled = false;
  new MutationObserver(() => (window.cooled ||= document.querySelector('#device3').textContent === '20'))
    .observe(document.body, { subtree: true, childList: true, characterData: true });
});

test('embedded: values change, and all users see a change by one of them, with the monitor’s login', async (t) => {
  const monitor = await startExample('embedded');
  t.after(() => monitor.stop());
  const [ada, bob] = [await person(t, monitor, 'ada'), await person(t, monitor, 'bob')];
  for (const { first } of [ada, bob]) {
    for (const device of [0, 1, 2, 3])
      await first.until((id) => parseInt(document.getElementById(id)?.textContent) >= 20, `device${device}`);
    await wasCool(first);
  }
  await cool(ada.first, 3);
  for (const { first } of [ada, bob]) await first.until(() => window.cooled);
  assert.equal((await fetch(`${monitor.url}values.json`)).status, 200);
  assert.deepEqual([...ada.problems, ...bob.problems], []);
});

// capability: L10
test('embedded: a page shows that the monitor is away, and continues after its restart', async (t) => {
  const monitor = await startExample('embedded');
  const ada = await person(t, monitor, 'ada');
  await ada.first.until(() => parseInt(document.querySelector('#device3').textContent) >= 40);
  await monitor.kill();
  await isOffline(ada.first, true);
  const again = await startExample('embedded', [], monitor.port);
  t.after(() => again.stop());
  await ada.first.page.waitForURL('**/welcome'); // the monitor keeps sessions in memory
  await ada.first.page.fill('[name=name]', 'ada');
  await ada.first.page.click('button');
  await ada.first.until(() => parseInt(document.querySelector('#device0')?.textContent) >= 40);
  await isOffline(ada.first, false);
});
