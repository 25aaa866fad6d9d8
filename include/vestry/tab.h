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
 *  reload itself, so that also the page's first render knows it; where a browser does without (Safari on phones), or
 *  another tab is quicker to take it, the page is rendered for a new id, and the stream's first request has the tab's.
 *  A tab that the system ends without a word, and one without storage, begins anew. */
#ifndef VESTRY_TAB_H
#define VESTRY_TAB_H

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
