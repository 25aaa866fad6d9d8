// SPDX-License-Identifier: MIT
// Pictures of the console of a chat in use, on a desktop, light and dark, and on a phone: console_picture.js FOLDER.
'use strict';
const path = require('node:path');
const { newSession, closeChrome } = require('./harness.js');
const { chatFor, personFor, say, shows } = require('./chat.js');

const PICTURES = [
  ['console', { viewport: { width: 1280, height: 1000 }, colorScheme: 'light' }],
  ['console-dark', { viewport: { width: 1280, height: 1000 }, colorScheme: 'dark' }],
  ['console-phone', { viewport: { width: 360, height: 800 }, colorScheme: 'dark' }],
];

async function main(folder) {
  const ends = [];
  const t = { after: (end) => ends.unshift(end) };
  const chat = await chatFor(t, ['--console', '--welcome']);
  const ada = await personFor(t, chat, 'Ada'), bob = await personFor(t, chat, 'Bob');
  await say(ada, 'Which page renders too often?');
  await shows(bob, 'Which page renders too often?');
  for (const [name, options] of PICTURES) {
    const session = await newSession(t, options);
    const { page, until, click } = await session.tab(`${chat.url}observe/console`);
    await until(() => document.querySelectorAll('#streams tbody tr').length >= 3);
    await page.locator('#streams tbody tr', { hasNotText: 'a console' }).locator('button').first().click();
    await until(() => document.querySelector('#facts').textContent.includes('coding'));
    await click('watch');
    await until(() => document.querySelector('#tail').textContent.includes('the tail begins'));
    await say(ada, `It is said for the picture ${name}.`);
    await until(() => document.querySelectorAll('#tail li').length > 1);
    await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: path.join(folder, `${name}.png`) });
    await session.context.close(); // the next picture must show no second console
  }
  for (const end of ends) await end();
  await closeChrome();
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
