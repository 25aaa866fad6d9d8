// SPDX-License-Identifier: MIT
// Clicks, submits and input before the client runs. early.c explains it.
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

  // What a field shows, and the function that shows it again.
  const show = (el) => {
    const {value, checked, selectionStart: from, selectionEnd: to} = el, picked = [...el.selectedOptions ?? []];
    return () => {
      for (const one of el.options ?? []) one.selected = picked.includes(one);
      if (el.checked !== checked) el.checked = checked;
      if (el.options || el.value === value) return;
      el.value = value;
      if (from != null) el.setSelectionRange(from, to) } };
  const perform = (fields) => {
    const events = held;
    held = typed = null; sign.remove();
    for (const [el, again] of fields) {
      if (!el.isConnected || typeof el.value !== 'string' || el.type === 'file') continue;
      again();
      // the client changes a signal by the first event, and that of a list by the second
      if (el.type !== 'radio' || el.checked) el.dispatchEvent(new Event('input', {bubbles: true}));
      if (el.options && !events.some(({target}) => target === el)) el.dispatchEvent(new Event('change', {bubbles: true})) }
    for (const {busy} of events) busy.removeAttribute('aria-busy');
    for (const {event, target, submitter} of events) {
      if (!target.isConnected || event.type === 'change' && target.type === 'radio' && !target.checked) continue;
      if (event.type === 'submit') target.requestSubmit(submitter?.form === target ? submitter : null);
      else target.dispatchEvent(new event.constructor(event.type, event)) } };
  const begin = () => {
    const fields = [...typed].map((el) => [el, show(el)]);
    // Chromium after Back, and Firefox after a reload, show the former state of a control.
    for (const el of document.querySelectorAll('select, [type=checkbox], [type=radio], [type=range], [type=color]')) {
      if (el.form && !['change', 'input', 'click'].some((type) => listens(el, 'data-on:' + type))) continue;
      el.setAttribute('autocomplete', 'off');
      for (const one of el.options ?? []) one.selected = one.defaultSelected;
      if (el.checked !== el.defaultChecked) el.checked = el.defaultChecked;
      if (!el.options && /^(range|color)$/.test(el.type)) el.value = el.defaultValue }
    return fields };
  const sign = document.createElement('i');
  sign.hidden = true; sign.setAttribute('data-init', 'el.begin()');
  sign.begin = () => { const fields = begin(); setTimeout(() => perform(fields)) };
  document.head.append(sign);
  // The client, the first module, cannot be loaded: the browser performs what it can.
  addEventListener('error', ({target}) => target === document.querySelector('[type=module]') && perform([]), true)
}
