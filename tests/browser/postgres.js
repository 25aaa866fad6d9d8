// SPDX-License-Identifier: MIT
// A separate PostgreSQL server for a test: in a temporary folder, on a UNIX socket there. Its programs are Debian's. It
// does not run as root; then its user is postgres, or nobody.
'use strict';
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const ROOT = '/usr/lib/postgresql';
// The settings that the guide recommends.
const SETTINGS = ['max_pred_locks_per_relation=256', 'max_pred_locks_per_page=200'].flatMap((setting) => ['-c', setting]);
// Functions for the SQL of SQLite in tests. A pause between two checks of a condition lets other processes run.
const DIALECT = `CREATE FUNCTION unixepoch() RETURNS bigint LANGUAGE sql AS 'SELECT extract(epoch FROM now())::bigint';
CREATE DOMAIN blob AS bytea;
CREATE FUNCTION hex(bytea) RETURNS text LANGUAGE sql AS 'SELECT upper(encode($1, ''hex''))';
CREATE FUNCTION instr(bytea, blob) RETURNS integer LANGUAGE sql AS 'SELECT position($2 IN $1)'`;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Return the programs of the newest version; null: none is installed.
function programs() {
  const majors = fs.existsSync(ROOT) ? fs.readdirSync(ROOT).map(Number).sort((a, b) => b - a) : [];
  const found = majors.find((major) => fs.existsSync(path.join(ROOT, String(major), 'bin/initdb')));
  return found ? path.join(ROOT, String(found), 'bin') : null;
}

function otherUser() {
  if (process.getuid() !== 0) return {};
  const lines = fs.readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => line.split(':'));
  const [, , uid, gid] = lines.find(([name]) => name === 'postgres') ?? lines.find(([name]) => name === 'nobody');
  return { uid: Number(uid), gid: Number(gid) };
}

async function startServer() {
  const bin = programs(), user = otherUser();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vestry-postgres-'));
  if (user.uid) fs.chownSync(folder, user.uid, user.gid);
  const call = (name, options) =>
    execFileSync(path.join(bin, name), options, { ...user, cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  call('initdb', ['-D', 'data', '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']);
  let child = null, exited = null, count = 0;
  const psql = (database, ...statements) =>
    call('psql', ['-h', folder, '-U', 'postgres', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1',
      ...statements.flatMap((statement) => ['-c', statement]), database]);
  const server = {
    async begin() {
      child = spawn(path.join(bin, 'postgres'), ['-D', 'data', '-k', folder, '-h', '', '-F', ...SETTINGS], { ...user, cwd: folder, stdio: 'ignore' });
      exited = once(child, 'exit');
      for (;;) {
        if (child.exitCode !== null) throw new Error('the server has ended');
        try {
          return call('pg_isready', ['-q', '-h', folder]);
        } catch {
          await pause(20);
        }
      }
    },
    // SIGINT: a fast shutdown, SIGQUIT: like a crash.
    async end(by) {
      child.kill(by);
      await exited;
    },
    async stop() {
      if (child && child.exitCode === null && child.signalCode === null) await server.end('SIGQUIT');
      fs.rmSync(folder, { recursive: true });
    },
    // Return a separate database: the options for a program, and another client of it, which returns rows as arrays,
    // and the time of the end.
    database() {
      const name = `database_${++count}`;
      psql('postgres', `CREATE DATABASE ${name}`);
      psql(name, DIALECT);
      return {
        url: `host=${folder} user=postgres dbname=${name}`,
        sql(statement) {
          const asks = /^(SELECT|WITH(?![^]*INSERT))/.test(statement)
            ? `SELECT coalesce(json_agg(r), '[]') FROM (${statement}) r` : statement;
          const lines = psql(name, asks, "SELECT extract(epoch FROM clock_timestamp()) * 1000").trimEnd().split('\n');
          const done = Number(lines.pop());
          return [lines.length ? JSON.parse(lines.join('')).map(Object.values) : [], done];
        },
      };
    },
  };
  await server.begin();
  return server;
}

module.exports = { programs, startServer };
