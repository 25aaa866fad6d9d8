// SPDX-License-Identifier: MIT
// capability: F10
// scripts/demo cluster: three nodes of the chat behind HAProxy, nginx or no proxy, with the configurations of
// examples/proxy. Clients here repeat no request, because the balancer must, unless it has found a live node down.
'use strict';
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { reservePort } = require('../support/port.js');
const { KINDS, until } = require('./proxies.js');

const DEMO = path.join(__dirname, '../../scripts/demo');
const NODES = ['web-1', 'web-2', 'web-3'];

function run(port, balancer, folder = os.tmpdir()) {
  const child = spawn(DEMO, ['cluster', '--port', String(port)],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, DEMO_BALANCER: balancer, TMPDIR: folder } });
  const demo = { child, exited: once(child, 'exit'), said: '', complaints: '' };
  child.stdout.on('data', (data) => (demo.said += data));
  child.stderr.on('data', (data) => (demo.complaints += data));
  return demo;
}

async function demoFor(t, balancer) {
  const port = await reservePort(5);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vestry-demo-')); // contains the folder of the demo
  const demo = run(port, balancer, folder);
  let stopped = null;
  demo.stop = (by = 'SIGTERM') => (stopped ??= (child => (child.kill(by), demo.exited))(demo.child));
  t.after(() => demo.stop());
  t.after(() => fs.rmSync(folder, { recursive: true }));
  await until('it has said what to try', () => {
    assert.equal(demo.child.exitCode, null, demo.complaints);
    return demo.said.includes('Ctrl-C ends');
  });
  const processes = Object.fromEntries([...demo.said.matchAll(/(web-\d|nats-server).* process (\d+)/g)].map(([, name, pid]) => [name, Number(pid)]));
  const log = () => fs.readdirSync(folder).map((inner) => fs.readFileSync(path.join(folder, inner, 'balancer.log'), 'utf8')).join();
  return { ...demo, port, processes, log, at: (path_, from = port) => `http://127.0.0.1:${from}${path_}` };
}

const ask = (url, { method = 'GET', headers = {}, body } = {}) =>
  new Promise((done) => {
    const request = http.request(url, { method, headers, agent: false }, async (answer) => {
      let text = '';
      try {
        for await (const part of answer.setEncoding('utf8')) text += part;
      } catch {
        return done({ status: 0 });
      }
      return done({ status: answer.statusCode, headers: answer.headers, text });
    });
    request.on('error', () => done({ status: 0 }));
    request.end(body);
  });

// Log in, and return the headers that a page of this user sends.
async function logIn(demo, from) {
  const first = await ask(demo.at('/', from));
  const csrf = /name="csrf" value="([^"]+)"/.exec(first.text)[1];
  const before = first.headers['set-cookie'][0].split(';')[0];
  const entered = await ask(demo.at('/login', from), { method: 'POST',
    headers: { Cookie: before, 'Content-Type': 'application/x-www-form-urlencoded' }, body: new URLSearchParams({ csrf, name: 'Ada' }).toString() });
  assert.equal(entered.status, 303);
  const cookie = entered.headers['set-cookie'][0].split(';')[0];
  const page = (await ask(demo.at('/', from), { headers: { Cookie: cookie } })).text;
  const token = /_csrf="'([^']+)'"/.exec(page)[1], nonce = /_once="'([^']+)'"/.exec(page)[1];
  const tabId = /take\(\) \|\| '([0-9a-f]{64})'/.exec(page)[1];
  return { cookie, token, nonce, tabId };
}

const isGone = (pid) => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

for (const kind of [...KINDS, 'none'])
  test(`the demo: three nodes behind ${kind}; one is killed, and Ctrl-C or a kill of the demo ends all`, async (t) => {
    const demo = await demoFor(t, kind);
    assert.deepEqual(Object.keys(demo.processes).sort(), ['nats-server', ...NODES]);
    const from = kind === 'none' ? demo.port + 1 : demo.port;
    assert.ok(demo.said.includes(demo.at('/cluster', from)));
    const ada = await logIn(demo, from);
    const ownOf = async (port) => {
      const { status, text } = await ask(demo.at('/cluster', port), { headers: { Cookie: ada.cookie } });
      return status === 200 ? /id="own">([^<]+)/.exec(text)[1] : status;
    };
    if (kind === 'none') {
      for (const [i, name] of NODES.entries()) assert.equal(await ownOf(demo.port + 1 + i), name);
    } else {
      const served = new Set();
      await until('all three have served', async () => served.add(await ownOf(from)).size === 3);
      assert.deepEqual([...served].sort(), NODES);
      // Sixty messages, during which a node is killed: each is acknowledged, and exists once.
      for (let i = 0; i < 60; i++) {
        if (i === 20) process.kill(demo.processes['web-2'], 'SIGKILL');
        const send = () => ask(demo.at('/channel/1/message', from), { method: 'POST', headers: {
          'Datastar-Request': 'true', 'Content-Type': 'application/json', Cookie: ada.cookie, 'X-CSRF-Token': ada.token,
          'X-Once': `${ada.nonce.split('.')[0]}.${process.pid}-${i}` }, body: JSON.stringify({ tabId: ada.tabId, text: `number ${i}` }) });
        let answer = await send();
        // On a busy machine HAProxy can find a live node down, and shuts its sessions; then the client repeats the request.
        if (answer.status === 0 && /Server program\/web-[13] is DOWN/.test(demo.log()))
          await until(`message ${i} is answered`, async () => (answer = await send()).status !== 0);
        assert.equal(answer.status, 204, `message ${i}: ${answer.text}`);
      }
      const page = await ask(demo.at('/', from), { headers: { Cookie: ada.cookie } });
      assert.deepEqual(page.text.match(/number \d+/g), Array.from({ length: 60 }, (_, i) => `number ${i}`));
    }
    // A second demo finds the ports in use.
    const second = run(demo.port, kind);
    assert.deepEqual(await second.exited, [1, null]);
    assert.match(second.complaints, new RegExp(`^demo: port ${demo.port + (kind === 'none' ? 1 : 0)} is in use`));
    const isKilled = kind === 'none';
    assert.deepEqual(await demo.stop(isKilled ? 'SIGKILL' : 'SIGTERM'), isKilled ? [null, 'SIGKILL'] : [0, null]);
    if (isKilled) await until('the others have ended', () => Object.values(demo.processes).every(isGone));
    for (const pid of Object.values(demo.processes)) assert.ok(isGone(pid));
    for (let i = 0; i < 5; i++) assert.equal((await ask(demo.at('/', demo.port + i))).status, 0);
  });
