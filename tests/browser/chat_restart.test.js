// SPDX-License-Identifier: MIT
// The chat over PostgreSQL, whose server is shut down or crashes, and starts again while pages are open.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { closeChrome } = require('./harness.js');
const { chatFor, personFor, press, say, textsOf, shows, go, faults, watchArrivals, arrivalOf, scriptOf } = require('./chat.js');
const { programs, startServer } = require('./postgres.js');

const isMissing = programs() ? false : 'there is no PostgreSQL: install postgresql (scripts/test does)';
after(closeChrome);

const pause = (ms) => new Promise((done) => setTimeout(done, ms)); // between two attempts, as in the client

// capability: M3
test('chat: a restart of the database loses nothing, and open pages are current soon', { skip: isMissing }, async (t) => {
  const server = await startServer();
  t.after(() => server.stop()); // after the chat, which was started later
  const { url, sql } = server.database();
  const chat = await chatFor(t, ['--rate', '100000'], { options: ['--postgres', url], sql }, /^vestry: (error|warning)\b/);
  const [ada, bob] = [await personFor(t, chat, 'Ada'), await personFor(t, chat, 'Bob')];
  const script = await scriptOf(ada);
  const elsewhere = await bob.open();
  await go(elsewhere, 'random');
  const saved = elsewhere.page.waitForResponse(/draft$/);
  await elsewhere.page.getByLabel('Message').fill('half a thought');
  assert.equal((await saved).status(), 204);
  for (const tab of [ada, bob]) await watchArrivals(tab);
  const acknowledged = [], took = [];
  let repeated = 0;
  for (const how of ['SIGINT', 'SIGQUIT', 'SIGINT']) {
    let ended = null, next = 0;
    const all = Array.from({ length: 200 }, (_, i) => `${how} ${took.length} ${i}`);
    await Promise.all(Array.from({ length: 8 }, async () => {
      while (next < all.length) {
        const text = all[next++], once = script.nonce();
        if (next === 100) ended = server.end(how).then(() => say(bob, `unsent ${took.length}`)).then(() => server.begin());
        while ((await script.post(`${chat.url}channel/1/message`, { text }, once)) !== 204) {
          repeated++;
          await pause(20);
        }
        acknowledged.push(text);
      }
    }));
    await ended;
    await bob.until(() => document.querySelector('.sending').children.length === 0); // the page has sent it again
    // Messages that others write as soon as the server is back, before the follower has reconnected.
    await server.end('SIGINT');
    await server.begin();
    const [, done] = sql(`INSERT INTO message(channel, id, author, text) SELECT 1, max(id) + 1, 'cron', 'back ${took.length}' FROM message WHERE channel = 1`);
    const text = `back ${took.length}`;
    for (const tab of [ada, bob]) await shows(tab, text);
    took.push(Math.max(...(await Promise.all([ada, bob].map((tab) => arrivalOf(tab, text))))) - done);
  }
  t.diagnostic(`current ${took.map(Math.round)} ms after the server's return; ${repeated} requests were repeated`);
  assert.ok(Math.min(...took) < 2000); // only the fastest counts, because a busy machine delays some; a fault would delay all
  const [rows] = sql("SELECT text, count(*) FROM message WHERE text LIKE 'SIG%' OR text LIKE 'unsent%' GROUP BY text");
  assert.deepEqual(rows.filter(([, count]) => count !== 1), []);
  const wanted = [...acknowledged, ...took.map((_, i) => `unsent ${i}`)], there = new Set(rows.map(([text]) => text));
  assert.deepEqual(wanted.filter((text) => !there.has(text)), []);
  assert.equal(there.size, wanted.length);
  const [last] = sql('SELECT text FROM (SELECT id, text FROM message WHERE channel = 1 ORDER BY id DESC LIMIT 100) m ORDER BY id');
  for (const tab of [ada, bob]) assert.deepEqual(await textsOf(tab), last.flat());
  // Users are still logged in, and drafts remain.
  await elsewhere.page.reload();
  await elsewhere.until((is) => document.querySelector('#composer textarea')?.value === is, 'half a thought');
  await press(elsewhere.page.getByRole('button', { name: 'Send' }));
  await shows(elsewhere, 'half a thought');
  assert.deepEqual(faults([...ada.problems, ...bob.problems]), []);
});
