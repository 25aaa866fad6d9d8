// SPDX-License-Identifier: MIT
// What later clients can do, and what changed in them, with pages of the library's making: the method QUERY (1.0.4),
// texts that look like actions and signals, signals that are set to null, and arrays that shrink.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const { ADAPTER, CLIENT, newSession, send, startExample, closeChrome } = require('./harness.js');

after(closeChrome);

const isStandin = CLIENT.endsWith('standin.js');
const KNOWS_QUERY = /['"`]QUERY['"`]/.test(fs.readFileSync(CLIENT, 'utf8'));
const withQuery = { skip: KNOWS_QUERY ? false : 'this client has no @query' };

async function pageOf(t, expected) {
  const server = await startExample('test_browser_client', [], 0, expected);
  t.after(() => server.stop());
  const { tab, problems } = await newSession(t);
  const one = await tab(server.url);
  const patch = async (signals) => {
    let status;
    do status = (await send('POST', `${server.url}patch`, JSON.stringify(signals))).status;
    while (status === 404); // until the page's stream is kept
    assert.equal(status, 204);
  };
  // What the server is told of the signals that are left, as it answers just this request: the page shows the last
  // answer, and goes on showing it until the next has come.
  const said = async () => {
    const isAnswer = (response) => response.url() === `${server.url}said`;
    const [response] = await Promise.all([one.page.waitForResponse(isAnswer), one.page.click('#say')]);
    const [, patched] = /^data: signals (.*)$/m.exec(await response.text());
    const { list, who } = JSON.parse(JSON.parse(patched).said.signals);
    return { list, who };
  };
  return { ...one, patch, said, problems };
}

if (ADAPTER === 'microhttpd') {
  test('client: QUERY has its signals in the body', withQuery, async (t) => {
    const { page, shows, problems } = await pageOf(t);
    const [request] = await Promise.all([page.waitForRequest((one) => one.method() === 'QUERY'), page.click('#ask')]);
    assert.equal(new URL(request.url()).search, '');
    await shows('method', 'QUERY');
    assert.deepEqual(JSON.parse(await page.textContent('#answer')), { list: [1, 2, 3], who: { age: 36, name: 'ada' } });
    assert.deepEqual(problems, []);
  });
} else {
  test('client: QUERY is refused by civetweb, which the page is told and the log has', withQuery, async (t) => {
    const { page, until, problems } = await pageOf(t, /civetweb: a request with the method QUERY was answered 501/);
    await page.click('#ask');
    await until(() => document.getElementById('page').dataset.failed === '501');
    assert.deepEqual(problems.filter((text) => !/501/.test(text)), []);
  });
}

test('client: a text is no action and no signal, whatever it looks like', async (t) => {
  const { page, shows, problems } = await pageOf(t);
  await page.click('#hostile');
  await shows('text', "@get('/x') $list @post(");
  assert.deepEqual(problems, []);
});

test('client: what is patched to null, set to null and cut off is gone, and the server is told so', async (t) => {
  const { page, patch, said, problems } = await pageOf(t);
  assert.deepEqual(await said(), { list: [1, 2, 3], who: { name: 'ada', age: 36 } });
  await page.evaluate(() => {
    window.told = [];
    document.addEventListener('datastar-signal-patch', ({ detail }) => window.told.push(JSON.stringify(detail)));
  });
  await patch({ who: { name: null }, list: [1, 2] });
  while (JSON.stringify((await said()).list) !== '[1,2]'); // bounded by the test's own time
  assert.deepEqual(await said(), { list: [1, 2], who: { age: 36 } });
  await page.click('#forget');
  await page.click('#shrink');
  const { list, who } = await said();
  assert.deepEqual(list.filter((one) => one !== null), [1]);
  assert.equal(who?.age ?? null, null);
  if (!isStandin && KNOWS_QUERY) { // since 1.0.4 who hears of changes is told what is gone, too
    const told = (await page.evaluate(() => window.told)).map((one) => JSON.parse(one));
    assert.ok(told.some((one) => one.who && one.who.age === null), 'that it is null');
    assert.ok(told.some((one) => one.list && one.list[1] === null && !('0' in one.list)), 'which are gone');
  }
  assert.deepEqual(problems, []);
});
