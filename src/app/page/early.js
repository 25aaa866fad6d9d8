// SPDX-License-Identifier: MIT
// Clicks, submits and input before the client runs. early.c explains it.
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.

{
  // typed: the fields that had input, with what they contained.
  let held = [], typed = new Map();
  // A listener of many buttons (guard/press.c) often is that of the body, and takes no other click.
  const listens = (el, name, pressed) => !!el && ([...el.attributes].some((of) => of.name.split('__')[0] === name
    && (pressed || !of.value.includes('[data-press]'))) || listens(el.parentElement, name, pressed));
  const hold = (event) => {
    const {target, type, submitter} = event;
    if (!held || target.closest('[data-early=native]')
      || !listens(target, 'data-on:' + type, target.closest('[data-press]'))) return;
    event.preventDefault(); event.stopImmediatePropagation();
    if (type !== 'click' && held.some((one) => one.event.type === type && one.target === target)) return;
    const busy = submitter ?? target.closest('button') ?? target;
    if (type !== 'change') busy.setAttribute('aria-busy', 'true');
    held.push({event, target, submitter, busy}) };
  for (const type of ['click', 'submit', 'change']) addEventListener(type, hold, true);
  addEventListener('input', ({target}) => typed?.set(target, [target.value, target.checked]), true);

  const perform = () => {
    const events = held, fields = typed;
    held = typed = null; sign.remove();
    for (const [el, [value, checked]] of fields) {
      if (!el.isConnected || typeof value !== 'string' || /^(file|select-multiple)$/.test(el.type)) continue;
      if (el.value !== value) el.value = value;
      if (el.checked !== checked) el.checked = checked;
      el.dispatchEvent(new Event('input', {bubbles: true})) }
    for (const {busy} of events) busy.removeAttribute('aria-busy');
    for (const {event, target, submitter} of events) {
      if (!target.isConnected) continue;
      if (event.type === 'submit') target.requestSubmit(submitter?.form === target ? submitter : null);
      else target.dispatchEvent(new event.constructor(event.type, event)) } };
  const sign = document.createElement('i');
  sign.hidden = true; sign.setAttribute('data-init', 'el.begin()');
  sign.begin = () => setTimeout(perform);
  document.head.append(sign);
  // The client, the first module, cannot be loaded: the browser performs what it can.
  addEventListener('error', ({target}) => target === document.querySelector('[type=module]') && perform(), true)
}
