/* SPDX-License-Identifier: MIT */
/* essay: presses of a page: their order, what they say, and which are one */
/* What a page does for its actions that run once. Each is handed over by its expression (event/backend_action.c), with
 * what it says, and with a function that has the client send it.
 *
 * Order. Each of the client's requests backs off by itself: of three that wait for a server, the last may be the first
 * that finds it. So a page sends one at a time, in the order of the presses, and the next one when the former is
 * answered: when it is finished, or its answer's first event has come, so that one whose answer is a stream holds up no
 * other.
 *
 * Forms. A retry reads the form anew, which may be another by then, or invalid: then the client gives up silently. So
 * what is sent is a copy: its fields, files too, in a form without rules that is not shown, outside of the body, which
 * may be patched. A form that is invalid when it is pressed is shown to be, and is not sent.
 *
 * Presses. What says the same as one that is not answered yet is that one, and so is what comes within half a second of
 * it: a second press is most often later than the answer. And so is the second click of a double click, whatever it
 * says: an answer may have emptied the field. If the client has given up, it does not know whether it was done: when it
 * is pressed again, it says so with the nonce that it had.
 *
 * No inline script, and nothing of it is in what is patched. */
#include <stdio.h>
#include <string.h>

#include "vestry/once.h"

static const char attributes[] =
    "data-signals:_once=\"'%s'\" data-init__once=\""
    "window.vestryOnce = window.vestryOnce || (() => {"
    " let line, clicks = 0, count = 0;"
    " const pressed = new Map(), last = new WeakMap();"
    " addEventListener('click', (e) => { clicks = e.detail; setTimeout(() => clicks = 0) }, true);"
    " const copy = (form, fields) => {"
    " const made = document.createElement('form');"
    " made.id = 'vestry-once-' + ++count; made.hidden = made.noValidate = true;"
    " made.setAttribute('enctype', form.getAttribute('enctype') ?? '');"
    " for (const [name, value] of fields) {"
    " const field = document.createElement('input'), files = new DataTransfer();"
    " field.type = typeof value === 'string' ? 'hidden' : 'file'; field.name = name;"
    " if (field.type === 'hidden') field.value = value;"
    " else if (value.name || value.size) files.items.add(value), field.files = files.files;"
    " made.append(field) }"
    " return made };"
    " const send = async (url, o, run, el, press, made) => {"
    " let heard; const first = new Promise((done) => heard = done);"
    " const hear = ({detail: {el: of, type}}) => {"
    " if (of !== el) return;"
    " if (type.startsWith('datastar-')) heard();"
    " if (type === 'retries-failed') press.failed = true };"
    " const before = line, sent = (async () => {"
    " if (!o.unordered) await before;"
    " if (made) document.documentElement.append(made);"
    " el.once = o; document.addEventListener('datastar-fetch', hear);"
    " try { await run(url, o) } finally { document.removeEventListener('datastar-fetch', hear); made?.remove(); "
    "heard() }"
    " })();"
    " if (!o.unordered) line = first;"
    " first.then(() => { press.over = !press.failed; if (!o.untilAnswered) return; el.removeAttribute('aria-busy');"
    " if (press.over) setTimeout(() => pressed.get(press.said) === press &amp;&amp; pressed.delete(press.said), 1000) "
    "});"
    " return sent };"
    " return (url, o, run, el, evt) => {"
    " let made, said = o.payload;"
    " if (o.contentType === 'form') {"
    " const form = o.selector ? document.querySelector(o.selector) : el.closest('form');"
    " if (form) {"
    " if (!form.noValidate &amp;&amp; !form.reportValidity()) return;"
    " const by = el === form ? evt?.submitter : null, fields = [...(by ? new FormData(form, by) : new FormData(form))];"
    " made = copy(form, fields); o.selector = '#' + made.id;"
    " said = fields.map(([name, value]) => [name, value.name ?? value, value.size, value.name &amp;&amp; "
    "value.lastModified]) } }"
    " const press = {said: run + url + JSON.stringify(said), nonce: o.headers['X-Once'], at: Date.now()};"
    " if (o.untilAnswered) {"
    " const same = pressed.get(press.said), former = last.get(el);"
    " const it = clicks > 1 &amp;&amp; press.at - former?.at &lt; 2000 ? former"
    " : same &amp;&amp; !same.failed &amp;&amp; !(same.over &amp;&amp; press.at - same.at > 500) ? same : 0;"
    " if (it) { it.at = press.at; return it.sent }"
    " if (same?.failed) press.nonce = o.headers['X-Once'] = same.nonce;"
    " pressed.set(press.said, press); last.set(el, press); el.setAttribute('aria-busy', 'true') }"
    " return press.sent = send(url, o, run, el, press, made) } })()\"";

vestry_err vestry_once_attributes(const vestry_request *req, char *buffer, size_t capacity) {
  char text[VESTRY_ONCE_ATTRIBUTES_BYTES], nonce[VESTRY_ONCE_NONCE_BYTES];
  if (!buffer && capacity) return VESTRY_INVALID;
  vestry_err error = vestry_once_nonce(req, nonce);
  if (error) return error;
  int len = snprintf(text, sizeof text, attributes, nonce);
  if (len < 0 || (size_t)len >= sizeof text || (size_t)len >= capacity) return VESTRY_TOO_LARGE;
  memcpy(buffer, text, (size_t)len + 1);
  return VESTRY_OK;
}
