// SPDX-License-Identifier: MIT
// The server's clock in a page, and the elements that show times by it. clock.c explains it.
// parameters: at, url
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.

(() => {
  const all = '[data-countdown],[data-elapsed]', visible = new Set(), known = new WeakSet();
  // ahead: the server's clock minus Date.now(). drift: Date.now() minus performance.now() when they were last compared.
  let ahead, drift, timer;

  // The server's clock showed `server` when performance.now() was `mine`.
  const set = (server, mine) => { drift = Date.now() - performance.now(); ahead = server - mine - drift };
  const measure = async () => {
    for (let i = 0, best = Infinity; i < 3 && best > 20; i++) {
      const from = performance.now(), answer = await fetch(url, {cache: 'no-store'}), to = performance.now();
      const server = Number(await answer.text());
      if (answer.ok && server && to - from < best) best = to - from, set(server, (from + to) / 2) }
    tick() };
  const now = () => {
    const by = Date.now() - performance.now() - drift;
    drift += by;
    if (by < 50) ahead -= by;
    if (url && Math.abs(by) >= 50) measure().catch(() => {});
    return Date.now() + ahead };

  // Writes the text of an element, and returns the milliseconds until it changes.
  const show = (el, at) => {
    const {countdown, elapsed, format, over} = el.dataset, isDown = countdown !== undefined;
    const ms = (isDown ? countdown - at : at - elapsed) || 0, parts = {};
    const isOver = isDown && ms <= 0;
    let rest = Math.max(0, isDown ? Math.ceil(ms / 1000) : Math.floor(ms / 1000));
    let text = format ?? (rest < 3600 ? '{m}:{ss}' : '{h}:{mm}:{ss}');
    for (const [unit, seconds] of [['d', 86400], ['h', 3600], ['m', 60], ['s', 1]])
      if (text.includes('{' + unit)) parts[unit] = Math.floor(rest / seconds), rest %= seconds;
    text = text.replace(/\{([dhms])(\1?)\}/g, (_, unit, two) => String(parts[unit]).padStart(two ? 2 : 1, '0'));
    if (isOver && over !== undefined) text = over;
    if (el.textContent !== text) el.textContent = text;
    return isOver ? Infinity : isDown ? ms % 1000 || 1000 : 1000 - (ms % 1000 + 1000) % 1000 };
  const tick = () => {
    clearTimeout(timer);
    if (document.hidden || !visible.size) return;
    const at = now(), next = Math.min(...[...visible].map((el) => show(el, at)));
    if (next < Infinity) timer = setTimeout(tick, next);
    changes.takeRecords() };

  // Times in the zone of the reader, and in the language of the document.
  const formats = {}, styles = {time: {hour: '2-digit', minute: '2-digit', hourCycle: 'h23'},
    day: {weekday: 'long', day: 'numeric', month: 'long', year: 'numeric'}};
  for (const name in styles)
    formats[name] = new Intl.DateTimeFormat(document.documentElement.lang || undefined, styles[name]);
  const place = (el) => {
    const at = Date.parse(el.dateTime), text = at ? formats[el.dataset.local]?.format(at) : '';
    if (text && el.textContent !== text) el.textContent = text };

  const eyes = new IntersectionObserver((list) => {
    for (const {target, isIntersecting} of list)
      if (isIntersecting) visible.add(target); else visible.delete(target);
    tick() });
  const look = () => {
    const at = now();
    for (const el of document.querySelectorAll(all)) {
      show(el, at);
      if (!known.has(el)) known.add(el), eyes.observe(el) }
    document.querySelectorAll('time[data-local]').forEach(place);
    tick();
    changes.takeRecords() };
  const changes = new MutationObserver(look);

  const [page] = performance.getEntriesByType('navigation'), sent = page.requestStart || page.responseStart;
  set(at, (sent + page.responseStart) / 2);
  if (url && (page.responseStart - sent > 100 || page.transferSize === 0)) measure().catch(() => {});
  changes.observe(document, {subtree: true, childList: true,
    attributeFilter: ['data-countdown', 'data-elapsed', 'data-format', 'data-over', 'datetime', 'data-local']});
  document.addEventListener('visibilitychange', tick);
  addEventListener('pageshow', tick);
  look();
  return now
})()
