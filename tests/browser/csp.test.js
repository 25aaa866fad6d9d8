// SPDX-License-Identifier: MIT
// Every example under its policy, with any client: no page violates its policy, and with a client that compiles by a
// nonce, no policy permits strings or inline scripts as code. The examples are those of the folder.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { EXAMPLES, startOwn } = require('./examples.js');
const { clientKnowsNonces, newSession, closeChrome } = require('./harness.js');

const MOST = 100; // maximum visits of a page: more mean that the test would not end

after(closeChrome);

// Open a browser that records each page's policy and its violations.
async function browserOf(t) {
  const session = await newSession(t);
  const refused = [], documents = [], pressed = [];
  await session.context.exposeFunction('pressing', (what) => void pressed.push(what));
  await session.context.exposeFunction('refusedByPolicy', (what) => refused.push(what));
  await session.context.addInitScript(() =>
    document.addEventListener('securitypolicyviolation', (event) =>
      window.refusedByPolicy(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`)));
  session.context.on('response', (answer) => {
    if (answer.request().isNavigationRequest() && /text\/html/.test(answer.headers()['content-type'] ?? ''))
      documents.push({ url: answer.url(), headers: answer.headers(), text: answer.text().catch(() => '') });
  });
  return { ...session, refused, documents, pressed };
}

// Return the directives of a policy.
const directivesOf = (policy) =>
  Object.fromEntries((policy ?? '').split(';').map((one) => one.trim().split(/\s+/)).map(([name, ...sources]) => [name, sources]));

// A click may navigate while the test waits for the page or reads it: then repeat the work on the new page, a few
// times.
async function wherever(what) {
  for (let times = 1; ; times++) {
    try {
      return await what();
    } catch (error) {
      if (times === 10 || !/navigation|ERR_ABORTED|interrupted/.test(error.message)) throw error;
    }
  }
}

// Wait until the page is complete: responses have arrived, and their code has run.
const settled = (page) => wherever(async () => {
  await page.waitForLoadState('load');
  await page.evaluate(() => new Promise((done) => requestIdleCallback(() => setTimeout(done), { timeout: 200 })));
});

// Fill in all fields and press all buttons, like a user who tries everything, except buttons that were pressed before.
// The log-out comes last. A page that is left is done.
const tryAll = (page, before, most) => page.evaluate(async ([known, most]) => {
  const pause = () => new Promise((done) => setTimeout(done));
  const where = location.href;
  for (const field of document.querySelectorAll('input:not([type=hidden]):not([type=checkbox]):not([type=radio]):not([type=file]), textarea')) {
    if (!field.checkVisibility()) continue;
    field.value = field.type === 'number' ? '1' : field.type === 'email' ? 'ada@example.org' : 'ada';
    for (const type of ['input', 'change', 'blur']) field.dispatchEvent(new Event(type, { bubbles: true }));
    await pause();
  }
  // Two buttons whose actions differ only in a number have the same code.
  const look = (button) => [button, button.form].flatMap((one) => [...(one?.attributes ?? [])])
    .filter(({ name }) => name.startsWith('data-on')).map(({ name, value }) => `${name}=${value}`)
    .concat(button.textContent.trim()).join(' ').replace(/[0-9a-f_]*\d[0-9a-f_]*/g, '#');
  const fresh = (pressed) => [...document.querySelectorAll('button')]
    .filter((one) => one.checkVisibility() && !pressed.has(look(one)))
    .sort((a, b) => /log ?out/i.test(look(a)) - /log ?out/i.test(look(b)));
  // Wait until all requests of the clicks were answered.
  let started = 0, finished = 0;
  document.addEventListener('datastar-fetch', ({ detail: { type, el } }) => {
    if (!el.matches('button, form')) return;
    started += type === 'started';
    finished += type === 'finished';
  });
  const answered = async () => {
    for (const since = Date.now(); started > finished && Date.now() - since < 1000; ) await pause();
    await new Promise((done) => requestIdleCallback(() => setTimeout(done), { timeout: 200 }));
  };
  const pressed = new Set(known);
  for (let times = 0; times < most && location.href === where; times++) {
    const [button] = fresh(pressed); // including buttons that appeared by a click
    if (!button) return;
    pressed.add(look(button));
    await window.pressing(look(button));
    button.click();
    await answered();
  }
}, [before, most]).catch((error) => assert.match(error.message, /navigation/)); // the page was left

// Visit every page that a link leads to, but only two of the pages that differ in a number; and press every button of
// each. A page that a button has left is visited again. If a page leads elsewhere, for example to a login, press the
// first button there, and request the page again.
async function tryEverywhere(page, start, pressed) {
  const shape = (url) => url.replace(start, '').replace(/\d+/g, '#');
  const waiting = [start], times = new Map();
  let buttons = 0;
  for (const url of waiting) {
    const done = [];
    for (let visits = 1, isDone = false; !isDone; visits++) {
      assert.ok(visits <= MOST, `${url}: a button more each time`);
      // There is no response if the page was navigating there by itself.
      const answer = await wherever(async () => (await page.goto(url)) ?? page.reload());
      await settled(page);
      const isIt = !answer.request().redirectedFrom();
      await (isIt ? tryAll(page, done, MOST) : tryAll(page, [], 1));
      await settled(page);
      const now = pressed.splice(0);
      if (isIt) done.push(...now);
      isDone = isIt && !now.length;
      buttons += now.length;
      for (const link of await wherever(() => page.$$eval('a[href]:not([download])', (all) => all.map((a) => a.href.replace(/#.*/, ''))))) {
        const count = times.get(shape(link)) ?? 0;
        if (!link.startsWith(start) || waiting.includes(link) || count === 2) continue;
        times.set(shape(link), count + 1);
        waiting.push(link);
      }
    }
  }
  return `${waiting.length} pages, ${buttons} buttons`;
}

for (const name of EXAMPLES) {
  // capability: L11
  test(`csp: ${name} keeps to its policy`, async (t) => {
    const isStrict = await clientKnowsNonces();
    const example = await startOwn(t, name);
    const { tab, problems, refused, documents, pressed } = await browserOf(t);
    const { page } = await tab(example.url);
    t.diagnostic(await tryEverywhere(page, example.url, pressed));
    const own = documents.filter(({ headers }) => headers['content-security-policy']);
    assert.ok(own.length, 'a document with a policy');
    assert.deepEqual(documents.filter((one) => !own.includes(one)).map(({ url }) => url), []);
    const nonces = new Set();
    for (const { url, headers, text } of own) {
      const policy = headers['content-security-policy'], said = directivesOf(policy);
      const [, nonce] = /'nonce-([0-9a-f]{32})'/.exec(said['script-src'].join(' ')) ?? [];
      assert.deepEqual(said['default-src'], ["'none'"], url);
      assert.deepEqual(said['base-uri'], ["'none'"], url);
      assert.deepEqual(said['frame-ancestors'], ["'none'"], url);
      assert.equal(headers['x-content-type-options'], 'nosniff', url);
      if (!isStrict) continue;
      assert.doesNotMatch(policy, /unsafe/, url);
      assert.deepEqual(said['require-trusted-types-for'], ["'script'"], url);
      assert.deepEqual(said['trusted-types'], ['datastar'], url);
      assert.ok(nonce && !nonces.has(nonce), `${url}: a nonce of its own`);
      nonces.add(nonce);
      const html = await text; // lost with a page that was left at once
      if (html) assert.match(html, new RegExp(`<html[^>]* data-nonce="${nonce}"`), url);
      assert.match(headers['cache-control'], /no-store/, url);
    }
    assert.deepEqual(refused, []);
    assert.deepEqual(problems.filter((text) => !/Failed to load resource|ERR_/.test(text)), []);
    // The test detects violations: this page's policy rejects an attribute with code, and a string as code.
    await settled(page);
    const thrown = await page.evaluate(() => {
      try {
        document.body.setAttribute('onclick', '1');
        document.createElement('p').innerHTML = '<b>';
      } catch (error) {
        return error.name;
      }
      return '';
    });
    if (isStrict && own.some(({ url }) => url === page.url())) {
      assert.equal(thrown, 'TypeError');
      await settled(page);
      assert.ok(refused.length, 'violations are recorded');
    }
  });
}
