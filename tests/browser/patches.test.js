// SPDX-License-Identifier: MIT
// The patches of a page whose content has changed in some elements (patches.c), performed in Chromium by the client:
// the document afterwards equals the document after the whole content, and everything that the whole content keeps of
// the user's state is kept, too: focus and selection, typed values, open details, scroll positions, and the elements
// themselves. The stand-in performs all pairs, and the client that DATASTAR_JS names does, too. SEED and COUNT select
// other pairs.
'use strict';
const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { newSession, closeChrome } = require('./harness.js');

const PATCHES = process.env.PATCHES ?? path.join(__dirname, '../../build/bin/test_browser_patches');
const ORIGIN = 'http://127.0.0.1:9';
const STANDIN = path.join(__dirname, 'standin.js');
const CLIENTS = [STANDIN, ...(process.env.DATASTAR_JS ? [process.env.DATASTAR_JS] : [])];
const DOCUMENT = `<!doctype html><style>
  #content { height: 300px; overflow: auto }
  #content * { flex: none; display: block; box-sizing: content-box; min-height: 1px }
  #content :is(div, section, ul) { max-height: 40px; overflow: auto; padding-bottom: 60px }
</style><script type="module" src="client.js"></script><body><main id="content"></main>`;

after(closeChrome);

let rows;
before(() => {
  const args = [process.env.SEED ?? '1', process.env.COUNT ?? '1000'];
  const lines = execFileSync(PATCHES, args, { encoding: 'latin1', maxBuffer: 1 << 28 }).trimEnd().split('\n');
  rows = lines.map((line) => {
    const [had, whole, patches] = line.split('\t').map((bytes) => Buffer.from(bytes, 'hex').toString());
    return { had, whole, patches };
  });
});

// Runs in the page. Return the errors, and how much was kept by the whole contents and by the patches.
async function check(all) {
  const sums = { kept: 0, keptByWhole: 0, nameless: 0, worse: 0 };
  const problems = [];
  let random = 1;
  const chance = (below) => {
    random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
    return Math.floor((random / 2 ** 32) * below);
  };
  // The client performs the blocks of an event one after the other.
  const perform = (event) => {
    for (const block of event.split('\n\n')) {
      const argsRaw = {};
      let type = '';
      for (const line of block.split('\n')) {
        if (line.startsWith('event: ')) type = line.slice(7);
        const [, key, value] = /^data: (\S+) ?(.*)$/.exec(line) ?? [];
        if (key) argsRaw[key] = key in argsRaw ? `${argsRaw[key]}\n${value}` : value;
      }
      const detail = { type, el: document.body, argsRaw };
      if (type) document.dispatchEvent(new CustomEvent('datastar-fetch', { detail }));
    }
  };
  const fields = 'input, textarea';
  // Show the first content, and do what users do: the same for the same random number.
  const use = (had, seed) => {
    random = seed;
    document.body.innerHTML = had;
    const content = document.getElementById('content'), elements = [content, ...content.querySelectorAll('*')];
    const state = { elements, ids: elements.map((el) => el.id), focused: null };
    for (const el of elements) {
      if (el.matches('details') && chance(2)) el.open = true;
      if (el.matches(fields) && chance(2)) el.value = `typed ${chance(100)}`;
    }
    // Not in each pair, because a scroll needs the layout.
    const isScrolled = seed % 4 === 0;
    for (const el of isScrolled ? elements : [])
      if (el.scrollHeight > el.clientHeight && chance(2)) el.scrollTop = 1 + chance(40);
    const some = elements.filter((el) => el.matches(fields));
    if (some.length && seed % 2) { // so does focus
      state.focused = some[chance(some.length)];
      state.focused.focus({ preventScroll: true });
      state.focused.setSelectionRange(1, 3);
    }
    state.scrolled = elements.map((el) => (isScrolled ? el.scrollTop : 0));
    state.values = elements.map((el) => el.value);
    state.open = elements.map((el) => el.open);
    return state;
  };
  // Return the document without the state of details, and what is kept of each element that was there before.
  const look = (state) => {
    const active = document.activeElement, content = document.getElementById('content');
    const indexes = new Map(state.elements.map((el, i) => [el, i]));
    const now = [content, ...content.querySelectorAll('*')].map((el) => {
      const i = indexes.get(el);
      if (i === undefined) return { kept: [] };
      const kept = ['element'];
      if (state.open[i] && el.open) kept.push('open');
      if (state.values[i] && el.value === state.values[i]) kept.push('value');
      if (state.scrolled[i] && el.scrollTop === state.scrolled[i]) kept.push('scroll');
      if (el === state.focused && el === active) {
        kept.push('focus');
        const ends = [el.selectionStart, el.selectionEnd], len = el.value.length;
        if (ends[0] === Math.min(1, len) && ends[1] === Math.min(3, len)) kept.push('selection');
      }
      return { id: state.ids[i], kept }; // the client may give an id to an element without one
    });
    const text = content.cloneNode(true);
    for (const el of text.querySelectorAll('details')) el.removeAttribute('open');
    return { now, text };
  };
  for (const [n, row] of all.entries()) {
    const before = use(row.had, n + 1);
    perform(row.whole);
    const whole = look(before);
    const again = use(row.had, n + 1);
    perform(row.patches);
    const patched = look(again);
    const complain = (what) => problems.push([`${what}: had ${row.had}`, row.patches, `whole   ${whole.text.outerHTML}`,
      `patched ${patched.text.outerHTML}`].join('\n'));
    if (!whole.text.isEqualNode(patched.text)) { // the order of attributes may differ
      complain('the documents differ');
      continue;
    }
    for (const [k, one] of whole.now.entries()) {
      const other = patched.now[k];
      sums.keptByWhole += one.kept.length;
      sums.kept += other.kept.length;
      const lost = one.kept.filter((what) => !other.kept.includes(what));
      if (!lost.length) continue;
      if (one.id) complain(`#${one.id} lost ${lost}`);
      else sums.worse++;
    }
    sums.nameless += whole.now.filter(({ id, kept }) => !id && kept.length).length;
  }
  return { problems, sums };
}

for (const client of CLIENTS) {
  test(`patches: the document equals the document after the whole content, ${path.basename(client)}`, async (t) => {
    const session = await newSession(t);
    const page = await session.context.newPage();
    await page.route('**/*', (route) => {
      const name = new URL(route.request().url()).pathname;
      const body = name === '/client.js' && fs.readFileSync(client, 'utf8');
      if (body) return route.fulfill({ contentType: 'text/javascript', body });
      return name === '/' ? route.fulfill({ contentType: 'text/html', body: DOCUMENT }) : route.abort();
    });
    await page.goto(`${ORIGIN}/`);
    const { problems, sums } = await page.evaluate(check, rows);
    t.diagnostic(`${rows.length} pairs; ${JSON.stringify(sums)}`);
    assert.deepEqual(problems.slice(0, 3), [], `${problems.length} problems`);
    assert.ok(rows.length >= 500 && sums.kept >= sums.keptByWhole, 'the patches keep at least as much');
  });
}
