// SPDX-License-Identifier: MIT
// A tab of the program in window.c, and functions that read its window.
'use strict';
const { startExample, newSession, send } = require('./harness.js');
const { startProxy } = require('./proxy.js');

// breaks: faults of the proxy; isReady: wait until the page has its stream; dir: the direction of the document.
async function tabFor(t, where, { breaks = {}, isReady = true, dir = 'ltr', ...options } = {}) {
  const server = await startExample('test_browser_window');
  t.after(() => server.stop());
  const proxy = await startProxy(t, server);
  Object.assign(proxy, breaks);
  const session = await newSession(t, { viewport: { width: 800, height: 600 }, ...options });
  await session.context.addInitScript(() => {
    window.told = [];
    window.most = 0; // maximum number of concurrent streams
    let open = 0;
    window.navigated = 0;
    addEventListener('vestry-navigated', () => { window.navigated++; open--; });
    const go = Object.getOwnPropertyDescriptor(window, 'vestryNavigate');
    if (!go) {
      let own;
      Object.defineProperty(window, 'vestryNavigate', {
        get: () => own && new Proxy(own, {
          apply: (go, of, [to, how]) => {
            const is = go(to, how);
            if (is && how !== 'place') window.most = Math.max(window.most, ++open);
            return is;
          },
        }),
        set: (value) => (own = value),
      });
    }
    document.addEventListener('datastar-fetch', ({ detail }) => window.told.push(detail.type));
    // Return the row at the upper edge: its text, and the size of its part above; null: none.
    window.seen = (id = 'list') => {
      const list = document.getElementById(id), box = list.getBoundingClientRect();
      const at = document.elementFromPoint(box.left + 5, box.top + 2)?.closest('.vestry-window-rows > div > *');
      return at && { text: at.textContent, above: Math.round(box.top - at.getBoundingClientRect().top) };
    };
    // Return whether rows fill the whole element.
    window.isFilled = () => {
      const list = document.getElementById('list').getBoundingClientRect();
      return [2, 100, 200, 300, 395].every((y) =>
        document.elementFromPoint(list.left + 5, list.top + y)?.closest('.vestry-window-rows > div > *'));
    };
  });
  await session.context.addInitScript((is) => {
    new MutationObserver(() => document.documentElement?.setAttribute('dir', is)).observe(document, { childList: true });
  }, dir);
  const tab = await session.tab(`${proxy.url}${where}`, { waitUntil: isReady ? 'load' : 'commit' });
  if (isReady && options.javaScriptEnabled !== false) await tab.until(() => window.told.includes('datastar-patch-signals'));
  const { page } = tab;
  return {
    ...tab, proxy, session,
    seen: () => page.evaluate(() => window.seen()),
    filled: (text) => tab.until((is) => window.isFilled() && (!is || window.seen()?.text.startsWith(is)), text),
    scrollTo: (top, left) => page.evaluate(([y, x]) => document.getElementById('list').scrollTo(x ?? 0, y), [top, left]),
    place: () => page.evaluate(() => new URLSearchParams(location.search).get('list')),
    upload: (what) => send('POST', `${proxy.url}${what}`),
  };
}

module.exports = { tabFor };
