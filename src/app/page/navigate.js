// SPDX-License-Identifier: MIT
// Navigation between pages of the same layout. script.c explains it.
// parameters: layout, contentId
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.

el.tag = el.had;
const content = () => document.getElementById(contentId);

// Scroll positions of the entries in the history.
const state = () => history.state?.vestry;
const load = () => {
  try { return new Map(JSON.parse(sessionStorage.getItem('vestry-places') ?? '[]')) } catch { return new Map() } };
const where = () => location.pathname + location.search;
const fresh = () => Math.random().toString(36).slice(2);
const keep = () => {
  if (at && !navigation) places.delete(at), places.set(at, [scrollX, scrollY]) };
const put = ([left, top]) => scrollTo({left, top, behavior: 'instant'});
const join = () => {
  history.scrollRestoration = 'manual';
  at = at ?? fresh();
  if (state() !== at) history.replaceState({...history.state, vestry: at}, '') };
// began: the pages on which requests of other elements began
const began = new WeakMap();
let at = state(), shown = where(), navigation = null, typed = null, timer, places = load(), count = 900000000,
  isLeaving = false, status;
const isOfWindow = (how) => how === 'window' || how === 'place', isQuiet = (how) => how === 'type' ||
  isOfWindow(how);
const own = [...crypto.getRandomValues(new Uint32Array(2))]
  .map((n) => (n + 2 ** 32).toString(16).slice(1)).join('');
if (at) { join(); if (places.has(at)) put(places.get(at)) }

// A navigation from its beginning to its end.
const listen = () => {
  if (status?.isConnected) return;
  status = document.createElement('p'); status.setAttribute('role', 'status');
  Object.assign(status.style, {position: 'absolute', width: '1px', height: '1px', margin: '-1px',
      overflow: 'hidden', clipPath: 'inset(50%)', whiteSpace: 'nowrap'});
  document.body.append(status) };
const show = (url) => { shown = url.pathname + url.search; el.url = url.origin + shown };
const open = (how, url = location) => {
  listen();
  navigation = {number: ++count, how, focus: document.activeElement, isSure: false, from: shown};
  show(url);
  content()?.setAttribute('aria-busy', 'true');
  if (!isQuiet(how)) go.page = shown, fill();
  if (el.isAway()) el.run?.abort(), el.run = null; else el.open() };
const leave = () => {
  const to = location.href, from = navigation && navigation.from !== where() ? navigation.from : '?' + fresh();
  navigation = null; isLeaving = true; el.run?.abort(); el.run = null;
  if (!at) return location.reload();
  history.replaceState(null, '', from); location.replace(to); show(location);
  setTimeout(() => { isLeaving = false; if (!el.run && !el.isAway()) el.open() }, 10000) };
// The element that the fragment of the address names; it is any text, and browsers also search it undecoded.
const target = () => {
  const id = location.hash.slice(1);
  try { return id && (document.getElementById(id) ?? document.getElementById(decodeURIComponent(id))) } catch {} };
const place = ({how}) => {
  if (how === 'pop') put(places.get(at) ?? [0, 0]);
  else if (!isQuiet(how) && target()) target().scrollIntoView({behavior: 'instant'});
  else if (how === 'push') put([0, 0]) };
// The browser itself goes to the fragment, which sets :target and the place where Tab continues.
const aim = () => {
  const key = at, kept = history.state;
  location.replace(location.href);
  at = key; history.replaceState(kept, '') };
const name = () => {
  const title = content()?.dataset.title;
  if (title !== undefined && document.title !== title) document.title = title };
const done = () => {
  const was = navigation;
  navigation = null;
  content()?.removeAttribute('aria-busy');
  name();
  if (!isQuiet(was.how)) {
    if (target()) aim(); else if (!was.focus?.isConnected) content()?.focus({preventScroll: true});
    status.textContent = document.title }
  place(was);
  dispatchEvent(new CustomEvent('vestry-navigated', {detail: {url: location.href, how: was.how}})) };
const go = (to, how) => {
  if (!el.isConnected || el.isOver() || isLeaving) return false;
  try {
    const url = new URL(to, document.baseURI), isSame = url.href === location.href;
    if (url.origin !== location.origin || isOfWindow(how) && navigation) return false;
    clearTimeout(timer);
    if (how === 'window') return open(how, url), true;
    join(); keep();
    if (how === 'push' && !isSame || how === 'type' && typed !== at) {
      const key = fresh(); history.pushState({vestry: key}, '', url); at = key }
    else history.replaceState({...history.state, vestry: at}, '', url);
    if (!isOfWindow(how)) typed = how === 'type' ? at : null;
    if (how === 'place') show(url); else open(how);
    return how !== 'place' || location.href === url.href
  } catch { return false } };

// Forms: their addresses, and the values of their fields.
const addressOf = (form, by) => {
  const url = new URL(form.getAttribute('action') || location.href, document.baseURI);
  const fields = by ? new FormData(form, by) : new FormData(form);
  url.hash = '';
  url.search = new URLSearchParams([...fields]
      .map(([name, value]) => [name, String(value.name ?? value).split('\n').join('\r\n')]));
  return url };
const isOurs = (form, by) => form?.matches('form[data-navigate]')
  && (form.getAttribute('method') || 'get').toLowerCase() === 'get'
  && ['', '_self'].includes(form.getAttribute('target') ?? '')
  && !['formaction', 'formmethod', 'formtarget'].some((one) => by?.hasAttribute(one));
const fill = () => {
  for (const field of document.querySelectorAll('form[data-navigate] [name][data-navigate]')) {
    const isHere = addressOf(field.form).pathname === location.pathname;
    const said = new URLSearchParams(isHere ? location.search : '').getAll(field.name);
    if (field.type === 'checkbox' || field.type === 'radio') field.checked = said.includes(field.value);
    else if (field.options) for (const one of field.options)
      one.selected = said.length ? said.includes(one.value) : one.defaultSelected;
    else if (field.type !== 'file') field.value = said[0] ?? '' } };
const type = (form) => {
  const url = addressOf(form);
  if (url.pathname + url.search !== where()) go(url, 'type') };
const heard = (e) => {
  if (!el.isConnected || !e.target.matches?.('[data-navigate]') || !isOurs(e.target.form)) return;
  clearTimeout(timer); timer = setTimeout(type, 150, e.target.form) };
// The field that has the focus keeps its text during a patch. The client's assignment is not performed, because an
// assignment ends the composition of an input method.
const protect = () => {
  const field = document.activeElement;
  if (!field?.matches('[data-navigate]') || !field.form || navigation && !isQuiet(navigation.how)) return;
  const {value, selectionStart, selectionEnd} = field;
  Object.defineProperty(field, 'value', {get: () => value, set: () => {}, configurable: true});
  queueMicrotask(() => {
    delete field.value;
    if (!field.isConnected || field.value === value) return;
    field.value = value;
    if (selectionStart != null) field.setSelectionRange(selectionStart, selectionEnd) }) };

// Listeners. The client's listeners are those of the document, so a capturing listener of the window is called before
// them.
document.addEventListener('click', (e) => {
  const link = el.isConnected && e.composedPath().find((node) => node.matches?.('a[href], area[href]'));
  if (!link) return;
  keep();
  if (e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
  if (!link.hasAttribute('data-navigate') || typeof link.href !== 'string' || link.hasAttribute('download')
      || !['', '_self'].includes(link.target)) return;
  if (link.href.includes('#') && link.pathname + link.search === where()) return;
  if (go(link.href, link.dataset.navigate || 'push')) e.preventDefault() });
document.addEventListener('submit', (e) => {
  if (!el.isConnected || e.defaultPrevented || !isOurs(e.target, e.submitter)) return;
  const url = addressOf(e.target, e.submitter), isTyped = typed && typed === at;
  clearTimeout(timer); typed = null;
  if (isTyped && url.pathname + url.search === where()) return e.preventDefault();
  if (go(url, isTyped ? 'replace' : e.target.dataset.navigate || 'push')) e.preventDefault() });
document.addEventListener('input', heard);
const look = () => {
  if (el.isOver()) leave(); else open('pop') };
addEventListener('popstate', () => {
  if (!el.isConnected || isLeaving) return;
  const key = state(), isNew = !key;
  clearTimeout(timer); typed = null;
  if (isNew && !at && where() === shown) return;
  if (!isNew) keep();
  at = key; join();
  if (where() !== shown) look();
  else if (!isNew && places.has(at)) put(places.get(at)) });
addEventListener('pagehide', () => {
  if (!el.isConnected || !at) return;
  keep();
  try { sessionStorage.setItem('vestry-places', JSON.stringify([...places].slice(-200))) } catch {} });
addEventListener('pageshow', (e) => {
  if (!e.persisted || !el.isConnected) return;
  isLeaving = false; places = load(); at = state() ?? at;
  if (where() !== shown) look() });
const has = (tag, isOfPart) => {
  if (!isOfPart || !el.tag) return el.tag = tag;
  const claim = tag.split('~')[1];
  el.tag = el.tag.split('~').filter((one, i) => !i || one.slice(0, 8) !== claim.slice(0, 8))
    .concat(claim).join('~') };
const read = (text) => { try { return JSON.parse(text)?._vestry } catch { return null } };
addEventListener('datastar-fetch', (e) => {
  const {el: of, type, argsRaw} = e.detail;
  if (!el.isConnected) return;
  if (of !== el) {
    if (type === 'started') began.set(of, of.once ? of.once.page : go.page);
    else if (type.startsWith('datastar-') && (began.get(of) ?? go.page) !== go.page
        && (of.once || !of.isConnected || content()?.contains(of))) e.stopImmediatePropagation();
    return }
  const said = type === 'datastar-patch-signals' ? read(argsRaw.signals) : null;
  if (navigation) {
    if (type === 'started' || type === 'retrying') navigation.isSure = false;
    if (said) navigation.isSure = true;
    const isOther = !navigation.isSure && (type.startsWith('datastar-') && !argsRaw.lease
        || type === 'error' && argsRaw.status < 500 || type === 'finished' && el.live < 2 && el.run);
    if (isOther || said?.go || said?.reload) { e.stopImmediatePropagation(); return leave() } }
  if (type === 'datastar-patch-elements') {
    protect();
    queueMicrotask(() => { name(); if (navigation) place(navigation) });
    if (argsRaw.has) has(argsRaw.has, argsRaw.mode === 'inner') }
  if (navigation && said?.seen && navigation.number in said.seen) done() }, true);

// Headers of the stream's request, which el.open() sends, and the function that an action of the server calls.
el.told = (headers) => {
  headers['vestry-layout'] = layout;
  if (el.tag) headers['last-event-id'] = el.tag;
  if (navigation) headers['vestry-sent'] =
    [...(headers['vestry-sent'] ?? own).split('.').slice(0, 16), navigation.number].join('.') };
el.leave = leave; el.goes = () => navigation && !isQuiet(navigation.how);
go.page = shown; go.shown = () => shown;
window.vestryNavigate = go;
