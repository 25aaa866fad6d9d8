// SPDX-License-Identifier: MIT
// Chromium with Debian's nginx and HAProxy, with TLS and HTTP/2: more tabs than HTTP/1.1 has connections, all on one
// connection; they survive a reload of the proxy, and reconnect when a stream is cut.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const { newSession, versionOptions, closeChrome } = require('../browser/harness.js');
const { KINDS, until, startProgram, startProxy, abortComesAs } = require('./proxies.js');

const TABS = 8; // over HTTP/1.1, six would have a stream, and block all other requests

after(closeChrome);

// Return the number of connections to a port of 127.0.0.1, at the client's end.
function connectionsTo(port) {
  const remote = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return fs.readFileSync('/proc/net/tcp', 'utf8').split('\n')
    .map((line) => line.trim().split(/\s+/)).filter((words) => words[2] === remote && words[3] === '01').length;
}

for (const kind of KINDS) {
  // capability: C18
  test(`c18: ${kind}: eight tabs on one connection survive a reload, and reconnect after a cut`, async (t) => {
    const server = await startProgram(t, 'unix', { more: await versionOptions() });
    const proxy = await startProxy(t, kind, server.upstream, { linger: '3s' });
    const session = await newSession(t, { ignoreHTTPSErrors: true });
    // A page that cannot detect an abort has to reconnect after every end.
    const where = `${proxy.url}/${abortComesAs(kind, 'HTTP/2') === 'aborted' ? '' : '?always'}`;
    const tabs = [];
    while (tabs.length < TABS) tabs.push(await session.tab(where));
    await until('all have a stream', async () => (await server.seen()).open === TABS);
    const { problems } = session;
    assert.deepEqual(problems, []);
    for (const { page } of tabs)
      assert.equal(await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol), 'h2');

    await tabs[TABS - 1].click('more');
    for (const tab of tabs) await tab.shows('n', '1');
    assert.equal(connectionsTo(proxy.port), 1);

    // Old workers keep their streams for three seconds; then the pages reconnect to the new ones.
    const { opened } = await server.seen();
    await proxy.reload();
    await tabs[0].click('more');
    for (const tab of tabs) await tab.shows('n', '2');
    const back = await until('all have come back', async () => {
      const seen = await server.seen();
      return seen.opened >= opened + TABS && seen.open === TABS;
    });
    t.diagnostic(`back ${back.toFixed(0)} ms after the reload`);
    await tabs[1].click('more');
    for (const tab of tabs) await tab.shows('n', '3');
    assert.deepEqual(problems.filter((text) => !/ERR_/.test(text)), []); // some are caused by the broken streams
    // The pages are closed, and their streams end.
    await session.context.close();
    await until('all are gone', async () => (await server.seen()).open === 0, 5000);
  });
}
