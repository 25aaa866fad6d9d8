// SPDX-License-Identifier: MIT
// Shared parts of tests of proxies: a program, a proxy in front of it with a configuration of examples/proxy, and
// clients. All of them are on the loopback interface or in network namespaces, and end with their test.
'use strict';
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const zlib = require('node:zlib');
const { reservePort } = require('../support/port.js');

const BEHIND = process.env.BEHIND ?? path.join(__dirname, '../../build/bin/test_proxy_behind');
const EXAMPLES = path.join(__dirname, '../../examples/proxy');
const PATIENCE_MS = 120_000;
const KINDS = ['nginx', 'haproxy'];
const IS_ROOT = process.geteuid() === 0;
const now = () => performance.now();
const pause = () => new Promise((done) => setTimeout(done, 10)); // between two checks of a condition

// Wait for a condition; return the milliseconds that it took.
async function until(what, condition, patience = PATIENCE_MS) {
  const since = now();
  while (!(await condition())) {
    assert.ok(now() - since < patience, `${what}: not within ${patience} ms`);
    await pause();
  }
  return now() - since;
}

// Debian's programs are in folders that some PATHs lack.
function program(name) {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];
  const found = folders.map((folder) => path.join(folder, name)).find((file) => fs.existsSync(file));
  assert.ok(found, `${name} is not installed: these tests need the Debian packages nginx, haproxy and openssl ` +
    '(scripts/test installs them)');
  return found;
}

function folderFor(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vestry-proxy-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  return folder;
}

function end(child, exited) {
  const killer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  child.kill('SIGTERM');
  return exited.finally(() => clearTimeout(killer));
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

// where: 'tcp', 'unix'. prefix: a command that runs it. more: its options. heartbeatMs: of its streams.
async function startProgram(t, where, { prefix = [], more = [], heartbeatMs = 15_000, adapter = 'microhttpd', env = {} } = {}) {
  const socket = path.join(folderFor(t), 'web.sock');
  const listen = where === 'unix' ? ['--unix-socket', socket] : ['--port', '0'];
  const [command, ...options] = [...prefix, BEHIND, '--adapter', adapter, ...listen, ...more];
  const child = spawn(command, options,
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, HEARTBEAT_MS: String(heartbeatMs), ...env } });
  const exited = once(child, 'exit');
  let stopped = null;
  const stop = () => (stopped ??= end(child, exited).then((how) => assert.deepEqual(how, [0, null])));
  t.after(stop);
  const lines = readline.createInterface({ input: child.stdout });
  const [line] = await Promise.race([once(lines, 'line'), exited.then(() => [''])]);
  const [, url, port] = /^test_proxy_behind: (unix:.*|http:\/\/127\.0\.0\.1:(\d+))$/.exec(line) ??
    assert.fail(`no program at ${BEHIND}: ${line}`);
  if (where === 'unix' && IS_ROOT) fs.chmodSync(socket, 0o666); // the proxy's workers are not root
  if (where === 'unix') fs.chmodSync(path.dirname(socket), 0o755);
  const at = where === 'unix' ? { socketPath: socket } : { host: '127.0.0.1', port: Number(port) };
  return {
    port: Number(port),
    upstream: where === 'unix' ? url.slice('unix:'.length) : `127.0.0.1:${port}`,
    stop,
    // Without the proxy.
    seen: () => new Promise((done, failed) => {
      http.get({ ...at, path: '/seen', agent: false }, async (answer) => {
        let text = '';
        for await (const part of answer.setEncoding('utf8')) text += part;
        done(JSON.parse(text));
      }).on('error', failed);
    }),
  };
}

/* ---- the proxy --------------------------------------------------------------------------------------------------- */

// Return a configuration of examples/proxy without its comments, in which each of these texts occurs once and is
// replaced.
function configuration(name, changes) {
  let text = fs.readFileSync(path.join(EXAMPLES, name), 'utf8').replace(/^#.*\n/gm, '');
  for (const [from, to] of changes) {
    assert.equal(text.split(from).length, 2, `${name} has "${from}" once`);
    text = text.replace(from, () => to);
  }
  return text;
}

const configure = {
  nginx: ({ folder, listen, upstream, pem, linger, plain, cache }) => {
    const inside = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${folder}/${of};`);
    if (cache) inside.push(`proxy_cache_path ${folder}/cache keys_zone=all:1m; proxy_cache all; ${cache}`);
    const text = configuration('nginx.conf', [
      ['worker_processes auto', 'worker_processes 1'],
      ['worker_rlimit_nofile 65536', 'worker_rlimit_nofile 1024'],
      ['worker_connections 32768', 'worker_connections 1000'],
      ['worker_shutdown_timeout 10m', `worker_shutdown_timeout ${linger}`],
      ['http {', `http {\n  access_log off; ${inside.join(' ')}`],
      ['server unix:/run/web/web.sock', `server ${upstream.startsWith('/') ? 'unix:' : ''}${upstream}`],
      ['listen 443 ssl http2', `listen ${listen}${plain ? '' : ' ssl http2'}`],
      ['ssl_certificate /etc/ssl/web.pem', `ssl_certificate ${pem}`],
      ['ssl_certificate_key /etc/ssl/web.pem', `ssl_certificate_key ${pem}`],
    ]);
    const file = path.join(folder, 'nginx.conf');
    fs.writeFileSync(file, text);
    const user = IS_ROOT ? 'user nobody nogroup; ' : '';
    return ['nginx', '-p', folder, '-e', `${folder}/error.log`, '-c', file,
      '-g', `daemon off; pid ${folder}/pid; error_log ${folder}/error.log; ${user}`];
  },
  haproxy: ({ folder, listen, upstream, pem, linger, lost, plain, h2c }) => {
    const text = configuration('haproxy.cfg', [
      ['maxconn 40000', 'maxconn 400'],
      ['hard-stop-after 10m', `hard-stop-after ${linger}`],
      ['bind :443', `bind ${listen}`],
      ['ssl crt /etc/ssl/web.pem alpn h2,http/1.1', plain ? '' : `ssl crt ${pem} alpn h2,http/1.1`],
      ['tcp-ut 30s', `tcp-ut ${lost}`],
      ['unix@/run/web/web.sock', `${upstream.startsWith('/') ? 'unix@' : ''}${upstream}${h2c ? ' proto h2' : ''}`],
    ]);
    const file = path.join(folder, 'haproxy.cfg');
    fs.writeFileSync(file, text);
    return ['haproxy', '-W', '-db', '-f', file];
  },
};
const RELOAD = { nginx: 'SIGHUP', haproxy: 'SIGUSR2' };

const children = (pid) => fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
const zombie = (pid) => / Z /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
const workers = (pid) => children(pid).filter((child) => {
  try {
    return !zombie(child);
  } catch {
    return false; // it has just ended
  }
});

const listens = (address, port) => new Promise((done) => {
  const socket = net.connect(port, address, () => done(true)).on('error', () => done(false));
  socket.on('connect', () => socket.destroy());
});

// plain: without TLS. h2c: HTTP/2 to the program (haproxy).
async function startProxy(t, kind, upstream, { address = '127.0.0.1', linger = '10m', lost = '30s', plain = false, h2c = false, prefix = [], cache = '' } = {}) {
  const folder = folderFor(t);
  fs.chmodSync(folder, 0o755);
  const pem = path.join(folder, 'web.pem');
  const made = spawnSync(program('openssl'), ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-nodes', '-days', '2', '-subj', '/CN=test', '-addext', `subjectAltName=IP:${address}`, '-keyout', pem,
    '-out', `${pem}.crt`], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  const ca = fs.readFileSync(`${pem}.crt`, 'utf8');
  fs.appendFileSync(pem, ca);
  for (let tries = 0; ; tries++) {
    const port = prefix.length ? 8443 : await reservePort();
    const [name, ...options] = configure[kind]({ folder, listen: `${address}:${port}`, upstream, pem, linger, lost, plain, h2c, cache });
    const [command, ...all] = [...prefix, program(name), ...options];
    const child = spawn(command, all, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (part) => (said += part));
    let running = true;
    const exited = once(child, 'exit').finally(() => (running = false));
    t.after(() => running && end(child, exited));
    // In a namespace, its workers show that it runs.
    await until(`${kind} starts`, async () => !running ||
      (prefix.length ? workers(child.pid).length > 0 : await listens(address, port)));
    if (!running) {
      assert.ok(tries < 5, `${kind} does not start: ${said}`);
      continue;
    }
    return {
      url: `${plain ? 'http' : 'https'}://${address}:${port}`,
      port,
      ca,
      workers: () => workers(child.pid),
      // Wait until there are new workers; return the old ones. A master that has just started may miss the signal, so
      // it is repeated.
      async reload() {
        const before = workers(child.pid);
        let sentAt = -Infinity;
        await until(`${kind} reloads`, () => {
          if (workers(child.pid).some((pid) => !before.includes(pid))) return true;
          if (now() - sentAt > 10_000) {
            child.kill(RELOAD[kind]);
            sentAt = now();
          }
          return false;
        });
        return before;
      },
    };
  }
}

// Return how a client sees an abort by the program or the proxy: 'aborted', or 'clean' like an end. Over HTTP/1.1 it
// stays an abort. Towards HTTP/2, HAProxy 2.6 (Debian 12) makes each a clean end, and versions from 3.0.9 and 3.2 on
// (Debian 13 has 3.0.11) make none. Versions between them do so unless it comes within a chunk: 'either'.
function abortComesAs(kind, version) {
  if (kind !== 'haproxy' || version !== 'HTTP/2') return 'aborted';
  const { stdout } = spawnSync(program(kind), ['-v'], { encoding: 'utf8' });
  const [, ...words] = /^HAProxy version (\d+)\.(\d+)[.-](?:dev)?(\d+)/.exec(stdout) ??
    assert.fail(`haproxy -v says no version: ${stdout}`);
  const [major, minor, patch] = words.map(Number);
  if (major < 2 || (major === 2 && minor < 7)) return 'clean';
  return major > 3 || (major === 3 && (minor >= 2 || (minor === 0 && patch >= 9))) ? 'aborted' : 'either';
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

const DATASTAR = { 'datastar-request': 'true' };
const DECODERS = {
  br: () => zlib.createBrotliDecompress({ flush: zlib.constants.BROTLI_OPERATION_FLUSH }),
  gzip: () => zlib.createGunzip({ flush: zlib.constants.Z_SYNC_FLUSH }),
};

// Collect a stream's decoded body, and how it ended.
function follow(body, headers) {
  const decoder = DECODERS[headers['content-encoding']]?.();
  const stream = { headers, text: '', ended: null };
  const over = (how) => (stream.ended ??= how);
  const text = decoder ? body.pipe(decoder) : body;
  text.on('data', (part) => (stream.text += part.toString('utf8')));
  body.on('aborted', () => over('aborted')).on('error', () => over('aborted'));
  // With HTTP/2, Node reports an end also at an abort.
  body.on('end', () => body.rstCode === undefined && over('clean'));
  body.on('close', () => over(body.rstCode === http2.constants.NGHTTP2_NO_ERROR ? 'clean' : 'aborted'));
  if (decoder) decoder.on('error', () => over('aborted'));
  stream.until = (wanted, patience) => until(`"${wanted}" comes`, () => {
    assert.equal(stream.ended, null, `"${wanted}" has not come, but the end`);
    return stream.text.includes(wanted);
  }, patience);
  return stream;
}

// Open a connection with HTTP/2; it ends with its test.
async function connect2(t, proxy) {
  const session = http2.connect(proxy.url, { ca: proxy.ca });
  session.on('error', () => {});
  t.after(() => session.destroy());
  await once(session, 'remoteSettings');
  const ask = async (headers, body) => {
    const request = session.request(headers, { endStream: !body });
    request.on('error', () => {});
    if (body) request.end(body);
    const [answer] = await once(request, 'response');
    return [request, answer];
  };
  return {
    session,
    async open(headers = {}) {
      const [request, answer] = await ask({ ':path': '/stream', ...DATASTAR, ...headers });
      assert.equal(answer[':status'], 200);
      return Object.assign(follow(request, answer), { request });
    },
    async say(n, where = '/say') {
      const [request, answer] = await ask({ ':path': where, ':method': 'POST', ...DATASTAR }, JSON.stringify({ n }));
      request.resume();
      assert.equal(answer[':status'], 204);
    },
  };
}

// Repeat requests that the old workers of a proxy reject while new ones replace them.
async function persist(attempt) {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (tries === 100 || !/REFUSED|GOAWAY|ECONN|socket|closed|destroyed/i.test(`${error.code} ${error.message}`)) throw error;
      await pause();
    }
  }
}

// The same with HTTP/1.1, where each request has a new connection.
function connect1(t, proxy) {
  const ask = (method, where, headers, body) => new Promise((done, failed) => {
    const request = (proxy.url.startsWith('https') ? https : http).request(proxy.url + where, { method, headers: { ...DATASTAR, ...headers }, ca: proxy.ca, agent: false });
    t.after(() => request.destroy());
    request.on('response', (answer) => done([request, answer])).on('error', failed);
    request.end(body);
  });
  return {
    async open(headers = {}) {
      const [request, answer] = await ask('GET', '/stream', headers);
      assert.equal(answer.statusCode, 200);
      if (headers.stalls) return request; // the response is not read
      return Object.assign(follow(answer, answer.headers), { request });
    },
    async say(n, where = '/say') {
      const [, answer] = await ask('POST', where, {}, JSON.stringify({ n }));
      answer.resume();
      assert.equal(answer.statusCode, 204);
    },
  };
}

module.exports = { BEHIND, KINDS, IS_ROOT, now, until, program, folderFor, end, listens, configuration, startProgram, startProxy, abortComesAs, connect1, connect2, persist };
