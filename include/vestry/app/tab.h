/* SPDX-License-Identifier: MIT */
/** Tab ids: each tab of a browser has an id, and every request of its pages says it.
 *
 *      char attributes[VESTRY_TAB_ATTRIBUTES_BYTES], id[VESTRY_TAB_ID_BYTES];
 *      vestry_tab_attributes(req, reply, attributes, sizeof attributes); // the page, once, outside what is patched
 *      vestry_html_add(&html, "<body %-s>…", attributes);
 *
 *      vestry_tab_id(req, id);                                           // in any handler: a key for what is the tab's
 *      vestry_reply_key(reply, VESTRY_KEY("tab", (const char *)id));
 *
 *  An id is 128 random bits that the server makes, with a seal of the request's scope: one that was not made here, or
 *  for another scope, is none. Nothing is kept for ids, however many there are; after a log-in a tab has another one.
 *
 *  The page's attributes put it into the signal `tabId`, which the Datastar client sends with every request. A tab
 *  keeps its id over reloads and navigation: when a page goes, it leaves the id in the tab's sessionStorage, and the
 *  next page takes it out from there. So a tab that is duplicated (or opened by window.open, which copies the storage)
 *  while its page is shown finds none there, and has an id of its own. A cookie of five seconds carries the id over the
 *  reload itself, so that the document is mostly rendered for it already. That is a guess: after more than five
 *  seconds, where a browser does without the cookie (Safari on phones), and in a new tab, the document is rendered for
 *  a new id; and when another tab is loaded in the same moment, perhaps for that one's. The page's own requests, its
 *  stream's above all, have the tab's for certain. So what is the tab's own, and must not be seen in another, a draft
 *  above all, is rendered where vestry_tab_is_known says so: not in a document, but in the stream's first render. What
 *  must not be lost between the keystroke and the reload is kept in the page, by vestry_tab_keep. A tab that the
 *  system ends without a word, and one without storage, begins anew. */
#ifndef VESTRY_TAB_H
#define VESTRY_TAB_H

#include "vestry/html.h"
#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An id: 32 hexadecimal digits and a NUL. */
#define VESTRY_TAB_ID_BYTES 33
/** Room for the attributes, at least what they take. */
#define VESTRY_TAB_ATTRIBUTES_BYTES 1024

/** The id of the tab that the request comes from: by the signal `tabId`; by a form's field of that name, as in
 *  `<input type="hidden" name="tabId" data-attr:value="$tabId">`, since forms that the client sends have no signals; or
 *  by the cookie. An ordinary request without one is a tab's first: it gets a new one, the same however often this is
 *  asked.
 *  id       set on OK, otherwise untouched
 *  Returns  OK | NOT_FOUND (a request of the Datastar client's without one that is good: after a log-in elsewhere, say;
 *           have the page loaded again) | NO_MEMORY | IO (no randomness)
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_tab_id(const vestry_request *req, char id[VESTRY_TAB_ID_BYTES]);

/** Whether that id is the tab's for certain, because the page has said it: requests of the client's, streams and their
 *  renders, forms with the field. false: a document, whose id is a new one or that of the cookie, a guess; or there is
 *  none. Threads the handler's; does not block. */
VESTRY_API bool vestry_tab_is_known(const vestry_request *req);

/** A prefix for vestry_tab_keep. */
#define VESTRY_TAB_PREFIX_MAX_BYTES 64

/** Keep what is typed over a reload, and over a visit elsewhere: put an element into a page that has the attributes
 *  below, once, before all fields and outside of what is patched. When the page goes, the signals whose names begin
 *  with the prefix are left in the tab's sessionStorage, as they are at that moment; the next page of this tab and
 *  scope has them before any of its fields, so that `data-signals:draft__ifmissing` leaves them alone. No request is
 *  needed, so no keystroke is too late. A second after they have come back the window has the event vestry-kept: for
 *  an application that stores drafts, too, to store what it may not have got (data-on:vestry-kept__window).
 *  prefix   1 to VESTRY_TAB_PREFIX_MAX_BYTES letters, digits and '_', no digit first
 *  Returns  OK | INVALID | as vestry_html_add
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_tab_keep(const vestry_request *req, vestry_html *html, const char *prefix);

/** Write the attributes of a page's body, or of another element that is before all that sends requests, and that no
 *  patch replaces. They are as HTML has them: %-s.
 *  buffer   receives at most capacity - 1 bytes and a NUL; untouched on failure
 *  Returns  OK | TOO_LARGE (capacity) | as vestry_tab_id
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_tab_attributes(const vestry_request *req, vestry_reply *reply, char *buffer,
                                            size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
