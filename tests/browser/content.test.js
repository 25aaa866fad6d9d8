// SPDX-License-Identifier: MIT
// The results of vsi_content_find and vsi_units_divide in documents (content.c), compared with Chromium's. If the content
// is found, the returned bytes, in another document or in an event, give the same element as the whole document; and text
// inserted at the returned positions appears there. If the content is divided, the bytes of each unit alone give the same
// element as in the content. SEED and COUNT select other documents.
'use strict';
const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { newSession, closeChrome } = require('./harness.js');

const CONTENT = process.env.CONTENT ?? path.join(__dirname, '../../build/bin/test_browser_content');
const ORIGIN = 'http://127.0.0.1:9';
const FAULTS = ['found', 'not found', 'duplicate', 'unbalanced', 'in svg or math'];

after(closeChrome);

let rows, nested;
before(() => {
  const args = [process.env.SEED ?? '1', process.env.COUNT ?? '4000'];
  const lines = execFileSync(CONTENT, args, { encoding: 'latin1', maxBuffer: 1 << 28 }).trimEnd().split('\n');
  const decode = (bytes) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  nested = lines.filter((line) => line.startsWith('nested')).map((line) => {
    const [, error, offsets, why, hex] = line.split('\t');
    const bytes = Buffer.from(hex, 'hex');
    const numbers = offsets.split(' ').map(Number), units = [];
    for (let i = 0; i + 1 < numbers.length; i += 2) units.push(decode(bytes.subarray(numbers[i], numbers[i + 1])));
    return { isDivided: error === '0', why, units, html: decode(bytes) };
  });
  rows = lines.filter((line) => line.startsWith('plain')).map((line) => {
    const [, fault, ...rest] = line.split('\t');
    const bytes = Buffer.from(rest[5] ?? '', 'hex');
    const [begin, end, headEnd, at] = rest.slice(0, 4).map(Number);
    const row = { fault: FAULTS[fault], at, why: rest[4], html: decode(bytes) };
    if (row.fault !== 'found') return row;
    row.source = decode(bytes.subarray(begin, end));
    // Outside of the content, noscript contains text, as in a browser that runs scripts.
    const outside = (part) => decode(part).replaceAll(/noscript/gi, 'noembed');
    row.withoutNoscript = outside(bytes.subarray(0, begin)) + row.source + outside(bytes.subarray(end));
    row.marked = `${decode(bytes.subarray(0, headEnd))}<meta name="put">${decode(bytes.subarray(headEnd))}`; // in the head
    return row;
  });
});

// Runs in the page. Return the errors.
function check(all) {
  const frame = document.body.appendChild(document.createElement('iframe'));
  window.onerror = () => true;
  const parsers = {
    // Without scripts, as the client parses documents and events.
    parser: (html) => new DOMParser().parseFromString(html, 'text/html'),
    // With scripts, as a page is parsed.
    page: (html) => {
      const target = frame.contentDocument;
      target.open();
      target.write(html);
      target.close();
      return target;
    },
  };
  const shown = (document) => document.getElementById('content')?.outerHTML;
  const problems = [];
  let comparisons = 0;
  for (const row of all) {
    const doctype = /^<!doctype html>/i.test(row.html) ? '<!doctype html>' : '';
    for (const [name, parse] of Object.entries(parsers)) {
      const whole = parse(name === 'parser' ? (row.withoutNoscript ?? row.html) : row.html);
      const expected = shown(whole);
      // The position of the difference, with its surroundings.
      const complain = (what, got, wanted = expected) => {
        let at = 0;
        while (got && wanted && at < got.length && got[at] === wanted[at]) at++;
        const near = (text) => JSON.stringify(text?.slice(Math.max(0, at - 60), at + 60));
        const shortest = row.html.length < 400 ? row.html : `${row.html.slice(0, 400)}…`;
        problems.push(`${name}, ${what}: ${near(got)}, not ${near(wanted)} in ${JSON.stringify(shortest)}`);
      };
      if (row.fault !== 'found') {
        const element = whole.getElementById('content');
        const can = element && /^(main|div|section|article)$/.test(element.localName);
        if (row.why === 'no element has this id' && name === 'page' && can) complain('it is there', '');
        continue;
      }
      comparisons++;
      if (expected === undefined) {
        complain('there is none', '');
        continue;
      }
      const alone = shown(parse(`${doctype}<html><head></head><body>${row.source}</body></html>`));
      if (alone !== expected) complain('alone', alone);
      const between = parse(`${doctype}<body><div><p>a</p>${row.source}<p>b</p></div></body>`);
      const around = between.querySelector('div').outerHTML, wanted = `<div><p>a</p>${expected}<p>b</p></div>`;
      if (around !== wanted) complain('between others', around, wanted);
      if (name === 'parser') { // as the client parses an event
        const content = parse(`<body><template>${row.source}</template></body>`).querySelector('template').content;
        const got = [...content.childNodes].map((node) => node.outerHTML ?? node.data).join('');
        if (got !== expected) complain('in an event', got);
      }
      if (name === 'parser') continue;
      const marked = parse(row.marked);
      if (!marked.head.querySelector('meta[name=put]')) complain('in the head', marked.documentElement.outerHTML);
      if (!/^<(main|div|section|article)[\s/][^]*>/i.test(row.source)) complain('offsets', row.source);
    }
  }
  frame.remove();
  return { problems, comparisons };
}

test('content: the found content equals the element that Chromium reads', async (t) => {
  const session = await newSession(t);
  const page = await session.context.newPage();
  await page.route('**/*', (route) =>
    route.request().url() === `${ORIGIN}/` ? route.fulfill({ contentType: 'text/html', body: '<!doctype html><body>' }) : route.abort(),
  );
  await page.goto(`${ORIGIN}/`);
  const problems = [];
  let comparisons = 0;
  for (let i = 0; i < rows.length; i += 500) {
    const part = await page.evaluate(check, rows.slice(i, i + 500));
    problems.push(...part.problems);
    comparisons += part.comparisons;
  }
  t.diagnostic(`${rows.length} documents, ${comparisons} comparisons`);
  assert.deepEqual(problems.slice(0, 5), [], `${problems.length} problems`);
  assert.ok(rows.length >= 2000 && comparisons >= rows.length / 2, 'there are documents, and contents in them');
});

test('content: a page of usual structure is never rejected', () => {
  const refused = rows.filter(({ fault }) => fault !== 'found');
  assert.deepEqual(refused.slice(0, 5).map(({ fault, at, why, html }) => ({ fault, at, why, html })), []);
});

// Runs in the page. Return the units that differ alone, as the client parses events.
function checkUnits(all) {
  const parse = (html) =>
    new DOMParser().parseFromString(`<body><template>${html}</template></body>`, 'text/html').querySelector('template').content;
  const problems = [];
  for (const { html, units } of all) {
    const whole = parse(html);
    for (const unit of units) {
      const nodes = parse(unit).childNodes, alone = nodes[0];
      const there = alone?.id && whole.getElementById(alone.id);
      if (nodes.length !== 1 || alone.outerHTML !== there?.outerHTML)
        problems.push(`${unit}: ${alone?.outerHTML}, not ${there?.outerHTML} in ${html}`);
    }
  }
  return problems;
}

test('content: each unit alone equals the element that Chromium reads in the content', async (t) => {
  const session = await newSession(t);
  const page = await session.context.newPage();
  const divided = nested.filter(({ isDivided }) => isDivided);
  const count = divided.reduce((sum, { units }) => sum + units.length, 0);
  t.diagnostic(`${nested.length} contents, ${divided.length} divided into ${count} units`);
  const problems = [];
  for (let i = 0; i < divided.length; i += 500) problems.push(...(await page.evaluate(checkUnits, divided.slice(i, i + 500))));
  assert.deepEqual(problems.slice(0, 5), [], `${problems.length} problems`);
  assert.ok(divided.length >= nested.length / 10 && count >= divided.length * 1.5, 'contents are divided');
});
