// SPDX-License-Identifier: MIT
// The example embedded, used in Chromium: a program's own server and log-in, with pages of vestry's in it.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { closeChrome, newSession, startExample, isOffline } = require('./harness.js');

after(closeChrome);

// A browser of somebody who logs in by the monitor's own form.
async function person(t, monitor, name) {
  const session = await newSession(t);
  const tab = await session.tab(monitor.url); // and is sent to the log-in
  await tab.page.fill('[name=name]', name);
  await tab.page.click('button');
  return { ...session, first: tab, open: () => session.tab(monitor.url) };
}

const cool = (tab, device) => tab.page.getByRole('button', { name: `Cool ${device}` }).evaluate((el) => el.click());
// A device that is cooled shows 20, until it is measured again.
const wasCool = (tab) => tab.page.evaluate(() => {
  window.cooled = false;
  new MutationObserver(() => (window.cooled ||= document.querySelector('#device3').textContent === '20'))
    .observe(document.body, { subtree: true, childList: true, characterData: true });
});

test('embedded: values move, and what one does all see, behind the monitor’s own log-in', async (t) => {
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
test('embedded: a page says that the monitor is away, and goes on when it starts again', async (t) => {
  const monitor = await startExample('embedded');
  const ada = await person(t, monitor, 'ada');
  await ada.first.until(() => parseInt(document.querySelector('#device3').textContent) >= 40);
  await monitor.kill();
  await isOffline(ada.first, true);
  const again = await startExample('embedded', [], monitor.port);
  t.after(() => again.stop());
  await ada.first.page.waitForURL('**/welcome'); // the monitor keeps its log-ins in memory
  await ada.first.page.fill('[name=name]', 'ada');
  await ada.first.page.click('button');
  await ada.first.until(() => parseInt(document.querySelector('#device0')?.textContent) >= 40);
  await isOffline(ada.first, false);
});
