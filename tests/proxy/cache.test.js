// SPDX-License-Identifier: MIT
// A careless cache in front: no private page, and no cookie, reaches another user.
'use strict';
const { test } = require('node:test');
const assert = require('node:assert/strict');
const http = require('node:http');
const { startProgram, startProxy } = require('./proxies.js');

const CACHE = 'proxy_cache_valid 200 1m; proxy_ignore_headers Vary; add_header X-Cache $upstream_cache_status always;';

function ask(proxy, method, path, cookie) {
  return new Promise((done, failed) => {
    const headers = cookie ? { cookie } : {};
    http.request(proxy.url + path, { method, headers, agent: false }, async (answer) => {
      let text = '';
      for await (const part of answer.setEncoding('utf8')) text += part;
      done({ status: answer.statusCode, text, set: answer.headers['set-cookie'] ?? [], cached: answer.headers['x-cache'] });
    }).on('error', failed).end();
  });
}

const cookieOf = (answer) => answer.set.map((set) => set.split(';')[0]).join('; ');

for (const adapter of ['microhttpd', 'civetweb']) {
  test(`d3: nginx caches no private page: ${adapter}`, async (t) => {
    const server = await startProgram(t, 'tcp', { adapter, env: { SESSIONS: '1' } });
    const proxy = await startProxy(t, 'nginx', server.upstream, { plain: true, cache: CACHE });
    const people = {};
    for (const user of ['ada', 'bob']) {
      const answer = await ask(proxy, 'POST', `/login?user=${user}`);
      assert.equal(answer.status, 204);
      people[user] = `${cookieOf(answer)}; whose=${user}`;
    }
    for (const path of ['/who', '/token', '/tab', '/nonce', '/cookie']) {
      const texts = [];
      for (const cookie of [people.ada, people.bob, undefined, people.ada]) {
        const answer = await ask(proxy, 'GET', path, cookie);
        assert.equal(answer.status, 200);
        assert.notEqual(answer.cached, 'HIT', path);
        texts.push(answer.text);
      }
      assert.equal(new Set(texts).size, path === '/token' ? 3 : 4, `${path}: ${texts}`); // one token a session
    }
    for (const [user, cookie] of Object.entries(people)) {
      assert.match((await ask(proxy, 'GET', '/who', cookie)).text, new RegExp(`^<p>${user} `));
    }
    // Public content is cached for all users, even if an anonymous user, who would get a cookie from other pages,
    // requested it first.
    for (const path of ['/public', '/files/public.html']) {
      const first = await ask(proxy, 'GET', path);
      assert.deepEqual(first.set, [], path);
      for (const cookie of [undefined, people.ada, people.bob]) {
        const answer = await ask(proxy, 'GET', path, cookie);
        assert.equal(answer.cached, 'HIT', path);
        assert.equal(answer.text, first.text);
        assert.deepEqual(answer.set, []);
      }
    }
  });
}
