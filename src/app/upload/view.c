/* SPDX-License-Identifier: MIT */
/* essay: the progress of an upload, shown by its page */
/* The browser script of a form that sends files, and the HTML of its display. The script is written into an attribute
 * (data-init), which the Datastar client evaluates, so the document needs no script element. A document has one script
 * for all forms. It listens at the document, so that it also serves a form that a patch inserts.
 *
 * Source of the progress. The browser reports the bytes that it has sent (XMLHttpRequest; fetch does not). The
 * alternative would be the bytes that the server has received, through the page's stream. However, a proxy that buffers
 * a complete body before it forwards it, as nginx does by default, would make this 0 until the end. A page without a
 * stream would show nothing, and each upload would need ten events a second. A user waits for the bytes to leave the
 * user's machine, and the browser knows best how many have left. The browser does not know whether the server has the
 * file, so the display stops at 99, and shows 100 after the server's answer.
 *
 * Confirmation. An answer of 200 proves nothing: a proxy may have redirected the request to a log-in page, which
 * XMLHttpRequest has followed. The files of a form are kept if the answer has the header Vestry-Kept (receive.c), and a
 * part of a resumed file if it has Upload-Offset. After any other answer from another address the upload has failed,
 * and the tab goes to that address. An upload that was refused in this way, or with 401 or 403, is not deleted, so that
 * it can be resumed after a new log-in.
 *
 * Redirects to another site, as to a common log-in. XMLHttpRequest reports them like a broken connection, so that a
 * resumed upload would wait for the network without end. A guard's redirect arrives as 403 with its Location
 * (VSI_UPLOAD_HEADER), to which the tab goes. A proxy knows nothing of that header. Therefore a request without a body
 * that finds no server is repeated with fetch, which reports that there is a redirect, though not its target (`look`).
 * Then the upload ends, and the text says what to do: the tab cannot know where the log-in is, and if it left the page,
 * the files would have to be selected again. For a form that is sent as a whole, `look` sends a HEAD to its address.
 *
 * Resuming. A form whose uploads go to a folder is sent file by file (resume.h). After a failed request, the script
 * queries the server for the offset and never guesses it. The tab stores the address of the upload, so that the same
 * file is also resumed if it is selected again after a reload.
 *
 * Failures. There are three kinds:
 *
 *   file     Before each request with bytes of a file, one byte is read at the position where the request begins. A
 *            file that was removed or changed after it was selected cannot be read, and ends the upload. Without this
 *            check a removed file would be sent as an empty one, because the browser then returns the size 0.
 *   server   408, 409, 423, 425, 429 and 5xx are tried again, up to eight times; any other answer ends the upload.
 *   network  The script waits for the network without limit. It gives up only if the server is reachable but requests
 *            with bytes fail again and again (eight retries) without progress, because a device in between rejects
 *            them.
 *
 * The pauses grow until the server has more of the file than ever before; an answer alone is not progress.
 *
 * A form's field may have the name of a property of forms (elements, reset). Therefore the script gets such properties
 * from the prototype.
 *
 * The script contains no regular expressions, and no '$' or '@' in strings, because the client parses expressions
 * first. */
#include "vestry/app/upload_view.h"

#include <string.h>

#include "app/upload/receive.h"
#include "base/options.h"
#include "html/builder.h"

enum { SIGNAL_MOST = 64 };

/* Sets the signals of a form, each when its value changes. */
static const char words[] =
    " const proto = HTMLFormElement.prototype,"
    " fieldsOf = (form) => [...Object.getOwnPropertyDescriptor(proto, 'elements').get.call(form)],"
    " attribute = (form, name) => proto.getAttribute.call(form, name);"
    " const put = (of, what, value) => {"
    " if (of.said[what] !== value) $[of.signal + what] = of.said[what] = value };"
    " const fill = (text, parts) => parts.reduce((so, [name, part]) => so.split('{' + name + '}').join(part), text);"
    " const say = (of, state, word, why) => {"
    " put(of, 'State', state);"
    " put(of, 'Text', fill(of.view.dataset[word], [['name', of.name], ['why', why ?? '']]).trim()) };"
    " const shown = (of) => of.state ? of.percent : Math.min(99, Math.max(0, Math.floor(of.percent)));"
    " const tell = (of) => put(of, 'Percent', shown(of));"
    " const beat = (of) => {"
    " tell(of);"
    " of.timer = setTimeout(() => {"
    " of.timer = 0;"
    " if (!of.state && of.said.Percent !== shown(of)) beat(of) }, 100) };"
    " const advance = (of, share) => {"
    " of.percent = 100 * share;"
    " if (!of.timer) beat(of) };"
    " const sentence = (of, xhr) => {"
    " if (!xhr.status) return of.view.dataset.broken;"
    " const isText = (xhr.getResponseHeader('content-type') ?? '').startsWith('text');"
    " const plain = (isText ? xhr.responseText : '').split('</title>').pop()"
    ".split('<').map((part, i) => i ? part.slice(part.indexOf('>') + 1) : part).join(' ');"
    " const signs = [['lt', 60], ['gt', 62], ['quot', 34], ['#39', 39], ['amp', 38]];"
    " return signs.reduce((so, [name, code]) => so.split('&' + name + ';').join(String.fromCharCode(code)), plain)"
    ".trim().slice(0, 300) || String(xhr.status) };"
    " const reason = (of, xhr, asked) => {"
    " of.to = xhr.status === 403 ? xhr.getResponseHeader('Location') : null;"
    " if (!of.to && xhr.status && xhr.responseURL !== asked.split('#')[0]) of.to = xhr.responseURL;"
    " return of.to ? ' ' : sentence(of, xhr) };";

/* `ask` sends one request. An upload that can be resumed aborts it after a minute without progress, because the network
 * may drop all packets. `look` sends a request without a body, for at most ten seconds, and follows no redirect. */
static const char requests[] =
    " const ask = (of, method, url, body, headers, advanced) => new Promise((done) => {"
    " const xhr = of.xhr = new XMLHttpRequest();"
    " let heard = Date.now();"
    " const watch = setInterval(() => of.resumes && Date.now() - heard > 60000 && xhr.abort(), 5000);"
    " xhr.open(method, url);"
    " for (const [name, value] of Object.entries(headers)) if (value !== null) xhr.setRequestHeader(name, value);"
    " xhr.upload.onprogress = (e) => { heard = Date.now(); advanced(e.loaded, e.total) };"
    " xhr.onloadend = () => { clearInterval(watch); done(xhr) };"
    " xhr.send(body) });"
    " const look = async (of, method, url, headers) => {"
    " const control = of.xhr = new AbortController(), watch = setTimeout(() => control.abort(), 10000);"
    " const set = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== null));"
    " try {"
    " const got = await fetch(url, {method, headers: set, redirect: 'manual', signal: control.signal});"
    " return {status: got.status, isAway: got.type === 'opaqueredirect', responseURL: got.url,"
    " responseText: await got.text(), getResponseHeader: (name) => got.headers.get(name)}"
    " } catch { return {status: 0, getResponseHeader: () => null} }"
    " finally { clearTimeout(watch) } };";

/* Sends a file, and resumes it. sendFile returns the reason of a failure, or "". */
static const char files[] =
    " const recall = (key) => { try { return sessionStorage.getItem(key) } catch { return null } };"
    " const remember = (key, at) => {"
    " try { if (at) sessionStorage.setItem(key, at); else sessionStorage.removeItem(key) } catch {} };"
    " const coded = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));"
    " const pause = (of) => new Promise((done) => {"
    " of.wake = done;"
    " setTimeout(done, Math.min(30000, 300 * 2 ** Math.min(of.fails, 7)) * (0.75 + Math.random() / 2)) });"
    " const headersOf = (of, what, file, offset) => {"
    " const headers = {'Tus-Resumable': '1.0.0', '" VSI_UPLOAD_HEADER "': '1', 'X-CSRF-Token': of.token};"
    " if (what === 'PATCH') headers['Upload-Offset'] = offset,"
    " headers['Content-Type'] = 'application/offset+octet-stream';"
    " if (what === 'POST') headers['Upload-Length'] = file.size,"
    " headers['Upload-Metadata'] = 'filename ' + coded(file.name)"
    " + (file.type ? ',filetype ' + coded(file.type) : '');"
    " return headers };"
    " const isReadable = (file, from) =>"
    " (file.size ? file.slice(from, from + 1) : file).arrayBuffer().then(() => true, () => false);"
    " const sendFile = async (of, file, before) => {"
    " const key = ['vestry-upload', of.url, file.name, file.size, file.lastModified].join(' ');"
    " const advanced = (bytes) => advance(of, (before + Math.min(bytes, file.size)) / of.bytes);"
    " let at = recall(key), offset = null, anew = 0, refused = 0, best = -1;"
    " for (of.fails = 0;;) {"
    " if (of.isCancelled) {"
    " remember(key, null);"
    " if (at) ask({}, 'DELETE', at, null, headersOf(of), () => 0);"
    " return 'cancelled' }"
    " const what = !at ? 'POST' : offset === null ? 'HEAD' : 'PATCH', from = offset ?? 0;"
    " if (what !== 'HEAD' && !await isReadable(file, from)) return of.view.dataset.gone;"
    " if (of.isCancelled) continue;"
    " const asked = at ?? of.url, headers = headersOf(of, what, file, from);"
    " let xhr = await ask(of, what, asked, what === 'PATCH' ? file.slice(from) : null, headers,"
    " (bytes) => advanced(from + bytes));"
    " if (!xhr.status && what !== 'PATCH' && !of.isCancelled) xhr = await look(of, what, asked, headers);"
    " if (xhr.isAway && !of.isCancelled) return of.view.dataset.elsewhere;"
    " const status = xhr.status, offered = xhr.getResponseHeader('Upload-Offset'), has = Number(offered ?? 0),"
    " made = at ?? xhr.getResponseHeader('Location');"
    " if (status > 199 && status < 300 && offered !== null && made && (what !== 'PATCH' || has > from)) {"
    " if (what === 'POST') at = new URL(made, of.url).href, remember(key, at);"
    " offset = has;"
    " if (has > best) best = has, of.fails = refused = 0;"
    " advanced(has); say(of, 'sending', 'sending');"
    " if (offset < file.size) continue;"
    " remember(key, null);"
    " return '' }"
    " if (of.isCancelled) continue;"
    " if (what === 'HEAD' && status === 404 && anew++ < 3) { at = null; continue }"
    " if (status && ![408, 409, 423, 425, 429].includes(status) && status < 500"
    " || (status || what === 'PATCH') && ++refused > 8) {"
    " const why = reason(of, xhr, asked);"
    " if (of.to || status === 401 || status === 403) return why;"
    " remember(key, null);"
    " if (at) ask({}, 'DELETE', at, null, headersOf(of), () => 0);"
    " return why }"
    " offset = null; of.fails++;"
    " if (status !== 409 && status !== 423) say(of, 'waiting', 'waiting');"
    " await pause(of) } };"
    " const sendAll = async (of) => {"
    " of.bytes = of.files.reduce((sum, {file}) => sum + file.size, 0) || 1;"
    " let before = 0;"
    " for (let i = 0; i < of.files.length; i++) {"
    " const {file, field} = of.files[i];"
    " of.name = namesOf(of.files.slice(i).map((one) => one.file)); say(of, 'sending', 'sending');"
    " const why = await sendFile(of, file, before);"
    " if (why) return end(of, of.isCancelled ? 'cancelled' : 'failed', why);"
    " before += file.size;"
    " const left = new DataTransfer();"
    " of.files.slice(i + 1).forEach((one) => one.field === field && left.items.add(one.file));"
    " field.files = left.files }"
    " of.name = namesOf(of.files.map(({file}) => file)); end(of, 'kept') };";

/* Sends a form, from its submission to its end. */
static const char forms[] =
    " const end = (of, state, why) => {"
    " clearTimeout(of.timer);"
    " of.state = state; if (state === 'kept') of.percent = 100;"
    " tell(of); say(of, state, state, why);"
    " under.delete(of.form); proto.removeAttribute.call(of.form, 'aria-busy');"
    " if (state === 'kept') proto.reset.call(of.form);"
    " const url = of.to && new URL(of.to, of.url);"
    " if (url?.protocol.startsWith('http') && (url.origin !== location.origin"
    " || url.pathname + url.search !== location.pathname + location.search)) location.assign(url.href) };"
    " const send = async (of, fields) => {"
    " for (const {file} of of.files)"
    " if (!await isReadable(file, 0)) return end(of, 'failed', of.view.dataset.gone);"
    " if (of.isCancelled) return end(of, 'cancelled');"
    " const xhr = await ask(of, 'POST', of.url, fields, {'" VSI_UPLOAD_HEADER "': '1'},"
    " (bytes, all) => { if (all) advance(of, bytes / all) });"
    " const isAway = !xhr.status && !of.isCancelled && (await look(of, 'HEAD', of.url, {})).isAway;"
    " if (of.isCancelled) return end(of, 'cancelled');"
    " if (!xhr.status) for (const {file} of of.files)"
    " if (!await isReadable(file, 0)) return end(of, 'failed', of.view.dataset.gone);"
    " if (isAway) return end(of, 'failed', of.view.dataset.elsewhere);"
    " const kept = Number(xhr.getResponseHeader('" VSI_KEPT_HEADER "') ?? 0);"
    " if (!kept) return end(of, 'failed', reason(of, xhr, of.url));"
    " if (kept > 299) of.to = xhr.getResponseHeader('Location');"
    " end(of, 'kept') };"
    " const namesOf = (all) =>"
    " all.slice(0, 3).map((file) => file.name).join(', ') + (all.length > 3 ? ', …' : '');"
    " const begin = (form, view, by) => {"
    " const fields = by ? new FormData(form, by) : new FormData(form);"
    " const files = fieldsOf(form).filter((field) => field.type === 'file' && field.name && !field.disabled)"
    ".flatMap((field) => [...field.files].map((file) => ({field, file})));"
    " const to = by?.getAttribute('formaction') ?? attribute(form, 'action') ?? '';"
    " const of = {form, view, files, signal: view.dataset.upload, name: namesOf(files.map(({file}) => file)),"
    " said: {}, percent: 0, token: fields.get('csrf'), resumes: 'resumes' in view.dataset && files.length,"
    " url: new URL(to || location.href, document.baseURI).href};"
    " under.set(form, of); proto.setAttribute.call(form, 'aria-busy', 'true');"
    " tell(of); say(of, 'sending', 'sending');"
    " if (of.resumes) sendAll(of); else send(of, fields) };";

/* Listens at the document. */
static const char listeners[] =
    " document.addEventListener('submit', (e) => {"
    " const form = e.target, view = proto.querySelector.call(form, '[data-upload]');"
    " const isPost = (e.submitter?.getAttribute('formmethod') ?? attribute(form, 'method') ?? '').toLowerCase();"
    " if (e.defaultPrevented || !view || isPost !== 'post') return;"
    " e.preventDefault();"
    " if (!under.has(form)) begin(form, view, e.submitter) });"
    " document.addEventListener('click', (e) => {"
    " const of = under.get(e.target.closest?.('[data-upload-cancel]')?.closest('form'));"
    " if (of) of.isCancelled = true, of.xhr?.abort(), of.wake?.() });"
    " const each = (what) => { for (const of of under.values()) if (of.resumes) what(of) };"
    " addEventListener('offline', () => each((of) => of.xhr?.abort()));"
    " addEventListener('online', () => each((of) => of.wake?.()));";

static bool is_signal(const char *name) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
  size_t len = strlen(name);
  return len && len <= SIGNAL_MOST && strspn(name, letters) == len && !strstr(name, "__");
}

static void put_script(vestry_html *html) {
  vestry_html_add(html, " data-init=\"window.vestryUpload = window.vestryUpload || (() => { const under = new Map();");
  vestry_html_raw(html, words, sizeof words - 1);
  vestry_html_raw(html, requests, sizeof requests - 1);
  vestry_html_raw(html, files, sizeof files - 1);
  vestry_html_raw(html, forms, sizeof forms - 1);
  vestry_html_raw(html, listeners, sizeof listeners - 1);
  vestry_html_add(html, " return under })()\"");
}

static const char *or_else(const char *word, const char *other) {
  return word ? word : other;
}

vestry_err vestry_html_upload(vestry_html *html, const vestry_upload_view_options *given) {
  vestry_upload_view_options o;
  if (!html) return VESTRY_INVALID;
  if (VSI_OPTIONS_TAKE(vestry_upload_view_options, o, given) || (o.signal && !is_signal(o.signal)))
    return vsi_html_fail(
        vsi_html_of(html), VESTRY_INVALID,
        "vestry_html_upload: an option is invalid; a signal consists of at most 64 letters and single underscores");
  const char *signal = or_else(o.signal, "_upload");
  vestry_html_add(html, "<div class=\"vestry-upload\" data-ignore-morph data-upload=\"%-s\" data-sending=\"%s\"",
                  signal, or_else(o.sending, "Sending {name}…"));
  vestry_html_add(html, " data-kept=\"%s\" data-failed=\"%s\" data-broken=\"%s\" data-cancelled=\"%s\"",
                  or_else(o.kept, "Sent: {name}."), or_else(o.failed, "Not sent: {name}. {why}"),
                  or_else(o.broken, "The connection was lost."), or_else(o.cancelled, "Cancelled: {name}."));
  vestry_html_add(html, " data-waiting=\"%s\" data-gone=\"%s\" data-elsewhere=\"%s\"%-s",
                  or_else(o.waiting, "{name}: the connection was lost. The upload continues as soon as possible."),
                  or_else(o.gone, "The file was changed or removed after it was chosen: choose it again."),
                  or_else(o.elsewhere, "The request was redirected, probably to a log-in: open this page in another "
                                       "tab, log in there, and send again here."),
                  o.resumes ? " data-resumes" : "");
  vestry_html_add(html, " data-signals__ifmissing=\"{%-sPercent: 0, %-sState: '', %-sText: ''}\"", signal, signal,
                  signal);
  put_script(html);
  vestry_html_add(html,
                  "><progress max=\"100\" value=\"0\" hidden aria-label=\"%s\" data-attr:value=\"$%-sPercent\""
                  " data-attr:hidden=\"!['sending', 'waiting'].includes($%-sState)\"></progress>",
                  or_else(o.label, "Upload progress"), signal, signal);
  vestry_html_add(html,
                  "<button type=\"button\" data-upload-cancel hidden data-attr:hidden=\"!['sending', "
                  "'waiting'].includes($%-sState)\">"
                  "%s</button>",
                  signal, or_else(o.cancel, "Cancel"));
  return vestry_html_add(html, "<p role=\"status\" data-text=\"$%-sText\"></p></div>", signal);
}
