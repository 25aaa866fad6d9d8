// What conflation of morphs rests on (src/event/target.c), asked of the client itself: where a later morph is shown
// without the earlier one, the page is as it would be with both; and what a user has typed is kept at least as often.
// The stand-in replaces elements instead of morphing them: this is for the real client (DATASTAR_JS).
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const readline = require('node:readline');
const { newSession, closeChrome } = require('./harness.js');

after(closeChrome);

const EFFECTS = process.env.EFFECTS ?? path.join(__dirname, '../../build/bin/test_browser_effects');

// Each: what is there at first, what the user does, the earlier morph and the later one. p is the ids' prefix, and that
// of the signals. differs: what the later one alone leaves otherwise, and why that is right.
const ROWS = {
  'a bound input, typed into': {
    base: (p) => `<input id="${p}i" data-bind:${p}s>`, type: 'typed',
    a: (p) => `<input id="${p}i" data-bind:${p}s><b>1</b>`, b: (p) => `<input id="${p}i" data-bind:${p}s><b>2</b>`,
  },
  'a bound textarea, typed into': {
    base: (p) => `<textarea id="${p}i" data-bind:${p}s></textarea>`, type: 'typed',
    a: (p) => `<textarea id="${p}i" data-bind:${p}s></textarea><b>1</b>`,
    b: (p) => `<textarea id="${p}i" data-bind:${p}s></textarea><b>2</b>`,
  },
  'a field that comes with the morph, and makes its signal': {
    base: () => '',
    a: (p) => `<input id="${p}i" data-bind:${p}s value="1">`, b: (p) => `<b>2</b><input id="${p}i" data-bind:${p}s value="1">`,
  },
  'a textarea that comes with the morph': {
    base: () => '',
    a: (p) => `<textarea id="${p}i" data-bind:${p}s></textarea>`, b: (p) => `<textarea id="${p}i" data-bind:${p}s></textarea><b>2</b>`,
  },
  'a box that the user has ticked': {
    base: (p) => `<input type="checkbox" id="${p}i" data-bind:${p}s>`, click: true,
    a: (p) => `<input type="checkbox" id="${p}i" data-bind:${p}s><b>1</b>`, b: (p) => `<input type="checkbox" id="${p}i" data-bind:${p}s><b>2</b>`,
  },
  'an input that is not bound, whose value is another, and then the first again': {
    base: (p) => `<input id="${p}i" value="0">`, type: 'typed',
    a: (p) => `<input id="${p}i" value="1">`, b: (p) => `<input id="${p}i" value="0">`,
    differs: { value: ['0', 'typed'] }, // what was typed is kept
  },
  'more fields each time': {
    base: (p) => `<input id="${p}i" data-bind:${p}s>`, type: 'typed',
    a: (p) => `<input id="${p}i" data-bind:${p}s><input id="${p}j" data-bind:${p}t>`,
    b: (p) => `<input id="${p}k" data-bind:${p}u><input id="${p}j" data-bind:${p}t><input id="${p}i" data-bind:${p}s>`,
  },
};

test('f3: the client keeps what is typed, and a later morph alone leaves what both leave', { skip: !process.env.DATASTAR_JS && 'the real client is asked' }, async (t) => {
  const child = spawn(EFFECTS, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  t.after(async () => {
    child.stdin.end();
    await exited;
  });
  const [line] = await once(readline.createInterface({ input: child.stdout }), 'line');
  const url = /^effects: (http:\/\/127\.0\.0\.1:\d+)$/.exec(line)[1];
  const session = await newSession(t);
  const { page, until } = await session.tab(`${url}/`);
  const put = (effects) => fetch(`${url}/do`, { method: 'PUT', body: JSON.stringify(effects) });
  while ((await put([['patch-signals', {}]])).status === 404) await page.waitForTimeout(20);
  const root = (p, inside) => `<div id="${p}a">${inside}</div>`;
  let n = 0;
  for (const [name, row] of Object.entries(ROWS)) {
    const seen = [];
    for (const [which, morphs] of [['both', [row.a, row.b]], ['later', [row.b]]]) {
      const p = `${which}${n}`;
      const show = `<output id="${p}o" data-text="JSON.stringify([$${p}s, $${p}t, $${p}u])"></output>`;
      await put([['patch-elements', root(p, row.base(p)) + show, { selector: 'body', mode: 'append' }]]);
      await until((id) => document.getElementById(id)?.textContent, `${p}o`);
      if (row.type) await page.fill(`#${p}i`, row.type);
      if (row.click) await page.click(`#${p}i`);
      if (row.type) await page.focus(`#${p}i`);
      for (const morph of morphs) await put([['patch-elements', root(p, morph(p))]]);
      await put([['patch-elements', `<i id="${p}done"></i>`, { selector: 'body', mode: 'append' }]]);
      await until((id) => document.getElementById(id), `${p}done`);
      seen.push(await page.evaluate((id) => {
        const of = document.getElementById(`${id}i`);
        return {
          dom: document.getElementById(`${id}a`).innerHTML.replaceAll(id, 'P'),
          value: of.type === 'checkbox' ? of.checked : of.value,
          signal: JSON.parse(document.getElementById(`${id}o`).textContent)[0],
          others: JSON.parse(document.getElementById(`${id}o`).textContent).slice(1),
          focus: document.activeElement === of,
        };
      }, p));
    }
    n++;
    const [both, later] = seen;
    for (const [what, [withBoth, alone]] of Object.entries(row.differs ?? {})) {
      assert.deepEqual([both[what], later[what]], [withBoth, alone], `${name}: ${what}`);
      later[what] = both[what];
    }
    assert.deepEqual(later, both, name);
  }
  assert.deepEqual(session.problems, []);
});
