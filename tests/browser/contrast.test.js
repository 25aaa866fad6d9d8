// SPDX-License-Identifier: MIT
// Every example, and the console, is legible and usable: text (also of disabled buttons) and placeholders have a
// contrast of 4.5 : 1, edges of fields 3 : 1 (WCAG 2), light, dark and printed; before and after the login, after the
// main action of the example, and while its server is away. At 320 px, and with text of double size at 640 px, no page
// scrolls sideways; buttons have at least 24 px in each direction; no element moves for users who prefer reduced
// motion. Texts of users have their own direction wherever they are shown. No text is for developers, except below the
// summary that says so.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { EXAMPLES, startOwn } = require('./examples.js');
const { newSession, closeChrome, picture, send, startExample } = require('./harness.js');
const { PURPOSES, enter } = require('./purposes.js');

after(closeChrome);

// Runs in the page. Transparent backgrounds are blended with those below, and so are elements with an opacity.
function measure(isForUsers) {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const known = new Map();
  const rgba = (colour) => {
    if (!known.has(colour)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      known.set(colour, [r, g, b, a / 255]);
    }
    return known.get(colour);
  };
  const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
  const channel = (value) => (value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const contrast = (one, other) => {
    const [a, b] = [luminance(one), luminance(other)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const groundOf = (el) => {
    if (!el) return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
    const below = groundOf(el.parentElement);
    const { backgroundColor, opacity } = getComputedStyle(el);
    const [r, g, b, a] = rgba(backgroundColor);
    return over([r, g, b, a * opacity], below);
  };
  const seen = (el) => el.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const bad = [];
  const check = (what, el, colour, ground, least) => {
    const found = contrast(over(rgba(colour), ground), ground);
    if (found < least) bad.push(`${what} ${found.toFixed(2)}: ${el.outerHTML.slice(0, 120)}`);
  };
  for (const el of document.body.querySelectorAll('*')) {
    if (!seen(el)) continue;
    const style = getComputedStyle(el);
    const text = [...el.childNodes].map((node) => (node.nodeType === Node.TEXT_NODE ? node.data : '')).join('');
    const says = text.trim();
    if ((/\bAda\b|\bby keys\b/i.test(text) || el.matches('input[type=text], input:not([type]), textarea')) && !el.closest('svg, button') &&
      !['plaintext', 'isolate'].includes(style.unicodeBidi)) bad.push(`direction ${style.unicodeBidi}: ${el.outerHTML.slice(0, 120)}`);
    const jargon = /--\w|Ctrl-C|\b(bytes?|commit\w*|dispatch\w*|GET|nodes?|process(es)?|render\w*|sessions?|sold twice|streams?|topics?)\b/i;
    for (const of of [says, el.title, el.ariaLabel, el.placeholder])
      if (jargon.test(of ?? '') && isForUsers && !el.closest('#developers')) bad.push(`for developers: ${el.outerHTML.slice(0, 120)}`);
    if (says && !el.closest('svg, script, style, noscript')) check('text', el, style.color, groundOf(el), 4.5);
    if (el.matches('input:not([type=checkbox], [type=radio], [type=hidden]), textarea, select')) {
      check('value', el, style.color, groundOf(el), 4.5);
      check('edge', el, style.borderTopColor, groundOf(el.parentElement), 3);
      if (el.placeholder) check('placeholder', el, getComputedStyle(el, '::placeholder').color, groundOf(el), 4.5);
    }
  }
  // The symbol of a seat shows its state by its shape: no two symbols are alike.
  const signs = [...document.querySelectorAll('.key li')].map((el) => {
    const { backgroundColor, backgroundImage, borderTopWidth, borderTopColor, color, content } = getComputedStyle(el, '::before');
    const ground = groundOf(el.parentElement);
    const seenIn = [backgroundColor, borderTopWidth === '0px' ? backgroundColor : borderTopColor, content === '""' ? backgroundColor : color,
      backgroundImage.match(/rgba?\(.*?\)/)?.[0] ?? backgroundColor];
    const best = Math.max(...seenIn.map((colour) => contrast(over(rgba(colour), ground), ground)));
    if (best < 3) bad.push(`sign ${best.toFixed(2)}: ${el.outerHTML}`);
    return [content, borderTopWidth, backgroundImage.split('(')[0], el.className === 'bought' ? 'the buyer knows' : ''].join();
  });
  if (new Set(signs).size < signs.length) bad.push(`signs are alike: ${signs}`);
  const pressed = [...document.querySelectorAll('button, a, input:not([type=hidden]), textarea, select')].filter(seen);
  for (const el of pressed) {
    const { width, height } = el.getBoundingClientRect();
    if (width && Math.min(width, height) < 24) bad.push(`small ${width} x ${height}: ${el.outerHTML.slice(0, 120)}`);
  }
  const closed = [...document.querySelectorAll('details:not([open])')];
  for (const one of closed) one.open = true;
  const wide = document.documentElement.scrollWidth;
  for (const one of closed) one.open = false;
  if (wide > innerWidth) bad.push(`sideways: ${wide} in ${innerWidth}`);
  return bad;
}

// Text of double size, in a window of 640 px: no sideways scrolling, and no text is cut off.
function large() {
  document.documentElement.style.fontSize = '200%';
  const wide = document.documentElement.scrollWidth > innerWidth ? [`sideways: ${document.documentElement.scrollWidth}`] : [];
  const cut = [...document.querySelectorAll('h1, h2, p, label, legend, button, dt, dd')]
    .filter((el) => el.checkVisibility() && el.clientWidth > 1 && getComputedStyle(el).overflowX === 'hidden' && el.scrollWidth > el.clientWidth + 1)
    .map((el) => `cut off: ${el.outerHTML.slice(0, 120)}`);
  document.documentElement.style.fontSize = '';
  return [...wide, ...cut];
}

// The colours of a page in dark mode, from its head; and that the keyboard of a phone covers no element.
const head = () => ({
  viewport: document.querySelector('meta[name=viewport]')?.content ?? '',
  themes: document.querySelectorAll('meta[name=theme-color]').length,
  icon: document.querySelector('link[rel=icon]')?.href ?? '',
});

// Runs in the page: return running animations, of which there must be none. The message about a missing script uses one
// as a timer.
const moves = () => document.getAnimations().filter((one) => !one.effect.target.closest('.late')).length;

for (const name of EXAMPLES) {
  test(`${name}: is legible and usable`, async (t) => {
    const example = await startOwn(t, name);
    const { tab } = await newSession(t, { viewport: { width: 320, height: 640 }, reducedMotion: 'reduce' });
    const { page } = await tab('about:blank');
    await page.goto(example.url);
    const { viewport, themes, icon } = await page.evaluate(head);
    assert.match(viewport, /interactive-widget=resizes-content/);
    assert.equal(themes, 2);
    assert.match(icon, /svg/);
    const all = async (state) => {
      for (const [colorScheme, media] of [['light', 'screen'], ['dark', 'screen'], ['dark', 'print']]) {
        await page.emulateMedia({ colorScheme, media, reducedMotion: 'reduce' });
        assert.deepEqual(await page.evaluate(measure, true), [], `${state}, ${colorScheme}, ${media}`);
        await picture(page, `${name}-${state}-${colorScheme}-${media}`);
      }
      assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor), 'rgb(255, 255, 255)', 'paper');
      await page.emulateMedia({ colorScheme: 'light', media: 'screen', reducedMotion: 'reduce' });
      assert.equal(await page.evaluate(moves), 0, 'something moves');
      await page.setViewportSize({ width: 640, height: 640 });
      assert.deepEqual(await page.evaluate(large), [], `${state}, text at 200 %`);
      await page.setViewportSize({ width: 320, height: 640 });
    };
    await all('first');
    await enter(page);
    await page.locator('main').first().waitFor();
    await all('inside');
    await PURPOSES[name](page);
    await all('done');
    if (name === 'counter') await page.locator('#start').click(); // a stopped counter has no stream that could be lost
    await example.kill();
    await page.waitForFunction(() => document.querySelector('.vestry-banner')?.checkVisibility() ||
      document.documentElement.hasAttribute('data-stale') || /connection lost/.test(document.querySelector('#state')?.textContent));
    await all('away');
    if (process.env.PICTURES) {
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.emulateMedia({ colorScheme: 'dark', media: 'screen' });
      await picture(page, `${name}-desk-dark`);
      await page.emulateMedia({ colorScheme: 'light', media: 'screen' });
      await picture(page, `${name}-desk-light`);
    }
  });
}

// capability: H4
test('the console: is legible and usable', async (t) => {
  const server = await startExample('test_browser_console');
  t.after(() => server.stop());
  const post = (what) => send('POST', `${server.url}${what}`, '', { 'Datastar-Request': 'true' });
  await post('open?count=3');
  await post('join?count=2');
  const { tab } = await newSession(t, { viewport: { width: 320, height: 640 }, reducedMotion: 'reduce' });
  const { page } = await tab(`${server.url}observe/console`);
  const all = async (state) => {
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      assert.deepEqual(await page.evaluate(measure), [], `${state}, ${colorScheme}`);
      await picture(page, `console-${state}-${colorScheme}`);
    }
    assert.equal(await page.evaluate(moves), 0, 'something moves');
    await page.setViewportSize({ width: 640, height: 640 });
    assert.deepEqual(await page.evaluate(large), [], `${state}, text at 200 %`);
    await page.setViewportSize({ width: 320, height: 640 });
  };
  await page.locator('#streams tbody tr', { hasText: 'user-1' }).locator('button').click();
  await page.locator('#watch').click();
  await page.getByText('the tail begins').waitFor();
  await post('say?key=user-1&text=news');
  await page.getByText('data: news').waitFor();
  await all('stream');
  await post('close?key=user-1');
  await page.getByText('closed: stalled').waitFor();
  await all('ended');
  for (const id of await page.$$eval('[role=tab]', (tabs) => tabs.map((one) => one.id))) {
    await page.locator(`#${id}`).click();
    await page.locator('[role=tabpanel]:not([hidden]) :is(table, dd)').first().waitFor({ state: 'attached' });
    if (id === 'tab-store') assert.ok(await page.isVisible('#consoles')); // its check box is measured, too
    await all(id);
  }
  await server.kill();
  await page.getByText(/^no connection/).waitFor();
  await all('away');
});
