// SPDX-License-Identifier: MIT
// scripts/dev: it builds each change, restarts the program and reloads tabs; it shows the errors of a failed build.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { COUNTER, newSession, closeChrome, versionOptions } = require('./harness.js');

const DEV = path.join(__dirname, '../../scripts/dev');

after(closeChrome);

// Run scripts/dev on a folder with one file; its build fails while the file contains "broken".
async function begin(t, run) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dev-'));
  const file = path.join(folder, 'program.c');
  fs.writeFileSync(file, 'first\n');
  const options = ['--port', '0', '--watch', folder, '--build', `cat '${file}' && ! grep -q broken '${file}'`, '--run', run];
  const child = spawn(DEV, options, { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  let said = '';
  for (const from of [child.stdout, child.stderr]) from.on('data', (data) => (said += data));
  const url = await new Promise((done, failed) => {
    child.stdout.on('data', () => {
      const found = /^dev: (http:\/\/127\.0\.0\.1:\d+)$/m.exec(said);
      if (found) done(`${found[1]}/`);
    });
    void exited.then(() => failed(new Error(`scripts/dev ended: ${said}`)));
  });
  let stopped = null;
  const dev = {
    url,
    said: () => said,
    // In one step, because a file that is written in parts changes several times.
    save(text) {
      const hidden = path.join(folder, '.program.c');
      fs.writeFileSync(hidden, `${text}\n`);
      fs.renameSync(hidden, file);
    },
    stop: (sign = 'SIGINT') => (stopped ??= (async () => {
      child.kill(sign);
      assert.deepEqual(await exited, sign === 'SIGKILL' ? [null, sign] : [0, null], said);
      fs.rmSync(folder, { recursive: true });
    })()),
  };
  t.after(() => dev.stop());
  return dev;
}

const example = async () => [`'${COUNTER}' --port {port}`, ...(await versionOptions())].join(' ');
const ports = (said) => [...said.matchAll(/^counter: http:\/\/127\.0\.0\.1:(\d+)$/gm)].map(([, port]) => port);

async function open(t, dev) {
  const { context } = await newSession(t);
  const page = await context.newPage();
  await page.goto(dev.url);
  return page;
}

// Marks a page until it is reloaded.
const mark = (page) => page.evaluate(() => { window.isOld = true; });
const isNew = (page) => page.waitForFunction(() => !window.isOld && document.querySelector('h1'));
const alertOf = (page) => page.locator('pre[role=alert]');

// capability: L13
test('dev: a page works through the proxy, and is reloaded after a build', async (t) => {
  const dev = await begin(t, await example());
  const page = await open(t, dev);
  await page.getByRole('button').first().click();
  await page.waitForFunction(() => /[1-9]/.test(document.querySelector('main').textContent)); // updated by its stream
  for (let times = 1; times <= 3; times++) {
    await mark(page);
    dev.save(`change ${times}`);
    await isNew(page);
    assert.equal(ports(dev.said()).length, times + 1);
    assert.equal(await alertOf(page).count(), 0);
  }
});

// capability: L13
test('dev: the errors of a failed build are shown above the page, which continues', async (t) => {
  const dev = await begin(t, await example());
  const page = await open(t, dev);
  await page.getByRole('button').first().waitFor();
  await mark(page);
  dev.save("program.c:7: error: broken <b>'&\" here");
  await alertOf(page).waitFor();
  assert.equal(await alertOf(page).textContent(), "program.c:7: error: broken <b>'&\" here");
  assert.equal(await page.evaluate(() => window.isOld), true); // it was not reloaded
  const other = await open(t, dev); // the previous program continues, and a new tab shows the errors, too
  await alertOf(other).waitFor();
  await other.getByRole('button').first().waitFor({ state: 'attached' });
  dev.save('mended');
  await isNew(page);
  await isNew(other);
  assert.equal(await alertOf(page).count(), 0);
});

// capability: L13
test('dev: the end of a program is shown with its last output; so is a first build that fails', async (t) => {
  const dev = await begin(t, `sh -c 'echo no such table >&2; exit 3'`);
  const page = await open(t, dev);
  await alertOf(page).waitFor();
  assert.equal(await alertOf(page).textContent(), 'The program ended with status 3.\n\nno such table\n');
  dev.save('broken from the beginning');
  await page.waitForFunction(() => /from the beginning/.test(document.querySelector('pre[role=alert]').textContent));
});

// capability: L13
test('dev: Ctrl-C also ends the program, and so does a kill of the script', async (t) => {
  for (const sign of ['SIGINT', 'SIGTERM', 'SIGKILL']) {
    const dev = await begin(t, await example());
    const page = await open(t, dev);
    await page.getByRole('button').first().waitFor();
    await dev.stop(sign);
    const [port] = ports(dev.said());
    while (await fetch(`http://127.0.0.1:${port}/`).then(() => true, () => false)); // the killed one ends soon
  }
});
