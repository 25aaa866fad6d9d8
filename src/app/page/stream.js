// SPDX-License-Identifier: MIT
// The request of a page's stream, and the functions for its events and its end. script.c and app/stream/stream.c explain
// them, and declare the parameters.
// parameters: ofDocument, signs, signals, retryMs, isOpenHidden, retryMostMs
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.

el.wait = 500; el.hidden = false;
el.isUp = () => el.run && el.got === 2 && !el.isOffline() && !document.hidden && !el.rests();
// returns the options of the request
el.asks = () => {
  $._vestry.go = ''; $._vestry.reload = 0;
  const headers = el.had ? {'last-event-id': el.had, ...ofDocument} : {};
  el.had = '';
  const sent = window.vestryOnce?.look?.(el);
  if (sent) headers['vestry-sent'] = sent;
  const include = el.begins(headers, signals);
  if (!el.poll) Object.assign(headers, signs);
  el.told?.(headers);
  return {headers, filterSignals: {include, exclude: '^$'}, openWhenHidden: isOpenHidden,
    retry: el.poll ? 'always' : 'error', retryInterval: retryMs + Math.random() * retryMs,
    retryMaxWait: retryMostMs, retryMaxCount: Infinity, requestCancellation: el.run} };
el.hears = (type, args) => {
  el.counts();
  if (type === 'datastar-patch-signals') el.got = 2, el.heard = true, window.vestryOnce?.seen?.(args.signals);
  if (type === 'datastar-patch-elements' && args.mode !== 'append') el.got = el.got || 1 };
el.ended = () => {
  if (el.got === 1) el.expelled();
  if (el.got === 2) el.run = null,
    el.wait = Date.now() - el.asked > 60000 ? 1000 : Math.min(el.wait * 2, 60000),
    setTimeout(() => el.run || document.hidden || !el.isConnected || el.open(), el.wait / 2) };
