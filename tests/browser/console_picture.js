// SPDX-License-Identifier: MIT
// Pictures of the console of a chat that is in use, on a desk and on a phone: console_picture.js FOLDER.
'use strict';
const path = require('node:path');
const { newSession, closeChrome } = require('./harness.js');
const { chatFor, personFor, say, shows } = require('./chat.js');

async function main(folder) {
  const ends = [];
  const t = { after: (end) => ends.unshift(end) };
  const chat = await chatFor(t, ['--console', '--welcome']);
  const ada = await personFor(t, chat, 'Ada'), bob = await personFor(t, chat, 'Bob');
  await say(ada, 'Which page renders too often?');
  await shows(bob, 'Which page renders too often?');
  for (const [name, options] of [
    ['console', { viewport: { width: 1280, height: 800 } }],
    ['console-phone', { viewport: { width: 360, height: 800 }, colorScheme: 'dark' }],
  ]) {
    const session = await newSession(t, options);
    const { page, until, click } = await session.tab(`${chat.url}observe/console`);
    await until(() => document.querySelectorAll('#streams tbody tr').length >= 3);
    const take = (what) => page.screenshot({ path: path.join(folder, `${name}${what}.png`), fullPage: !!what });
    await page.locator('#streams tbody tr', { hasNotText: 'a console' }).locator('button').first().click();
    await until(() => document.querySelector('#facts').textContent.includes('coding'));
    await click('watch');
    await until(() => document.querySelector('#tail').textContent.includes('the tail begins'));
    await say(ada, `It is said on the page of ${name}.`);
    await until(() => document.querySelectorAll('#tail li').length > 1);
    await page.evaluate(() => scrollTo(0, 0));
    await take('');
    if (!process.env.ALL) continue;
    await take('-streams');
    for (const view of ['store', 'pages', 'cluster']) {
      await click(`tab-${view}`);
      await page.waitForTimeout(300);
      await take(`-${view}`);
    }
    console.log(name, await page.evaluate(() => document.documentElement.scrollWidth), session.problems);
  }
  for (const end of ends) await end();
  await closeChrome();
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
