// SPDX-License-Identifier: MIT
// The time of Chromium's scripts for one changed row of a list, sent as the whole content and as a patch, in addition
// to a click whose response is empty.
//
//   NODE_PATH=build/tests/browser/node_modules [DATASTAR_JS=datastar.js] node bench/live/rows.js [ROUNDS]
//
// A click requests an event, and the client reads and performs it. The time is the processor time of the page's scripts
// (Chromium's ScriptDuration by the clock of its thread, so that other programs do not count), from before the click
// until the client has finished. The four kinds of clicks alternate; "alone" sends the row for an element beside the
// list: what the client needs for any event with one element in such a document, which is the minimum for a patch.
// Garbage is collected before each click: a patch would otherwise pay for that of the whole content before it. The run
// fails if the row does not change. Without DATASTAR_JS the client is the stand-in of the tests.
'use strict';
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { CLIENT, closeChrome, newSession } = require('../../tests/browser/harness.js');

const PATCHES = process.env.PATCHES ?? path.join(__dirname, '../../build/bin/test_browser_patches');
const ROUNDS = Number(process.argv[2] ?? 60);
const WARM = 5; // rounds before, which are not counted
const ORIGIN = 'http://127.0.0.1:9';
const KINDS = ['empty', 'whole', 'alone', 'patch'];

const median = (all) => all.sort((a, b) => a - b)[all.length >> 1];

async function measure(t, rows, bytes) {
  const args = ['rows', rows, bytes, ROUNDS + WARM].map(String);
  const lines = execFileSync(PATCHES, args, { encoding: 'latin1', maxBuffer: 1 << 30 }).trimEnd().split('\n');
  const pairs = lines.map((line) => line.split('\t').map((hex) => Buffer.from(hex, 'hex').toString()));
  const session = await newSession(t);
  const page = await session.context.newPage();
  let next = '';
  const buttons = KINDS.map((kind) => `<button id="${kind}" data-on:click="@get('/${kind}')"></button>`).join('');
  await page.route('**/*', (route) => {
    const name = new URL(route.request().url()).pathname.slice(1);
    const client = name === 'client.js' && fs.readFileSync(CLIENT, 'utf8');
    if (client) return route.fulfill({ contentType: 'text/javascript', body: client });
    if (name === 'empty') return route.fulfill({ status: 204 });
    if (KINDS.includes(name)) return route.fulfill({ contentType: 'text/event-stream', body: next });
    const head = '<!doctype html><script type="module" src="client.js"></script><body>';
    const body = `${head}${buttons}<ul><li id="row"></ul>${pairs[0][0]}`;
    return name ? route.abort() : route.fulfill({ contentType: 'text/html', body });
  });
  await page.goto(`${ORIGIN}/`);
  const devtools = await session.context.newCDPSession(page);
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const spent = async () => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    return 1000 * metrics.find(({ name }) => name === 'ScriptDuration').value;
  };
  const click = async (kind) => {
    const before = await spent();
    await page.evaluate((id) => new Promise((done) => {
      const heard = ({ detail: { type } }) => {
        if (type !== 'finished') return;
        document.removeEventListener('datastar-fetch', heard);
        setTimeout(done);
      };
      document.addEventListener('datastar-fetch', heard);
      document.getElementById(id).click();
    }), kind);
    return (await spent()) - before;
  };
  const took = Object.fromEntries(KINDS.map((kind) => [kind, []]));
  for (const [round, [had, whole, patch]] of pairs.entries()) {
    for (const kind of KINDS) {
      await page.evaluate((html) => { document.getElementById('content').outerHTML = html; }, had);
      const alone = patch.replace(/#content #[\w-]+/, '#row').replace(/id="[\w-]+"/, 'id="row"');
      next = { whole, alone, patch }[kind];
      await devtools.send('HeapProfiler.collectGarbage'); // of the former click and of the content that was set
      const ms = await click(kind);
      const shows = (text) => [...document.querySelectorAll('#list b')].some((one) => one.textContent === text);
      const shown = await page.evaluate(shows, String(90000000 + round));
      assert.equal(shown, kind === 'whole' || kind === 'patch', `${kind}, round ${round}`);
      if (round >= WARM) took[kind].push(ms);
    }
  }
  const empty = median(took.empty), beyond = (kind) => (median(took[kind]) - empty).toFixed(2);
  console.log(`rows client=${path.basename(CLIENT)} rows=${rows} bytes=${pairs[0][0].length} rounds=${ROUNDS}`
    + ` whole_ms=${beyond('whole')} patch_ms=${beyond('patch')} alone_ms=${beyond('alone')}`
    + ` empty_ms=${empty.toFixed(2)}`
    + ` whole_bytes=${pairs[0][1].length} patch_bytes=${pairs[0][2].length}`);
}

async function main() {
  const ends = [];
  for (const [rows, bytes] of [[1000, 165_000], [200, 171_000]])
    await measure({ after: (end) => ends.unshift(end) }, rows, bytes);
  for (const end of ends) await end();
  await closeChrome();
}

main();
