// SPDX-License-Identifier: MIT
// The examples of the folder, each as a separate program of a test.
'use strict';
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { COUNTER, startExample } = require('./harness.js');

const FOLDER = path.join(__dirname, '../../examples');

// examples/NAME.c and examples/NAME/NAME.c are programs, as in examples/CMakeLists.txt. evhttp has a test of its own, and
// none of the options of the others.
const EXAMPLES = fs.readdirSync(FOLDER, { withFileTypes: true }).filter((entry) => entry.name !== 'evhttp')
  .filter((entry) => (entry.isDirectory() ? fs.existsSync(path.join(FOLDER, entry.name, `${entry.name}.c`)) : entry.name.endsWith('.c')))
  .map((entry) => path.basename(entry.name, '.c'));

// Start an example with these options, and with a separate database if it has one.
// end(): by SIGINT, like Ctrl-C; again(): on the same port with the same files.
async function startOwn(t, name, more = []) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `${name}-`));
  const program = path.join(path.dirname(COUNTER), name);
  const help = spawnSync(program, ['--help'], { encoding: 'utf8' }).stdout;
  const options = [...(/--db /.test(help) ? ['--db', path.join(folder, 'all.db')] : []), ...more];
  let example = await startExample(name, options);
  t.after(async () => {
    await example.stop();
    fs.rmSync(folder, { recursive: true });
  });
  return {
    ...example,
    stop: () => example.stop(),
    kill: () => example.kill(),
    signal: (which) => example.signal(which),
    end: () => example.stop('SIGINT'),
    again: async () => { example = await startExample(name, options, example.port); },
  };
}

module.exports = { EXAMPLES, startOwn };
