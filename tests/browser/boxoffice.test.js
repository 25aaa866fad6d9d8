// SPDX-License-Identifier: MIT
// The box office: two users buy against each other and against robots; a write of another program renders one block;
// nodes are killed, and held seats and typed text remain; two processes share a database, and a seat has one holder.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const os = require('node:os');
const { send, closeChrome, picture, isOffline, unforeseen } = require('./harness.js');
const { IS_POSTGRES, databaseFor } = require('./database.js');
const { officeFor, seat, is, isMine, tabWithSeat, ticker, LONGER, isKept, renders, buyerAt } = require('./boxoffice.js');

after(closeChrome);

test('boxoffice: two users compete for seats; each seat is sold once, to the user who paid', async (t) => {
  const office = await officeFor(t);
  const [one, other] = [await office.tab(), await office.tab()];
  await seat(one, 'A', 3, 5).click();
  await isMine(one, 1);
  await is(other, 'A', 3, 5, 'held');
  await other.page.evaluate(() => document.querySelector('#block-A .seats button[aria-label^="Row 3, seat 5:"]').removeAttribute('aria-disabled'));
  await other.page.evaluate(() => document.querySelector('#block-A .seats button[aria-label^="Row 3, seat 5:"]').click()); // too late
  await other.until(() => document.querySelector('#message [role=alert]').textContent.startsWith('Another buyer was faster'));
  await one.page.click('#basket .any');
  await isMine(one, 2);
  await one.page.locator('#basket li .small').nth(0).click();
  await isMine(one, 1);
  await one.page.fill('#basket [name=name]', 'ליאת (Ltd.) <b>');
  await one.page.click('#basket .first');
  await Promise.all([ticker(one, '1,1,0,0'), ticker(other, '1,1,0,0')]);
  await one.until(() => document.querySelectorAll('.own .bought').length === 1 && document.querySelector('#basket [name=name]').value === '');
  assert.equal(await other.page.evaluate(() => document.querySelector('#ticker bdi').textContent), 'ליאת (Ltd.) <b>');
  for (let n = 1; n <= 7; n++) { // at most six seats
    await seat(other, 'C', 1, n).click();
    if (n < 7) await isMine(other, n);
  }
  await other.until(() => document.querySelector('#message [role=alert]').textContent.startsWith('At most six seats'));
  await isMine(other, 6);
  assert.deepEqual([...one.problems, ...other.problems], []);
});

test('boxoffice: a write of another program renders its block and no other block', async (t) => {
  const office = await officeFor(t);
  const tab = await office.tab();
  await tab.until(() => [...document.querySelectorAll('.hall .renders')].every((one) => +one.textContent > 0)); // its stream is open
  const before = await renders(tab);
  office.sql("UPDATE seat SET kept = 1 WHERE block = 'A' AND row = 2");
  await is(tab, 'A', 2, 10, 'kept');
  await seat(tab, 'J', 20, 10).click();
  await isMine(tab, 1);
  await is(tab, 'J', 20, 10, 'held');
  const now = await renders(tab);
  for (const block of 'BCDEFGHI') assert.equal(now[block], before[block], block);
  assert.ok(now.A > before.A && now.J > before.J);
  office.sql("UPDATE seat SET until_ms = 1 WHERE block = 'J' AND until_ms > 0"); // the minute is over
  await is(tab, 'J', 20, 10, 'free');
  await isMine(tab, 0);
  // All seats but one are sold: then the next evening begins.
  office.sql("INSERT INTO payment(nonce, show, buyer, name, seats, at_ms) VALUES('x', 1, 7, 'All', 1990, 1)");
  office.sql('INSERT INTO ticket SELECT 1, id, 1 FROM seat WHERE row > 0 AND kept = 0');
  office.sql('UPDATE seat SET payment = 1 WHERE row > 0 AND kept = 0');
  await ticker(tab, '1990,1990,0,0');
  await tab.until(() => document.querySelector('#ticker').textContent.includes('sold out'));
  await tab.until(() => document.querySelector('#ticker').textContent.includes('Evening 2'));
  await is(tab, 'J', 20, 10, 'free');
  await ticker(tab, '0,0,0,0');
  office.sql("INSERT INTO ticket VALUES(2, 1000, 999)"); // the ticker would show it
  await ticker(tab, '1,0,0,1');
  assert.deepEqual(tab.problems, []);
});

// capability: L4
test('boxoffice: usable by keyboard; held seats and typed text survive a restart, which the page reports', async (t) => {
  const office = await officeFor(t);
  const tab = await office.tab();
  await seat(tab, 'B', 1, 1).focus();
  for (const key of ['ArrowRight', 'ArrowDown', 'ArrowDown', 'ArrowLeft', 'ArrowRight', 'Enter']) await tab.page.keyboard.press(key);
  await isMine(tab, 1);
  await is(tab, 'B', 3, 2, 'held');
  office.sql(LONGER);
  await tab.page.focus('#basket [name=name]');
  await tab.page.keyboard.type('Zoë Half');
  await tab.until(() => document.querySelector('#basket time').textContent.endsWith(' s'));
  await office.server.stop();
  await isOffline(tab, true);
  await tab.page.keyboard.type('-Typed');
  await office.start();
  await isOffline(tab, false);
  await isMine(tab, 1);
  assert.equal(await tab.page.inputValue('#basket [name=name]'), 'Zoë Half-Typed');
  await isKept(office, 'Half-Typed');
  await tab.page.reload();
  await isMine(tab, 1);
  await tab.until(() => document.querySelector('#basket [name=name]').value === 'Zoë Half-Typed');
  await tab.page.focus('#basket [name=name]');
  await tab.page.keyboard.press('Enter');
  await ticker(tab, '1,1,0,0');
  const { text } = await send('GET', office.server.url);
  assert.ok(/Row 3, seat 2: sold/.test(text) && text.includes('--nodes 3') && text.includes('--listen 0.0.0.0'));
  assert.deepEqual(unforeseen(tab.problems), []);
});

test('boxoffice: two processes start at once on one database; a seat has one holder on both', async (t) => {
  const database = await databaseFor(t);
  const [here, there] = await Promise.all([officeFor(t, [], database), officeFor(t, [], database)]);
  const [one, other] = [await here.tab(), await there.tab()];
  await seat(one, 'A', 3, 5).click();
  await isMine(one, 1);
  await is(other, 'A', 3, 5, 'held');
  here.sql("UPDATE seat SET until_ms = 1 WHERE block = 'A' AND until_ms > 0"); // the minute is over
  for (const tab of [one, other]) await is(tab, 'A', 3, 5, 'free');
  await isMine(one, 0);
  // Two buyers request the same seat at the same moment; the holder pays.
  const [ada, bob] = [await buyerAt(here), await buyerAt(there)];
  const rounds = 40;
  let won = 0;
  for (let n = 0; n < rounds; n++) {
    const said = await Promise.all([ada.hold(3000 + n, n % 2 ? here : there), bob.hold(3000 + n, n % 2 ? there : here)]);
    assert.deepEqual([...said].sort(), ['', 'Another buyer was faster: this seat is taken.'], said);
    won += said[0] === '';
    assert.equal(await (said[0] === '' ? ada : bob).pay(), '');
  }
  t.diagnostic(`of ${rounds} seats ${won} went to the one, ${rounds - won} to the other`);
  for (const tab of [one, other]) await ticker(tab, `${rounds},${rounds},0,0`);
  // A buyer who requests eight at once, on both nodes, holds six.
  const eve = await buyerAt(here);
  const eight = await Promise.all(Array.from({ length: 8 }, (_, n) => eve.hold(5000 + n, n % 2 ? here : there)));
  assert.equal(eight.filter((said) => said === '').length, 6, eight);
  assert.ok(eight.every((said) => !said || said.startsWith('At most six seats')), eight);
  // Two concurrent payments for one held seat: it is sold once.
  const twice = await Promise.all([eve.pay(here), eve.pay(there)]);
  assert.deepEqual([...twice].sort(), ['', 'No seat is held for you any more: the minute is over.']);
  for (const tab of [one, other]) await ticker(tab, `${rounds + 6},${rounds + 6},0,0`);
  // Two buyers request any seat, and only one is left.
  here.sql('UPDATE seat SET kept = 1 WHERE row > 0 AND payment = 0 AND id <> 7007');
  const any = await Promise.all([ada.hold(0), bob.hold(0)]);
  assert.deepEqual([...any].sort(), ['', 'No seat is free at the moment.']);
  for (const tab of [one, other]) await is(tab, 'G', 1, 8, 'held');
  assert.deepEqual([...one.problems, ...other.problems], []);
});

test('boxoffice: nodes notify each other if commits cannot be followed', { skip: !IS_POSTGRES && 'it is PostgreSQL that may not let them' }, async (t) => {
  const { options: [option, url], sql } = await databaseFor(t);
  sql('CREATE ROLE clerk LOGIN');
  sql('GRANT CREATE ON SCHEMA public TO clerk');
  const database = { options: [option, url.replace('user=postgres', 'user=clerk')], sql };
  const isTold = /^vestry: (error|warning)\b.*(REPLICATION|replication|wal sender|WAL sender)/;
  const [here, there] = [await officeFor(t, [], database, isTold), await officeFor(t, [], database, isTold)];
  const [one, other] = [await here.tab(), await there.tab()];
  await seat(one, 'A', 3, 5).click();
  await isMine(one, 1);
  await is(other, 'A', 3, 5, 'held');
  await one.page.locator('#basket li .small').nth(0).click();
  for (const tab of [one, other]) await is(tab, 'A', 3, 5, 'free');
  assert.deepEqual([...one.problems, ...other.problems], []);
});

test('boxoffice: if a node is killed, the tab moves to another node with its held seat and its name', async (t) => {
  const office = await officeFor(t, ['--nodes', '3', '--robots', '50', '--pace', '3000']);
  const tab = await office.tab();
  await tab.page.click('#basket .any');
  await isMine(tab, 1);
  office.sql(LONGER);
  const held = await tab.page.evaluate(() => document.querySelector('.own .mine').id);
  await tab.page.fill('#basket [name=name]', 'Half-ty');
  await isKept(office, 'Half-ty');
  for (let n = 0; n < 2; n++) {
    await tab.until(() => document.querySelectorAll('#house .up').length === 3);
    const node = await tab.page.textContent('.plug');
    await tab.page.click('.plug');
    await tab.until((was) => document.querySelector('.plug').textContent !== was, node);
    await tab.until(() => document.querySelectorAll('#house .down').length === 1);
    await isMine(tab, 1);
    assert.equal(await tab.page.evaluate(() => document.querySelector('.own .mine').id), held);
    assert.equal(await tab.page.inputValue('#basket [name=name]'), 'Half-ty');
  }
  await tab.page.click('#basket .first');
  await tab.until(() => document.querySelectorAll('.own .bought').length === 1);
  await tab.until(() => document.querySelectorAll('#house .up').length === 3);
  const [sold, paid, twice, lost] = await tab.page.evaluate(() => [...document.querySelectorAll('#ticker dd')].map((one) => one.textContent));
  assert.ok(sold === paid && twice === '0' && lost === '0');
  assert.deepEqual(unforeseen(tab.problems), []);
});

test('boxoffice: with robots, layout on phone and desktop, light and dark; a phone finds the entrance', async (t) => {
  const office = await officeFor(t, ['--robots', '60', '--pace', '2000', '--listen', '0.0.0.0']);
  const tab = await office.tab();
  await tab.until(() => +document.querySelector('#ticker dd').textContent > 100);
  await tab.until(() => document.querySelectorAll('#house dd').length === 4); // including the statistics of the tab
  const address = Object.values(os.networkInterfaces()).flat().some((one) => one.family === 'IPv4' && !one.internal);
  assert.equal(await tab.page.locator('.door svg').count(), address ? 1 : 0);
  for (const [name, viewport] of [['small', { width: 320, height: 640 }], ['phone', { width: 390, height: 844 }], ['desk', { width: 1280, height: 1000 }]]) {
    for (const colorScheme of ['light', 'dark']) {
      const one = await tabWithSeat(office, { viewport, colorScheme });
      assert.ok(await one.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), name);
      const hall = await one.page.evaluate(() => document.querySelector('.hall .seats').getBoundingClientRect().top / innerHeight);
      assert.ok(name === 'small' || hall < 0.8, `${name}: the seats begin at ${hall} of the screen`);
      await picture(one.page, `boxoffice-${name}-${colorScheme}`);
      assert.deepEqual(one.problems, []);
      await one.page.close();
    }
  }
  const [sold, paid, twice, lost] = await tab.page.evaluate(() => [...document.querySelectorAll('#ticker dd')].map((one) => one.textContent));
  assert.ok(sold === paid && twice === '0' && lost === '0');
});
