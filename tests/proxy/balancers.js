// SPDX-License-Identifier: MIT
// Balancers in front of two nodes, with the configurations of examples/proxy and with the shortest ones.
'use strict';
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { reservePort } = require('../support/port.js');
const { IS_ROOT, configuration, end, folderFor, listens, program, until } = require('./proxies.js');

const PAGE_HEARTBEAT_MS = 15_000;

const server = (port) => `127.0.0.1:${port}`;
// The third machine of the examples is left out.
const nginx = (folder, text) => {
  const inside = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${folder}/${of};`);
  const file = path.join(folder, 'nginx.conf');
  fs.writeFileSync(file, text.replace('http {', () => `http {\n  access_log off; ${inside.join(' ')}`));
  const user = IS_ROOT ? 'user root; ' : '';
  return ['nginx', '-p', folder, '-e', `${folder}/error.log`, '-c', file,
    '-g', `daemon off; pid ${folder}/pid; error_log ${folder}/error.log; ${user}`];
};
const written = (folder, name, text) => {
  const file = path.join(folder, name);
  fs.writeFileSync(file, text);
  return file;
};
const haproxy = (folder, text) => ['haproxy', '-W', '-db', '-f', written(folder, 'haproxy.cfg', text)];
const caddy = (folder, text) => ['caddy', 'run', '--config', written(folder, 'Caddyfile', text)];
const lighttpd = (folder, text) => ['lighttpd', '-D', '-f', written(folder, 'lighttpd.conf', text)];

const OURS = {
  nginx: (folder, port, [a, b], readS) => nginx(folder, configuration('cluster-nginx.conf', [
    ['worker_processes auto', 'worker_processes 2'],
    ['worker_rlimit_nofile 65536', 'worker_rlimit_nofile 1024'],
    ['worker_connections 32768', 'worker_connections 1000'],
    ['listen 443 ssl http2', `listen 127.0.0.1:${port}`],
    ['proxy_read_timeout 20s', `proxy_read_timeout ${readS}s`],
    ['    ssl_certificate /etc/ssl/web.pem;\n', ''],
    ['    ssl_certificate_key /etc/ssl/web.pem;\n', ''],
    ['10.0.0.1:8080', server(a)], ['10.0.0.2:8080', server(b)], [/ *server 10\.0\.0\.3:8080.*\n/, ''],
  ])),
  haproxy: (folder, port, [a, b], readS) => haproxy(folder, configuration('cluster-haproxy.cfg', [
    ['maxconn 40000', 'maxconn 1000'],
    [/bind .*/, `bind 127.0.0.1:${port}`],
    ['10.0.0.1:8080', server(a)], ['10.0.0.2:8080', server(b)], [/ *server web-3 .*\n/, ''],
  ])),
  caddy: (folder, port, [a, b], readS) => caddy(folder, configuration('cluster-Caddyfile', [
    ['\tgrace_period', '\tadmin off\n\tgrace_period'],
    ['example.com', `http://127.0.0.1:${port}`],
    ['10.0.0.1:8080', server(a)], ['10.0.0.2:8080', server(b)], [' 10.0.0.3:8080', ''],
  ])),
  lighttpd: (folder, port, [a, b], readS) => lighttpd(folder, configuration('cluster-lighttpd.conf', [
    ['server.document-root = "/var/www/html"', `server.document-root = "${folder}"\nserver.bind = "127.0.0.1"`],
    [/server\.port = .*/, `server.port = ${port}`],
    [/\$SERVER\["socket"\] == ":443" {[^}]*}\n/, ''],
    ['"read-timeout" => 20', `"read-timeout" => ${readS}`],
    ['"port" => 8080, ', ''],
    ['("host" => "10.0.0.1")', `("host" => "127.0.0.1", "port" => ${a})`],
    ['("host" => "10.0.0.2")', `("host" => "127.0.0.1", "port" => ${b})`],
    [/,\n *\("host" => "10\.0\.0\.3".*/, ''],
  ])),
};
const SHORTEST = {
  nginx: (folder, port, [a, b]) => nginx(folder, `events {}\nhttp {
  upstream program { server ${server(a)}; server ${server(b)}; }
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://program; } }
}\n`),
  haproxy: (folder, port, [a, b]) => haproxy(folder, `defaults
  mode http
  timeout connect 5s
  timeout client 50s
  timeout server 50s
frontend web
  bind 127.0.0.1:${port}
  default_backend program
backend program
  server a ${server(a)}
  server b ${server(b)}\n`),
  caddy: (folder, port, [a, b]) => caddy(folder,
    `{\n\tadmin off\n}\nhttp://127.0.0.1:${port} {\n\treverse_proxy ${server(a)} ${server(b)}\n}\n`),
  lighttpd: (folder, port, [a, b]) => lighttpd(folder, `server.document-root = "${folder}"
server.bind = "127.0.0.1"\nserver.port = ${port}
server.modules = ("mod_proxy")
proxy.server = ("" => (("host" => "127.0.0.1", "port" => ${a}), ("host" => "127.0.0.1", "port" => ${b})))\n`),
};

// Start a balancer by a member of OURS or SHORTEST; return its port. The times of OURS suit the heartbeats.
async function startBalancer(t, make, ports, heartbeatMs = PAGE_HEARTBEAT_MS) {
  const port = await reservePort(), folder = folderFor(t);
  const [name, ...options] = make(folder, port, ports, Math.ceil(heartbeatMs * 20 / PAGE_HEARTBEAT_MS));
  const child = spawn(program(name), options,
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder } }); // of caddy
  let complaints = '', isRunning = true;
  child.stderr.setEncoding('utf8').on('data', (part) => (complaints += part));
  const exited = once(child, 'exit').finally(() => (isRunning = false));
  t.after(() => isRunning && end(child, exited));
  await until(`${name} listens`, () => {
    assert.ok(isRunning, `${name} does not start: ${complaints}`);
    return listens('127.0.0.1', port);
  });
  return port;
}

module.exports = { OURS, SHORTEST, startBalancer };
