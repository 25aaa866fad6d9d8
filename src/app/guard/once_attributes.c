/* SPDX-License-Identifier: MIT */
/* essay: submissions of a page: order, content and deduplication */
/* The script that a page needs for its actions that run once. The expression of an action (event/backend_action.c)
 * passes its submission to this script, with the content and with a function by which the client sends it.
 *
 * Order. Each request of the client backs off independently. For example, of three requests that wait for a server, the
 * last may reach it first. Therefore a page sends one submission at a time, in their order. The next one follows when
 * the former has ended or the first event of its answer has arrived, so that an answer that is a stream does not delay
 * the others. The client's backoff grows to half a minute. A submission that waits for its next attempt is sent at once
 * when an event of the page's stream arrives, because this shows that the server is reachable. It is sent again with
 * the same nonce, because an earlier attempt may have been performed. This happens at most HURRIES times: if only the
 * requests of one submission do not get through, each event of the stream would restart it, and the client would never
 * give up.
 *
 * Forms. A retry of the client reads the form again. By then the form may have other content, or be invalid, in which
 * case the client gives up silently. Therefore a copy is sent: the fields and files in a hidden form without validation
 * rules, outside of the body, because patches may change the body. If a form is invalid at the submission, the browser
 * shows where, and nothing is sent.
 *
 * Deduplication. A submission counts as a repeat of an earlier one in three cases:
 * - its content is identical, and the earlier one has not been answered;
 * - its content is identical, and it follows within half a second, because the answer to the first click may have
 *   arrived before the second click;
 * - it is the second click of a double click, with any content, because the answer may have emptied the field.
 * If the client has given up, it does not know whether the action was performed. The next submission with this content
 * is sent with the nonce of the earlier one.
 *
 * Sent and seen (app/page/sent.c). A submission that names a signal has a number. The request contains the number, and
 * the page's stream sends it back when the page shows the result of the submission. Until then the signal counts the
 * submission. A failed submission is removed from the count, and a second signal gets the reason. The client reports a
 * failure for an element, not for a request. If an element has several submissions, the script therefore assigns the
 * failure to the submission whose request ends directly after the report. A submission that was answered but is not
 * seen is checked: if the page's stream is down, the stream is opened at once; otherwise it is opened after five
 * seconds, because a message may have been lost. A newly opened stream checks all answered submissions, at most 16. On
 * a page without a stream a submission counts as seen when it is answered.
 *
 * The attributes contain no inline script, and no patch may replace their element. */
#include <stdio.h>
#include <string.h>

#include "vestry/app/once.h"

enum { HURRIES = 4 };

/* Tracks which submissions are not seen yet. */
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

/* Builds a form with the content that another form had at its submission. */
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
