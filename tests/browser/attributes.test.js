// SPDX-License-Identifier: MIT
// Every attribute of every element of HTML, SVG and MathML, with texts that would run code if possible. Chromium shows
// a page of everything that the builder accepts (hostile.c): no code runs, and nothing is loaded from other sites. The
// attributes are those of the standards, and all others that this Chromium knows. SEED selects which texts are tried
// where; ALL=1 tries each in each place.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { newSession, closeChrome, TIMEOUT_MS } = require('./harness.js');

const HOSTILE = process.env.HOSTILE ?? path.join(__dirname, '../../build/bin/hostile');
const ORIGIN = 'http://127.0.0.1:9';
const EVIL = 'http://evil.test';
const ROWS_PER_PAGE = 4000;

after(closeChrome);

const words = (text) => text.trim().split(/\s+/);
const ELEMENTS = {
  html: words(`a abbr acronym address applet area article aside audio b basefont bdi bdo bgsound big blink blockquote body
    br button canvas caption center cite code col colgroup command content data datalist dd del details dfn dialog dir
    div dl dt element em embed fencedframe fieldset figcaption figure font footer form geolocation h1 head header hgroup
    hr html i iframe image img input ins isindex kbd keygen label legend li link listing main map mark marquee menu
    menuitem meta meter model multicol nav nextid nobr noembed noframes noscript object ol optgroup option output p
    param permission picture portal pre progress q rb rp rt rtc ruby s samp script search section select
    selectedcontent shadow slot small source spacer span strike strong style sub summary sup table tbody td template
    textarea tfoot th thead time title tr track tt u ul var video wbr webview xmp x-own frame`),
  svg: words(`a animate animateColor animateMotion animateTransform audio canvas circle clipPath cursor defs desc discard
    ellipse feBlend feColorMatrix feComponentTransfer feComposite feConvolveMatrix feDiffuseLighting feDisplacementMap
    feDistantLight feDropShadow feFlood feFuncA feGaussianBlur feImage feMerge feMergeNode feMorphology feOffset
    fePointLight feSpecularLighting feSpotLight feTile feTurbulence filter font foreignObject g handler hatch iframe image
    line linearGradient listener marker mask mesh metadata mpath path pattern polygon polyline prefetch radialGradient
    rect script set stop style svg switch symbol tbreak text textPath title tref tspan unknown use video view`),
  math: words(`a annotation annotation-xml maction math menclose merror mfenced mfrac mglyph mi mlabeledtr mmultiscripts
    mn mo mover mpadded mphantom mroot mrow ms mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder
    munderover none semantics script`),
};
const ATTRIBUTES = words(`abbr accept accept-charset accesskey action actiontype align alink allow allowfullscreen alpha alt
  altimg anchor archive as async attributeName attributeType attributionsrc autocapitalize autocomplete autofocus autoplay
  axis background base baseProfile begin behavior bgcolor blocking border by calcMode cdgroup cellpadding char charset
  checked cite class classid clip-path closedby code codebase codetype color colorspace cols command commandfor compact
  content contenteditable controls controlslist coords credentialless crossorigin csp cursor d data data-bind data-ref
  data-src data-x datafld dataformatas datasrc datetime declare decoding default defer definitionURL dir dirname disabled
  display download draggable dur dynsrc elementtiming enctype encoding enterkeyhint event exportparts externalResourcesRequired
  face fallback fetchpriority fill filter flood-color focusable font-family for form formaction formenctype formmethod
  formnovalidate formtarget frame frameborder from headers height hidden high href hreflang hspace http-equiv icon id
  imagesizes imagesrcset implementation importance in inert inputmode integrity interestfor is ismap itemid itemprop
  itemref itemscope itemtype keyTimes keyPoints kind label lang language lighting-color link list loading longdesc loop
  low lowsrc manifest marker-end marker-start mask max maxlength media method mimeType min mode multiple muted name
  nohref nonce noshade novalidate nowrap object open optimum origin other overlay overflow part path pathLength pattern
  ping pluginspage pluginurl placeholder popover popovertarget popovertargetaction poster preload profile privateToken
  property prompt propagate readonly referrerpolicy rel repeatCount required requiredExtensions resource result rev role
  rows rules sandbox scheme scope scoped selected shadowrootmode shadowrootclonable shape sharedstoragewritable show size
  sizes slot span spellcheck src srcdoc srclang srcset standby start step stop-color stroke style summary systemLanguage
  tabindex target text text-decoration theme title to transform translate type typemustmatch unselectable usemap valign
  value values valuetype version viewBox vlink vspace wrap webkitdirectory width x xlink:actuate xlink:arcrole xlink:href
  xlink:role xlink:show xlink:title xlink:type xml:base xml:id xml:lang xml:space xmlns xmlns:xlink xref y z zoomAndPan
  foo:href foo:src onload onbegin data-text data-on:click data-attr:href`);

// Attributes that contain URLs, code and similar values in some element: tried more often.
const HOT = new Set(words(`href xlink:href src srcdoc data action formaction content values from to by attributeName type
  rel value code codebase style is srcset imagesrcset ping background poster manifest archive classid data-attr:href`));

// Attributes of the application that give others a meaning, before and after them.
const COMPANIONS = {
  script: ['type=module', 'type=text/javascript', 'type=importmap', 'type=speculationrules'],
  link: ['rel=stylesheet', 'rel=preload as=script', 'rel=preload as=style', 'rel=modulepreload', 'rel=icon', 'rel=canonical',
    'rel=manifest', 'rel=import', 'rel=prefetch', 'rel="alternate stylesheet" title=a', 'rel=alternate type=text/css',
    'rel=prerender', 'rel=search', 'rel=preconnect', 'rel=compression-dictionary', 'rel=next', 'itemprop=a'],
  meta: ['http-equiv=refresh', 'name=description', 'name=referrer', 'http-equiv=content-security-policy'],
  input: ['type=image', 'type=submit', 'type=button', 'type=hidden'],
  button: ['type=submit', 'command=show-modal'],
  object: ['type=text/html', 'type=image/svg+xml', 'type=text/javascript', 'type=application/pdf'],
  embed: ['type=text/html', 'type=image/svg+xml', 'type=application/x-shockwave-flash'],
  iframe: ['name=a', 'loading=eager'],
  param: ['name=movie', 'name=src', 'name=data', 'name=url', 'name=code'],
  style: ['type=text/css'],
  template: ['shadowrootmode=open'],
  area: ['shape=default'],
  'annotation-xml': ['encoding=text/html'],
};
for (const element of words('animate set animateColor animateTransform animateMotion')) {
  COMPANIONS[element] = ['href', 'xlink:href', 'onclick', 'style', 'src', 'transform'].flatMap((name) => [
    `attributeName=${name} dur=1ms fill=freeze`, // shows the end state
    `attributeName=${name} dur=99s`, // shows the start state
  ]);
}

// The parent that an element needs for its attributes to have an effect.
const inside = ({ kind, element }, made) => {
  if (/^(animate|set)/.test(element)) {
    const href = made.includes('xlink:href') ? 'xlink:href' : 'href'; // the second one hides the first
    made = `<a ${href}="javascript:0"><text>x</text>${made}</a>`;
  }
  if (kind !== 'html') return `<${kind}>${made}</${kind}>`;
  if (/^(caption|col|colgroup|tbody|td|tfoot|th|thead|tr)$/.test(element)) return `<table>${made}</table>`;
  if (/^(button|input|image|keygen)$/.test(element)) return `<form>${made}</form>`;
  if (element === 'param') return `<object>${made}</object>`;
  if (element === 'area') return `<map>${made}</map>`;
  return /^(source|track)$/.test(element) ? `<video>${made}</video>` : made;
};

// Code that runs sends its number to the page, from any frame.
const call = (n) => `top.postMessage(${n},'*')`;
const TEXTS = {
  script: (n) => `javascript:${call(n)}`,
  'script in disguise': (n) => ` \x01jAva\rscript:${call(n)}`,
  'data script': (n) => `data:text/javascript,${call(n)}`,
  'data page': (n) => `data:text/html,<script>${call(n)}</script>`,
  'data style': (n) => `data:text/css,:root{--a:${n}}`,
  'data picture': (n) =>
    `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' id='a'><script>${call(n)}</script></svg>#a`,
  'far away': (n) => `${EVIL}/${n}`,
  order: (n) => `0;url=${EVIL}/${n}`,
  code: (n) => call(n),
  page: (n) => `<script>${call(n)}</script>`,
  colour: (n) => `red;background:url(${EVIL}/${n})`,
};

// Places where an escaped text is still harmful: Chromium must run these, otherwise the test could detect nothing.
const HARMFUL = [
  ['script', 'html', '<a href="', '">x</a>'],
  ['script in disguise', 'html', '<a href="', '">x</a>'],
  ['script', 'html', '<map><area href="', '"></map>'],
  ['script', 'html', '<form action="', '"></form>'],
  ['script', 'html', '<form><button formaction="', '">x</button></form>'],
  ['script', 'html', '<form><input type=image formaction="', '"></form>'],
  ['script', 'html', '<iframe src="', '"></iframe>'],
  ['script', 'svg', '<a href="', '"><text>x</text></a>'],
  ['script', 'svg', '<a xlink:href="', '"><text>x</text></a>'],
  ['script', 'svg', '<animate attributeName=href dur=99s values="', '"/>'],
  ['script', 'svg', '<animate attributeName=href dur=99s from="', '" to="javascript:0"/>'],
  ['script', 'svg', '<animate to="', '" dur=1ms fill=freeze attributeName=href />'],
  ['script', 'svg', '<set attributeName=href to="', '"/>'],
  ['data page', 'html', '<iframe src="', '"></iframe>'],
  ['data page', 'html', '<object data="', '"></object>'],
  ['data page', 'html', '<embed src="', '">'],
  ['data picture', 'html', '<embed src="', '">'],
  ['data script', 'html', '<script src="', '"></script>'],
  ['data script', 'html', '<script type=module src="', '"></script>'],
  ['data script', 'svg', '<script href="', '"></script>'],
  ['data script', 'svg', '<script xlink:href="', '"></script>'],
  ['far away', 'html', '<script src="', '"></script>'],
  ['far away', 'html', '<link rel=stylesheet href="', '">'],
  ['far away', 'html', '<link href="', '" rel=stylesheet>'],
  ['far away', 'html', '<link rel=modulepreload href="', '">'],
  ['far away', 'html', '<link rel=preload as=script href="', '">'],
  ['data style', 'html', '<link rel=stylesheet href="', '">'],
  ['order', 'html', '<meta http-equiv=refresh content="', '">'],
  ['order', 'html', '<meta content="', '" http-equiv=refresh>'],
  ['page', 'html', '<iframe srcdoc="', '"></iframe>'],
  ['code', 'html', '<img src="x" onerror="', '">'],
].map(([text, kind, before, behind]) => {
  const [, element] = /<(\w+)[^<]*$/.exec(before);
  return { text, kind, element, before, behind, alone: text === 'order' }; // with two orders, one would take precedence
});

const escaped = (text) => text.replace(/[&<>"'\r]/g, (c) => `&#${c.charCodeAt(0)};`);

// Return the builder's output for the rows: '' if it rejects the text.
function ask(rows) {
  const input = rows.map(({ before, behind, text }, n) => `${before}\t${TEXTS[text](n)}\t${behind}\n`).join('');
  const made = execFileSync(HOSTILE, ['asked'], { input, encoding: 'utf8', maxBuffer: 1 << 30 }).split('\n');
  assert.equal(made.pop(), '');
  assert.equal(made.length, rows.length);
  return made;
}

function placesOf(element, kind, attribute) {
  const place = (front, back) => ({ kind, element, attribute, before: `<${element}${front} ${attribute}="`,
    behind: `"${back}></${element}>` });
  const companions = (COMPANIONS[element] ?? []).flatMap((own) => [place(` ${own}`, ''), place('', ` ${own}`)]);
  return [place('', ''), ...companions];
}

// Show a page of rows { text, kind, element, n, made }. Return the numbers of rows that ran code, and its kind.
async function show(session, rows) {
  const page = await session.context.newPage();
  const clicks = rows.some(({ text }) => text.startsWith('script'));
  const isFrames = rows[0].element === 'frame';
  const head = `<!doctype html><meta charset="utf-8"><base target="sink"><script>
    window.got = []; addEventListener('message', ({ data }) => got.push(data));</script>`;
  const all = rows.map((row) => inside(row, row.made)).join('\n');
  const body = isFrames ? `${head}<frameset>${all}</frameset>` : `${head}<body><iframe name="sink"></iframe>${all}`;
  const found = [];
  await page.route('**/*', (route) => {
    const request = route.request();
    const [url, type] = [request.url(), request.resourceType()];
    const isTop = request.isNavigationRequest() && request.frame() === page.mainFrame();
    if (isTop && url === `${ORIGIN}/`) return route.fulfill({ contentType: 'text/html; charset=utf-8', body });
    if (url.startsWith(EVIL) && (isTop || /^(script|stylesheet|manifest)$/.test(type)))
      found.push({ n: Number(/(\d+)/.exec(url)?.[1]), what: `${isTop ? 'the page goes away' : type}: ${url}` });
    if (!isTop && type === 'document') return route.fulfill({ contentType: 'text/html', body: '' });
    return isTop ? route.fulfill({ status: 204 }) : route.abort(); // a 204 keeps the page
  });
  await page.goto(`${ORIGIN}/`);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  // Click one after the other: each click navigates the frame, which the next would interrupt. Code that a frame should
  // run is lost if an earlier navigation of the frame completes first, so the last click is repeated until its code has
  // run.
  if (clicks && !isFrames) {
    await page.evaluate(async (patience) => {
      const last = Object.assign(document.createElement('a'), { target: 'sink' });
      document.body.append(last);
      let mark = 0, heard = null;
      addEventListener('message', ({ data }) => data === mark && heard?.(true));
      const settled = async () => {
        const givenUp = performance.now() + patience;
        for (let isHeard = false; !isHeard; ) {
          if (performance.now() > givenUp) throw new Error('the frame runs nothing any more');
          last.href = `javascript:top.postMessage(${--mark})`;
          const answer = new Promise((done) => (heard = done));
          last.click();
          isHeard = await Promise.race([answer, new Promise((done) => setTimeout(done, 50))]);
        }
      };
      for (const element of document.querySelectorAll('a, area, form, button, input, math [href], svg a')) {
        if (element === last || !element.outerHTML.includes('postMessage')) continue;
        if (element.localName === 'form') HTMLFormElement.prototype.submit.call(element);
        else element.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }));
        await settled();
      }
    }, TIMEOUT_MS);
  }
  const { got, sheets } = await page.evaluate(() => ({ got: window.got,
    sheets: [...document.styleSheets].map(({ href }) => href).filter(Boolean) }));
  await page.close();
  for (const n of got) if (n >= 0) found.push({ n, what: 'runs' });
  for (const url of sheets) found.push({ n: Number(/(\d+)\D*$/.exec(decodeURIComponent(url))?.[1]), what: `style: ${url}` });
  return found;
}

// Show pages of rows with one text each, so that links are clicked only if their scripts would be detected.
async function showAll(t, rows) {
  const session = await newSession(t);
  const found = [];
  const groups = new Map();
  for (const row of rows) {
    const name = `${row.text} ${row.element === 'frame'} ${row.alone ? row.n : ''}`;
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(row);
  }
  for (const group of groups.values())
    for (let from = 0; from < group.length; from += ROWS_PER_PAGE)
      found.push(...(await show(session, group.slice(from, from + ROWS_PER_PAGE))));
  return found;
}

test('attributes: Chromium runs harmful texts, and the builder rejects them or makes them harmless', async (t) => {
  const plain = HARMFUL.map((row, n) => ({ ...row, n, made: row.before + escaped(TEXTS[row.text](n)) + row.behind }));
  const seen = new Set((await showAll(t, plain)).map(({ n }) => n));
  const unseen = plain.filter(({ n }) => !seen.has(n)).map(({ text, made }) => `${text}: ${made}`);
  assert.deepEqual(unseen, []);
  const made = ask(HARMFUL);
  const taken = HARMFUL.map((row, n) => ({ ...row, n, made: made[n] })).filter(({ made }) => made);
  assert.deepEqual(taken.filter(({ made }) => !made.includes('about:invalid')).map(({ made }) => made), []);
  assert.deepEqual(await showAll(t, taken), []);
  t.diagnostic(`${plain.length} places: ${plain.length - taken.length} are refused, the others go nowhere`);
});

// Return all attributes that this Chromium reflects, in addition to the known ones.
async function reflected(t) {
  const session = await newSession(t);
  const page = await session.context.newPage();
  const names = await page.evaluate((elements) => {
    const found = new Set();
    for (const name of elements) {
      const element = document.createElement(name);
      for (const property in element) {
        if (/^on|HTML$|^textContent|^innerText|^outerText|^nodeValue/.test(property)) continue;
        try {
          element[property] = 'a';
        } catch {
          continue;
        }
      }
      for (const attribute of Element.prototype.getAttributeNames.call(element)) found.add(attribute);
    }
    return [...found];
  }, ELEMENTS.html);
  await session.context.close();
  return names;
}

// capability: E4
test('attributes: accepted texts run no code in any element', async (t) => {
  const more = await reflected(t);
  assert.ok(more.includes('href') && more.length > 100, `Chromium knows ${more.length}`);
  const attributes = new Set([...ATTRIBUTES, ...more]);
  const seed = Number(process.env.SEED ?? 1);
  const rows = [];
  let count = 0;
  for (const [kind, elements] of Object.entries(ELEMENTS))
    for (const element of elements)
      for (const attribute of attributes)
        for (const place of placesOf(element, kind, attribute))
          for (const text of Object.keys(TEXTS)) {
            const every = HOT.has(attribute) ? 17 : 101; // coprime to the number of texts
            if (process.env.ALL || (count++ + seed) % every === 0) rows.push({ ...place, text });
          }
  const made = ask(rows);
  const taken = rows.map((row, n) => ({ ...row, n, made: made[n] })).filter(({ made }) => made);
  assert.ok(taken.length > rows.length / 2, `${taken.length} of ${rows.length} are taken`);
  const problems = (await showAll(t, taken)).map(({ n, what }) => `${what}: ${rows[n]?.text}: ${made[n]}`);
  assert.deepEqual(problems.slice(0, 10), []);
  t.diagnostic(`${rows.length} texts in ${attributes.size} attributes, ${taken.length} of them taken and shown`);
});
