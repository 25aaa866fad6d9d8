// SPDX-License-Identifier: MIT
// The time until a window shows the right rows after its scroll bar was moved, in Chromium, with a million rows.
//
//   NODE_PATH=build/tests/browser/node_modules COUNTER=build/bin/counter COUNTER_ADAPTER=microhttpd
//     node bench/live/window.js [JUMPS]
//
// The time runs from the scroll to the frame in which rows fill the element, by the clock of the page. The run fails if
// a row is wrong, or if the document has 2,500 elements or more.
'use strict';
const assert = require('node:assert/strict');
const { ADAPTER, closeChrome } = require('../../tests/browser/harness.js');
const { tabFor } = require('../../tests/browser/window_tab.js');

async function main() {
  const ends = [];
  const tab = await tabFor({ after: (end) => ends.unshift(end) }, 'rows');
  const jumps = Number(process.argv[2] ?? 200);
  const { took, most } = await tab.page.evaluate(async (count) => {
    const list = document.getElementById('list'), way = list.scrollHeight - list.clientHeight, took = [];
    const frame = () => new Promise(requestAnimationFrame);
    let most = 0;
    for (let i = 0; i < count; i++) {
      const part = ((i * 7919) % count) / Math.max(1, count - 1), wanted = part * (1_000_000 - list.clientHeight / 40);
      const isThere = () => window.isFilled() && Math.abs(Number(window.seen().text.slice(4)) - wanted) <= 50;
      const since = performance.now();
      list.scrollTop = Math.round(way * part);
      while (!isThere()) {
        if (performance.now() > since + 10_000) throw new Error(`jump ${i}: ${window.seen()?.text}, not row ${wanted}`);
        await frame();
      }
      took.push(performance.now() - since);
      most = Math.max(most, document.querySelectorAll('*').length);
      for (let rest = 0; rest < 10; rest++) await frame();
    }
    return { took: took.sort((a, b) => a - b), most };
  }, jumps);
  assert.ok(most < 2500, `${most} elements`);
  const at = (part) => took[Math.min(took.length - 1, Math.floor(took.length * part))].toFixed(0);
  console.log(`window adapter=${ADAPTER} jumps=${took.length} p50_ms=${at(0.5)} p99_ms=${at(0.99)} max_ms=${at(1)} elements=${most}`);
  for (const end of ends) await end();
  await closeChrome();
}

main();
