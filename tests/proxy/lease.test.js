// SPDX-License-Identifier: MIT
// Chromium with Debian's nginx and HAProxy, and between them a relay that silently stops forwarding: the user's
// presence ends within the time of a lease.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const net = require('node:net');
const { once } = require('node:events');
const { newSession, versionOptions, closeChrome } = require('../browser/harness.js');
const { KINDS, until, startProgram, startProxy } = require('./proxies.js');

// LEASE_TIMES=default: the library's values, which the guide's table contains.
const [HEARTBEAT_MS, LEASE_MS] = process.env.LEASE_TIMES === 'default' ? [15_000, 25_000] : [1000, 4000];

after(closeChrome);

// A network that can be interrupted: then no data passes in either direction, and no connection is closed; delayed data
// arrives later.
async function startRelay(t, port) {
  const sockets = new Set();
  let isCut = false;
  const relay = {
    cut() {
      isCut = true;
      for (const socket of sockets) socket.pause();
    },
    back() {
      isCut = false;
      for (const socket of sockets) socket.resume();
    },
  };
  const listener = net.createServer({ allowHalfOpen: true }, (near) => {
    const far = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.on('data', (data) => to.write(data)).on('end', () => to.end()).on('error', () => isCut || to.destroy());
      from.on('close', () => sockets.delete(from));
      if (isCut) from.pause();
    }
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  relay.port = listener.address().port;
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    listener.close();
  });
  return relay;
}

for (const kind of KINDS) {
  // capability: L9
  test(`l9: ${kind}: a silently disconnected user leaves in time, and returns with the network`, async (t) => {
    const server = await startProgram(t, 'unix', { heartbeatMs: HEARTBEAT_MS, env: { LEASE_MS: String(LEASE_MS) },
      more: await versionOptions() });
    const proxy = await startProxy(t, kind, server.upstream);
    const relay = await startRelay(t, proxy.port);
    const session = await newSession(t, { ignoreHTTPSErrors: true });
    const stays = await newSession(t, { ignoreHTTPSErrors: true }); // a tab with a working network
    const tab = await session.tab(`https://127.0.0.1:${relay.port}/live`);
    await until('the tab has answered', async () => (await server.seen()).answers >= 1);
    await tab.shows('n', 'live');
    await stays.tab(`${proxy.url}/live`);
    await until('both have a stream', async () => (await server.seen()).open === 2);
    const { answers } = await server.seen();
    await until('both have answered', async () => (await server.seen()).answers >= answers + 4);
    assert.equal((await server.seen()).expired, 0);
    const before = await server.seen();
    relay.cut();
    const took = await until('one is gone', async () => (await server.seen()).open === 1);
    t.diagnostic(`gone ${took.toFixed(0)} ms after the cut; a lease has ${LEASE_MS} ms`);
    const { expired, hangup } = await server.seen();
    assert.deepEqual({ expired, hangup }, { expired: 1, hangup: before.hangup });
    await stays.context.close();
    await until('nobody is present', async () => (await server.seen()).present === 0);
    relay.back();
    await until('the tab is present', async () => (await server.seen()).present === 1);
  });
}
