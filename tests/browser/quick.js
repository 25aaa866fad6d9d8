// SPDX-License-Identifier: MIT
// The fastest and most useful tests of many files, in one process and one browser: browser_quick. A mark in a line
// above a test selects it, and the servers for it: "// quick: civetweb, microhttpd".
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const runner = require('node:test');

const MOST = 15;
const AT_ONCE = 2; // they wait now and then
const MARK = /^[ \t]*\/\/ quick: (.+)\n(?:[ \t]*\/\/.*\n)*[ \t]*test\w*\((['"`])(.+?)\2,/gm;
const KEPT = ['chromium.js', 'quick.js'].map((name) => path.join(__dirname, name));

// Server → file → the names of its tests.
const chosen = { civetweb: new Map(), microhttpd: new Map() };
let count = 0;
for (const name of fs.readdirSync(__dirname).filter((one) => one.endsWith('.test.js'))) {
  const file = path.join(__dirname, name), text = fs.readFileSync(file, 'utf8');
  const marks = [...text.matchAll(MARK)];
  assert.equal(marks.length, text.split('// quick: ').length - 1, `${name}: a mark stands above a test whose name is a literal`);
  for (const [, servers, , test] of marks) {
    for (const server of servers.split(', ')) {
      assert.ok(chosen[server], `${name}: no server is called ${server}`);
      chosen[server].set(file, [...(chosen[server].get(file) ?? []), test]);
      count++;
    }
  }
}
assert.ok(count <= MOST, `${count} tests are marked as quick: ${MOST} are the most`);

// A file gets a runner that runs only the selected tests. Its cleanups run at the end of all files.
const { after, describe, test } = runner;
const ends = [];
let server, names;
runner.after = (end) => ends.push(end);
runner.describe = (name, options, add) => add();
// Of a test in several variants, whose names have suffixes, the first one runs.
runner.test = (name, ...rest) => {
  const mark = [...names].find((one) => name.startsWith(one));
  if (names.delete(mark)) test(`${server}: ${name}`, ...rest);
};
describe('quick', { concurrency: AT_ONCE }, () => {
  after(async () => {
    for (const end of ends) await end();
    setTimeout(() => process.exit(1), 5000).unref(); // a failed test may have left something that keeps the process alive
  });
  for (server of Object.keys(chosen)) {
    process.env.COUNTER_ADAPTER = server;
    // The files of this folder are loaded again for the other server; the browser stays.
    for (const file of Object.keys(require.cache))
      if (path.dirname(file) === __dirname && !KEPT.includes(file)) delete require.cache[file];
    for (const [file, all] of chosen[server]) {
      names = new Set(all);
      require(file);
      assert.deepEqual([...names], [], `${file} has no such tests`);
    }
  }
});
