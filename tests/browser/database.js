// SPDX-License-Identifier: MIT
// Databases for tests of programs over SQLite or PostgreSQL, and another process that uses them.
'use strict';
const { after } = require('node:test');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const postgres = require('./postgres.js');

// Run a statement in another process: rows as arrays, and the time of its end.
function sqlAt(file, statement) {
  const script = `
import json, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], timeout=20)
rows = db.execute(sys.argv[2]).fetchall()
db.commit()
print(json.dumps([rows, time.time() * 1000]))`;
  return JSON.parse(execFileSync('python3', ['-c', script, file, statement]));
}

// EXAMPLE_DATABASE=postgres: the programs of a file share a PostgreSQL server, each with a separate database.
const IS_POSTGRES = process.env.EXAMPLE_DATABASE === 'postgres';
let server = null; // a promise
if (IS_POSTGRES) after(async () => (await server)?.stop());

// Return a separate database: the program's options, and another client of it.
async function databaseFor(t) {
  if (IS_POSTGRES) {
    server ??= postgres.startServer();
    const { url, sql } = (await server).database();
    return { options: ['--postgres', url], sql };
  }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'database-'));
  const file = path.join(folder, 'own.db');
  process.on('exit', () => fs.rmSync(folder, { recursive: true })); // the other cleanups of a test run in any order
  return { options: ['--db', file], sql: (statement) => sqlAt(file, statement) };
}

module.exports = { IS_POSTGRES, sqlAt, databaseFor };
