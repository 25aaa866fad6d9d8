// Every example under its policy, with whatever client there is: no page does what its policy refuses, and with a client
// that compiles by a nonce no policy lets strings or inline scripts be code. The examples are those of the folder.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { COUNTER, clientKnowsNonces, newSession, startExample, closeChrome } = require('./harness.js');

const FOLDER = path.join(__dirname, '../../examples');
const PAGES = 6; // of an example that are looked at, at most

after(closeChrome);

// examples/NAME.c and examples/NAME/NAME.c are programs, as examples/CMakeLists.txt has it.
const EXAMPLES = fs.readdirSync(FOLDER, { withFileTypes: true })
  .filter((entry) => (entry.isDirectory() ? fs.existsSync(path.join(FOLDER, entry.name, `${entry.name}.c`)) : entry.name.endsWith('.c')))
  .map((entry) => path.basename(entry.name, '.c'));

// Started with a database of its own, if it has one. The embedded example is a program with no --help.
async function start(t, name) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `${name}-`));
  const program = path.join(path.dirname(COUNTER), name);
  const help = name === 'embedded' ? '' : spawnSync(program, ['--help'], { encoding: 'utf8' }).stdout;
  const example = await startExample(name, /--db FILE/.test(help) ? ['--db', path.join(folder, 'all.db')] : []);
  t.after(async () => {
    await example.stop();
    fs.rmSync(folder, { recursive: true });
  });
  return example;
}

// A browser that hears what each page's policy refuses, and sees which policy it is.
async function browserOf(t) {
  const session = await newSession(t);
  const refused = [], documents = [];
  await session.context.exposeFunction('refusedByPolicy', (what) => refused.push(what));
  await session.context.addInitScript(() =>
    document.addEventListener('securitypolicyviolation', (event) =>
      window.refusedByPolicy(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`)));
  session.context.on('response', (answer) => {
    if (answer.request().isNavigationRequest() && /text\/html/.test(answer.headers()['content-type'] ?? ''))
      documents.push({ url: answer.url(), headers: answer.headers(), text: answer.text().catch(() => '') });
  });
  return { ...session, refused, documents };
}

// What a policy says, by directive.
const directivesOf = (policy) =>
  Object.fromEntries((policy ?? '').split(';').map((one) => one.trim().split(/\s+/)).map(([name, ...sources]) => [name, sources]));

// What was pressed may lead elsewhere, while it is waited for or asked: then the same is done there, some times.
async function wherever(what) {
  for (let times = 1; ; times++) {
    try {
      return await what();
    } catch (error) {
      if (times === 10 || !/navigation|ERR_ABORTED|interrupted/.test(error.message)) throw error;
    }
  }
}

// It is all there; messages that were on their way have come, and what they had run has run.
const settled = (page) => wherever(async () => {
  await page.waitForLoadState('load');
  await page.evaluate(() => new Promise((done) => requestIdleCallback(() => setTimeout(done), { timeout: 200 })));
});

// Fills in and presses whatever there is, as a visitor would who tries all of it; a page that is left is over.
async function tryAll(page) {
  await page.evaluate(async () => {
    const pause = () => new Promise((done) => setTimeout(done));
    const where = location.href;
    for (const field of document.querySelectorAll('input:not([type=hidden]):not([type=checkbox]):not([type=radio]), textarea')) {
      if (!field.checkVisibility()) continue;
      field.value = field.type === 'number' ? '1' : field.type === 'email' ? 'ada@example.org' : 'ada';
      for (const type of ['input', 'change', 'blur']) field.dispatchEvent(new Event(type, { bubbles: true }));
      await pause();
    }
    for (const button of [...document.querySelectorAll('button')].slice(0, 12)) {
      if (!button.checkVisibility()) continue;
      button.click();
      await pause();
      if (location.href !== where) return;
    }
  }).catch((error) => assert.match(error.message, /navigation/)); // it has left
}

for (const name of EXAMPLES) {
  test(`csp: ${name} keeps to its policy`, async (t) => {
    const isStrict = await clientKnowsNonces();
    const example = await start(t, name);
    const { tab, problems, refused, documents } = await browserOf(t);
    const { page } = await tab(example.url);
    const seen = new Set();
    for (let pages = 0; pages < PAGES; pages++) {
      await settled(page);
      await tryAll(page);
      await settled(page);
      const links = await wherever(() => page.$$eval('a[href]', (all) => all.map((a) => a.href)));
      const next = links.find((url) => url.startsWith(example.url) && !seen.has(url));
      if (!next) break;
      seen.add(next);
      await wherever(() => page.goto(next));
    }
    const own = documents.filter(({ headers }) => headers['content-security-policy']);
    assert.ok(own.length, 'a document with a policy');
    // The embedded example's program has a log-in of its own, which vestry has no part in.
    if (name !== 'embedded') assert.deepEqual(documents.filter((one) => !own.includes(one)).map(({ url }) => url), []);
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
      const html = await text; // gone with a page that was left at once
      if (html) assert.match(html, new RegExp(`<html[^>]* data-nonce="${nonce}"`), url);
      assert.match(headers['cache-control'], /no-store/, url);
    }
    assert.deepEqual(refused, []);
    assert.deepEqual(problems.filter((text) => !/Failed to load resource|ERR_/.test(text)), []);
    // And what it hears is heard: this page's policy refuses an attribute that is code, and a string for one.
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
      assert.ok(refused.length, 'what is refused is heard');
    }
  });
}
