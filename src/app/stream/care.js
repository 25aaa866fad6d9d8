// SPDX-License-Identifier: MIT
// Supervises the stream of an element. stream.c explains it, and defines el.isOver, el.isOffline and el.setOffline. This
// is the end of the element's data-init; the scripts before it define el.request and other functions.
// parameters: showRefusal, reload, isOpenHidden, leaseHeader, released, retryMostMs, heartbeatMs, pauseMs
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.
//
// The element's kind of stream defines
//
//     el.request()           begins a request whose requestCancellation is el.run
//     el.hears(type, args)   called for each event
//     el.ended()             called when the stream has ended and was not broken
//
// and may define (app/page/long_poll.js)
//
//     el.tried()             called when the client retries; true: this is not a failure
//     el.silent()            called after a long silence, instead of el.open()
//     el.again()             called when the network may have changed
//     el.patience()          returns the minimum length of such a silence
//     el.poll                true: the stream is a long poll
//
// It can use
//
//     el.open()              opens the stream anew
//     el.isAway()            returns whether the stream is to stay closed
//     el.expelled()          reloads the page, or gives up if this would be a loop
//     el.isAgain             the element was in the page before
//     el.heard               set by el.hears once the events certainly belong to this stream
//
// The attributes of the element call el.reports, el.shows, el.returns, el.checks and el.renews.
//
// State: el.run is the controller that aborts the request; null: there is no request. el.live counts the requests that
// were begun and have not finished. el.seen is the time of the last event, el.shown the time when the tab was shown.
// el.refused counts refusals in a row. el.lease is the lease of the stream, el.answered the time of its last renewal.

// a tab reloads documents whose stream never opened at most once in this time
const reloadApartMs = 300000;
// the number of refusals in a row that count, whatever their status is
const refusedMost = 4;
// the time between two attempts of an element that has given up
const givenUpMs = 60000;
// the number of attempts to release a lease
const releasesMost = 64;

el.isAway = () => !isOpenHidden && document.hidden || el.isOver();
el.open = () => {
  el.run?.abort(); el.run = new AbortController(); el.seen = Date.now(); el.isGivenUp = false;
  el.request() };

// Refusals.
const reloaded = (now) => {
  try {
    if (now) sessionStorage.setItem('vestry-expelled', now);
    return Number(sessionStorage.getItem('vestry-expelled'))
  } catch { return 0 } };
const giveUp = () => {
  const of = el.run;
  el.isGivenUp = true;
  setTimeout(() => {
    of?.abort();
    if (el.run === of) el.run = null, el.seen = Infinity, showRefusal() });
  setTimeout(() => el.run || el.isAway() || !el.isConnected || el.open(), givenUpMs * (0.75 + Math.random() / 2)) };
el.expelled = () => {
  if (!el.heard && (performance.now() < 10000 || Date.now() - reloaded() < reloadApartMs)) return giveUp();
  reloaded(Date.now()); reload() };
el.refused = 0;
const refuses = (status) => {
  if (status > 499 || [408, 425, 429].includes(status)) el.refused = 0;
  else if (++el.refused >= refusedMost || [401, 403, 410].includes(status)) el.expelled() };

// Leases. post() resolves to the status, or 0. `wait` is the minimum time since the last renewal.
let asks = new AbortController();
const post = (text) => fetch(location.origin + location.pathname, {method: 'POST', headers: {[leaseHeader]: text},
  signal: asks.signal}).then((answer) => answer.status, () => 0);
// The stream is over, so its lease is neither renewed nor released. For a hidden tab the client sends no `finished`.
const forget = () => { el.lease = ''; asks.abort(); asks = new AbortController() };
// a release goes on until the process of the stream has received it; renewals begin again after ten heartbeats
const release = async (of) => {
  let status = 404;
  for (let left = releasesMost; left-- && status === 404 && of === el.lease;) status = await post(of + released);
  if (of !== el.lease) return;
  if (status === 204) el.isTaken = false, el.answered = Date.now() + 10 * heartbeatMs;
  else el.isLate = true };
const renew = async (lease, wait) => {
  if (lease) el.lease = lease, el.answered = 0, el.isTaken = false;
  if (!pauseMs || !el.lease || !el.run || Date.now() - el.answered < wait) return;
  const of = el.lease;
  el.answered = Date.now(); el.isLate = false;
  const status = await post(of);
  if (of !== el.lease) return;
  if (status === 204) el.isTaken = true;
  else if (!status || (el.isTaken && status !== 404)) el.isLate = true;
  else if (el.isTaken) release(of);
  else el.lease = '' };
// a large event may be arriving
el.renews = () => { if (!document.hidden) renew('', el.isLate ? 0 : heartbeatMs) };

// Events of the client for this element's requests.
el.reports = ({type, argsRaw}) => {
  if (type.startsWith('datastar-'))
    el.seen = Date.now(), el.refused = 0, el.hears(type, argsRaw), renew(argsRaw.lease, pauseMs);
  if (type === 'started') el.got = 0, el.live++, forget();
  if (type === 'error') refuses(Number(argsRaw.status));
  if (type === 'retrying') forget();
  if (type === 'retrying' && !el.isGivenUp && !el.tried?.()) el.seen = Date.now() + retryMostMs, el.setOffline(true);
  if (type !== 'finished' || --el.live) return;
  forget();
  if (el.run && !el.isOver()) el.ended() };

// Silence. An element without heartbeats is not checked.
el.checks = () => {
  const silentMs = Math.max(2.5 * heartbeatMs, el.patience?.() ?? 0);
  if (document.hidden || el.isOver() || Date.now() - el.seen < silentMs) return;
  el.setOffline(true);
  if (el.silent) el.silent(); else el.open() };

// The tab is hidden or shown, or the browser shows a page again that it kept.
el.shows = () => {
  if (document.hidden) {
    if (isOpenHidden) return;
    forget();
    if (el.poll || el.isOffline()) el.run?.abort(), el.run = null }
  else {
    el.seen = el.shown = Date.now();
    if (!el.run && !el.isOver()) el.open() } };
el.returns = () => { if (!(Date.now() - el.shown < 1000) && !el.isAway()) el.open() };

// State that the browser keeps in attributes, and text that is edited in place (stream.c). said: the values in the
// document, mine: those of the browser. A morph compares each element that it changes with the new one.
if (!window.vestryKept) {
  const kept = window.vestryKept = new WeakMap();
  let isPatched = false;
  // policies forbid style attributes, but not their properties
  const put = (one, name, value) => {
    if (value === null) one.removeAttribute(name); else if (name === 'open') one.open = true; else one.style.cssText = value };
  const keep = (one) => {
    const [said, mine] = [{}, {}];
    one.isEqualNode = (fresh) => {
      for (const name in said) {
        const is = fresh.getAttribute(name);
        if (is === said[name] && !el.goes?.()) { put(one, name, mine[name]); put(fresh, name, mine[name]) }
        else {
          delete said[name];
          if (is === null && name === 'open' && one.matches(':modal')) one.open = true, one.close() } }
      return Node.prototype.isEqualNode.call(one, fresh) };
    kept.set(one, [said, mine]);
    return [said, mine] };
  const note = (list) => {
    if (!isPatched) for (const {target, attributeName: name, oldValue} of list) {
      const [said, mine] = kept.get(target) ?? keep(target);
      if (!(name in said)) said[name] = oldValue;
      mine[name] = target.getAttribute(name) } };
  const learn = () => {
    for (const one of document.querySelectorAll('[contenteditable]')) {
      let had = one.innerHTML;
      if (!Object.hasOwn(one, 'isEqualNode')) one.isEqualNode = ({innerHTML: is}) => {
        const isSame = is === had && !el.goes?.();
        had = is; return isSame } } };
  const changes = new MutationObserver(note);
  changes.observe(document, {subtree: true, attributeFilter: ['open', 'style'], attributeOldValue: true});
  learn();
  addEventListener('datastar-fetch', ({detail: {type}}) => {
    if (type !== 'datastar-patch-elements') return;
    note(changes.takeRecords()); isPatched = true;
    queueMicrotask(() => { changes.takeRecords(); isPatched = false; learn() }) }, true) }

// The removal of the element.
el.ends?.disconnect();
el.ends = new MutationObserver(() => {
  if (el.isConnected) return;
  el.ends.disconnect(); el.run?.abort(); el.run = null });
for (let at = el.parentNode; at; at = at.parentNode) el.ends.observe(at, {childList: true});

if (!el.isAway()) el.open()
