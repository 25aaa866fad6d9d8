/* SPDX-License-Identifier: MIT */
/** Tab ids: each tab of a browser has an id, which every request of its pages contains.
 *
 *      char attributes[VESTRY_TAB_ATTRIBUTES_BYTES], id[VESTRY_TAB_ID_BYTES];
 *      vestry_tab_attributes(req, reply, attributes, sizeof attributes); // a page, once, outside of patched elements
 *      vestry_html_add(&html, "<body %-s>…", attributes);
 *
 *      vestry_tab_id(req, id);                                           // in any handler: a key for data of the tab
 *      vestry_reply_key(reply, VESTRY_KEY("tab", (const char *)id));
 *
 *  An id is 128 random bits of the server, sealed for the request's scope: an id from another source or scope is
 *  invalid. The server stores nothing for ids; after a login a tab has another id. docs/guide/csrf-and-tabs.md has the
 *  rules. */
#ifndef VESTRY_TAB_H
#define VESTRY_TAB_H

#include "vestry/html.h"
#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How a tab keeps its id over reloads and navigation: the page's attributes put it into the signal `tabId`, which the
 *  client sends with every request. A page that goes stores the id in the tab's sessionStorage, and the next page
 *  removes it from there. So a tab that is duplicated, or opened by window.open, while its page is shown finds no id
 *  and gets a new one; so does a tab that the system ends, and one without storage.
 *
 *  A cookie of five seconds carries the id over a reload, so that a document is usually rendered for its tab. This is a
 *  guess. The document is rendered for a new id after five seconds, in a browser that omits the cookie (Safari on
 *  phones), and in a new tab. If another tab loads at the same moment, it may be rendered for the id of that tab.
 *  Requests of the page, such as its stream, have the certain id. Therefore, render data that must not appear in
 *  another tab, for example a draft, only if vestry_tab_is_known(req) returns true: in the first render of the stream,
 *  not in the document. */

/** Size of an id: 32 hexadecimal digits and a NUL. */
#define VESTRY_TAB_ID_BYTES 33
/** Sufficient size for the attributes. */
#define VESTRY_TAB_ATTRIBUTES_BYTES 1024

/** Get the id of the tab that sent a request: from the signal `tabId`; from a form's field of that name, `<input
 *  type="hidden" name="tabId" data-attr:value="$tabId">`, because forms have no signals; or from the cookie. An
 *  ordinary request without an id is a tab's first: it gets a new one, the same at each call.
 *  id  set on OK, otherwise untouched
 *  Returns  OK | NOT_FOUND (a request of the Datastar client without a valid id, for example after a login in another
 *           tab; let the page reload) | NO_MEMORY | IO (no randomness)
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_tab_id(const vestry_request *req, char id[VESTRY_TAB_ID_BYTES]);

/** Return whether the id is certain, because the page sent it: requests of the client, streams and their renders, forms
 *  with the field. false: a document, whose id is new or that of the cookie, a guess; or there is no id. Threads the
 *  handler's; does not block. */
VESTRY_API bool vestry_tab_is_known(const vestry_request *req);

/** Maximum length of a prefix for vestry_tab_keep. */
#define VESTRY_TAB_PREFIX_MAX_BYTES 64

/** Keep typed text over a reload or a visit elsewhere: append an element, once, before all fields and outside of
 *  patched elements, to a page that has the attributes below. When the page goes, the values of the signals whose names
 *  begin with the prefix are stored in the tab's sessionStorage; the next page of this tab and scope has them before
 *  its fields, so that `data-signals:draft__ifmissing` does not change them. No request is necessary, so the last
 *  keystroke is kept. One second after they are restored the window gets the event vestry-kept, so that an application
 *  that also stores drafts can store them (data-on:vestry-kept__window).
 *  prefix  1 to VESTRY_TAB_PREFIX_MAX_BYTES letters, digits and '_', no digit first
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
