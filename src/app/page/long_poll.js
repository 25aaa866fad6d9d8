// SPDX-License-Identifier: MIT
// Decides whether el.request is a long poll or opens a stream. long_poll.c explains it.
// parameters: heldMs, againMs
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.
//
//     el.begins(headers, include)  called when a request begins; returns the filter of signals for its URL
//     el.counts()                  called for each event that arrives
//     el.rests()                   returns whether the pause between two long polls may be running
//
// el.count is the number of events of this request, el.first the time of the first. el.asked is the time when the
// request, or the client's wait before it, began. el.mute and el.cut count mute and cut streams in a row.

const restMs = 2500, returnMs = 600000;
// a stream without an event for slowMs counts as mute; the time is doubled each time, up to slowMostMs
const slowMs = 5000, slowMostMs = 20000;
// the same for a stream that is tried between long polls
const trialMs = 3000;
// a stream that lives shorter than this counts as cut
const shortMs = 5000;
// the client's longest wait, and restMs
const downMs = 12500;

const wait = (ms) => {
  clearTimeout(el.timer);
  el.timer = setTimeout(() => el.run && !document.hidden && !el.count && el.silent(), ms) };
const begin = () => { el.poll = heldMs; el.until = Date.now() + returnMs; el.mute = el.cut = 0 };
el.poll ||= 0; el.mute = el.cut = el.rest = 0; el.slow = slowMs;
el.again = () => { if (el.poll) el.poll = 0, el.mute = el.cut = 1, el.slow = trialMs };
el.rests = () => Date.now() < el.rest;
el.patience = () => el.poll ? el.poll + downMs : el.count ? 0 : el.slow + downMs;
el.begins = (headers, include) => {
  el.count = el.rest = 0; el.asked = Date.now(); wait(el.poll ? el.poll + slowMs : el.slow);
  el.tells = () => (headers['vestry-sent'] ?? '').includes('.') || window.vestryOnce?.look(el).includes('.');
  $._vestry.poll = el.poll;
  return el.poll ? '(?:' + include.replace(new RegExp('^/|/$', 'g'), '') + ')|^_vestry.poll$' : include };
el.counts = () => { if (!el.count++) el.first = Date.now(), el.slow = slowMs, el.mute = 0 };
el.silent = () => {
  if (!el.count) {
    el.slow = Math.min(el.slow * 2, slowMostMs);
    if (el.poll) el.poll = 0, el.setOffline(true); else if (++el.mute > 1) begin() }
  el.open() };
const anew = () => {
  const of = el.run;
  setTimeout(() => { of?.abort(); if (el.run === of) el.run = null });
  setTimeout(() => el.isAway() || el.run || !el.isConnected || el.open(), againMs + Math.random() * againMs);
  return true };
el.tried = () => {
  const now = Date.now(), count = el.count, lived = now - el.asked;
  el.count = 0; el.asked = now;
  if (!el.poll) {
    wait(el.slow + downMs - restMs);
    if (count) el.cut = now - el.first < shortMs ? el.cut + 1 : 0;
    if (el.cut < 2) return false;
    begin(); return anew() }
  if (el.isOver()) { setTimeout(() => { el.run?.abort(); el.run = null }); return true }
  if (lived < el.poll - 1000 && (count === 1 || !count && lived > downMs)) {
    el.poll = Math.max(500, Math.round(Math.max(count ? now - el.first : 0, lived - restMs) / 2));
    return anew() }
  if (!count) return false;
  el.seen = now; wait(el.poll + el.slow + downMs - restMs);
  if (now > el.until) el.again(); else if (!el.tells()) { el.rest = now + restMs; return true }
  return anew() };
