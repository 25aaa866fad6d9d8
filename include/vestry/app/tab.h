/* SPDX-License-Identifier: MIT */
/** Tab ids: each tab of a browser has an id, which the requests of its pages contain.
 *
 *      char attributes[VESTRY_TAB_ATTRIBUTES_BYTES], id[VESTRY_TAB_ID_BYTES];
 *      vestry_tab_attributes(req, reply, attributes, sizeof attributes); // a page, once, outside of patched elements
 *      vestry_html_add(&html, "<body %-s>…", attributes);
 *
 *      vestry_tab_id(req, id);                                           // in any handler: a key for data of the tab
 *      vestry_reply_key(reply, VESTRY_KEY("tab", id));
 *
 *  The server generates an id from 128 random bits, and authenticates it for the request's scope: an id from another
 *  source or scope is invalid. The server stores nothing for ids. After a log-in a tab has another id.
 *  docs/guide/csrf-and-tabs.md has the rules. */
#ifndef VESTRY_TAB_H
#define VESTRY_TAB_H

#include "vestry/html.h"
#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How a tab keeps its id over reloads and navigation: the page's attributes put it into the signal `tabId`, which the
 *  client sends with every request. When the user leaves a page, the page stores the id in the tab's sessionStorage,
 *  and the next page takes it from there. A tab without a stored id gets a new one: a duplicated tab, a tab opened by
 *  window.open, a tab that the system has ended, and a tab whose browser forbids storage.
 *
 *  A cookie with a lifetime of five seconds carries the id over a reload, so that a document is usually rendered for
 *  the id of its tab. The id of a document is not certain: after five seconds, in a browser that omits the cookie
 *  (Safari on phones), and in a new tab, it is a new id; if another tab loads at the same time, it may be that tab's
 *  id. Requests of the page, such as its stream, contain the right id. Therefore, render data that must not appear in
 *  another tab, for example a draft, only if vestry_tab_is_known(req) returns true: in the first render of the stream,
 *  not in the document. */

/** Size of an id: 32 hexadecimal digits and a NUL. */
#define VESTRY_TAB_ID_BYTES 33
/** Sufficient size of a buffer for vestry_tab_attributes. */
#define VESTRY_TAB_ATTRIBUTES_BYTES 1024

/** Get the id of the tab that sent a request. It is read from the signal `tabId`; from the field of that name in a
 *  form, which contains no signals: `<input type="hidden" name="tabId" data-attr:value="$tabId">`; or from the cookie.
 *  An ordinary request without an id counts as the first request of a tab, and gets a new id, the same at each call.
 *  id  set on OK, otherwise untouched
 *  Returns  OK | NOT_FOUND (a request of the Datastar client without a valid id, for example after a log-in in another
 *           tab; let the page reload) | NO_MEMORY | IO (no randomness)
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_tab_id(const vestry_request *req, char id[VESTRY_TAB_ID_BYTES]);

/** Return whether the id is certain. true: the page has sent it, in a request of the Datastar client, of a stream and
 *  its renders, or of a form with the field. false: the request is for a document, whose id is new or from the cookie;
 *  or there is no id. Threads the handler's; does not block. */
VESTRY_API bool vestry_tab_is_known(const vestry_request *req);

/** Maximum length of a prefix for vestry_tab_keep. */
#define VESTRY_TAB_PREFIX_MAX_BYTES 64

/** Append an element that keeps typed text over a reload, or while the tab shows another site. Append it once, before
 *  all fields and outside of patched elements, to a page with the attributes of vestry_tab_attributes. When the user
 *  leaves the page, the values of the signals whose names begin with the prefix are stored in the tab's sessionStorage.
 *  The next page of this tab and scope restores them before its fields, so that `data-signals:draft__ifmissing` does
 *  not overwrite them. No request is necessary, so that even the last keystroke is kept. One second after the values
 *  were restored, the window gets the event vestry-kept; an application that also stores drafts on the server can then
 *  store the values (data-on:vestry-kept__window).
 *  prefix  1 to VESTRY_TAB_PREFIX_MAX_BYTES letters, digits and '_'; must not begin with a digit
 *  Returns  OK | INVALID | as vestry_html_add
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_tab_keep(const vestry_request *req, vestry_html *html, const char *prefix);

/** Write attributes for the start tag of a page's body, or of another element. This element must begin before all
 *  elements that send requests, and no patch may replace it. Insert the attributes with %-s, because they are HTML
 *  already.
 *  buffer  receives at most capacity - 1 bytes and a NUL; untouched on failure
 *  Returns  OK | TOO_LARGE (capacity) | as vestry_tab_id
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_tab_attributes(const vestry_request *req, vestry_reply *reply, char *buffer,
                                            size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
