/* SPDX-License-Identifier: MIT */
/** A browser for tests: sends requests to an instance as a browser does, through the memory adapter
 *  (vestry/testing/memory.h) and without a network. It stores cookies, follows redirects, sends forms, and makes the
 *  requests of the Datastar client. It stores at most 50 cookies, and of their attributes considers only Max-Age.
 *
 *      vestry_browser_create(v, &ada);
 *      vestry_browser_form(ada, "/login", VESTRY_OBJECT("user", "ada", "password", "engine"), &page); // ends at "/"
 *      vestry_browser_send(ada, "GET", "/board/7/stream", NULL, &tab);   // a stream
 *      vestry_memory_since(tab);                                         // its first events
 *      vestry_browser_send(ada, "POST", "/board/7/card", VESTRY_OBJECT("text", "Write the paper"), &answer);
 *      vestry_memory_since(tab);                                         // the events since then
 *
 *  The caller owns each exchange, here page, tab and answer, and frees it with vestry_memory_destroy, which closes a
 *  tab. On a stepped runtime all ready work has run when a request returns; time does not pass unless the test advances
 *  the clock. */
#ifndef VESTRY_BROWSER_H
#define VESTRY_BROWSER_H

#include "vestry/testing/memory.h"
#include "vestry/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The browser of one user. One thread at a time; its functions run the handlers on this thread. */
typedef struct vestry_browser vestry_browser;

/** Create a browser without cookies.
 *  v            borrowed; must outlive the browser
 *  ret_browser  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY
 *  Threads  any */
VESTRY_API vestry_err vestry_browser_create(vestry *v, vestry_browser **ret_browser);
/** Destroy a browser. NULL is accepted. */
VESTRY_API void vestry_browser_destroy(vestry_browser *browser);

/** Load a page, and follow at most ten redirects (status 301, 302 or 303). Sends the stored cookies, and stores
 *  those that the responses set.
 *  url       "/path?query", percent-encoded where necessary
 *  ret_page  the last response, owned by the caller; untouched on failure
 *  Returns  OK, whatever the status | INVALID (the url, or a Location that does not begin with '/') | LIMIT (redirects)
 *           | NO_MEMORY | the error of vestry_serve */
VESTRY_API vestry_err vestry_browser_get(vestry_browser *browser, const char *url, vestry_memory_exchange **ret_page);
/** Send a form (POST, application/x-www-form-urlencoded), then follow redirects as vestry_browser_get. fields: an
 *  object of texts, numbers and booleans; true is a checked box, false an unchecked one; values of other types are
 *  INVALID. Otherwise as vestry_browser_get. */
VESTRY_API vestry_err vestry_browser_form(vestry_browser *browser, const char *url, const vestry_value *fields,
                                          vestry_memory_exchange **ret_page);
/** Send a request as the actions of the Datastar client do (get, post and so on), with the page's signals. Like the
 *  client, it does not follow redirects. signals: an object; NULL: none. Otherwise as vestry_browser_get. */
VESTRY_API vestry_err vestry_browser_send(vestry_browser *browser, const char *method, const char *url,
                                          const vestry_value *signals, vestry_memory_exchange **ret_exchange);
/** Get the value of a stored cookie; NULL: none. Valid until the browser's next request. */
VESTRY_API const char *vestry_browser_cookie(const vestry_browser *browser, const char *name);

#ifdef __cplusplus
}
#endif
#endif
