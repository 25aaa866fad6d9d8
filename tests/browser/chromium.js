// SPDX-License-Identifier: MIT
// The browser of a process, which its tests share, each with its own context.
'use strict';
const fs = require('node:fs');
const { chromium, firefox } = require('playwright-core');

// The variant of Chromium without windows, if installed, takes less than half of the processor time.
const CHROMIUM =
  process.env.CHROMIUM ?? ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'].find((file) => fs.existsSync(file));
// BROWSER=firefox: Debian's unmodified Firefox, by WebDriver BiDi.
const FIREFOX = process.env.BROWSER === 'firefox' ? process.env.FIREFOX || '/usr/bin/firefox-esr' : null;
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

const begin = () =>
  FIREFOX ? firefox.launch({ channel: 'moz-firefox', executablePath: FIREFOX }) : chromium.launch({ executablePath: CHROMIUM, args: FLAGS });

let browser = null; // a promise, so that concurrent callers get the same browser
/** Return the browser. After a crash, it is a new one. */
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
