// SPDX-License-Identifier: MIT
// Shared parts of browser tests: a separate counter on a free port, Chromium, and pages that load nothing from other
// sites.
'use strict';
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const assert = require('node:assert/strict');
const { CHROMIUM, FIREFOX, FLAGS, chrome, closeBrowser } = require('./chromium.js');
const { reservePort } = require('../support/port.js');

const COUNTER = process.env.COUNTER ?? path.join(__dirname, '../../build/bin/counter');
const ADAPTER = process.env.COUNTER_ADAPTER ?? 'civetweb';
const CLIENT = process.env.DATASTAR_JS || path.join(__dirname, 'standin.js');
// Its certificate is made at each start, so neither browsers nor this process can trust it.
if (ADAPTER === 'h2') process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
const TIMEOUT_MS = Number(process.env.PATIENCE ?? 180_000);
// Texts that do harm if they are not escaped; each fits into any field of the examples (at least 30 bytes).
const HOSTILE = ['<script>pwned()</script>', '</script><img src=x onerror=p>', `"'><b onclick=pwned()>`,
  "'+pwned()+'", '`${pwned()}`', '&lt;&amp;&#39;', "\\');pwned()//", '@get("/x") $left', '%s%n%d', 'ünï©ødé 😀',
  '../../?a=b&c#d'];
// Tests that do not depend on the browser are skipped in Firefox.
const sameInFirefox = FIREFOX ? 'Chromium has shown it' : false;

// A program that did not end in order may have other processes: they are not waited for at the end of the file.
const running = new Set();
const waitFor = (child, is) => {
  for (const one of [child, child.stdout, child.stderr]) is ? one.ref() : one.unref();
};
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

// All waits are limited by events of the server, never by an estimated duration.
// Lines of its log that match `expected` are not errors. The program is on a separate port, on which it can restart.
async function startExample(name, options = [], port = 0, expected = /^$/) {
  const all = ['--port', String(port || (await reservePort())), '--adapter', ADAPTER, ...(await versionOptions()), ...options];
  const program = path.join(path.dirname(COUNTER), name);
  const child = spawn(program, all, { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  running.add(child);
  child.once('exit', () => running.delete(child));
  let complaints = '';
  child.stderr.on('data', (data) => (complaints += data));
  const lines = readline.createInterface({ input: child.stdout });
  const first = await Promise.race([once(lines, 'line'), exited.then(() => [''])]);
  const url = new RegExp(`^${name}: (https?://127\\.0\\.0\\.1:(\\d+))$`).exec(first[0]);
  if (!url) {
    child.kill('SIGKILL');
    throw new Error(`no ${name} at ${program}: ${first[0]} ${complaints}`);
  }
  let stopped = null;
  return {
    url: `${url[1]}/`,
    port: Number(url[2]),
    stop(by = 'SIGTERM') {
      stopped ??= (async () => {
        waitFor(child, true);
        child.kill(by);
        const [code, signal] = await exited;
        const unexpected = complaints.split('\n').filter((line) => line && !expected.test(line));
        assert.deepEqual({ code, signal, unexpected }, { code: 0, signal: null, unexpected: [] });
      })();
      return stopped;
    },
    signal: (name) => child.kill(name),
    // Without notice to any client.
    async kill() {
      child.kill('SIGKILL');
      stopped = exited;
      await exited;
    },
  };
}

async function startCounter(options = [], port = 0, expected = undefined) {
  const counter = await startExample('counter', options, port, expected);
  return { ...counter, keys: async () => (await fetch(`${counter.url}keys`)).json() };
}

// Send a request on a new connection, so that a broken connection affects no other request. A client that is rejected
// during a large body may see the end of the connection before the response: the status is then 0.
const send = (method, url, body, headers = {}) =>
  new Promise((done) => {
    const request = (url.startsWith('https:') ? https : http).request(url, { method, agent: false, headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (more) => (text += more));
      answer.on('end', () => done({ status: answer.statusCode, headers: answer.headers, text }));
    });
    request.on('error', () => done({ status: 0 }));
    request.end(body);
  });

// Start a small example that ends with its test, and must log no errors; open tabs of it, each in a separate browser.
async function exampleFor(t, name) {
  let example = await startExample(name);
  t.after(() => example.stop());
  return {
    ...example,
    kill: () => example.kill(),
    begin: async () => { example = await startExample(name, [], example.port); },
    // Wait until the page's stream is open, and shows its first event.
    async tab(where = '', options = {}) {
      const session = await newSession(t, options);
      const tab = await session.tab(example.url + where);
      return { ...tab, problems: session.problems };
    },
    send: (method, where, body) => send(method, example.url + where, body, { 'Datastar-Request': 'true' }),
  };
}

// Fill a field beyond its limit, as another page could. maxlength does not apply to values set by scripts, and a morph
// in between does not change this.
const overfill = (field, text) =>
  field.evaluate((el, value) => {
    el.value = value;
    el.dispatchEvent(new Event('input', { bubbles: true }));
  }, text);

// The key that ends a composition of an input method, as reported by browsers, and by Safari.
const COMPOSING = [{ isComposing: true, keyCode: 229 }, { keyCode: 229 }];
const pressComposing = async (field, key) => {
  for (const how of COMPOSING) await field.dispatchEvent('keydown', { key, bubbles: true, cancelable: true, ...how });
};

// For the documentation: PICTURES=folder stores a picture, small and with few colours.
async function picture(page, name) {
  if (process.env.PICTURES) await page.screenshot({ path: path.join(process.env.PICTURES, `${name}.png`) });
}

// The response at the address of the Datastar client. The stand-in repeats requests like current clients, or ('kept')
// like those before 1.0.3; a real client behaves as it does.
const clientWith = (retries) => ({
  body: `globalThis.standinRetries = '${retries}';${fs.readFileSync(CLIENT, 'utf8')}`,
  contentType: 'text/javascript; charset=utf-8',
  headers: { 'Access-Control-Allow-Origin': '*' },
});
const client = clientWith('rebuilt');

// At the end of a file. Node runs no other hook of a test after one that has failed, so a server or a socket may still be
// open, which the process would wait for.
async function closeChrome() {
  running.forEach((child) => waitFor(child, false));
  await closeBrowser();
  for (const handle of process._getActiveHandles()) handle.unref?.();
}

// Return whether the client compiles by a nonce, like those since 1.0.3: it removes the attribute, and others do not.
let knowsNonces = null;
function clientKnowsNonces() {
  knowsNonces ??= (async () => {
    const context = await (await chrome()).newContext();
    await context.route('**', (route) =>
      route.request().url().endsWith('.js')
        ? route.fulfill(client)
        : route.fulfill({ contentType: 'text/html', body: '<!doctype html><html data-nonce="abc"><script type="module" src="c.js"></script>' }));
    const page = await context.newPage();
    await page.goto('https://client.test/', { waitUntil: 'load' }); // modules have run by then
    const knows = await page.evaluate(() => !document.documentElement.hasAttribute('data-nonce'));
    await context.close();
    return knows;
  })();
  return knowsNonces;
}
// For programs whose pages have a policy: the version of the client that they serve.
// It is loaded from the CDN's address, also if the programs contain a client.
const versionOptions = async () => ['--datastar-version', (await clientKnowsNonces()) ? '1.0.4' : '1.0.2'];

// Open a session: a browser with separate cookies. Errors of its tabs are added to `problems`.
async function newSession(t, { retries = 'rebuilt', ...options } = {}) {
  const context = await (await chrome()).newContext({ ignoreHTTPSErrors: true, ...options });
  context.setDefaultTimeout(TIMEOUT_MS);
  t.after(() => context.close());
  keepJournal(context);
  const problems = [];
  await context.route(/^https?:\/\/(?!127\.0\.0\.1[:/])/, (route) => {
    const url = route.request().url();
    if (/^https:\/\/cdn\.jsdelivr\.net\/gh\/starfederation\/datastar@v1\.[\w.]+\/bundles\/datastar\.js$/.test(url)) {
      return route.fulfill(clientWith(retries));
    }
    problems.push(`the page asks for ${url}`);
    return route.abort();
  });
  return {
    context,
    problems,
    async tab(url, options = {}) {
      const page = await context.newPage();
      await makeBusy(page);
      page.on('pageerror', (error) => problems.push(error.message));
      page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
      await page.goto(url, options);
      return tabOf(page);
    },
  };
}

// BUSY=8: the processor of each page is eight times slower, and each response takes 80 ms more. This finds tests, and
// pages, that rely on typical durations.
const BUSY = Number(process.env.BUSY ?? 0);
async function makeBusy(page) {
  if (!BUSY || FIREFOX) return;
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Emulation.setCPUThrottlingRate', { rate: BUSY });
  await devtools.send('Network.enable');
  await devtools.send('Network.emulateNetworkConditions', { offline: false, latency: BUSY * 10, downloadThroughput: -1, uploadThroughput: -1 });
}

// For the message of a timeout: the last requests of the session, and the content of the tab.
const journals = new WeakMap();
function keepJournal(context) {
  const journal = [];
  journals.set(context, journal);
  context.on('request', (request) => {
    const isLease = 'vestry-lease' in request.headers(); // a request that renews a lease
    journal.push({ request, at: Date.now(), became: 'not answered', isLease });
    if (journal.length > 40) journal.shift();
  });
  const became = (request, what) => {
    const entry = journal.find((one) => one.request === request);
    const before = entry?.status ? `${entry.status}, ` : ''; // Chromium reports each 204 as aborted after it has arrived
    if (entry) entry.became = `${before}${what} after ${Date.now() - entry.at} ms`;
    if (entry && typeof what === 'number') entry.status = what;
  };
  context.on('response', (answer) => became(answer.request(), answer.status()));
  context.on('requestfailed', (request) => became(request, request.failure()?.errorText));
}
async function stateOf(page) {
  const lines = (journals.get(page.context()) ?? []).map(({ request, at, became, isLease }) =>
    `${new Date(at).toISOString().slice(11, 23)} ${request.method()} ${request.url().slice(0, 120)}${isLease ? ' (lease)' : ''}: ${became}`);
  const shown = await Promise.race([page.evaluate(() => document.body.innerText).catch((error) => error.message),
    new Promise((done) => setTimeout(() => done('(the page does not answer)'), 5000))]);
  return `\nat ${new Date().toISOString().slice(11, 23)}, after\n${lines.join('\n')}\nthe page shows\n${shown.slice(0, 2000)}`;
}

// Return whether a tab's banner shows that the stream is away; the tab has one.
const isOffline = (tab, is) =>
  tab.until((wanted) => document.querySelector('.vestry-banner')?.checkVisibility() === wanted, is);
// Return errors of a tab whose server was killed, except those that the kill causes.
const unforeseen = (problems) => problems.filter((text) => !/ERR_|status of 400/.test(text));

function tabOf(page) {
  const text = (selector) => page.textContent(selector);
  // By the clock: the frames that Playwright would wait for are rare in a background tab.
  const until = (condition, argument) =>
    page.waitForFunction(condition, argument, { polling: 50 }).catch(async (error) => {
      throw new Error(error.message + (await stateOf(page)), { cause: error }); // Playwright's own error keeps its first text
    });
  return {
    page,
    until,
    counter: async () => Number(await text('#counter')),
    state: () => text('#state'),
    handled: () => page.getAttribute('#handled', 'data-handled'),
    click: (id) => page.click(`#${id}`),
    /** Wait until the counter shows at least n. */
    atLeast: (n) => until((least) => Number(document.querySelector('#counter').textContent) >= least, n),
    /** Wait until the counter shows another value than now, `times` times. */
    async ticks(times) {
      for (let i = 0; i < times; i++) {
        const now = await text('#counter');
        await until((old) => document.querySelector('#counter').textContent !== old, now);
      }
    },
    /** Wait until an element shows a text. */
    shows: (id, wanted) => until(([of, is]) => document.getElementById(of).textContent === is, [id, wanted]),
  };
}

function temporaryDirectory(t) {
  const folder = process.env.SCREENSHOTS ?? fs.mkdtempSync(path.join(os.tmpdir(), 'counter-'));
  if (!process.env.SCREENSHOTS) t.after(() => fs.rmSync(folder, { recursive: true }));
  return folder;
}

// Runs in the page, before its scripts: the tab is hidden when a test sets this, or from the start by its hash.
function canBeHidden() {
  let hidden = location.hash === '#hidden';
  Object.defineProperty(document, 'hidden', { get: () => hidden });
  Object.defineProperty(document, 'visibilityState', { get: () => (hidden ? 'hidden' : 'visible') });
  window.setHidden = (value) => {
    if (hidden === value) return;
    hidden = value;
    document.dispatchEvent(new Event('visibilitychange'));
  };
}

module.exports = { ADAPTER, CLIENT, COUNTER, sameInFirefox, CHROMIUM, FLAGS, HOSTILE, TIMEOUT_MS, client, clientKnowsNonces,
  versionOptions, startExample, startCounter, exampleFor, isOffline, overfill, pressComposing, unforeseen, picture, send, newSession, canBeHidden, closeChrome, temporaryDirectory };
