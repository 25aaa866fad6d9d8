// SPDX-License-Identifier: MIT
// Hostile texts, inserted into pages by the library (hostile.c), and read back by Chromium's parsers of HTML, CSS and
// JavaScript: each text must be unchanged, and must have no other effect. SEED and COUNT select others.
'use strict';
const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { CLIENT, newSession, closeChrome } = require('./harness.js');

const HOSTILE = process.env.HOSTILE ?? path.join(__dirname, '../../build/bin/hostile');
const ORIGIN = 'http://127.0.0.1:9';

after(closeChrome);

// By place: { text, made, more }. A text is the form that a browser decodes, and contains no NUL.
const places = new Map();
before(() => {
  const args = [process.env.SEED ?? '1', process.env.COUNT ?? '400'];
  const decode = (hex) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.from(hex ?? '', 'hex'));
  const lines = execFileSync(HOSTILE, args, { encoding: 'latin1', maxBuffer: 1 << 28 }).trimEnd().split('\n');
  for (const line of lines) {
    const [place, text, made, more] = line.split('\t');
    if (!places.has(place)) places.set(place, []);
    places.get(place).push({ text: decode(text).replaceAll('\0', '\uFFFD'), made: decode(made), more: decode(more) });
  }
});

// Runs in the page. Return the errors in the rows of a place.
function check({ place, rows }) {
  const problems = [];
  const attribute = (root, name) => root.querySelector('p').getAttribute(name);
  // The code must be exactly one call v(text): it is run, and rewritten like the harmless one.
  const called = (code, rewrite = (source) => source) => {
    const got = [];
    new Function('v', 'f', rewrite(code))((...all) => got.push(...all), (...all) => got.push(...all));
    return got;
  };
  const one = (list) => (list.length === 1 ? list[0] : list);
  const action = (code, wanted) => {
    const [url, options, ...others] = called(code, (source) => source.replace('@post(', 'f('));
    const parts = /^\/u\/([^/?&#]*)\/x\?q=([^/?&#]*)&r=([^]*)$/.exec(url);
    if (!parts || others.length) return url;
    if (options.selector !== wanted || options.filterSignals.include !== wanted) return JSON.stringify(options);
    if (options.headers['X-A'] !== "it's" || options.retryMaxCount !== Infinity) return JSON.stringify(options);
    const wrong = [decodeURIComponent(parts[1]), decodeURIComponent(parts[2]), parts[3]].filter((got) => got !== wanted);
    return wrong.length ? wrong[0] : wanted;
  };
  const json = (text, wanted, wayOfReading) => {
    const value = wayOfReading(text);
    const name = wanted || 'empty';
    // In JavaScript __proto__ is no member, and of equal names the last wins in both.
    const named = name === '__proto__' ? wanted : value[name];
    const ok = (name === 'a' || value.a === wanted) && (name === 'b' || value.b[0] === wanted) && named === wanted;
    return ok ? wanted : JSON.stringify(value);
  };
  const asJavaScript = (text) => new Function(`return (${text})`)();
  // Return the values of an event's data lines with a key, joined like the client joins them.
  const elementsOf = (event) =>
    event
      .split(/\r\n|\r|\n/)
      .filter((line) => line.startsWith('data: elements '))
      .map((line) => line.slice('data: elements '.length))
      .join('\n');
  const readers = {
    text: (root) => [root.querySelector('p').textContent, root.querySelector('div').textContent],
    'raw text': (root) => [
      root.querySelector('title').textContent,
      root.querySelector('textarea').textContent,
      root.querySelector('pre').textContent,
    ],
    attribute: (root, { text }) => [
      attribute(root, 'title'),
      attribute(root, 'data-x'),
      attribute(root, 'value') === `[${text}]` ? text : attribute(root, 'value'),
    ],
    elements: (root) => [attribute(root, 'title'), root.querySelector('p').textContent],
    javascript: (root) =>
      ['data-on:click', 'data-on:keyup', 'data-show', 'data-text', 'onclick'].map((name) =>
        one(called(attribute(root, name))),
      ),
    script: (root) => [one(called(root.querySelector('script').textContent))],
    json: (root, { text }) => [
      json(attribute(root, 'data-signals'), text, JSON.parse),
      json(attribute(root, 'data-signals'), text, asJavaScript),
      json(attribute(root, 'data-x'), text, JSON.parse),
      json(root.querySelector('script').textContent, text, JSON.parse),
    ],
    action: (root, { text }) =>
      ['data-on:click', 'data-on:keyup', 'data-init'].map((name) => action(attribute(root, name), text)),
    selector: (root, { text, more }) => {
      const found = [...root.querySelectorAll(more)];
      return [root.querySelector('p').id, found.length === 1 ? found[0].id : `${found.length} for ${more} of ${text}`];
    },
    'script event': (root) => {
      const script = root.querySelector('script');
      return [
        script.getAttribute('data-x'),
        script.getAttribute('title'),
        ...(script.getAttribute('type') === 'text/plain' && script.getAttribute('data-effect') === 'el.remove()'
          ? []
          : ['other attributes']),
      ];
    },
  };
  // Return the structure without the texts: elements, the names of their attributes, and their nesting.
  const shape = (node) =>
    [...node.childNodes]
      .map((child) =>
        child.nodeType === Node.TEXT_NODE
          ? ''
          : child.nodeType === Node.ELEMENT_NODE
            ? `<${child.localName} ${[...child.attributes].map(({ name }) => name)}>${shape(child)}</>`
            : `a node of type ${child.nodeType}`,
      )
      .join('');
  const parsers = {
    document: (source) => new DOMParser().parseFromString(`<!doctype html><body>${source}`, 'text/html').body,
    template: (source) => Object.assign(document.createElement('template'), { innerHTML: source }).content,
    page: (source) => {
      const div = document.createElement('div');
      document.body.replaceChildren(div);
      div.innerHTML = source;
      return div;
    },
  };
  window.onerror = (message) => problems.push(`the page: ${message}`);
  window.pwned = () => problems.push('pwned');
  for (const [name, parse] of Object.entries(parsers)) {
    const source = ({ made }) => (made.startsWith('event: ') ? elementsOf(made) : made);
    const harmless = shape(parse(source(rows[0])));
    for (const row of rows) {
      const where = `${place}, ${name}, ${JSON.stringify(row.text)}: ${row.made}\n`;
      try {
        const root = parse(source(row));
        if (shape(root) !== harmless) problems.push(`${where}${shape(root)}, not ${harmless}`);
        const wrong = readers[place](root, row).filter((got) => got !== row.text);
        if (wrong.length) problems.push(where + JSON.stringify(wrong));
      } catch (error) {
        problems.push(where + error);
      }
    }
  }
  document.body.replaceChildren();
  return problems;
}

async function blank(t) {
  const session = await newSession(t);
  const page = await session.context.newPage();
  await page.route(`${ORIGIN}/`, (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><body>' }));
  await page.goto(`${ORIGIN}/`);
  return page;
}

const PLACES = ['text', 'raw text', 'attribute', 'elements', 'javascript', 'script', 'json', 'action', 'selector'];
for (const place of [...PLACES, 'script event']) {
  test(`hostile texts: ${place}`, async (t) => {
    const rows = places.get(place);
    assert.ok(rows.length >= 200, 'there are rows');
    assert.equal(rows[0].text, 'harmless');
    const page = await blank(t);
    const problems = await page.evaluate(check, { place, rows });
    assert.deepEqual(problems.slice(0, 5), []);
    t.diagnostic(`${rows.length} texts, read by three parsers`);
  });
}

// HTML assembled at random, possibly broken: if the builder accepts a text, the document must equal that of a harmless
// text, except for the text itself.
function checkTemplates(rows) {
  const problems = [];
  const isCode = (name) => /^on|^data-on|^data-text|^data-attr/.test(name);
  // Return the content in order: the structure, and the strings.
  const flat = (node, structure = [], strings = []) => {
    let text = '';
    const add = (name, value) => strings.push({ name, value });
    for (const child of (node instanceof HTMLTemplateElement ? node.content : node).childNodes) {
      if (child.nodeType === Node.TEXT_NODE) {
        text += child.data;
      } else {
        structure.push(child.nodeName, child.namespaceURI, child.attributes?.length);
        if (child.nodeType === Node.COMMENT_NODE) structure.push(child.data);
        for (const { name, value } of child.attributes ?? []) {
          structure.push(name);
          add(name, value);
        }
        flat(child, structure, strings);
      }
    }
    add(node.localName === 'noscript' ? 'noscript' : '', text);
    structure.push('end');
    return { structure: structure.join(' '), strings };
  };
  const parsers = {
    document: (source) => new DOMParser().parseFromString(`<!doctype html><body>${source}`, 'text/html').body,
    template: (source) => Object.assign(document.createElement('template'), { innerHTML: source }).content,
    page: (source) => Object.assign(document.implementation.createHTMLDocument('').body, { innerHTML: source }),
    scripting: (source) => Object.assign(document.createElement('div'), { innerHTML: source }),
  };
  window.pwned = () => problems.push('pwned');
  let found = 0;
  for (const [parser, parse] of Object.entries(parsers)) {
    for (const { text, made, more } of rows) {
      const [got, wanted] = [flat(parse(made)), flat(parse(more))];
      const where = `${parser}, ${JSON.stringify(text)}: ${JSON.stringify(made)}\n`;
      if (got.structure !== wanted.structure) {
        problems.push(`${where}${got.structure}, not ${wanted.structure}`);
        continue;
      }
      got.strings.forEach(({ name, value }, i) => {
        if (name === 'noscript' && parser === 'scripting') return; // raw text, which is not displayed
        const harmless = wanted.strings[i].value;
        if (harmless.includes('harmless')) found++;
        const expected = harmless.replace('harmless', () => text);
        if (isCode(name) && harmless.includes('harmless')) {
          const [before, behind] = harmless.split('harmless');
          const inside = value.slice(before.length, value.length - behind.length);
          if (value.startsWith(before) && value.endsWith(behind) && new Function(`return '${inside}'`)() === text) return;
        }
        const isScript = name === 'src' ? /:/.test(value + text) : name === 'href' && /script:/i.test(value + text);
        if (isScript && value === harmless.replace('harmless', 'about:invalid')) return;
        // In svg and math, a textarea is an ordinary element, so the parser keeps its first line feed.
        if (value === harmless.replace('harmless', () => `\n${text}`) && /<(svg|math)[^]*<textarea/.test(made)) return;
        if (value !== expected) problems.push(`${where}${JSON.stringify(value)}, not ${JSON.stringify(expected)}`);
      });
    }
  }
  return { problems, found };
}

// capability: E4
test('hostile texts: in random HTML', async (t) => {
  const page = await blank(t);
  const rows = places.get('template');
  const { problems, found } = await page.evaluate(checkTemplates, rows);
  assert.deepEqual(problems.slice(0, 5), []);
  assert.ok(found > rows.length, 'most of the texts were found again');
  t.diagnostic(`${rows.length} documents, read by four parsers`);
});

// The address is the text itself, or an inert one if the text would be a script.
// capability: E4
test('hostile texts: links', async (t) => {
  const page = await blank(t);
  const rows = places.get('url');
  const problems = await page.evaluate((all) => {
    const found = [];
    for (const { text, made } of all) {
      document.body.innerHTML = made;
      const [link, ...others] = document.body.querySelectorAll('*');
      const isScript = Object.assign(document.createElement('a'), { href: text }).protocol === 'javascript:';
      const wanted = isScript ? 'about:invalid' : text;
      const plain = link?.getAttribute('href') === wanted || link?.getAttribute('href') === 'about:invalid';
      if (others.length || link.attributes.length !== 1 || !plain || link.protocol === 'javascript:')
        found.push(`${JSON.stringify(text)}: ${made}`);
      if (!isScript && link.getAttribute('href') !== text && !/^[\0- \uFFFD]*java/i.test(text))
        found.push(`${JSON.stringify(text)} is no script, but: ${made}`);
    }
    return found;
  }, rows);
  assert.deepEqual(problems.slice(0, 5), []);
  assert.ok(rows.some(({ made }) => made.includes('about:invalid')));
});

// Expressions and actions as the Datastar client (DATASTAR_JS, or the stand-in) runs them, after rewriting them.
// capability: C7
test('hostile texts: in a page with the client', async (t) => {
  const rows = places.get('client');
  const session = await newSession(t);
  const page = await session.context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  const sent = [], said = [];
  const wanted = [...new Set(rows.map(({ text }) => text))].sort();
  let all;
  const done = new Promise((resolve) => (all = resolve));
  await page.route(`${ORIGIN}/**`, (route) => {
    const url = new URL(route.request().url());
    if (url.pathname === '/client.js') return route.fulfill({ path: CLIENT, contentType: 'text/javascript' });
    if (url.pathname === '/sent') {
      sent.push(url.searchParams.get('text'));
      if (Math.min(new Set(sent).size, new Set(said).size) >= wanted.length) all();
      return route.fulfill({ status: 204 });
    }
    if (url.pathname.startsWith('/said/') || url.searchParams.get('more') === 'x') {
      said.push(url.searchParams.get('text'));
      if (Math.min(new Set(sent).size, new Set(said).size) >= wanted.length) all();
      return route.fulfill({ status: 204 });
    }
    const body = rows.map(({ made }) => made).join('\n');
    const scripts = '<script>window.f = (text) => text;</script><script type="module" src="/client.js"></script>';
    const html = `<!doctype html><meta charset="utf-8"><body>${body}<u data-text="'done'"></u>${scripts}`;
    return route.fulfill({ contentType: 'text/html; charset=utf-8', body: html });
  });
  await page.goto(`${ORIGIN}/`);
  await page.waitForFunction(() => document.querySelector('u').textContent === 'done', null, { polling: 50 }).catch(() => {});
  const shown = await page.$$eval('b', (list) => list.map(({ textContent }) => textContent));
  const problems = errors.slice(0, 5);
  shown.forEach((text, i) => {
    const row = rows[Math.floor(i / 3)];
    if (text !== row.text) problems.push(`${JSON.stringify(row.text)} shows ${JSON.stringify(text)}: ${row.made}`);
  });
  assert.equal(shown.length, 3 * rows.length);
  assert.deepEqual(problems.slice(0, 5), []);
  await done;
  assert.deepEqual([...new Set(sent)].sort(), wanted);
  assert.deepEqual([...new Set(said)].sort(), wanted); // by a signal in the URL
  t.diagnostic(`${rows.length} texts with ${path.basename(CLIENT)}`);
});
