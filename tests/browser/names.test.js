// SPDX-License-Identifier: MIT
// Names in paths, as Chromium sends them: encoded by a script with encodeURIComponent, encoded by the browser in the
// address of a link, and names that stay encoded.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { startExample, newSession, closeChrome } = require('./harness.js');

after(closeChrome);

// All printable ASCII characters, each between letters, and some more.
const visible = Array.from({ length: 0x7e - 0x20 + 1 }, (_, i) => `a${String.fromCharCode(0x20 + i)}b`);
const more = ['ä', '日本語', '\u{1F600}', 'a  b', '100%', '%41', '%2e', '%252F', '"<>^`{|}"', "it's", '...', 'a.b', '~', '+', '&amp;'];

async function start(t) {
  const server = await startExample('test_browser_names');
  t.after(() => server.stop());
  const session = await newSession(t);
  const { page } = await session.tab(server.url);
  return { server, page };
}

// Return the response to each address, requested by the page.
const fetched = (page, addresses) =>
  page.evaluate((list) => Promise.all(list.map(async (address) => {
    const answer = await fetch(address);
    return answer.ok ? answer.text() : answer.status;
  })), addresses);

const isClosed = (name) => /[/\\]/.test(name) || /^\.+$/.test(name); // slashes, and segments that consist of dots

test('names: names encoded by encodeURIComponent are decoded; slashes and dots stay encoded', async (t) => {
  const { page } = await start(t);
  const names = [...visible, ...more];
  const said = await fetched(page, names.map((name) => `/names/${encodeURIComponent(name)}/x`));
  names.forEach((name, i) => assert.equal(said[i], isClosed(name) ? 400 : name, `${JSON.stringify(name)}`));
});

test('names: names encoded by the browser are decoded', async (t) => {
  const { page } = await start(t);
  const names = [...visible, ...more].filter((name) => !/[?#%]/.test(name) && !isClosed(name)); // these end or change a name there
  const said = await fetched(page, names.map((name) => `/names/${name}/x`));
  assert.deepEqual(said, names);
});

test('names: a link leads to its name', async (t) => {
  const { server, page } = await start(t);
  for (const name of ['"<>^`{|}"', 'two words', 'ä', "it's"]) {
    await page.goto(server.url);
    await page.evaluate((to) => {
      const link = document.createElement('a');
      link.href = `/names/${to}/x`;
      link.textContent = 'go';
      document.body.append(link);
    }, name);
    await page.click('a');
    await page.waitForURL(/\/names\//);
    assert.equal(await page.textContent('body'), name);
  }
});
