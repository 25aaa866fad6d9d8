// SPDX-License-Identifier: MIT
// The browser of a process, which its tests share, with contexts of their own.
'use strict';
const fs = require('node:fs');
const { chromium, firefox } = require('playwright-core');

// Chromium without windows, where there is one, takes less than half of the processor.
const CHROMIUM =
  process.env.CHROMIUM ?? ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'].find((file) => fs.existsSync(file));
// BROWSER=firefox: Debian's Firefox, as it is, by WebDriver BiDi.
const FIREFOX = process.env.BROWSER === 'firefox' ? process.env.FIREFOX || '/usr/bin/firefox-esr' : null;
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

const begin = () =>
  FIREFOX ? firefox.launch({ channel: 'moz-firefox', executablePath: FIREFOX }) : chromium.launch({ executablePath: CHROMIUM, args: FLAGS });

let browser = null; // a promise, so that those who ask for it at once get the same
/** The browser. After a crash it is another one. */
async function chrome() {
  const asked = (browser ??= begin());
  const known = await asked;
  if (known.isConnected()) return known;
  if (browser === asked) browser = null;
  return chrome();
}
async function closeBrowser() {
  await (await browser)?.close();
}

module.exports = { CHROMIUM, FIREFOX, FLAGS, chrome, closeBrowser };
