// SPDX-License-Identifier: MIT
// The functions of a page's stream for events, and for its end. script.c explains them.
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.

el.hears = (type, args) => {
  el.counts();
  if (type === 'datastar-patch-signals') el.got = 2, el.heard = true, window.vestryOnce?.seen?.(args.signals);
  if (type === 'datastar-patch-elements' && args.mode !== 'append') el.got = el.got || 1 };
el.ended = () => {
  if (el.got === 1) el.expelled();
  if (el.got === 2) el.run = null,
    el.wait = Date.now() - el.asked > 60000 ? 1000 : Math.min(el.wait * 2, 60000),
    setTimeout(() => el.run || document.hidden || !el.isConnected || el.open(), el.wait / 2) };
