// SPDX-License-Identifier: MIT
// The browser that the tests of one run share, each with contexts of its own. It ends with the run, however that ends.
//   shared.js begin FILE   starts it; FILE says where it is. It ends when the process that has called this does (ctest).
//   shared.js end FILE     ends it
// FILE is in the folder that has node_modules. A browser that crashes is replaced; tests that find none have their own.
'use strict';
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');

const LOOK_MS = 500; // between two looks at whether the run is still there
const PATIENCE_MS = 60_000;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// When a process began, which tells it from a later one of the same number; null: there is none, or it has ended.
function beganAt(pid) {
  try {
    const [state, ...rest] = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
    return state === 'Z' ? null : rest[18];
  } catch {
    return null;
  }
}
function read(file) {
  try {
    return JSON.parse(fs.readFileSync(file));
  } catch {
    return {};
  }
}

async function serve(file, parent, began) {
  const { chromium } = require('playwright-core');
  const { SETTINGS } = require('./chromium.js');
  let server = null, isOver = false;
  const start = async () => {
    server = await chromium.launchServer(SETTINGS);
    server.on('close', () => isOver || start().catch(end)); // it has crashed
    fs.writeFileSync(`${file}.new`, JSON.stringify({ endpoint: server.wsEndpoint(), pid: process.pid, parent }));
    fs.renameSync(`${file}.new`, file);
  };
  const end = async () => {
    if (isOver) return;
    isOver = true;
    if (read(file).pid === process.pid) fs.rmSync(file);
    await server?.close();
    process.exit(0);
  };
  process.on('SIGTERM', end);
  await start();
  process.send('begun', () => process.disconnect());
  while (beganAt(parent) === began) await pause(LOOK_MS);
  await end();
}

async function begin(file) {
  const parent = process.ppid, began = beganAt(parent);
  const child = spawn(process.execPath, [__filename, 'serve', file, String(parent), began], {
    detached: true, stdio: ['ignore', 'ignore', 'ignore', 'ipc'], // ctest waits for who has its pipes
    env: { ...process.env, NODE_PATH: path.join(path.dirname(file), 'node_modules') } });
  const [result] = await Promise.race([once(child, 'message'), once(child, 'exit')]);
  if (result !== 'begun') throw new Error(`the shared browser does not start: ${result}`);
  child.unref();
}

async function end(file) {
  const { pid, parent } = read(file);
  if (parent !== process.ppid) return; // another run's, or there is none
  const began = beganAt(pid);
  process.kill(pid, 'SIGTERM');
  for (const since = Date.now(); began && beganAt(pid) === began; await pause(20))
    if (Date.now() - since > PATIENCE_MS) throw new Error(`the shared browser, process ${pid}, does not end`);
}

const [what, file, parent, began] = process.argv.slice(2);
const run = { begin, end, serve }[what];
if (!run || !file) {
  console.error('usage: shared.js begin|end FILE');
  process.exit(2);
}
run(path.resolve(file), Number(parent), began).catch((error) => {
  console.error(error.message);
  if (process.connected) process.send(error.message, () => process.exit(1));
  else process.exit(1);
});
