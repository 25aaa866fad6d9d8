/* SPDX-License-Identifier: MIT */
/* essay: submissions of a page: their order, what they say, and which are one */
/* What a page does for its actions that run once. Each is handed over by its expression (event/backend_action.c), with
 * what it says, and with a function that has the client send it.
 *
 * Order. Each of the client's requests backs off by itself: of three that wait for a server, the last may be the first
 * that finds it. So a page sends one at a time, in the order of the submissions, and the next one when the former is
 * answered: when it is finished, or its answer's first event has come, so that one whose answer is a stream holds up no
 * other. The client's waits grow to half a minute: a submission that waits for its next try is sent at once when an
 * event of the page's stream has come, which says that the server is there. It is sent anew then, with the nonce that
 * it had: a try that was under way has perhaps been done. But only HURRIES times: a submission whose requests alone do
 * not get through would be sent again with each event of a stream that does, and the client would never give up.
 *
 * Forms. A retry reads the form anew, which may be another by then, or invalid: then the client gives up silently. So
 * what is sent is a copy: its fields, files too, in a form without rules that is not shown, outside of the body, which
 * may be patched. A form that is invalid when it is pressed is shown to be, and is not sent.
 *
 * Presses. What says the same as one that is not answered yet is that one, and so is what comes within half a second of
 * it: a second submission is most often later than the answer. And so is the second click of a double click, whatever
 * it says: an answer may have emptied the field. If the client has given up, it does not know whether it was done: when
 * it is pressed again, it says so with the nonce that it had.
 *
 * Sent and seen (app/page/sent.c). A submission that names a signal has a number, which the request says, and which the
 * page's stream says when the page shows what became of it. Until then it is counted in the signal; unless it failed,
 * which another signal says: of several submissions of one element, that one has failed whose request ends directly
 * after the client has told of a failure. One that was answered, but is not seen, is looked after: where the page's
 * stream is not there, it is opened at once, and otherwise after five seconds, in which no message may have come
 * through; a stream that is opened asks for all of them. Where a page has no stream, the answer is all that will come.
 *
 * No inline script, and nothing of it is in what is patched. */
#include <stdio.h>
#include <string.h>

#include "vestry/app/once.h"

enum { HURRIES = 4 };

/* Which submissions are not seen yet. */
static const char seen[] =
    " const own = [...crypto.getRandomValues(new Uint32Array(2))].map((n) => (n + 2 ** "
    "32).toString(16).slice(1)).join('');"
    " const leave = (name, by) => { sums[name] = (sums[name] ?? 0) + by; $[name] = sums[name] };"
    " const over = (number, why) => {"
    " const of = unseen.get(number);"
    " if (!unseen.delete(number)) return;"
    " if (why) $[of.name + 'Failed'] = why;"
    " leave(of.name, -1) };"
    " const ask = (number) => {"
    " if (!unseen.has(number)) return;"
    " if (document.hidden) return document.addEventListener('visibilitychange', () => ask(number), {once: true});"
    " page.open() };"
    " const answered = (number) => {"
    " if (!unseen.has(number)) return;"
    " unseen.get(number).answered = true;"
    " if (!page?.isConnected || page.isOver()) return over(number);"
    " if (page.isUp()) setTimeout(ask, 5000, number); else ask(number) };";

/* A form that says what another one said at its submission. */
static const char copies[] = " const copy = (form, fields) => {"
                             " const made = document.createElement('form');"
                             " made.id = 'vestry-once-' + ++count; made.hidden = made.noValidate = true;"
                             " made.setAttribute('enctype', form.getAttribute('enctype') ?? '');"
                             " for (const [name, value] of fields) {"
                             " const field = document.createElement('input'), files = new DataTransfer();"
                             " field.type = typeof value === 'string' ? 'hidden' : 'file'; field.name = name;"
                             " if (field.type === 'hidden') field.value = value;"
                             " else if (value.name || value.size) files.items.add(value), field.files = files.files;"
                             " made.append(field) }"
                             " return made };";

static const char attributes[] =
    "data-signals:_once=\"'%s'\" data-init__once=\""
    "window.vestryOnce = window.vestryOnce || (() => {"
    " let line, page, clicks = 0, count = 0;"
    " const pressed = new Map(), last = new WeakMap(), unseen = new Map(), sums = {}, failures = new WeakMap(),"
    " waiting = new Set();"
    "%s"
    " document.addEventListener('datastar-fetch', ({detail: {el, type}}) => {"
    " if (el === page &amp;&amp; type.startsWith('datastar-')) for (const again of waiting) again() });"
    " addEventListener('click', (e) => { clicks = e.detail; setTimeout(() => clicks = 0) }, true);"
    "%s"
    " const send = async (url, o, run, el, submission, made) => {"
    " let heard, stop, hurries = %d; const first = new Promise((done) => heard = done),"
    " again = () => { waiting.delete(again); hurries--; stop.abort(); stop = null };"
    " const hear = ({detail: {el: of, type, argsRaw}}) => {"
    " if (of !== el) return;"
    " if (type.startsWith('datastar-')) heard();"
    " if (type === 'error') failures.set(el, argsRaw.status);"
    " if (type === 'retrying') failures.delete(el), stop &amp;&amp; hurries &amp;&amp; waiting.add(again);"
    " if (type === 'retries-failed') submission.failed = true, failures.set(el, failures.get(el) ?? 'network') };"
    " const before = line, sent = (async () => {"
    " if (!o.unordered) await before;"
    " if (made) document.documentElement.append(made);"
    " el.once = o; document.addEventListener('datastar-fetch', hear);"
    " const isOurs = (o.requestCancellation ?? 'disabled') === 'disabled';"
    " try { do {"
    " if (isOurs) o.requestCancellation = stop = new AbortController();"
    " await run(url, o) } while (isOurs &amp;&amp; !stop) }"
    " finally { waiting.delete(again); document.removeEventListener('datastar-fetch', hear); made?.remove(); heard();"
    " const why = failures.get(el); failures.delete(el);"
    " if (why) over(submission.number, why); else answered(submission.number) }"
    " })();"
    " if (!o.unordered) line = first;"
    " first.then(() => { submission.over = !submission.failed; if (!o.untilAnswered) return; "
    "el.removeAttribute('aria-busy');"
    " if (submission.over) setTimeout(() => pressed.get(submission.said) === submission &amp;&amp; "
    "pressed.delete(submission.said), 1000) "
    "});"
    " return sent };"
    " const submission = (url, o, run, el, evt) => {"
    " let made, said = o.payload;"
    " if (o.contentType === 'form') {"
    " const form = o.selector ? document.querySelector(o.selector) : el.closest('form');"
    " if (form) {"
    " if (!form.noValidate &amp;&amp; !form.reportValidity()) return;"
    " const by = el === form ? evt?.submitter : null, fields = [...(by ? new FormData(form, by) : new FormData(form))];"
    " made = copy(form, fields); o.selector = '#' + made.id;"
    " said = fields.map(([name, value]) => [name, value.name ?? value, value.size, value.name &amp;&amp; "
    "value.lastModified]) } }"
    " const submission = {said: run + url + JSON.stringify(said), nonce: o.headers['X-Once'], at: Date.now()};"
    " if (o.untilAnswered) {"
    " const same = pressed.get(submission.said), former = last.get(el);"
    " const it = clicks > 1 &amp;&amp; submission.at - former?.at &lt; 2000 ? former"
    " : same &amp;&amp; !same.failed &amp;&amp; !(same.over &amp;&amp; submission.at - same.at > 500) ? same : 0;"
    " if (it) { it.at = submission.at; return it.sent }"
    " if (same?.failed) submission.nonce = o.headers['X-Once'] = same.nonce;"
    " pressed.set(submission.said, submission); last.set(el, submission); el.setAttribute('aria-busy', 'true') }"
    " if (o.sent) {"
    " submission.number = ++count; unseen.set(count, {name: o.sent});"
    " o.headers['Vestry-Sent'] = own + '.' + count;"
    " $[o.sent + 'Failed'] = ''; leave(o.sent, 1) }"
    " return submission.sent = send(url, o, run, el, submission, made) };"
    " return Object.assign(submission, {"
    " look: (el) => {"
    " page = el;"
    " return own + [...unseen].filter(([, of]) => of.answered).slice(-16).map(([number]) => '.' + number).join('') },"
    " seen: (signals) => Object.keys(JSON.parse(signals)._vestry?.seen ?? {}).forEach((number) => over(+number)) }) "
    "})()\"";

vestry_err vestry_once_attributes(const vestry_request *req, char *buffer, size_t capacity) {
  char text[VESTRY_ONCE_ATTRIBUTES_BYTES], nonce[VESTRY_ONCE_NONCE_BYTES];
  if (!buffer && capacity) return VESTRY_INVALID;
  vestry_err error = vestry_once_nonce(req, nonce);
  if (error) return error;
  int len = snprintf(text, sizeof text, attributes, nonce, seen, copies, HURRIES);
  if (len < 0 || (size_t)len >= sizeof text || (size_t)len >= capacity) return VESTRY_TOO_LARGE;
  memcpy(buffer, text, (size_t)len + 1);
  return VESTRY_OK;
}
