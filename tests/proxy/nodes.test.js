// SPDX-License-Identifier: MIT
// Two nodes that are no cluster behind nginx, which sends each request to the next one: uploads are resumed at the node
// that has them, and leases of pages end no stream.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const http = require('node:http');
const { newSession, versionOptions, closeChrome } = require('../browser/harness.js');
const { OURS, startBalancer } = require('./balancers.js');
const { folderFor, startProgram, until } = require('./proxies.js');

const HEARTBEAT_MS = 500, LEASE_MS = 2000, TABS = 6, HEARTBEATS = 40;

after(closeChrome);

const ask = (port, method, path, headers, body) => new Promise((done, failed) => {
  const request = http.request({ host: '127.0.0.1', port, path, method, agent: false, headers }, (answer) => {
    answer.resume().on('end', () => done({ status: answer.statusCode, headers: answer.headers }));
  });
  request.on('error', failed).end(body);
});
const TUS = { 'Tus-Resumable': '1.0.0', Host: 'web' };

// capability: L1
test('l1: an upload is created, resumed and completed through nginx, which sends each request to the next node', async (t) => {
  const nodes = [];
  for (let i = 0; i < 2; i++) nodes.push(await startProgram(t, 'tcp', { env: { UPLOADS: folderFor(t) } }));
  const port = await startBalancer(t, OURS.nginx, nodes.map((node) => node.port));
  const bytes = Buffer.alloc(6 << 20, 'x'); // more than a node reads of a body that it refuses
  for (let i = 0; i < 6; i++) {
    const made = await ask(port, 'POST', '/up', { ...TUS, 'Upload-Length': bytes.length });
    assert.equal(made.status, 201);
    const at = made.headers.location;
    for (const [from, to] of [[0, 1000], [1000, bytes.length]]) {
      assert.equal((await ask(port, 'HEAD', at, TUS)).headers['upload-offset'], String(from));
      const sent = await ask(port, 'PATCH', at, { ...TUS, 'Upload-Offset': from,
        'Content-Type': 'application/offset+octet-stream' }, bytes.subarray(from, to));
      assert.deepEqual([sent.status, sent.headers['upload-offset']], [204, String(to)]);
    }
    const refused = await Promise.all(nodes.map((node) => ask(node.port, 'HEAD', at, TUS)));
    assert.deepEqual(refused.map(({ status }) => status).sort(), [200, 503]); // the nodes themselves
  }
});

// capability: L9
test('l9: leases end no stream of a tab whose renewals reach both nodes', async (t) => {
  const env = { LEASE_MS: String(LEASE_MS) }, more = await versionOptions();
  const nodes = [];
  for (let i = 0; i < 2; i++) nodes.push(await startProgram(t, 'tcp', { heartbeatMs: HEARTBEAT_MS, env, more }));
  const port = await startBalancer(t, OURS.nginx, nodes.map((node) => node.port));
  const session = await newSession(t);
  for (let i = 0; i < TABS; i++) await session.tab(`http://127.0.0.1:${port}/live`);
  const seen = () => Promise.all(nodes.map((node) => node.seen()));
  const sum = async (name) => (await seen()).reduce((all, one) => all + one[name], 0);
  await until('each tab has a stream', async () => (await sum('open')) === TABS);
  await until('renewals reached both nodes', async () => (await sum('unknown')) >= TABS / 2);
  const { heartbeats, opened } = { heartbeats: await sum('heartbeats'), opened: await sum('opened') };
  await until('heartbeats for many leases', async () => (await sum('heartbeats')) > heartbeats + HEARTBEATS * TABS);
  assert.deepEqual([await sum('expired'), await sum('opened') - opened], [0, 0]);
});
