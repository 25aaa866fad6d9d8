// SPDX-License-Identifier: MIT
// The browser that the tests of a run share ends with the run, and is replaced when it crashes.
'use strict';
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { spawn, execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { chromium } = require('playwright-core');

const SHARED = path.join(__dirname, 'shared.js');
const read = (file) => JSON.parse(fs.readFileSync(file));
const isRunning = (pid) => fs.existsSync(`/proc/${pid}`);
async function until(condition) {
  while (!(await condition())) await new Promise((done) => setTimeout(done, 20));
}

function fileFor(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'shared-'));
  fs.symlinkSync(process.env.NODE_PATH, path.join(folder, 'node_modules'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  return path.join(folder, 'shared.json');
}
// A run, which has begun a browser. It goes on until it reads a line.
async function runFor(t, file = fileFor(t)) {
  const run = spawn('sh', ['-c', '"$0" "$1" begin "$2" && echo begun && read line; "$0" "$1" end "$2"', process.execPath, SHARED, file],
    { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(run, 'exit');
  t.after(() => run.kill('SIGKILL'));
  await Promise.race([once(run.stdout, 'data'), exited.then((how) => assert.fail(`it has not begun: ${how}`))]);
  return { file, run, exited, ...read(file) };
}
async function showsAPage({ endpoint }) {
  const browser = await chromium.connect(endpoint);
  const page = await (await browser.newContext()).newPage();
  await page.setContent('<p>there</p>');
  assert.equal(await page.textContent('p'), 'there');
  return browser;
}

test('shared: a browser that crashes is replaced; it ends when its run is killed', async (t) => {
  const one = await runFor(t);
  const browser = await showsAPage(one);
  const isOver = new Promise((done) => browser.on('disconnected', done));
  (await browser.newBrowserCDPSession()).send('Browser.crash').catch(() => {});
  await isOver;
  await until(() => read(one.file).endpoint !== one.endpoint);
  await (await showsAPage(read(one.file))).close();
  one.run.kill('SIGKILL');
  await until(() => !fs.existsSync(one.file) && !isRunning(one.pid));
});

test('shared: a run ends its own browser, and not that of another run, which has begun later', async (t) => {
  const one = await runFor(t), other = await runFor(t, one.file);
  assert.notEqual(one.pid, other.pid);
  one.run.stdin.end('\n');
  assert.deepEqual(await one.exited, [0, null]);
  await until(() => !isRunning(one.pid));
  await (await showsAPage(read(one.file))).close();
  other.run.stdin.end('\n');
  assert.deepEqual(await other.exited, [0, null]);
  await until(() => !isRunning(other.pid) && !fs.existsSync(one.file));
});
