// SPDX-License-Identifier: MIT
// scripts/dev: a change is built, the program starts anew, tabs load their page again; what does not build is shown.
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

// scripts/dev on a folder with one file; building it fails while the file says "broken".
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
    // At once: of a file that is written piece by piece each piece may be a change.
    save(text) {
      const hidden = path.join(folder, '.program.c');
      fs.writeFileSync(hidden, `${text}\n`);
      fs.renameSync(hidden, file);
    },
    stop: (sign = 'SIGINT') => (stopped ??= (async () => {
      child.kill(sign);
      assert.deepEqual(await exited, [0, null], said);
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

// What a page that is loaded anew has not.
const mark = (page) => page.evaluate(() => { window.isOld = true; });
const isNew = (page) => page.waitForFunction(() => !window.isOld && document.querySelector('h1'));
const alertOf = (page) => page.locator('pre[role=alert]');

// capability: L13
test('dev: a page works behind it, and is loaded again when its program is built anew', async (t) => {
  const dev = await begin(t, await example());
  const page = await open(t, dev);
  await page.getByRole('button').first().click();
  await page.waitForFunction(() => /[1-9]/.test(document.querySelector('main').textContent)); // by its stream
  for (let times = 1; times <= 3; times++) {
    await mark(page);
    dev.save(`change ${times}`);
    await isNew(page);
    assert.equal(ports(dev.said()).length, times + 1);
    assert.equal(await alertOf(page).count(), 0);
  }
});

// capability: L13
test('dev: what does not build is shown, over a page that goes on', async (t) => {
  const dev = await begin(t, await example());
  const page = await open(t, dev);
  await page.getByRole('button').first().waitFor();
  await mark(page);
  dev.save("program.c:7: error: broken <b>'&\" here");
  await alertOf(page).waitFor();
  assert.equal(await alertOf(page).textContent(), "program.c:7: error: broken <b>'&\" here");
  assert.equal(await page.evaluate(() => window.isOld), true); // it was not loaded again
  const other = await open(t, dev); // what ran before runs on, and this tab is told too
  await alertOf(other).waitFor();
  await other.getByRole('button').first().waitFor({ state: 'attached' });
  dev.save('mended');
  await isNew(page);
  await isNew(other);
  assert.equal(await alertOf(page).count(), 0);
});

// capability: L13
test('dev: a program that ends is shown with its last words, and one that never built', async (t) => {
  const dev = await begin(t, `sh -c 'echo no such table >&2; exit 3'`);
  const page = await open(t, dev);
  await alertOf(page).waitFor();
  assert.equal(await alertOf(page).textContent(), 'The program ended with status 3.\n\nno such table\n');
  dev.save('broken from the beginning');
  await page.waitForFunction(() => /from the beginning/.test(document.querySelector('pre[role=alert]').textContent));
});

// capability: L13
test('dev: Ctrl-C ends the program too', async (t) => {
  for (const sign of ['SIGINT', 'SIGTERM']) {
    const dev = await begin(t, await example());
    const page = await open(t, dev);
    await page.getByRole('button').first().waitFor();
    await dev.stop(sign);
    const [port] = ports(dev.said());
    await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
  }
});
