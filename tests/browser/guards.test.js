// SPDX-License-Identifier: MIT
// Tab ids, CSRF tokens and actions that run once, in a browser.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const http = require('node:http');
const net = require('node:net');
const { once } = require('node:events');
const { startExample, newSession, send, closeChrome } = require('./harness.js');

after(closeChrome);

// Lines of its log that match `expected` are no error.
async function start(t, expected = undefined) {
  const server = await startExample('test_browser_guards', [], 0, expected);
  t.after(() => server.stop());
  const seen = async () => JSON.parse((await send('GET', `${server.url}seen`)).text);
  return { ...server, seen, session: await newSession(t) };
}

// Return the id for which the page was rendered, the one that it sends, and the one that the server received.
async function tabOf(page) {
  await page.waitForFunction(() => document.querySelector('#seen').textContent.length === 32, null, { polling: 20 });
  const text = (id) => page.textContent(id);
  return { rendered: await text('#rendered'), tab: await text('#tab'), seen: await text('#seen') };
}

const all = (id) => ({ rendered: id, tab: id, seen: id });

// capability: D8
test('tab: the first render knows its id, and so does every request', async (t) => {
  const { url, session } = await start(t);
  const { page } = await session.tab(url);
  const first = await tabOf(page);
  assert.match(first.tab, /^[0-9a-f]{32}$/);
  assert.deepEqual(first, all(first.tab));
  const other = await tabOf((await session.tab(url)).page);
  assert.deepEqual(other, all(other.tab));
  assert.notEqual(other.tab, first.tab);
  assert.deepEqual(session.problems, []);
});

// capability: D8
test('tab: the id survives reloads, links, forms and Back, from the first render on', async (t) => {
  const { url, session } = await start(t);
  const { page } = await session.tab(url);
  const { tab } = await tabOf(page);
  for (let i = 0; i < 3; i++) {
    await page.reload();
    assert.deepEqual(await tabOf(page), all(tab));
  }
  await page.click('#link');
  await page.waitForURL(/more/);
  assert.deepEqual(await tabOf(page), all(tab));
  await page.click('#send');
  await page.waitForURL(url);
  assert.deepEqual(await tabOf(page), all(tab));
  await page.goBack();
  assert.equal((await tabOf(page)).seen, tab);
  await page.goto('about:blank');
  await page.goto(url);
  assert.equal((await tabOf(page)).seen, tab);
  assert.deepEqual(session.problems.filter((text) => !/ERR_/.test(text)), []);
});

test('tab: without a beforeunload event, the stream still has the id', async (t) => {
  const { url, session } = await start(t);
  await session.context.addInitScript(() =>
    window.addEventListener('beforeunload', (event) => event.stopImmediatePropagation(), true));
  const { page } = await session.tab(url);
  const { tab } = await tabOf(page);
  await page.reload();
  const again = await tabOf(page);
  assert.equal(again.tab, tab);
  assert.equal(again.seen, tab);
  assert.notEqual(again.rendered, tab);
});

// capability: D8
test('tab: a duplicate has another id, and both keep theirs', async (t) => {
  const { url, session } = await start(t);
  const { page } = await session.tab(url);
  const { tab } = await tabOf(page);
  await page.reload(); // it has found its id in the storage
  await tabOf(page);
  const opens = session.context.waitForEvent('page');
  await page.evaluate(() => {
    sessionStorage.setItem('copied', 'yes');
    window.open(location.href);
  });
  const copy = await opens;
  assert.equal(await copy.evaluate(() => sessionStorage.getItem('copied')), 'yes'); // like the browser's own command
  const second = await tabOf(copy);
  assert.deepEqual(second, all(second.tab));
  assert.notEqual(second.tab, tab);
  for (let i = 0; i < 2; i++) {
    await Promise.all([page.reload(), copy.reload()]); // at the same moment
    const [one, two] = [await tabOf(page), await tabOf(copy)];
    assert.deepEqual([one.tab, one.seen, two.tab, two.seen], [tab, tab, second.tab, second.tab]);
  }
});

test('tab: the id of a closed tab is never given to another tab', async (t) => {
  const { url, session } = await start(t);
  const { page } = await session.tab(url);
  const { tab } = await tabOf(page);
  await page.close({ runBeforeUnload: true }); // its cookie still exists
  const next = await tabOf((await session.tab(url)).page);
  assert.notEqual(next.tab, tab);
  assert.equal(next.seen, next.tab);
});

test('tab: the id is in the storage only while no page is shown', async (t) => {
  const { url, session } = await start(t);
  const { page } = await session.tab(url);
  const { tab } = await tabOf(page);
  const stored = (target, type, persisted) => page.evaluate(([target, type, persisted]) => {
    if (type) globalThis[target].dispatchEvent(Object.assign(new Event(type), { persisted }));
    return sessionStorage.getItem('vestry-tab');
  }, [target, type, persisted]);
  assert.equal(await stored(), null);
  for (const [target, goes, comes] of [['document', 'freeze', 'resume'], ['window', 'pagehide', 'pageshow']]) {
    assert.match(await stored(target, goes), new RegExp(`^[0-9a-f]{8}\\.${tab}`));
    assert.equal(await stored(target, comes, true), null);
  }
  assert.equal((await tabOf(page)).tab, tab);
});

test('csrf: actions of the client have the token; requests without it are rejected', async (t) => {
  const { url, seen, session } = await start(t, /^vestry: warning: csrf: POST \/act: there is no token/);
  const asked = [];
  session.context.on('request', (request) => asked.push(request.url()));
  const { page, until } = await session.tab(url);
  await tabOf(page);
  const answer = page.waitForResponse(/act$/);
  await page.click('#act');
  assert.equal((await answer).status(), 204);
  assert.equal((await seen()).acts, 1);
  await page.click('#bare');
  await until(() => document.querySelector('#failed').textContent === '403');
  assert.equal((await seen()).acts, 1);
  await page.click('#send'); // a plain form
  await page.waitForURL(url);
  assert.equal((await seen()).forms, 1);
  // addresses contain no secret
  assert.match(asked.join(), /tabId/);
  assert.doesNotMatch(asked.join(), /csrf|once/);
});

// capability: D11
test('csrf: a forged form of another port is rejected, even with the token', async (t) => {
  const { url, seen, session } = await start(t, /^vestry: warning: csrf: POST /);
  const { page } = await session.tab(url);
  await tabOf(page);
  const token = await page.inputValue('input[name=csrf]');
  const evil = http.createServer((req, res) => {
    res.setHeader('Content-Type', 'text/html');
    res.end(`<form method="post" action="${url}form"><input name="csrf" value="${token}"><button>Win</button></form>`);
  });
  await once(evil.listen(0, '127.0.0.1'), 'listening');
  t.after(() => evil.close());
  const there = await session.tab(`http://127.0.0.1:${evil.address().port}/`);
  const answers = there.page.waitForResponse(/form$/);
  await there.page.click('button');
  const answer = await answers;
  assert.match((await answer.request().allHeaders()).cookie, /session=/); // it is the same site, so it has the cookie
  assert.equal(answer.status(), 403);
  assert.match(await there.page.textContent('body'), /a page of another site/);
  assert.deepEqual(await seen(), { acts: 0, forms: 0, bids: 0, site: 'same-site' });
  const sent = await there.page.evaluate((to) =>
    fetch(to, { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'x' }).then(() => 'sent'), `${url}act`);
  assert.equal(sent, 'sent');
  assert.equal((await seen()).acts, 0);
});

// A proxy that cuts the given number of responses to POST requests, whose actions have run by then.
async function cutter(t, port) {
  const proxy = { cuts: 0, posts: 0 };
  const sockets = new Set();
  const server = net.createServer((client) => {
    const upstream = net.connect(port, '127.0.0.1');
    let isPost = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => (client.destroy(), upstream.destroy()));
    }
    client.on('data', (data) => {
      if (/^[A-Z]+ \//.test(data.toString('latin1', 0, 10))) isPost = data.toString('latin1', 0, 5) === 'POST ';
      if (isPost && /^POST /.test(data.toString('latin1', 0, 5))) proxy.posts++;
      upstream.write(data);
    });
    upstream.on('data', (data) => {
      if (isPost && proxy.cuts > 0) {
        proxy.cuts--;
        client.resetAndDestroy();
      } else {
        client.write(data);
      }
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return Object.assign(proxy, { url: `http://127.0.0.1:${server.address().port}/` });
}

// capability: D18
test('once: if a response is cut after the action, the request is repeated, and the action runs once', async (t) => {
  const { port, seen, session } = await start(t);
  const proxy = await cutter(t, port);
  const { page } = await session.tab(proxy.url);
  await tabOf(page);
  for (let round = 1; round <= 3; round++) {
    proxy.cuts = 2;
    const before = proxy.posts;
    const answer = page.waitForResponse((response) => /act$/.test(response.url()) && response.status() === 204);
    await page.click('#act');
    await answer;
    assert.equal(proxy.cuts, 0);
    assert.ok(proxy.posts >= before + 3); // the client (or Chromium itself) has repeated it,
    assert.equal((await seen()).acts, round); // and the action ran once; the next click is another action
  }
});

test('once: a form that is submitted twice runs once', async (t) => {
  const { url, seen, session } = await start(t);
  const { page } = await session.tab(url);
  await tabOf(page);
  const [nonce, token] = [await page.inputValue('input[name=once]'), await page.inputValue('input[name=csrf]')];
  const post = (text) => page.evaluate(([once, csrf, text]) =>
    fetch('/form', { method: 'POST', redirect: 'manual', body: new URLSearchParams({ once, csrf, text }) })
      .then((answer) => answer.status || answer.type), [nonce, token, text]);
  assert.deepEqual(await Promise.all([post('a'), post('a'), post('a')]), Array(3).fill('opaqueredirect'));
  assert.equal((await seen()).forms, 1);
  assert.equal(await post('b'), 409); // the same form with other values
  const answer = page.waitForResponse(/form$/);
  await page.click('#send'); // by hand, from the same page
  assert.equal((await answer).status(), 409);
  assert.equal((await seen()).forms, 1);
  await page.goto(url);
  await page.click('#send');
  await page.waitForURL(url);
  assert.equal((await seen()).forms, 2);
});
