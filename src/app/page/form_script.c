/* SPDX-License-Identifier: MIT */
/* essay: what a form says while it is typed into */
/* The server alone knows what is kept: the page keeps no text of its own. A form asks for it when it begins, and until
 * it is answered it says nothing, for it does not know of which generation it is.
 *
 * One letter at a time, half a second after the first change that none has said; and one more when the page goes or is
 * hidden, which may overtake it: the number tells which one is later. The letter says all declared fields that may be
 * kept, so that the last one is enough. It is sent when the page begins to be left, before the next one is asked for:
 * then it mostly arrives first. The last one of a page may still be on its way when the next page asks: so the
 * page leaves its number in sessionStorage, and the next one asks again and again, for ten seconds at most, until the
 * server has it or has begun a later generation. It shows meanwhile what there is, and says nothing that would overtake
 * that letter.
 *
 * What comes back goes into the fields that were not touched since. A render may take the place of the form before
 * it was answered: what was touched by then goes along, unless it was sent. It does, too, if the new one is of an
 * earlier generation: the server has forgotten the form, as by a restart, and is told of it again.
 *
 * When the server says that the form is of a later generation, it was cleared: what was typed until then is not said
 * any more; what is typed from then on is of the new one. A reset begins one by itself, and the element takes its id,
 * as it does when it was answered, so that no render takes its place.
 *
 * A form that takes the place of another one gets its focus. Fields that are bound to signals tell these by the events
 * that typing has.
 *
 * A page that comes back as it was left may be older than what was typed since, into another page of this tab, or
 * have been sent there. It asks as if it began, and takes what there is; if the form was cleared, what it began with.
 *
 * In the middle of a composition, as of an input method, nothing is said: it would be half a word. What is put goes
 * into no field that has one.
 *
 * A reset makes a new generation, whose render may come before the answer: what was typed since goes along.
 *
 * A letter that fails is sent again: after 5 s, then twice that, up to half a minute, with jitter. A letter that is
 * refused (4xx) is not, because it would be refused again, except for 408, 425 and 429.
 *
 * The tab's id stays in sessionStorage, where a duplicate, or a tab that comes back after a crash, finds whose form it
 * may ask for a copy of.
 *
 * No slash outside of a string: the client's reader of expressions could take it for a comment's beginning. */
#include "app/page/form_storage.h"

/* What may be kept of a form, and how it is read and put. A password that is shown is one still. */
static const char fields_of[] =
    " const off = ['off', 'one-time-code', 'current-password', 'new-password'],"
    " never = ['password', 'file', 'hidden', 'submit', 'button', 'image', 'reset'], secret = new WeakSet(),"
    " touched = new Set();" /* of the prototype: a field may be called elements */
    " const fieldsOf = () => [...Object.getOwnPropertyDescriptor(HTMLFormElement.prototype, 'elements').get.call(el)];"
    " const autocomplete = (field) =>"
    " (field.getAttribute('autocomplete') ?? el.getAttribute('autocomplete') ?? '').toLowerCase();"
    " const isOff = (field) => autocomplete(field).split(' ')"
    ".some((word) => off.includes(word) || word.startsWith('cc-'));"
    " const isKept = (field) => {"
    " if (field.type === 'password') secret.add(field);"
    " return fields.includes(field.name) && !secret.has(field) && !never.includes(field.type)"
    " && !field.matches(':disabled') && !field.closest('[data-form-never]') && !isOff(field) };"
    " const isBox = (field) => ['checkbox', 'radio'].includes(field.type);"
    " const read = (isFirst) => {"
    " const all = [];"
    " for (const field of fieldsOf()) {"
    " if (!isKept(field)) continue;"
    " if (field.type === 'select-multiple' || field.options && isFirst) { for (const option of field.options)"
    " if (isFirst ? option.defaultSelected : option.selected) all.push([field.name, option.value]) }"
    " else if (!isBox(field) || (isFirst ? field.defaultChecked : field.checked))"
    " all.push([field.name, isFirst && !isBox(field) ? field.defaultValue : field.value]) }"
    " return all };"
    " const put = (had, isWanted) => {"
    " const left = [...had];"
    " for (const field of fieldsOf()) {"
    " if (!isKept(field)) continue;"
    " const is = (value) => had.some((one) => one[0] === field.name && one[1] === value),"
    " text = isBox(field) || field.options ? -1 : left.findIndex((one) => one[0] === field.name),"
    " value = text < 0 ? field.value : left.splice(text, 1)[0][1];"
    " if (!isWanted(field.name)) continue;"
    " let isOther = false;"
    " if (isBox(field)) isOther = field.checked !== is(field.value), field.checked = is(field.value);"
    " else if (field.options) for (const option of field.options)"
    " { if (option.selected !== is(option.value)) isOther = true, option.selected = is(option.value) }"
    " else if (field.value !== value) isOther = true, field.value = value;"
    " if (!isOther) continue;"
    " isQuiet = true;"
    " for (const type of ['input', 'change']) field.dispatchEvent(new Event(type, {bubbles: true}));"
    " isQuiet = false } };";

/* Letters, and when they are sent. */
static const char letters[] =
    " const end = new AbortController(), {signal} = end;"
    " let generation = Number(el.id.slice(name.length + 1)), number = 0, timer = 0, asked = 0, fails = 0, isKnown = "
    "false,"
    " isSending = false, isTyped = false, isQuiet = false, isComposing = false, isClearing = false, isBack = false;"
    " const send = async (more) => {"
    " const body = new URLSearchParams([['tabId', $tabId], ['csrf', $_csrf || ''], ['form', name],"
    " ['generation', generation], ['number', number = Math.max(number + 1, Date.now())], ...more]);"
    " const answer = await fetch(path, {method: 'POST', body, keepalive: String(body).length < 60000});"
    " if (!answer.ok) throw answer.status;"
    " const now = await answer.json();"
    " number = Math.max(number, now.number);"
    " return now };"
    " const say = () => send(read().map(([field, value]) => ['v.' + field, value]));"
    " const learn = (now) => { if (now.generation !== generation) generation = now.generation, isTyped = false };"
    " const take = (now) => { isKnown = true; generation = now.generation; el.id = name + '-' + generation };"
    " const ask = async () => {"
    " const now = await send([['ask', 1], ...(from ? [['from', from]] : [])]), left = look(stashed) ?? '',"
    " [its, last] = left.split(' ').map(Number), isOver = isBack && now.generation > generation;"
    " if (!el.isConnected) return;"
    " take(now);"
    " isKnown = !left || its !== now.generation || now.number >= last || asked > 13;"
    " if (now.values || isOver) put(now.values ?? read(true), (field) => !touched.has(field));"
    " if (isKnown) isBack = false, drop(stashed); else later(100 * ++asked) };"
    " const later = (ms) => timer = timer || setTimeout(keep, ms);"
    " const keep = async () => {"
    " timer = 0;"
    " if (isSending || !el.isConnected || isKnown && isComposing) return;"
    " isSending = true;"
    " const isAsking = !isKnown;"
    " try { if (isAsking) await ask(); else { isTyped = false; learn(await say()) } fails = 0 }"
    " catch (why) { if (!(why >= 400 && why < 500) || [408, 425, 429].includes(why)) isTyped = isTyped || !isAsking,"
    " later(Math.min(30000, 5000 * 2 ** fails++) * (0.75 + Math.random() / 2)) }"
    " finally { isSending = false; if (isKnown ? isTyped : !isAsking) later(500) } };"
    " const leave = () => {"
    " if (!isTyped || !isKnown || !el.isConnected) return;"
    " isTyped = false;"
    " say().then(learn, () => isTyped = true);"
    " store(stashed, generation + ' ' + number) };";

/* What begins all that, once for each element. */
static const char beginning[] =
    " const look = (key) => { try {"
    " const text = sessionStorage.getItem(key) ?? '';"
    " return text.startsWith(tag + '.') ? text.slice(tag.length + 1) : null } catch (e) { return null } };"
    " const store = (key, text) => { try { sessionStorage.setItem(key, tag + '.' + text) } catch (e) {} };"
    " const drop = (key) => { try { sessionStorage.removeItem(key) } catch (e) {} };"
    " const forms = window.vestryForms = window.vestryForms || {}, all = forms.all = forms.all || {},"
    " stashed = 'vestry-form-' + name, former = all[name];"
    " if (former?.el === el) return;"
    " former?.end.abort();"
    " if (forms.from === undefined) forms.from = look('vestry-forms') ?? '', store('vestry-forms', $tabId);"
    " const from = forms.from === $tabId ? '' : forms.from;"
    " const touch = ({target}) => {"
    " if (isQuiet || !target.name) return;"
    " isKept(target); touched.add(target.name); me.isSent = false; isTyped = true; if (isKnown) later(500) };"
    " const me = all[name] = {el, end, at: null, isSent: false, isKnown: () => isKnown, of: () => generation,"
    " isClearing: () => isClearing, had: () => [read(), touched]};"
    " for (const type of ['input', 'change', 'compositionstart']) el.addEventListener(type, touch, {signal});"
    " el.addEventListener('compositionstart', () => isComposing = true, {signal});"
    " el.addEventListener('input', (event) => { if (!isQuiet) isComposing = event.isComposing ?? false }, {signal});"
    " for (const type of ['compositionend', 'focusout']) el.addEventListener(type, () => {"
    " isComposing = false; if (isTyped && isKnown) later(500) }, {signal});"
    " el.addEventListener('submit', () => me.isSent = true, {signal});"
    " el.addEventListener('reset', () => setTimeout(() => {"
    " isTyped = false; isClearing = true; touched.clear();"
    " send([['clear', 1]]).then((now) => { take(now); if (isTyped) later(500) }, () => 0)"
    ".finally(() => isClearing = false) }), {signal});"
    " for (const type of ['beforeunload', 'pagehide']) addEventListener(type, leave, {signal});"
    " addEventListener('pageshow', ({persisted}) => {"
    " if (!persisted) return;"
    " drop(stashed); isKnown = false; isBack = true; asked = 0;"
    " if (!isTyped) touched.clear();"
    " clearTimeout(timer); timer = 0; keep() }, {signal});"
    " document.addEventListener('visibilitychange', () => { if (document.hidden) leave() }, {signal});"
    " el.addEventListener('focusin', ({target}) => me.at = target.name, {signal});"
    " el.addEventListener('focusout', () => setTimeout(() =>"
    " { if (el.isConnected && !el.contains(document.activeElement)) me.at = null }), {signal});"
    " for (const field of fieldsOf()) {" /* declared by the program, and never kept: that is a mistake */
    " const is = ['password', 'file'].includes(field.type) ? 'type is ' + field.type :"
    " isOff(field) ? 'autocomplete is ' + autocomplete(field) : '';"
    " if (is && !former && fields.includes(field.name))"
    " console.warn('vestry: the form ' + name + ' does not keep its field ' + field.name + ', whose ' + is) }"
    " if (former?.at && document.activeElement === document.body)"
    " fieldsOf().find((field) => field.name === former.at)?.focus();"
    " read();"
    " if (former?.isClearing() || (former?.isKnown() ? generation < former.of() : former && !former.isSent)) {"
    " const [had, fields] = former.had();"
    " if (fields.size) put(had, (field) => fields.has(field)), fields.forEach((field) => touched.add(field)),"
    " isTyped = true }"
    " keep()";

vestry_err vsi_form_script(vestry_html *html, const char *name, const char *fields, const char *path, const char *tag) {
  return vestry_html_add(html,
                         " data-init=\"((name, fields, path, tag) => {%-s%-s%-s })"
                         "('%-s', %-s, '%-s', '%-s')\"",
                         fields_of, letters, beginning, name, fields, path, tag);
}
