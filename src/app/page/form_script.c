/* SPDX-License-Identifier: MIT */
/* essay: the messages of a form while text is typed into it */
/* The browser script of a form whose typed text is stored on the server.
 *
 * Only the server stores values; the page stores none. A form requests its stored values when it begins. It sends no
 * values before the response, because until then the form does not know its generation.
 *
 * Messages. A form sends one message at a time, half a second after the first unsent change, and one more when the page
 * is left or hidden. The message that is sent when the page is left may overtake an earlier one; their numbers show the
 * order. A message contains all declared fields that may be stored, so the last message is sufficient. It is sent when
 * the browser begins to leave the page, before the next page is requested, and therefore mostly arrives first. If that
 * message is still on its way when the next page requests its values, the next page must wait for it. For this purpose
 * the page stores the number of its last message in sessionStorage. The next page repeats its request for at most ten
 * seconds, until the server has that message or a later generation. Meanwhile it shows the stored values, and sends no
 * message of its own, which could overtake the last message of the former page.
 *
 * Responses. The values of a response go into the fields that the user has not touched. A render may replace the form
 * before the response arrives; then the touched values move to the new form, unless they were submitted. They also move
 * if the new form has an earlier generation: the server has lost the form, for example by a restart, and receives its
 * values again.
 *
 * Clearing. If the server reports a later generation, the form was cleared: text typed before is not sent any more, and
 * text typed afterwards belongs to the new generation. A reset begins a generation by itself. Its render may arrive
 * before the response, so text typed since the reset moves to the new form. The element takes the id of the new
 * generation, as after a response, so that no render replaces it.
 *
 * Focus and signals. A form that replaces another one takes over its focus. Fields that are bound to signals update
 * these by the events that typing causes.
 *
 * Back and forward. A page that the browser restores from its cache may lack text that was typed since into another
 * page of this tab, or submitted there. It requests its values as if it began, and shows them; if the form was cleared,
 * it shows the initial values.
 *
 * Composition. During a composition with an input method, no message is sent, because it would contain half a word.
 * Values are not put into a field with a composition.
 *
 * Errors. A failed message is repeated after 5 s, then after twice that, up to 30 s, with jitter. A rejected message
 * (4xx) is not repeated, because it would be rejected again, except for 401, 408, 425 and 429. A guard's redirect, for
 * example to the log-in page, counts as 401: the user may log in in another tab. From a rejection until the next
 * accepted message, typed text is not stored. Meanwhile the form has an attribute with the status, so that the page can
 * show this, and the console has a warning. If a render removes the attribute, it is set again before the next frame.
 *
 * Copies. The id of the tab stays in sessionStorage. There a duplicated tab, or a tab that was restored after a crash,
 * finds the tab whose forms it may copy.
 *
 * The script contains no slash outside of a string, because the client's reader of expressions could take it for the
 * beginning of a comment. */
#include "app/page/form_storage.h"

/* The fields that may be stored, and reading and setting them. A password that is shown as text stays secret. */
static const char fields_of[] =
    " const off = ['off', 'one-time-code', 'current-password', 'new-password'],"
    " never = ['password', 'file', 'hidden', 'submit', 'button', 'image', 'reset'], secret = new WeakSet(),"
    " touched = new Set();" /* via the prototype, because a field may have the name `elements` */
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

/* Messages, and when they are sent. */
static const char letters[] =
    " const end = new AbortController(), {signal} = end, sign = '" VESTRY_FORM_REJECTED "';"
    " let generation = Number(el.id.slice(name.length + 1)), number = 0, timer = 0, asked = 0, fails = 0, isKnown = "
    "false,"
    " isSending = false, isTyped = false, isQuiet = false, isComposing = false, isClearing = false, isBack = false,"
    " rejected = '';"
    " const send = async (more) => {"
    " const body = new URLSearchParams([['tabId', $tabId], ['csrf', $_csrf || ''], ['form', name],"
    " ['generation', generation], ['number', number = Math.max(number + 1, Date.now())], ...more]);"
    " const answer = await fetch(path, {method: 'POST', body, redirect: 'manual',"
    " keepalive: String(body).length < 60000});"
    " if (!answer.ok) throw answer.status || 401;" /* 0: a redirect */
    " const now = await answer.json();"
    " number = Math.max(number, now.number);"
    " return now };"
    " const mark = () => { const is = el.getAttribute(sign);"
    " if (rejected && is !== rejected) el.setAttribute(sign, rejected); else if (!rejected && is) "
    "el.removeAttribute(sign) };"
    " const accept = () => { rejected = ''; mark() };"
    " const reject = (why) => {"
    " if (!(why >= 400 && why < 500) || [408, 425, 429].includes(why)) return false;"
    " if (rejected !== String(why)) console.warn('vestry: the form ' + name + ' does not keep its text: status ' + why"
    " + (why === 413 ? ', the text is too long' : ''));"
    " rejected = String(why); mark();"
    " return why !== 401 };"
    " const say = () => send(read().map(([field, value]) => ['v.' + field, value])).then((now) => (accept(), now));"
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
    " catch (why) { if (!reject(why)) isTyped = isTyped || !isAsking,"
    " later(Math.min(30000, 5000 * 2 ** fails++) * (0.75 + Math.random() / 2)) }"
    " finally { isSending = false; if (isKnown ? isTyped : !isAsking) later(500) } };"
    " const leave = () => {"
    " if (!isTyped || !isKnown || !el.isConnected) return;"
    " isTyped = false;"
    " say().then(learn, (why) => { reject(why); isTyped = true });"
    " store(stashed, generation + ' ' + number) };";

/* The start of the script, once for each element. */
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
    " send([['clear', 1]]).then((now) => { accept(); take(now); if (isTyped) later(500) }, () => 0)"
    ".finally(() => isClearing = false) }), {signal});"
    " for (const type of ['beforeunload', 'pagehide']) addEventListener(type, leave, {signal});"
    " const marks = new MutationObserver(mark);"
    " marks.observe(el, {attributeFilter: [sign]}); signal.addEventListener('abort', () => marks.disconnect());"
    " addEventListener('pageshow', ({persisted}) => {"
    " if (!persisted) return;"
    " drop(stashed); isKnown = false; isBack = true; asked = 0;"
    " if (!isTyped) touched.clear();"
    " clearTimeout(timer); timer = 0; keep() }, {signal});"
    " document.addEventListener('visibilitychange', () => { if (document.hidden) leave() }, {signal});"
    " el.addEventListener('focusin', ({target}) => me.at = target.name, {signal});"
    " el.addEventListener('focusout', () => setTimeout(() =>"
    " { if (el.isConnected && !el.contains(document.activeElement)) me.at = null }), {signal});"
    " for (const field of fieldsOf()) {" /* a declared field that is never stored is a mistake of the application */
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
