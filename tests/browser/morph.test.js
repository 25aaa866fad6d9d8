// SPDX-License-Identifier: MIT
// Assumptions of conflation about morphs (src/html/state.c), checked with the client itself. Each row of
// conflation.json contains the initial content, actions of the user, an earlier morph, events in between, and a later
// morph of the same target. The page receives all of them, one by one, and beside it all but the earlier morph.
//
// - "out": conflation drops the earlier morph, so both results must be equal, except for what `differs` names: there,
//   only the later morph alone keeps the user's state.
// - "kept" and "barrier": conflation writes the earlier morph. It must, because `differs` names what would be lost; or
//   it is cautious, and both results are equal.
//
// tests/connection/conflation_test.c checks with the same file that conflation decides so, also where this test is
// skipped: the stand-in replaces elements instead of morphing them, so every row needs the real client (DATASTAR_JS).
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const readline = require('node:readline');
const { newSession, versionOptions, closeChrome } = require('./harness.js');

after(closeChrome);

const EFFECTS = process.env.EFFECTS ?? path.join(__dirname, '../../build/bin/test_browser_effects');
const ROWS = require('./conflation.json');

// Return everything that a user or a script can observe. Ids and names of signals in the texts have the prefix p, which
// is removed.
function look(p) {
  const plain = (text) => text.replaceAll(p, '');
  const root = document.getElementById(`${p}a`);
  const fields = [...root.querySelectorAll('input, textarea, select')];
  const nameOf = (field) => plain(field.id) || fields.filter(({ id }) => !id).indexOf(field);
  const active = document.activeElement;
  const isText = active.selectionStart !== undefined && active.selectionStart !== null;
  const seen = {
    dom: plain(root.innerHTML),
    aside: plain(document.getElementById(`${p}z`).innerHTML),
    signals: Object.fromEntries(Object.entries(JSON.parse(plain(document.getElementById(`${p}o`).textContent))).sort()),
    focus: root.contains(active) ? (fields.includes(active) ? nameOf(active) : plain(active.id)) : null,
    caret: root.contains(active) && isText ? [active.selectionStart, active.selectionEnd] : null,
    modal: [...root.querySelectorAll('dialog')].map((dialog) => dialog.matches(':modal')),
    told: window.told.splice(0),
  };
  for (const field of fields) {
    seen[`value:${nameOf(field)}`] = field.multiple ? [...field.selectedOptions].map(({ value }) => value) : field.value;
    seen[`checked:${nameOf(field)}`] = field.checked;
  }
  return seen;
}

// Runs in the page, before its scripts: a custom element that records its callbacks.
function prepare() {
  window.told = [];
  customElements.define('x-told', class extends HTMLElement {
    static observedAttributes = ['title'];
    connectedCallback() {
      window.told.push(`there ${this.title}`);
    }
    attributeChangedCallback(name, before, now) {
      if (this.isConnected) window.told.push(`${name} ${now}`);
    }
  });
  document.body.insertAdjacentHTML('beforeend', '<i id="turn"></i>');
}

const doings = {
  type: async (page, field, text) => {
    await field.fill(text);
    await field.focus();
  },
  write: (page, field, text) => field.fill(text),
  click: (page, field) => field.click({ force: true }),
  choose: (page, field, values) => field.selectOption(values),
  caret: (page, field, from, to) => field.evaluate((at, [a, b]) => at.setSelectionRange(a, b), [from, to]),
};

async function act(page, p, user = []) {
  for (const [what, whom, ...how] of user) {
    const field = typeof whom === 'string' ? page.locator(`#${p}${whom}`) : page.locator(`#${p}a input`).nth(whom);
    await doings[what](page, field, ...how);
  }
}

for (const mode of ['outer', 'inner']) {
  test(`f3: the result of a later morph alone, ${mode}`, { skip: !process.env.DATASTAR_JS && 'the real client is asked' }, async (t) => {
    const child = spawn(EFFECTS, await versionOptions(), { stdio: ['pipe', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    t.after(async () => {
      child.stdin.end();
      await exited;
    });
    const [line] = await once(readline.createInterface({ input: child.stdout }), 'line');
    const url = /^effects: (http:\/\/127\.0\.0\.1:\d+)$/.exec(line)[1];
    const session = await newSession(t);
    const put = (effects) => fetch(`${url}/do`, { method: 'PUT', body: JSON.stringify(effects) });
    // Each event alone, because the client applies events that arrive together before any other work.
    let turn = 0;
    const show = async ({ until }, effect) => {
      await put([effect]);
      await put([['patch-elements', String(++turn), { selector: '#turn', mode: 'inner' }]]);
      await until((n) => document.getElementById('turn').textContent === String(n), turn);
    };
    const open = async () => {
      const tab = await session.tab(`${url}/`);
      await tab.page.evaluate(prepare);
      for (let n = 0; !n || (await tab.page.textContent('#turn')) === ''; n++)
        await put([['patch-elements', '0', { selector: '#turn', mode: 'inner' }]]);
      return tab;
    };
    const shared = await open();
    const wrong = [];
    for (const [n, template] of ROWS.entries()) {
      const seen = [];
      for (const which of ['both', 'later']) {
        const p = `${which}${n}p`;
        const tab = template.fresh ? await open() : shared;
        const { page } = tab;
        const row = JSON.parse(JSON.stringify(template).replaceAll('~', p));
        const root = (inside) => `<div id="${p}a">${inside}</div>`;
        const morph = (inside) =>
          mode === 'outer' ? ['patch-elements', root(inside)] : ['patch-elements', inside, { selector: `#${p}a`, mode }];
        if (row.signals) await show(tab, ['patch-signals', row.signals]);
        await show(tab, ['patch-elements', `<div id="${p}all"><div ${row.around ?? ''}>${root(row.base)}</div><div id="${p}z"></div>`
          + `<pre id="${p}o" data-json-signals__terse="{include: /^${p}/}"></pre></div>`, { selector: 'body', mode: 'append' }]);
        await page.evaluate(() => document.activeElement.blur());
        await act(page, p, row.user);
        if (which === 'both') await show(tab, morph(row.earlier));
        for (const event of row.between ?? []) await show(tab, event);
        await show(tab, morph(row.later));
        await act(page, p, row.user_at_end);
        // Chromium focuses an element with autofocus at the next frame, before its callbacks.
        await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
        seen.push(await page.evaluate(look, p));
        await show(tab, ['remove-elements', `#${p}all`]);
        if (template.fresh) await page.close();
      }
      const [both, later] = seen;
      const differs = {};
      for (const what of new Set([...Object.keys(both), ...Object.keys(later)]))
        if (JSON.stringify(both[what]) !== JSON.stringify(later[what])) differs[what] = [both[what], later[what]];
      const told = template.differs ?? {};
      for (const what of Object.keys(told)) if (told[what] === true && what in differs) differs[what] = true;
      for (const what of template.may_differ ?? []) delete differs[what];
      // For a morph that is not dropped, one difference is sufficient.
      if (template.decision !== 'out')
        for (const what of Object.keys(differs)) if (!(what in told) && !template.cautious) delete differs[what];
      if (JSON.stringify(Object.entries(differs).sort()) !== JSON.stringify(Object.entries(told).sort()))
        wrong.push([template.name, { differs, told }]);
    }
    assert.deepEqual(wrong, []);
    assert.deepEqual(session.problems, []);
  });
}
