// SPDX-License-Identifier: MIT
// The script of a form whose typed text is stored. form.c explains it.
// parameters: none
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.

((name, fields, path, tag, sign) => {
  // The fields that may be stored, and reading and setting them. A password that is shown as text stays secret.
  const off = ['off', 'one-time-code', 'current-password', 'new-password'],
    never = ['password', 'file', 'hidden', 'submit', 'button', 'image', 'reset'], secret = new WeakSet(),
    touched = new Set();
  // via the prototype and by attributes, because a field may have the name `elements` or `id`
  const fieldsOf = () => [...Object.getOwnPropertyDescriptor(HTMLFormElement.prototype, 'elements').get.call(el)];
  const autocomplete = (field) =>
    (field.getAttribute('autocomplete') ?? el.getAttribute('autocomplete') ?? '').toLowerCase();
  const isOff = (field) => autocomplete(field).split(' ')
    .some((word) => off.includes(word) || word.startsWith('cc-'));
  const isKept = (field) => {
    if (field.type === 'password') secret.add(field);
    return fields.includes(field.name) && !secret.has(field) && !never.includes(field.type)
      && !field.matches(':disabled') && !field.closest('[data-form-never]') && !isOff(field) };
  const isBox = (field) => ['checkbox', 'radio'].includes(field.type);
  const read = (isFirst) => {
    const all = [];
    for (const field of fieldsOf()) {
      if (!isKept(field)) continue;
      if (field.type === 'select-multiple' || field.options && isFirst) { for (const option of field.options)
          if (isFirst ? option.defaultSelected : option.selected) all.push([field.name, option.value]) }
      else if (!isBox(field) || (isFirst ? field.defaultChecked : field.checked))
        all.push([field.name, isFirst && !isBox(field) ? field.defaultValue : field.value]) }
    return all };
  const put = (had, isWanted) => {
    const left = [...had];
    for (const field of fieldsOf()) {
      if (!isKept(field)) continue;
      const is = (value) => had.some((one) => one[0] === field.name && one[1] === value),
        text = isBox(field) || field.options ? -1 : left.findIndex((one) => one[0] === field.name),
        value = text < 0 ? field.value : left.splice(text, 1)[0][1];
      if (!isWanted(field.name)) continue;
      let isOther = false;
      if (isBox(field)) isOther = field.checked !== is(field.value), field.checked = is(field.value);
      else if (field.options) for (const option of field.options)
        { if (option.selected !== is(option.value)) isOther = true, option.selected = is(option.value) }
      else if (field.value !== value) isOther = true, field.value = value;
      if (!isOther) continue;
      isQuiet = true;
      for (const type of ['input', 'change']) field.dispatchEvent(new Event(type, {bubbles: true}));
      isQuiet = false } };

  // Messages, and when they are sent.
  const end = new AbortController(), {signal} = end;
  let generation = Number(el.getAttribute('id').slice(name.length + 1)), number = 0, timer = 0, loads = 0, fails = 0, isKnown =
    false,
    isSending = false, isTyped = false, isQuiet = false, isClearing = false, isBack = false,
    rejected = '';
  const send = async (more) => {
    const body = new URLSearchParams([['tabId', $.tabId], ['csrf', $._csrf || ''], ['form', name],
        ['generation', generation], ['number', number = Math.max(number + 1, Date.now())], ...more]);
    const answer = await fetch(path, {method: 'POST', body, redirect: 'manual',
        keepalive: String(body).length < 60000});
    // a status of 0 is a redirect
    if (!answer.ok) throw answer.status || 401;
    const now = await answer.json();
    number = Math.max(number, now.number);
    return now };
  const mark = () => { const is = el.getAttribute(sign);
    if (rejected && is !== rejected) el.setAttribute(sign, rejected); else if (!rejected && is)
      el.removeAttribute(sign) };
  const accept = () => { rejected = ''; mark() };
  const reject = (why) => {
    if (!(why >= 400 && why < 500) || [408, 425, 429].includes(why)) return false;
    if (rejected !== String(why)) console.warn('vestry: the form ' + name + ' does not keep its text: status ' + why
        + (why === 413 ? ', the text is too long' : ''));
    rejected = String(why); mark();
    return why !== 401 };
  const say = () => send(read().map(([field, value]) => ['v.' + field, value])).then((now) => (accept(), now));
  const learn = (now) => { if (now.generation !== generation) generation = now.generation, isTyped = false };
  const take = (now) => { isKnown = true; generation = now.generation; el.setAttribute('id', name + '-' + generation) };
  const load = async () => {
    const now = await send([['load', 1], ...(from ? [['from', from]] : [])]), left = look(stashed) ?? '',
      [its, last] = left.split(' ').map(Number), isOver = isBack && now.generation > generation;
    if (!el.isConnected) return;
    take(now);
    isKnown = !left || its !== now.generation || now.number >= last || loads > 13;
    if (now.values || isOver) put(now.values ?? read(true), (field) => !touched.has(field));
    if (isKnown) isBack = false, drop(stashed); else later(100 * ++loads) };
  const later = (ms) => timer = timer || setTimeout(keep, ms);
  const keep = async () => {
    timer = 0;
    if (isSending || !el.isConnected) return;
    isSending = true;
    const isLoading = !isKnown;
    try { if (isLoading) await load(); else { isTyped = false; learn(await say()) } fails = 0 }
    catch (why) { if (!reject(why)) isTyped = isTyped || !isLoading,
        later(Math.min(30000, 5000 * 2 ** fails++) * (0.75 + Math.random() / 2)) }
    finally { isSending = false; if (isKnown ? isTyped : !isLoading) later(500) } };
  const leave = () => {
    if (!isTyped || !isKnown || !el.isConnected) return;
    isTyped = false;
    say().then(learn, (why) => { reject(why); isTyped = true });
    store(stashed, generation + ' ' + number) };

  // The start of the script, once for each element.
  const look = (key) => { try {
    const text = sessionStorage.getItem(key) ?? '';
    return text.startsWith(tag + '.') ? text.slice(tag.length + 1) : null } catch (e) { return null } };
  const store = (key, text) => { try { sessionStorage.setItem(key, tag + '.' + text) } catch (e) {} };
  const drop = (key) => { try { sessionStorage.removeItem(key) } catch (e) {} };
  const forms = window.vestryForms = window.vestryForms || {}, all = forms.all = forms.all || {},
    stashed = 'vestry-form-' + name, former = all[name];
  if (former?.el === el) return;
  former?.end.abort();
  if (forms.from === undefined) forms.from = look('vestry-forms') ?? '', store('vestry-forms', $.tabId);
  const from = forms.from === $.tabId ? '' : forms.from;
  const touch = ({target}) => {
    if (isQuiet || !target.name) return;
    isKept(target); touched.add(target.name); me.isSent = false; isTyped = true; if (isKnown) later(500) };
  const me = all[name] = {el, end, at: null, isSent: false, isKnown: () => isKnown, of: () => generation,
      isClearing: () => isClearing, had: () => [read(), touched]};
  for (const type of ['input', 'change', 'compositionstart']) el.addEventListener(type, touch, {signal});
  el.addEventListener('submit', () => me.isSent = true, {signal});
  el.addEventListener('reset', () => setTimeout(() => {
    isTyped = false; isClearing = true; touched.clear();
    send([['clear', 1]]).then((now) => { accept(); take(now); if (isTyped) later(500) }, () => 0)
      .finally(() => isClearing = false) }), {signal});
  for (const type of ['beforeunload', 'pagehide']) addEventListener(type, leave, {signal});
  const marks = new MutationObserver(mark);
  marks.observe(el, {attributeFilter: [sign]}); signal.addEventListener('abort', () => marks.disconnect());
  addEventListener('pageshow', ({persisted}) => {
    if (!persisted) return;
    drop(stashed); isKnown = false; isBack = true; loads = 0;
    if (!isTyped) touched.clear();
    clearTimeout(timer); timer = 0; keep() }, {signal});
  document.addEventListener('visibilitychange', () => { if (document.hidden) leave() }, {signal});
  el.addEventListener('focusin', ({target}) => me.at = target.name, {signal});
  el.addEventListener('focusout', () => setTimeout(() =>
      { if (el.isConnected && !el.contains(document.activeElement)) me.at = null }), {signal});
  for (const field of fieldsOf()) {
    // a declared field that is never stored is a mistake of the application
    const is = ['password', 'file'].includes(field.type) ? 'type is ' + field.type :
      isOff(field) ? 'autocomplete is ' + autocomplete(field) : '';
    if (is && !former && fields.includes(field.name))
      console.warn('vestry: the form ' + name + ' does not keep its field ' + field.name + ', whose ' + is) }
  if (former?.at && document.activeElement === document.body)
    fieldsOf().find((field) => field.name === former.at)?.focus();
  read();
  if (former?.isClearing() || (former?.isKnown() ? generation < former.of() : former && !former.isSent)) {
    const [had, fields] = former.had();
    if (fields.size) put(had, (field) => fields.has(field)), fields.forEach((field) => touched.add(field)),
      isTyped = true }
  keep()
})
