// SPDX-License-Identifier: MIT
// The small examples, with requests that their pages do not send.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { exampleFor, closeChrome, send: sendPlain } = require('./harness.js');

after(closeChrome); // the tests read the version of its client

const NAMES = ['edit', 'search', 'progress', 'notices', 'signup'];
const POSTS = { edit: ['PUT', 'card'], progress: ['POST', 'job'], notices: ['POST', 'send'], signup: ['POST', 'signup'] };

for (const name of NAMES) {
  test(`${name}: hostile requests are rejected, and the example continues`, async (t) => {
    const { url, send } = await exampleFor(t, name);
    const page = async () => (await sendPlain('GET', url)).text.replace(/nonce="[^"]*"|'[0-9a-f]{64}'/g, ''); // nonces and tab ids differ in each response
    const before = await page();
    const large = 'x'.repeat(1 << 20);
    const bodies = ['{', '[]', `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`];
    const values = [null, 7, true, [], {}, 'x'.repeat(500), 1e300];
    const fields = ['name', 'email', 'seats', 'user', 'to', 'text', 'errors'];
    // The last two become U+FFFD (vestry/signals.h).
    const types = [...values.map((value) => JSON.stringify(Object.fromEntries(fields.map((field) => [field, value])))),
      '{"name":"\\u0000"}', '{"name":"\\ud800"}'];
    if (POSTS[name]) {
      const [method, where] = POSTS[name];
      assert.ok([413, 0].includes((await send(method, where, `{"name":"${large}"}`)).status));
      for (const body of bodies) {
        const { status } = await send(method, where, body);
        assert.ok(status === 400 || status === 413, `${body.slice(0, 20)}: ${status}`);
      }
      for (const body of types) {
        const answer = await send(method, where, body);
        assert.ok(answer.status === 200 || answer.status === 204, `${body.slice(0, 20)}: ${answer.status}`);
      }
    } else {
      assert.equal((await send('GET', '?datastar=%7B')).status, 400);
      for (const query of ['%00', '%ff', '%ed%a0%80', '%', '%zz', 'a&query=b', '%26%3Cb%3E', '+'.repeat(500)]) {
        const { status, text } = await sendPlain('GET', `${url}?query=${query}`);
        assert.ok(status === 400 || (status === 200 && !text.includes('<b>')), `${query}: ${status}`);
      }
    }
    assert.equal((await sendPlain('GET', `${url}?query=${'%3C'.repeat(300)}&user=${'%3C'.repeat(300)}`)).status, 200);
    if (name !== 'edit') assert.equal(await page(), before); // if edit accepted a name, its card has changed
    assert.equal((await sendPlain('GET', `${url}nothing`)).status, 404);
    assert.match((await sendPlain('GET', url)).headers['content-security-policy'], /default-src 'none'/);
  });
}
