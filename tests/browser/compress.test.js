// SPDX-License-Identifier: MIT
// Encoded streams in Chromium: a page that joins late reads the same events as the others, with br and gzip.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const readline = require('node:readline');
const { CLIENT, newSession, closeChrome } = require('./harness.js');

const BENCH = process.env.BENCH;
const ONCE = { headers: { Connection: 'close' } }; // the server closes idle connections, possibly when one is used again
const post = (body) => ({ ...ONCE, method: 'POST', body });

after(closeChrome);

async function startServer(t, encoding) {
  const child = spawn(BENCH, ['serve', '--port', '0', '--threads', '16', '--encoding', encoding, '--heartbeat-ms', '200'],
    { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
  });
  const [line] = await Promise.race([once(readline.createInterface({ input: child.stdout }), 'line'),
    exited.then(() => [''])]);
  const [, url] = /^vestry-bench: (http:\/\/127\.0\.0\.1:\d+) /.exec(line) ?? assert.fail(`no server: ${line}`);
  return {
    url,
    html: async (body) => assert.equal((await fetch(`${url}/html`, post(body))).status, 204),
    signal: async (body) => assert.equal((await fetch(`${url}/pub`, post(body))).status, 204),
    stats: async () => (await fetch(`${url}/stats`, ONCE)).json(),
  };
}

// The server has no page, so this one is served under its origin.
async function openPage(session, server, body) {
  await session.context.route(`${server.url}/`, (route) => route.fulfill({
    contentType: 'text/html; charset=utf-8', body: `<!doctype html><title>page</title><link rel="icon" href="data:,">${body}` }));
  return session.tab(`${server.url}/`);
}

const rows = Array.from({ length: 120 }, (_, i) => `<li>row ${i} of a list that stays as it is</li>`).join('');
const content = (n) => `<main id="main" data-n="${n}"><h1>${n}</h1><ul>${rows}</ul></main>`;

const LISTENING = `<script>
  window.got = [];
  const source = new EventSource('/sub');
  source.onerror = () => window.got.push('error');
  source.addEventListener('datastar-patch-elements', (event) => window.got.push(event.data));
  source.addEventListener('datastar-patch-signals', (event) => window.got.push(event.data));
</script>`;

for (const encoding of ['br', 'gzip', 'identity']) {
  // capability: F1
  test(`${encoding}: pages that join early and late read the same events`, async (t) => {
    const server = await startServer(t, encoding);
    const session = await newSession(t);
    const sent = [];
    const publish = async () => {
      const html = content(sent.length);
      sent.push(`elements ${html}`);
      await server.html(html);
    };
    const has = (tab, data) => tab.until((wanted) => window.got.at(-1) === wanted, data);
    // A page becomes a member some time after its stream has opened: send until it receives an event.
    const open = async () => {
      const tab = await openPage(session, server, LISTENING);
      do await publish();
      while (!(await tab.page.evaluate(() => window.got.length)));
      return tab;
    };
    const early = await open();
    for (let i = 0; i < 4; i++) await publish();
    const asked = session.context.waitForEvent('response', (response) => response.url() === `${server.url}/sub`);
    const late = await open();
    const headers = await (await asked).allHeaders();
    assert.equal(headers['content-encoding'], encoding === 'identity' ? undefined : encoding);
    assert.equal(headers.vary, encoding === 'identity' ? undefined : 'Accept-Encoding');
    for (let i = 0; i < 3; i++) await publish();
    await server.signal('{"by":"key"}'); // not through the channel, so all members are out of sync
    sent.push('signals {"v":{"by":"key"}}');
    for (const tab of [early, late]) await has(tab, sent.at(-1));
    const { heartbeats } = await server.stats();
    while ((await server.stats()).heartbeats < heartbeats + 4) continue; // no events: both have received heartbeats
    for (let i = 0; i < 3; i++) await publish();
    for (const tab of [early, late]) {
      await has(tab, sent.at(-1));
      const got = await tab.page.evaluate(() => window.got);
      assert.ok(got.length >= (tab === early ? 11 : 7));
      assert.deepEqual(got, sent.slice(sent.indexOf(got[0])));
    }
    assert.deepEqual(session.problems, []);
  });
}

test('br: the Datastar client morphs a page that joined late', { skip: !process.env.DATASTAR_JS }, async (t) => {
  const server = await startServer(t, 'br');
  const session = await newSession(t);
  const body = `<script type="module" src="/datastar.js"></script><div data-init="@get('/sub')"></div><main id="main"></main>`;
  await session.context.route(`${server.url}/datastar.js`, (route) =>
    route.fulfill({ path: CLIENT, contentType: 'text/javascript; charset=utf-8' }));
  const tabs = [];
  for (let n = 0; n < 4; n++) {
    tabs.push(await openPage(session, server, body));
    const shown = () => tabs.at(-1).page.evaluate(() => document.querySelector('#main h1')?.textContent);
    do await server.html(content('knock')); // until it is a member
    while ((await shown()) !== 'knock');
    for (let again = 0; again < 3; again++) {
      await server.html(content(n * 3 + again));
      for (const tab of tabs)
        await tab.until((wanted) => document.querySelector('#main h1')?.textContent === wanted, String(n * 3 + again));
    }
  }
  for (const tab of tabs) assert.equal(await tab.page.evaluate(() => document.querySelectorAll('#main li').length), 120);
  assert.deepEqual(session.problems, []);
});
