// SPDX-License-Identifier: MIT
// Record frames of the box office: boxoffice_picture.js FOLDER. scripts/picture makes an animation of them.
'use strict';
const path = require('node:path');
const fs = require('node:fs');
const { startExample, newSession, closeChrome } = require('./harness.js');

const FRAME_MS = 250;

async function main(folder) {
  const ends = [];
  const t = { after: (end) => ends.unshift(end) };
  const file = path.join(folder, 'office.db');
  const office = await startExample('boxoffice', ['--db', file, '--nodes', '3', '--pace', '9000']);
  t.after(() => office.stop());
  const session = await newSession(t, { viewport: { width: 1280, height: 1120 }, deviceScaleFactor: 0.6 });
  const { page, until } = await session.tab(office.url);
  await until(() => +document.querySelector('#ticker dd').textContent > 250);
  let frames = 0;
  const record = async (ms) => {
    for (const end = Date.now() + ms; Date.now() < end;) {
      const since = Date.now();
      await page.screenshot({ path: path.join(folder, `${String(frames++).padStart(3, '0')}.png`) });
      await new Promise((done) => setTimeout(done, Math.max(0, FRAME_MS - (Date.now() - since))));
    }
  };
  await record(1000);
  for (let n = 0; n < 3; n++) {
    await page.click('#basket .any');
    await record(700);
  }
  for (const letter of 'Ada Lov') {
    await page.focus('#basket [name=name]');
    await page.keyboard.type(letter);
    await record(200);
  }
  await record(1200); // its name is stored
  const node = await page.textContent('.plug');
  await page.hover('.plug');
  await record(500);
  await page.click('.plug');
  await record(1000);
  await until((was) => document.querySelector('.plug').textContent !== was, node);
  await until(() => document.querySelectorAll('#house .down').length === 1);
  await record(1500);
  await page.focus('#basket [name=name]');
  for (const letter of 'elace') {
    await page.keyboard.type(letter);
    await record(200);
  }
  await page.click('#basket .first');
  await record(2000);
  for (const end of ends) await end();
  await closeChrome();
  fs.rmSync(file, { force: true });
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
