// SPDX-License-Identifier: MIT
// Features of later clients, and changes in them, with generated pages: the method QUERY (1.0.4), texts that look like
// actions and signals, signals that are set to null, and arrays that shrink.
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
    while (status === 404); // until the page's stream is stored
    assert.equal(status, 204);
  };
  // Return the remaining signals that the server receives with a request, from the response to just this request: the
  // page shows the previous response until the next one arrives.
  const said = async () => {
    const isAnswer = (response) => response.url() === `${server.url}said`;
    const [response] = await Promise.all([one.page.waitForResponse(isAnswer), one.page.click('#say')]);
    const [, patched] = /^data: signals (.*)$/m.exec(await response.text());
    const { list, who } = JSON.parse(JSON.parse(patched).said.signals);
    return { list, who };
  };
  return { ...one, patch, said, problems };
}

if (ADAPTER !== 'civetweb') {
  test('client: QUERY sends the signals in the body', withQuery, async (t) => {
    const { page, shows, problems } = await pageOf(t);
    const [request] = await Promise.all([page.waitForRequest((one) => one.method() === 'QUERY'), page.click('#ask')]);
    assert.equal(new URL(request.url()).search, '');
    await shows('method', 'QUERY');
    assert.deepEqual(JSON.parse(await page.textContent('#answer')), { list: [1, 2, 3], who: { age: 36, name: 'ada' } });
    assert.deepEqual(problems, []);
  });
} else {
  test('client: civetweb rejects QUERY, which the page shows and the log contains', withQuery, async (t) => {
    const { page, until, problems } = await pageOf(t, /civetweb: answered a QUERY request with 501/);
    await page.click('#ask');
    await until(() => document.getElementById('page').dataset.failed === '501');
    assert.deepEqual(problems.filter((text) => !/501/.test(text)), []);
  });
}

test('client: a text that looks like an action or a signal stays a text', async (t) => {
  const { page, shows, problems } = await pageOf(t);
  await page.click('#hostile');
  await shows('text', "@get('/x') $list @post(");
  assert.deepEqual(problems, []);
});

test('client: signals that are patched to null, set to null or cut off are removed, also at the server', async (t) => {
  const { page, patch, said, problems } = await pageOf(t);
  assert.deepEqual(await said(), { list: [1, 2, 3], who: { name: 'ada', age: 36 } });
  await page.evaluate(() => {
    window.told = [];
    document.addEventListener('datastar-signal-patch', ({ detail }) => window.told.push(JSON.stringify(detail)));
  });
  await patch({ who: { name: null }, list: [1, 2] });
  while (JSON.stringify((await said()).list) !== '[1,2]'); // limited by the time limit of the test
  assert.deepEqual(await said(), { list: [1, 2], who: { age: 36 } });
  await page.click('#forget');
  await page.click('#shrink');
  const { list, who } = await said();
  assert.deepEqual(list.filter((one) => one !== null), [1]);
  assert.equal(who?.age ?? null, null);
  if (!isStandin && KNOWS_QUERY) { // since 1.0.4, listeners of changes receive removed signals, too
    const told = (await page.evaluate(() => window.told)).map((one) => JSON.parse(one));
    assert.ok(told.some((one) => one.who && one.who.age === null), 'that it is null');
    assert.ok(told.some((one) => one.list && one.list[1] === null && !('0' in one.list)), 'removed signals');
  }
  assert.deepEqual(problems, []);
});
