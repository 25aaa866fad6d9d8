// SPDX-License-Identifier: MIT
// What every browser test needs: a counter of its own on a free port, Chromium, and pages that load no other thing.
'use strict';
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const assert = require('node:assert/strict');
const { CHROMIUM, FIREFOX, FLAGS, chrome, closeBrowser } = require('./chromium.js');
const { reservePort } = require('../support/port.js');

const COUNTER = process.env.COUNTER ?? path.join(__dirname, '../../build/bin/counter');
const ADAPTER = process.env.COUNTER_ADAPTER ?? 'civetweb';
const CLIENT = process.env.DATASTAR_JS || path.join(__dirname, 'standin.js');
const TIMEOUT_MS = Number(process.env.PATIENCE ?? 180_000);
// Texts that would do harm where they are not escaped; each fits into any field of the examples (30 bytes at least).
const HOSTILE = ['<script>pwned()</script>', '</script><img src=x onerror=p>', `"'><b onclick=pwned()>`,
  "'+pwned()+'", '`${pwned()}`', '&lt;&amp;&#39;', "\\');pwned()//", '@get("/x") $left', '%s%n%d', 'ünï©ødé 😀',
  '../../?a=b&c#d'];
// What says nothing of a browser is not done again in this one.
const sameInFirefox = FIREFOX ? 'Chromium has shown it' : false;

// A test of which one program failed to end in order may have others: when its file is done they are not waited for.
const running = new Set();
const waitFor = (child, is) => {
  for (const one of [child, child.stdout, child.stderr]) is ? one.ref() : one.unref();
};
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

// The waits of every test are bounded by the server's own events, never by a guess at how long something takes.
// Lines of its complaints that match `expected` are none. It is on a port of its own, on which it can start again.
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
  const url = new RegExp(`^${name}: (http://127\\.0\\.0\\.1:(\\d+))$`).exec(first[0]);
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
    // Without a word to anybody.
    async kill() {
      child.kill('SIGKILL');
      stopped = exited;
      await exited;
    },
  };
}

async function startCounter(options = [], port = 0) {
  const counter = await startExample('counter', options, port);
  return { ...counter, keys: async () => (await fetch(`${counter.url}keys`)).json() };
}

// One request on a connection of its own, so that none suffers from what became of another's connection. Who is refused
// in the middle of a large body may see the connection end before the answer comes: that has the status 0.
const send = (method, url, body, headers = {}) =>
  new Promise((done) => {
    const request = http.request(url, { method, agent: false, headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (more) => (text += more));
      answer.on('end', () => done({ status: answer.statusCode, headers: answer.headers, text }));
    });
    request.on('error', () => done({ status: 0 }));
    request.end(body);
  });

// A small example that ends with its test, and complains about nothing; tabs of it, each a browser of its own.
async function exampleFor(t, name) {
  let example = await startExample(name);
  t.after(() => example.stop());
  return {
    ...example,
    kill: () => example.kill(),
    begin: async () => { example = await startExample(name, [], example.port); },
    // Until the page's stream is open, and shows what it starts with.
    async tab(where = '', options = {}) {
      const session = await newSession(t, options);
      const tab = await session.tab(example.url + where);
      return { ...tab, problems: session.problems };
    },
    send: (method, where, body) => send(method, example.url + where, body, { 'Datastar-Request': 'true' }),
  };
}

// Fills a field beyond its bound, as a page of another's making may. A script's value is not cut at maxlength, and a
// morph that comes in between changes nothing of that.
const overfill = (field, text) =>
  field.evaluate((el, value) => {
    el.value = value;
    el.dispatchEvent(new Event('input', { bubbles: true }));
  }, text);

// The key that ends an input method's composition, as browsers report it, and Safari.
const COMPOSING = [{ isComposing: true, keyCode: 229 }, { keyCode: 229 }];
const pressComposing = async (field, key) => {
  for (const how of COMPOSING) await field.dispatchEvent('keydown', { key, bubbles: true, cancelable: true, ...how });
};

// For the documentation: PICTURES=folder keeps a picture, small and with few colours.
async function picture(page, name) {
  if (process.env.PICTURES) await page.screenshot({ path: path.join(process.env.PICTURES, `${name}.png`) });
}

// What the address of the Datastar client answers. The stand-in repeats requests as today's clients do, or ('kept') as
// those before 1.0.3 did; a real client does what it does.
const clientWith = (retries) => ({
  body: `globalThis.standinRetries = '${retries}';${fs.readFileSync(CLIENT, 'utf8')}`,
  contentType: 'text/javascript; charset=utf-8',
  headers: { 'Access-Control-Allow-Origin': '*' },
});
const client = clientWith('rebuilt');

async function closeChrome() {
  running.forEach((child) => waitFor(child, false));
  await closeBrowser();
}

// Whether the client compiles by a nonce, as those since 1.0.3 do: asked of the client itself. It takes the attribute
// away, and no others do.
let knowsNonces = null;
function clientKnowsNonces() {
  knowsNonces ??= (async () => {
    const context = await (await chrome()).newContext();
    await context.route('**', (route) =>
      route.request().url().endsWith('.js')
        ? route.fulfill(client)
        : route.fulfill({ contentType: 'text/html', body: '<!doctype html><html data-nonce="abc"><script type="module" src="c.js"></script>' }));
    const page = await context.newPage();
    await page.goto('https://client.test/', { waitUntil: 'load' }); // by then modules have run
    const knows = await page.evaluate(() => !document.documentElement.hasAttribute('data-nonce'));
    await context.close();
    return knows;
  })();
  return knowsNonces;
}
// For programs whose pages have a policy: which client they are to serve.
// And it is loaded from the CDN's address, also where the programs have a client built in.
const versionOptions = async () => ['--datastar-version', (await clientKnowsNonces()) ? '1.0.4' : '1.0.2'];

// A session: a browser of its own, as far as cookies go. Tabs of it complain to `problems`.
async function newSession(t, { retries = 'rebuilt', ...options } = {}) {
  const context = await (await chrome()).newContext(options);
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

// BUSY=8: each page's processor is eight times slower, and each answer comes 80 ms late. It finds tests, and pages, that
// count on what is most often there by then.
const BUSY = Number(process.env.BUSY ?? 0);
async function makeBusy(page) {
  if (!BUSY || FIREFOX) return;
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Emulation.setCPUThrottlingRate', { rate: BUSY });
  await devtools.send('Network.enable');
  await devtools.send('Network.emulateNetworkConditions', { offline: false, latency: BUSY * 10, downloadThroughput: -1, uploadThroughput: -1 });
}

// What a wait that was in vain says: the last requests of the session, and what the tab shows.
const journals = new WeakMap();
function keepJournal(context) {
  const journal = [];
  journals.set(context, journal);
  context.on('request', (request) => {
    const isLease = 'vestry-lease' in request.headers(); // the page says that it is there
    journal.push({ request, at: Date.now(), became: 'not answered', isLease });
    if (journal.length > 40) journal.shift();
  });
  const became = (request, what) => {
    const entry = journal.find((one) => one.request === request);
    const before = entry?.status ? `${entry.status}, ` : ''; // Chromium calls each 204 aborted when it has come
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

// Whether a tab's banner says that the stream is away; it has one.
const isOffline = (tab, is) =>
  tab.until((wanted) => document.querySelector('.vestry-banner')?.checkVisibility() === wanted, is);
// What is wrong with a tab whose server was killed: not that it was away.
const unforeseen = (problems) => problems.filter((text) => !/ERR_|status of 400/.test(text));

function tabOf(page) {
  const text = (selector) => page.textContent(selector);
  // By the clock: the frames that Playwright would wait for are rare in a tab behind others.
  const until = (condition, argument) =>
    page.waitForFunction(condition, argument, { polling: 50 }).catch(async (error) => {
      throw new Error(error.message + (await stateOf(page)), { cause: error }); // Playwright's own keeps its first text
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
    /** Wait until the counter shows something else than now, `times` times. */
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

// Runs in the page, before its scripts: the tab is hidden when a test says so, or from the beginning by its hash.
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
