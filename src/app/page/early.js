// SPDX-License-Identifier: MIT
// Clicks, submits and input before the client runs. early.c explains it, and adds el.begin (early_begin.js) and the last
// bracket.
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.

{
  // typed: the fields that had input
  let held = [], typed = new Set();
  // A listener of many buttons (guard/press.c) often is that of the body, and takes no other click.
  const listens = (el, name, pressed) => !!el && ([...el.attributes].some((of) => of.name.split('__')[0] === name
    && (pressed || !of.value.includes('[data-press]'))) || listens(el.parentElement, name, pressed));
  const hold = (event) => {
    const {target, type, submitter} = event;
    if (!held || target.closest('[data-early=native]')
      || !listens(target, 'data-on:' + type, target.closest('[data-press]'))) return;
    event.preventDefault(); event.stopImmediatePropagation();
    const same = type === 'click' ? -1 : held.findIndex((one) => one.event.type === type && one.target === target);
    if (type === 'change') { if (same >= 0) held.splice(same, 1) }
    else if (same >= 0) return;
    const busy = submitter ?? target.closest('button') ?? target;
    if (type !== 'change') busy.setAttribute('aria-busy', 'true');
    held.push({event, target, submitter, busy}) };
  for (const type of ['click', 'submit', 'change']) addEventListener(type, hold, true);
  addEventListener('input', ({target}) => typed?.add(target), true);

  // Ends holding, and returns the held events.
  const release = () => {
    const events = held;
    held = typed = null; el.remove();
    for (const {busy} of events) busy.removeAttribute('aria-busy');
    return events };
  const perform = (events) => {
    for (const {event, target, submitter} of events) {
      if (!target.isConnected || event.type === 'change' && target.type === 'radio' && !target.checked) continue;
      if (event.type === 'submit') target.requestSubmit(submitter?.form === target ? submitter : null);
      else target.dispatchEvent(new event.constructor(event.type, event)) } };
  const el = document.createElement('i'), $ = null;
  el.hidden = true; el.setAttribute('data-init', 'el.begin()');
  document.head.append(el);
  // The client, the first module, or the file of scripts cannot be loaded: the browser performs what it can.
  addEventListener('error', ({target}) => held && (target === document.querySelector('[type=module]')
    || target.src?.includes('/vestry.js/')) && perform(release()), true);
