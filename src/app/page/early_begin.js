// SPDX-License-Identifier: MIT
// The client runs: sets controls to the state of the document, and performs what early.js has held. early.c explains it.
// parameters: typed, listens, release, perform
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.

// What a field shows, and the function that shows it again.
const show = (el) => {
  const {value, checked, selectionStart: from, selectionEnd: to} = el, picked = [...el.selectedOptions ?? []];
  return () => {
    for (const one of el.options ?? []) one.selected = picked.includes(one);
    if (el.checked !== checked) el.checked = checked;
    if (el.options || el.value === value) return;
    el.value = value;
    if (from != null) el.setSelectionRange(from, to) } };
const fields = [...typed].map((el) => [el, show(el)]);
// Chromium after Back, and Firefox after a reload, show the former state of a control.
for (const el of document.querySelectorAll('select, [type=checkbox], [type=radio], [type=range], [type=color]')) {
  if (el.form && !['change', 'input', 'click'].some((type) => listens(el, 'data-on:' + type))) continue;
  el.setAttribute('autocomplete', 'off');
  for (const one of el.options ?? []) one.selected = one.defaultSelected;
  if (el.checked !== el.defaultChecked) el.checked = el.defaultChecked;
  if (!el.options && /^(range|color)$/.test(el.type)) el.value = el.defaultValue }
setTimeout(() => {
  const events = release();
  for (const [el, again] of fields) {
    if (!el.isConnected || typeof el.value !== 'string' || el.type === 'file') continue;
    again();
    // the client changes a signal by the first event, and that of a list by the second
    if (el.type !== 'radio' || el.checked) el.dispatchEvent(new Event('input', {bubbles: true}));
    if (el.options && !events.some(({target}) => target === el)) el.dispatchEvent(new Event('change', {bubbles: true})) }
  perform(events) })
