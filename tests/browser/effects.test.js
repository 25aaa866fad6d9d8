// SPDX-License-Identifier: MIT
// C3: the actions of effects in a page in Chromium, with texts that stay texts. All effects work under a strict policy,
// too; prefetch and scripts, which are script elements, only with a client that gives them the document's nonce.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const readline = require('node:readline');
const { newSession, clientKnowsNonces, versionOptions, closeChrome } = require('./harness.js');

after(closeChrome);

const EFFECTS = process.env.EFFECTS ?? path.join(__dirname, '../../build/bin/test_browser_effects');
// Text that could end a literal, a line, a script element or a document.
const HOSTILE = '"\'`\\${alert(1)}</script><script>alert(1)</script><!--\u2028\u2029\r\n\n\nevent: x\ndata: y\u0000ü€😀</body>';

// Start a separate server, and open a page with its stream.
async function open(t, where = '') {
  const child = spawn(EFFECTS, await versionOptions(), { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  t.after(async () => {
    child.stdin.end();
    assert.deepEqual(await exited, [0, null]);
  });
  const [line] = await once(readline.createInterface({ input: child.stdout }), 'line');
  const url = /^effects: (http:\/\/127\.0\.0\.1:\d+)$/.exec(line)[1];
  const session = await newSession(t);
  const said = [];
  session.context.on('console', (message) => said.push([message.type(), message.text()]));
  const { page, until } = await session.tab(`${url}/${where}`);
  const put = (effects) => fetch(`${url}/do`, { method: 'PUT', body: JSON.stringify(effects) });
  const perform = async (...effects) => {
    const { status } = await put(effects);
    assert.equal(status, 204);
  };
  while ((await put([['patch-signals', {}]])).status === 404) await page.waitForTimeout(20); // until its stream is stored
  const violations = () => page.evaluate(() => window.violations);
  return { url, here: `${url}/${where}`, page, until, perform, put, said, violations, problems: session.problems };
}

const testUnder = (name, run) => {
  test(name, (t) => run(t, ''));
  test(`${name}, under a strict policy`, (t) => run(t, 'strict'));
};

// capability: C3
testUnder('c3: custom events arrive unchanged', async (t, where) => {
  const { page, until, perform, violations, problems } = await open(t, where);
  const detail = { text: HOSTILE, n: [1, null, 0.5], __proto__: null, ['__proto__']: { polluted: true } };
  await perform(
    ['dispatch-event', 'saved', detail],
    ['dispatch-event', 'a"b', 7, { selector: 'li', bubbles: true, cancelable: false, composed: false }],
    ['dispatch-event', 'saved', 'none', { selector: '#two', bubbles: false }],
    ['dispatch-event', 'saved'],
  );
  await until(() => window.got.length === 4);
  const got = await page.evaluate(() => JSON.stringify(window.got));
  assert.deepEqual(JSON.parse(got), JSON.parse(JSON.stringify([
    ['saved', 'document', detail, true, true, true],
    ['a"b', 'one', 7, true, false, false],
    ['a"b', 'two', 7, true, false, false],
    ['saved', 'document', null, true, true, true],
  ])));
  // a member __proto__ is an own member, not the prototype
  assert.equal(await page.evaluate(() => Object.hasOwn(window.got[0][2], '__proto__') && !window.got[0][2].polluted), true);
  assert.equal(await page.evaluate(() => document.querySelectorAll('body > script, body > i').length), 0); // they have removed themselves
  assert.deepEqual(await violations(), []);
  assert.deepEqual(problems, []);
});

// capability: C3
testUnder('c3: console output is unchanged', async (t, where) => {
  const { until, perform, said, violations, problems } = await open(t, where);
  await perform(['console-log', HOSTILE], ['console-error', HOSTILE], ['dispatch-event', 'saved']);
  await until(() => window.got.length === 1);
  assert.deepEqual(said, [['log', HOSTILE], ['error', HOSTILE]]);
  assert.deepEqual(problems, [HOSTILE]); // only the error
  assert.deepEqual(await violations(), []);
});

// capability: C3
testUnder('c3: the address is replaced, and its state is kept', async (t, where) => {
  const { url, page, until, perform, violations, problems } = await open(t, where);
  await page.evaluate(() => history.replaceState({ kept: 1 }, ''));
  await perform(['replace-url', '/?a="\'</script>&b=ü#c']);
  await until(() => location.hash === '#c');
  assert.equal(page.url(), `${url}/?a=%22%27%3C/script%3E&b=%C3%BC#c`);
  assert.deepEqual(await page.evaluate(() => history.state), { kept: 1 });
  assert.deepEqual(await violations(), []);
  assert.deepEqual(problems, []);
});

// capability: C3
testUnder('c3: a redirect leaves the page, with a history entry; an address that is a program is rejected', async (t, where) => {
  const { url, here, page, until, perform, put, problems } = await open(t, where);
  for (const program of ['javascript:got.push(1)', ' JAVASCRIPT:got.push(1)', 'java\nscript:got.push(1)'])
    assert.equal((await put([['redirect', program]])).status, 500);
  assert.deepEqual(await page.evaluate(() => window.got), []);
  await perform(['patch-elements', '<li id="one">seen</li>'], ['redirect', '/?second'], ['dispatch-event', 'saved']);
  await page.waitForURL(`${url}/?second`);
  await until(() => document.readyState === 'complete');
  await page.goBack();
  assert.equal(page.url(), here);
  assert.deepEqual(problems.filter((text) => !/aborted|ERR_/.test(text)), []);
});

// capability: C3
testUnder('c3: an action whose response is a redirect leaves the page, and reports its end', async (t, where) => {
  const { url, here, page, problems } = await open(t, where);
  const told = [];
  await page.exposeFunction('tell', (what) => told.push(what));
  await page.click('#leave');
  await page.waitForURL(`${url}/?a=%27%22%3C/i%3E%3C/script%3E$b@c(`);
  assert.deepEqual(told.filter((what) => !what.startsWith('datastar-')), ['started', 'finished']);
  await page.goBack();
  assert.equal(page.url(), here);
  assert.deepEqual(problems.filter((text) => !/aborted|ERR_/.test(text)), []);
});

// A script element, to which clients before 1.0.3 give no nonce.
const testScriptsUnder = (name, run) =>
  testUnder(name, async (t, where) =>
    where && !(await clientKnowsNonces()) ? t.skip('this client has no nonces') : run(t, where));

// capability: C3
testScriptsUnder('c3: prefetch is a speculation rule that stays', async (t, where) => {
  const { page, until, perform, violations, problems } = await open(t, where);
  await perform(['prefetch', ['/?next', '/?"</script>']]);
  await until(() => document.querySelector('script[type=speculationrules]'));
  assert.deepEqual(JSON.parse(await page.textContent('script[type=speculationrules]')), {
    prefetch: [{ source: 'list', urls: ['/?next', '/?"</script>'] }],
  });
  assert.equal(await page.evaluate(() => HTMLScriptElement.supports('speculationrules')), true);
  assert.deepEqual(await violations(), []);
  assert.deepEqual(problems, []);
});

testScriptsUnder('c3: a script runs', async (t, where) => {
  const { until, perform, violations, problems } = await open(t, where);
  await perform(['execute-script', 'window.got.push("ran")']);
  await until(() => window.got[0] === 'ran');
  assert.deepEqual(await violations(), []);
  assert.deepEqual(problems, []);
});
