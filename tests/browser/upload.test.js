// SPDX-License-Identifier: MIT
// L1: a form that sends files shows their progress and result, and can be cancelled; it resumes an interrupted upload;
// without a script it sends files, too.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { once } = require('node:events');
const { ADAPTER, startExample, newSession, send, closeChrome, temporaryDirectory, TIMEOUT_MS } = require('./harness.js');

// The server warns that clients on the loopback are not limited by address.
const LOOPBACK = /^vestry: warning: uploads: .* share one limit/;
after(closeChrome);

const MIB = 1 << 20;
const SIZE = 24 * MIB; // more than socket buffers hold

// A socket that is ending cannot be reset any more: Node would never close it, and never exit (libuv's
// uv_tcp_close_reset rejects it).
const reset = (socket) => (socket.writableEnded ? socket.destroy() : socket.resetAndDestroy());

// Start a proxy that holds data after a number of bytes of a connection, and that can be cut.
async function startLine(t, server) {
  const line = { holdAfter: Infinity, isDown: false, passed: 0, sockets: new Set() };
  const listener = net.createServer((from) => {
    if (line.isDown) return reset(from.on('error', () => {}));
    if (line.answer) return from.on('error', () => {}).once('data', () => from.end(line.answer)); // for the server
    const to = net.connect(server.port, '127.0.0.1');
    const pair = { from, to, bytes: 0 };
    line.sockets.add(pair);
    from.on('data', (data) => {
      pair.bytes += data.length;
      line.passed += data.length;
      const takesMore = to.write(data);
      if (!takesMore) to.once('drain', () => pair.bytes < line.holdAfter && from.resume());
      if (!takesMore || pair.bytes >= line.holdAfter) from.pause();
    });
    to.pipe(from);
    const end = () => {
      line.sockets.delete(pair);
      from.destroy();
      to.destroy();
    };
    for (const one of [from, to]) one.on('error', end).on('close', end);
  });
  // It stays down, because a browser repeats a request by itself if its connection had been used before.
  line.cut = () => {
    line.isDown = true;
    for (const { from, to } of line.sockets) {
      reset(from);
      to.destroy();
    }
  };
  line.goOn = (holdAfter = Infinity) => {
    line.isDown = false;
    line.holdAfter = holdAfter;
    for (const { from } of line.sockets) from.resume();
  };
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  line.url = `${new URL(server.url).protocol}//127.0.0.1:${listener.address().port}/`;
  t.after(() => {
    line.cut();
    listener.close();
  });
  return line;
}

async function tabFor(t, options = {}) {
  const server = await startExample('test_browser_upload', [], 0, LOOPBACK);
  t.after(() => server.stop());
  return tabOf(t, server, options);
}

async function tabOf(t, server, options = {}) {
  const line = await startLine(t, server);
  const session = await newSession(t, options);
  const tab = await session.tab(line.url);
  const { page } = tab;
  return {
    ...tab,
    server,
    line,
    problems: session.problems,
    choose: (form, ...files) => page.setInputFiles(`#${form} [type=file]`, files),
    press: (form) => page.click(`#${form} .send`),
    says: (form, text) => tab.until(([id, wanted]) => document.querySelector(`#${id} [role=status]`).textContent === wanted, [form, text]),
    percent: (form) => page.evaluate((id) => Number(document.querySelector(`#${id} progress`).value), form),
    isOnItsWay: (form) => tab.until((id) => document.querySelector(`#${id} progress`).value > 0, form),
    kept: async () => (await send('GET', `${server.url}kept`)).text,
    // Wait for exactly these lines, in any order; the server may not have noticed yet that a client has gone.
    isKept: async (...wanted) => {
      let lines = [];
      for (const since = Date.now(); lines.length < wanted.length && Date.now() - since < TIMEOUT_MS; )
        lines = (await send('GET', `${server.url}kept`)).text.split('\n').filter(Boolean);
      assert.deepEqual(lines.sort(), wanted);
    },
    // Record all texts of the status, and all values of the progress.
    follow: (form) =>
      page.evaluate((id) => {
        window.said = [];
        window.shown = [];
        window.since = performance.now();
        const status = document.querySelector(`#${id} [role=status]`), progress = document.querySelector(`#${id} progress`);
        new MutationObserver(() => window.said.push(status.textContent)).observe(status, { childList: true, characterData: true, subtree: true });
        new MutationObserver(() => window.shown.push([performance.now() - window.since, progress.value])).observe(progress, { attributeFilter: ['value'] });
      }, form),
    said: () => page.evaluate(() => window.said),
    shown: () => page.evaluate(() => window.shown),
  };
}

// A file on the disk, because a browser takes long to accept a large file in memory.
function file(t, name, size) {
  const at = path.join(temporaryDirectory(t), name);
  fs.writeFileSync(at, Buffer.alloc(size, 'f'));
  return at;
}

// quick: civetweb, microhttpd
// capability: L1
test('l1: a page shows the progress of a form, at most ten times per second, and its result once', async (t) => {
  const tab = await tabFor(t);
  await tab.follow('photos');
  tab.line.holdAfter = 8 * MIB;
  await tab.page.fill('#photos [name=title]', 'Sea');
  await tab.choose('photos', file(t, 'sea.png', SIZE), file(t, 'note.txt', 3));
  await tab.press('photos');
  await tab.isOnItsWay('photos');
  assert.ok((await tab.percent('photos')) < 100);
  await tab.says('photos', 'Sending sea.png, note.txt…');
  assert.equal(await tab.page.getAttribute('#photos', 'aria-busy'), 'true');
  const progress = tab.page.getByRole('progressbar', { name: 'Upload progress' }).first();
  assert.ok(await progress.isVisible());
  await tab.press('photos'); // it is not sent again
  tab.line.goOn();
  await tab.says('photos', 'Sent: sea.png, note.txt.');
  await tab.until(() => document.querySelector('#photos progress').hidden);
  assert.deepEqual(await tab.said(), ['Sending sea.png, note.txt…', 'Sent: sea.png, note.txt.']);
  const shown = await tab.shown();
  assert.equal(shown.at(-1)[1], 100);
  assert.ok(shown.slice(0, -1).every(([, value]) => value < 100), JSON.stringify(shown));
  assert.ok(shown.every(([, value], i) => !i || value >= shown[i - 1][1]), JSON.stringify(shown));
  assert.ok(shown.every(([at], i) => i < 12 || at - shown[i - 12][0] >= 900), JSON.stringify(shown)); // the last value may follow at once
  assert.equal(await tab.kept(), `kept sea.png ${SIZE}\nkept note.txt 3\ntitle Sea 0\n`);
  assert.equal(await tab.page.evaluate(() => document.querySelector('#photos [type=file]').files.length), 0);
  assert.equal(await tab.page.getAttribute('#photos', 'aria-busy'), null);
  assert.equal(tab.page.url(), tab.line.url);
  assert.deepEqual(tab.problems, []);
});

// capability: L1
test('l1: a rejection is shown with the text of the server, and the form can be sent again', async (t) => {
  const tab = await tabFor(t);
  await tab.follow('photos');
  await tab.choose('photos', file(t, 'run.exe', 10));
  await tab.press('photos');
  await tab.says('photos', 'Not sent: run.exe. Files of this type are not accepted here. The file was not stored.');
  await tab.choose('photos', file(t, 'a.png', 10));
  await tab.press('photos');
  await tab.says('photos', 'Sent: a.png.');
  assert.equal((await tab.said()).length, 4);
  assert.equal(await tab.kept(), 'kept a.png 10\ntitle  0\n');
});

// capability: L1
test('l1: of a document that answers an upload, its text is shown without its scripts', async (t) => {
  const tab = await tabFor(t);
  const body = '<!doctype html><title>413</title><style>p {}</style><script>if (1 < 2) bad()</script><p>Too &amp; large</p>';
  await tab.page.route('**/photos', (route) => route.fulfill({ status: 413, contentType: 'text/html', body }));
  await tab.choose('photos', file(t, 'a.png', 10));
  await tab.press('photos');
  await tab.says('photos', 'Not sent: a.png. Too & large');
});

// capability: L1
test('l1: a broken connection is reported once, and the received part is dropped', async (t) => {
  const tab = await tabFor(t);
  await tab.follow('photos');
  tab.line.holdAfter = 8 * MIB;
  await tab.choose('photos', file(t, 'a.png', SIZE));
  await tab.press('photos');
  await tab.isOnItsWay('photos');
  tab.line.cut();
  await tab.says('photos', 'Not sent: a.png. The connection was lost.');
  assert.deepEqual(await tab.said(), ['Sending a.png…', 'Not sent: a.png. The connection was lost.']);
  await tab.isKept('dropped a.png 0');
  assert.equal(await tab.page.evaluate(() => document.querySelector('#photos [type=file]').files.length), 1);
  tab.line.goOn();
  await tab.press('photos');
  await tab.says('photos', 'Sent: a.png.');
});

// capability: L1
test('l1: the button cancels, by keyboard too; each of two forms has its own', async (t) => {
  const tab = await tabFor(t);
  tab.line.holdAfter = 8 * MIB;
  await tab.choose('photos', file(t, 'a.png', SIZE));
  await tab.choose('notes', file(t, 'b.png', SIZE));
  await tab.press('photos');
  await tab.press('notes');
  await tab.isOnItsWay('photos');
  await tab.isOnItsWay('notes');
  const cancel = tab.page.locator('#photos').getByRole('button', { name: 'Cancel' });
  await cancel.focus();
  await tab.page.keyboard.press('Enter');
  await tab.says('photos', 'Cancelled: a.png.');
  await tab.says('notes', 'Sending b.png…');
  assert.equal(await cancel.isVisible(), false);
  tab.line.goOn();
  await tab.page.waitForURL(`${tab.line.url}thanks`); // the target of its response
  await tab.isKept('dropped a.png 0', `kept b.png ${SIZE}`);
});

// capability: L1
test('l1: without a script the form sends its files, too', async (t) => {
  const server = await startExample('test_browser_upload', [], 0, LOOPBACK);
  t.after(() => server.stop());
  const session = await newSession(t, { javaScriptEnabled: false });
  const page = await session.context.newPage();
  await page.goto(server.url);
  assert.equal(await page.getByRole('progressbar').count(), 0);
  assert.equal(await page.getByRole('button', { name: 'Cancel' }).count(), 0);
  await page.setInputFiles('#notes [type=file]', [file(t, 'a.png', 10)]);
  await page.click('#notes .send');
  await page.waitForURL(`${server.url}thanks`);
  assert.equal((await send('GET', `${server.url}kept`)).text, 'kept a.png 10\n');
});

// -------------------------------------------------------------------------------------------- resuming -------------

const sumOf = (text) => crypto.createHash('sha256').update(text).digest('hex');

// Make files on the disk, whose dates stay, and a folder for a server, which gets it by the environment.
async function folderFor(t) {
  const own = temporaryDirectory(t), folder = path.join(own, 'folder');
  fs.mkdirSync(folder);
  process.env.UPLOAD_FOLDER = folder;
  // Files appear and disappear meanwhile.
  const all = () => fs.readdirSync(folder).map((name) => [name, fs.statSync(path.join(folder, name), { throwIfNoEntry: false })])
    .filter(([, stat]) => stat?.isFile());
  const until = async (is, why) => {
    for (const since = Date.now(); !is(); await new Promise((done) => setImmediate(done)))
      assert.ok(Date.now() - since < TIMEOUT_MS, why());
  };
  const sum = () => all().reduce((so, [, { size }]) => so + size, 0);
  return {
    make(name, size) {
      const file = path.join(own, name);
      fs.writeFileSync(file, crypto.randomBytes(size));
      return file;
    },
    // Wait until this number of bytes has arrived; no incomplete file is left.
    has: (bytes) => until(() => sum() >= bytes, () => `${sum()} bytes have come`),
    isSettled: () => until(() => !all().some(([name]) => name.endsWith('.part')), () => 'a part is left'),
    kept: () => all().map(([name]) => name).filter((name) => /^[0-9a-f]{32}$/.test(name))
      .map((name) => sumOf(fs.readFileSync(path.join(folder, name)))).sort(),
  };
}
const sumsOf = (...files) => files.map((file) => sumOf(fs.readFileSync(file))).sort();
// The proxy holds the second half of a large file; a part of the first half is stored by then.
async function sendHalf(tab, folder, ...files) {
  tab.line.holdAfter = 12 * MIB;
  await tab.choose('videos', ...files);
  await tab.press('videos');
  await folder.has(4 * MIB);
}
const WAITING = 'sea.png: the connection was lost. The upload continues as soon as possible.';

// capability: L1
test('l1: a file resumes where it was interrupted, also after a kill and a restart of its server', async (t) => {
  const folder = await folderFor(t), file = folder.make('sea.png', SIZE);
  let server = await startExample('test_browser_upload', [], 0, LOOPBACK);
  t.after(() => server.stop());
  const tab = await tabOf(t, server);
  await tab.follow('videos');
  await sendHalf(tab, folder, file);
  await server.kill();
  tab.line.cut();
  await tab.says('videos', WAITING);
  assert.equal(await tab.page.evaluate(() => document.querySelector('#videos progress').hidden), false);
  server = await startExample('test_browser_upload', [], server.port, LOOPBACK);
  tab.line.passed = 0;
  tab.line.goOn();
  await tab.says('videos', 'Sent: sea.png.');
  assert.deepEqual(await tab.said(), ['Sending sea.png…', WAITING, 'Sending sea.png…', 'Sent: sea.png.']);
  assert.ok(tab.line.passed < SIZE - 3 * MIB, `${tab.line.passed} bytes were sent again`);
  assert.equal((await tab.shown()).at(-1)[1], 100);
  assert.deepEqual(folder.kept(), sumsOf(file));
});

// capability: L1
test('l1: several files are stored separately, and the rest resumes when the network is back', async (t) => {
  const folder = await folderFor(t), files = [folder.make('a.png', 3), folder.make('sea.png', SIZE), folder.make('c.png', 0)];
  const tab = await tabFor(t);
  await tab.follow('videos');
  await sendHalf(tab, folder, ...files);
  assert.equal(await tab.page.evaluate(() => document.querySelector('#videos [type=file]').files.length), 2);
  tab.line.cut();
  await tab.says('videos', 'sea.png, c.png: the connection was lost. The upload continues as soon as possible.');
  tab.line.goOn();
  await tab.says('videos', 'Sent: a.png, sea.png, c.png.');
  assert.deepEqual(folder.kept(), sumsOf(...files));
  assert.equal((await tab.said()).filter((text) => /was lost/.test(text)).length, 1);
});

// capability: L1
test('l1: a file chosen again after a reload resumes; a cancelled one is dropped', async (t) => {
  const folder = await folderFor(t), file = folder.make('sea.png', SIZE);
  const tab = await tabFor(t);
  await sendHalf(tab, folder, file);
  tab.line.cut();
  tab.line.goOn(1 * MIB); // attempts before the reload must not complete
  await tab.page.reload();
  tab.line.goOn();
  tab.line.holdAfter = 1 * MIB;
  tab.line.passed = 0;
  await tab.choose('videos', file);
  await tab.press('videos');
  await tab.until(() => document.querySelector('#videos progress').value > 15);
  await tab.page.click('#videos [data-upload-cancel]');
  await tab.says('videos', 'Cancelled: sea.png.');
  tab.line.goOn();
  await folder.isSettled();
  assert.deepEqual(folder.kept(), []);
});

// capability: L1
test('l1: a rejection of a resumable file is shown, and not retried', async (t) => {
  const folder = await folderFor(t), file = folder.make('note.txt', 3);
  const tab = await tabFor(t);
  await tab.follow('videos');
  await tab.choose('videos', file);
  await tab.press('videos');
  await tab.until(() => document.querySelector('#videos [role=status]').textContent.startsWith('Not sent: note.txt. '));
  assert.equal((await tab.said()).length, 2);
  assert.deepEqual(folder.kept(), []);
});

// capability: L1
test('l1: an upload that is redirected to the log-in page was not sent: it stays chosen, and the tab goes there', async (t) => {
  const folder = await folderFor(t), tab = await tabFor(t);
  const states = []; // reported by the page, because it is left at once
  await tab.page.exposeFunction('note', (...state) => states.push(state));
  assert.equal((await send('POST', `${tab.server.url}out`)).status, 204);
  for (const [id, name, size] of [['photos', 'a.png', 10], ['videos', 'a.png', 10], ['videos', 'empty.png', 0]]) {
    await tab.page.evaluate((of) => {
      const form = document.getElementById(of), status = form.querySelector('[role=status]'), field = form.querySelector('[type=file]');
      new MutationObserver(() => window.note(status.textContent, field.files.length, form.getAttribute('aria-busy')))
        .observe(status, { childList: true, characterData: true, subtree: true });
    }, id);
    await tab.choose(id, folder.make(name, size));
    await tab.press(id);
    await tab.page.waitForURL(`${tab.line.url}login`);
    assert.deepEqual(states.splice(0), [[`Sending ${name}…`, 1, 'true'], [`Not sent: ${name}.`, 1, null]]);
    await tab.page.goto(tab.line.url);
  }
  assert.deepEqual(folder.kept(), []);
  assert.equal(await tab.kept(), '');
  assert.equal((await send('POST', `${tab.server.url}in`)).status, 204);
  for (const form of ['photos', 'videos']) {
    await tab.choose(form, folder.make('a.png', 10));
    await tab.press(form);
    await tab.says(form, 'Sent: a.png.');
  }
});

// capability: L1
test('l1: a broken upload that finds the log-in page is resumed after the log-in', async (t) => {
  const folder = await folderFor(t), file = folder.make('sea.png', SIZE);
  const tab = await tabFor(t);
  await sendHalf(tab, folder, file);
  tab.line.cut();
  await tab.says('videos', WAITING);
  assert.equal((await send('POST', `${tab.server.url}out`)).status, 204);
  tab.line.goOn();
  await tab.page.waitForURL(`${tab.line.url}login`);
  assert.equal((await send('POST', `${tab.server.url}in`)).status, 204);
  await tab.page.goto(tab.line.url);
  tab.line.passed = 0;
  await tab.choose('videos', file);
  await tab.press('videos');
  await tab.says('videos', 'Sent: sea.png.');
  assert.ok(tab.line.passed < SIZE - 3 * MIB, `${tab.line.passed} bytes were sent again`);
  assert.deepEqual(folder.kept(), sumsOf(file));
});

// capability: L1
test('l1: the tab goes to a log-in on another site if a guard redirects the upload there', async (t) => {
  const folder = await folderFor(t), file = folder.make('sea.png', SIZE);
  const tab = await tabFor(t), there = `${tab.server.url}login`; // another port, so another origin
  const out = `${tab.server.url}out?to=${encodeURIComponent(there)}`;
  assert.equal((await send('POST', out)).status, 204);
  for (const form of ['photos', 'videos']) {
    await tab.choose(form, folder.make('a.png', 10));
    await tab.press(form);
    await tab.page.waitForURL(there);
    await tab.page.goto(tab.line.url);
  }
  assert.equal((await send('POST', `${tab.server.url}in`)).status, 204);
  await sendHalf(tab, folder, file); // the log-in ends during an upload
  tab.line.cut();
  await tab.says('videos', WAITING);
  assert.equal((await send('POST', out)).status, 204);
  tab.line.goOn();
  await tab.page.waitForURL(there);
  assert.deepEqual(folder.kept(), []);
});

// capability: L1
test('l1: a redirect of a proxy to another site ends the upload, and is reported', { skip: ADAPTER === 'h2' && 'its proxy speaks HTTP/1.1' }, async (t) => {
  const folder = await folderFor(t), files = [folder.make('a.png', 10), folder.make('sea.png', SIZE)];
  const tab = await tabFor(t);
  const text = (name) => `Not sent: ${name}. The request was redirected, probably to a log-in: open this page in another`
    + ' tab, log in there, and send again here.';
  const answer = `HTTP/1.1 302 Found\r\nLocation: ${tab.server.url}login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;
  for (const form of ['photos', 'videos']) {
    tab.line.cut(); // so that no open connection leads to the server
    tab.line.answer = answer;
    tab.line.goOn();
    await tab.choose(form, files[0]);
    await tab.press(form);
    await tab.says(form, text('a.png'));
    assert.equal(await tab.page.evaluate((id) => document.querySelector(`#${id} [type=file]`).files.length, form), 1);
    assert.equal(tab.page.url(), tab.line.url);
    tab.line.answer = null;
    await tab.press(form);
    await tab.says(form, 'Sent: a.png.');
  }
  await sendHalf(tab, folder, files[1]); // the log-in ends during an upload
  tab.line.cut();
  await tab.says('videos', WAITING);
  tab.line.answer = answer;
  tab.line.goOn();
  await tab.says('videos', text('sea.png'));
  tab.line.answer = null;
  tab.line.passed = 0;
  await tab.press('videos');
  await tab.says('videos', 'Sent: sea.png.');
  assert.ok(tab.line.passed < SIZE - 3 * MIB, `${tab.line.passed} bytes were sent again`);
  assert.deepEqual(folder.kept(), sumsOf(...files));
});

const GONE = 'Not sent: sea.png. The file was changed or removed after it was chosen: choose it again.';

// capability: L1
test('l1: a file removed or changed after it was chosen is not sent', async (t) => {
  const folder = await folderFor(t), tab = await tabFor(t);
  for (const form of ['photos', 'videos']) {
    for (const change of ['looked at, gone', 'gone', 'changed']) {
      const file = folder.make('sea.png', 500000);
      await tab.choose(form, file);
      if (change !== 'gone') await tab.page.evaluate((id) => document.querySelector(`#${id} [type=file]`).files[0].size, form);
      if (change === 'changed') {
        fs.writeFileSync(file, 'other');
        fs.utimesSync(file, 1, 1);
      } else {
        fs.unlinkSync(file);
      }
      await tab.press(form);
      await tab.says(form, GONE);
      await tab.page.evaluate((id) => document.querySelector(`#${id} [role=status]`).textContent = '', form);
    }
    // It can be chosen again, and is sent.
    await tab.choose(form, folder.make('sea.png', 1000));
    await tab.press(form);
    await tab.says(form, 'Sent: sea.png.');
  }
  assert.equal(folder.kept().length, 1);
  assert.equal((await tab.kept()).split('\n').filter((line) => line.startsWith('kept sea.png')).length, 1);
});

// capability: L1
test('l1: a file removed during its upload ends the upload, even if the network returns repeatedly', async (t) => {
  const folder = await folderFor(t), file = folder.make('sea.png', SIZE);
  const tab = await tabFor(t);
  await sendHalf(tab, folder, file);
  fs.unlinkSync(file);
  tab.line.cut();
  await tab.says('videos', WAITING);
  tab.line.goOn();
  await tab.says('videos', GONE);
  assert.deepEqual(folder.kept(), []);
});

// capability: L1
test('l1: if a proxy accepts no part of a file, the upload makes a limited number of attempts', async (t) => {
  const folder = await folderFor(t), file = folder.make('sea.png', MIB); // Playwright reads the body of each attempt
  const tab = await tabFor(t);
  const asked = { HEAD: 0, PATCH: 0, DELETE: 0 };
  let deleted;
  const wasDeleted = new Promise((done) => { deleted = done; });
  await tab.page.route('**/videos/**', (route) => {
    const method = route.request().method();
    asked[method]++;
    if (method === 'DELETE') deleted();
    return method === 'PATCH' ? route.abort('connectionreset') : route.continue();
  });
  await tab.choose('videos', file);
  await tab.press('videos');
  // Skip the pauses.
  await tab.until(() => {
    dispatchEvent(new Event('online'));
    return document.querySelector('#videos [role=status]').textContent === 'Not sent: sea.png. The connection was lost.';
  });
  await wasDeleted; // so that it does not count as unfinished
  assert.deepEqual(asked, { HEAD: 8, PATCH: 9, DELETE: 1 });
  assert.deepEqual(folder.kept(), []);
});

// capability: L1
test('l1: a request that gets 429 is repeated', async (t) => {
  const folder = await folderFor(t), file = folder.make('sea.png', 1000);
  const tab = await tabFor(t);
  const refused = [];
  await tab.page.route('**/videos{,/**}', (route) => {
    const method = route.request().method();
    if (refused.includes(method)) return route.continue();
    refused.push(method);
    return route.fulfill({ status: 429 });
  });
  await tab.choose('videos', file);
  await tab.press('videos');
  await tab.says('videos', 'Sent: sea.png.');
  assert.deepEqual(refused, ['POST', 'PATCH', 'HEAD']);
  assert.deepEqual(folder.kept(), sumsOf(file));
});

// --------------------------------------------------------------------------------- another client -----------------

// tus-js-client, as published. The page shows the result of its upload: `outcome`.
async function takeClient(page) {
  await page.evaluate(fs.readFileSync(require.resolve('tus-js-client/dist/tus.min.js'), 'utf8'));
  await page.evaluate((size) => {
    const bytes = new Uint8Array(size).map((_, i) => (i * 31) % 251);
    const file = new File([bytes], 'sea.png', { type: 'image/png', lastModified: 1 });
    window.outcome = '';
    window.make = (chunkSize) => new tus.Upload(file, {
      endpoint: '/videos',
      chunkSize,
      removeFingerprintOnSuccess: true,
      retryDelays: Array(100).fill(100),
      metadata: { filename: file.name, filetype: file.type },
      onSuccess: () => (window.outcome = 'kept'),
      onError: (error) => (window.outcome = String(error)),
    });
  }, SIZE);
}
const whole = () => sumOf(Buffer.from(new Uint8Array(SIZE).map((_, i) => (i * 31) % 251)));

// capability: L1
test('l1: another client of tus resumes after an interruption, at once and after a reload, and cancels', async (t) => {
  const folder = await folderFor(t);
  const tab = await tabFor(t);
  await takeClient(tab.page);
  tab.line.holdAfter = 12 * MIB;
  const from = []; // the start of each request; one that arrives before the broken one has ended is rejected, and repeated
  tab.page.on('request', (request) => request.method() === 'PATCH' && from.push(Number(request.headers()['upload-offset'])));
  await tab.page.evaluate(() => make(Infinity).start());
  await folder.has(4 * MIB);
  tab.line.cut();
  tab.line.goOn();
  await tab.until(() => window.outcome);
  assert.equal(await tab.page.evaluate(() => window.outcome), 'kept');
  assert.ok(from.at(-1) >= 4 * MIB, `it begins at ${from}`);
  assert.deepEqual(folder.kept(), [whole()]);

  // In parts, of which a reload interrupts one; the client remembers the upload's address.
  await takeClient(tab.page);
  tab.line.holdAfter = 4 * MIB;
  await tab.page.evaluate(() => make(5 << 20).start());
  await folder.has(SIZE + 3 * MIB);
  tab.line.cut();
  tab.line.goOn(1 * MIB); // attempts before the reload must not complete
  await tab.page.reload();
  tab.line.goOn();
  await takeClient(tab.page);
  const found = await tab.page.evaluate(async () => {
    const upload = make(5 << 20), former = await upload.findPreviousUploads();
    upload.resumeFromPreviousUpload(former[0]);
    upload.start();
    return former.length;
  });
  assert.equal(found, 1);
  await tab.until(() => window.outcome);
  assert.equal(await tab.page.evaluate(() => window.outcome), 'kept');
  assert.deepEqual(folder.kept(), [whole(), whole()]);

  await takeClient(tab.page);
  tab.line.holdAfter = 4 * MIB;
  await tab.page.evaluate(() => (window.upload = make(Infinity)).start());
  await folder.has(2 * SIZE + 1 * MIB);
  const brokenOff = tab.page.waitForEvent('requestfailed', (request) => request.method() === 'PATCH');
  const dropped = tab.page.evaluate(() => window.upload.abort(true));
  await brokenOff; // otherwise the whole file could arrive
  tab.line.goOn();
  await dropped;
  await folder.isSettled();
  assert.deepEqual(folder.kept(), [whole(), whole()]);
});
