// SPDX-License-Identifier: MIT
// The box office over PostgreSQL, whose server is shut down or crashes, and starts again while pages are open.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { closeChrome, unforeseen } = require('./harness.js');
const { officeFor, seat, is, isMine, ticker, LONGER, isKept } = require('./boxoffice.js');
const { programs, startServer } = require('./postgres.js');

const isMissing = programs() ? false : 'there is no PostgreSQL: install postgresql (scripts/test does)';
after(closeChrome);

// capability: M3
test('boxoffice: open pages survive a restart of the database, with held seats and typed text', { skip: isMissing }, async (t) => {
  const server = await startServer();
  t.after(() => server.stop()); // after the office, which was started later
  const { url, sql } = server.database();
  const office = await officeFor(t, [], { options: ['--postgres', url], sql }, /^vestry: (error|warning)\b/);
  const [one, other] = [await office.tab(), await office.tab()];
  await one.page.fill('#basket [name=name]', 'Half-ty');
  await isKept(office, 'Half-ty');
  let row = 0;
  for (const how of ['SIGINT', 'SIGQUIT', 'SIGINT']) {
    row++;
    await seat(one, 'B', row, 1).click();
    await isMine(one, 2 * row - 1);
    await is(other, 'B', row, 1, 'held');
    sql(LONGER);
    await server.end(how);
    await seat(one, 'B', row, 2).click(); // the client repeats it until it succeeds
    await server.begin();
    sql(`UPDATE seat SET kept = 1 WHERE block = 'C' AND row = ${row}`); // as soon as the database is back
    for (const tab of [one, other]) await is(tab, 'C', row, 10, 'kept');
    await isMine(one, 2 * row);
    await is(other, 'B', row, 2, 'held');
  }
  await one.page.reload();
  await isMine(one, 2 * row);
  await one.until(() => document.querySelector('#basket [name=name]')?.value === 'Half-ty');
  await one.page.click('#basket .first');
  for (const tab of [one, other]) await ticker(tab, '6,6,0,0');
  const isAway = /503 \(Service Unavailable\)/;
  assert.deepEqual(unforeseen([...one.problems, ...other.problems]).filter((problem) => !isAway.test(problem)), []);
});
