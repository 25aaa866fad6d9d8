// SPDX-License-Identifier: MIT
// The browser of a process: the one that the tests share (shared.js) where it answers, else one of the process's own.
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
const SETTINGS = { executablePath: CHROMIUM, args: FLAGS };

async function begin() {
  if (FIREFOX) return firefox.launch({ channel: 'moz-firefox', executablePath: FIREFOX });
  try {
    const { endpoint } = JSON.parse(fs.readFileSync(process.env.SHARED_BROWSER ?? ''));
    return await chromium.connect(endpoint, { timeout: 10_000 });
  } catch {
    return chromium.launch(SETTINGS);
  }
}

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

module.exports = { CHROMIUM, FIREFOX, FLAGS, SETTINGS, chrome, closeBrowser };
