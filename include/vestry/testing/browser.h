/* SPDX-License-Identifier: MIT */
/** A browser for tests: it asks an instance as a browser does, by its routes, through the memory adapter
 *  (vestry/testing/memory.h) and without a network. It keeps cookies, follows redirects, sends forms, and makes the
 *  Datastar client's requests.
 *
 *      vestry_browser_create(v, &ada);
 *      vestry_browser_form(ada, "/login", VESTRY_OBJECT("user", "ada", "password", "engine"), &page); // ends at "/"
 *      vestry_browser_send(ada, "GET", "/board/7/stream", NULL, &tab);   // a stream
 *      vestry_memory_since(tab);                                         // what it begins with
 *      vestry_browser_send(ada, "POST", "/board/7/card", VESTRY_OBJECT("text", "Write the paper"), &answer);
 *      vestry_memory_since(tab);                                         // what came of that
 *
 *  Exchanges are the caller's (vestry_memory_destroy closes a tab). On a stepped runtime everything that is ready has
 *  run when a request returns, so what it causes has come; time stands still unless the test turns the clock. */
#ifndef VESTRY_BROWSER_H
#define VESTRY_BROWSER_H

#include "vestry/testing/memory.h"
#include "vestry/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One person's: two have two. */
typedef struct vestry_browser vestry_browser;

/** Create one without cookies.
 *  v            borrowed; must outlive it
 *  ret_browser  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY
 *  Threads  any; one at a time uses it, as with all that follows */
VESTRY_API vestry_err vestry_browser_create(vestry *v, vestry_browser **ret_browser);
/** NULL is accepted. */
VESTRY_API void vestry_browser_destroy(vestry_browser *browser);

/** Go to a page, and where its redirects lead, ten at most. Cookies are sent along, and those that are set are kept.
 *  url       "/path?query", percent-encoded where need be
 *  ret_page  the last answer, the caller's; untouched on failure
 *  Returns  OK, whatever the status | INVALID (the url) | LIMIT (redirects) | NO_MEMORY | what vestry_serve returns */
VESTRY_API vestry_err vestry_browser_get(vestry_browser *browser, const char *url, vestry_memory_exchange **ret_page);
/** Send a form (POST, application/x-www-form-urlencoded), then as vestry_browser_get. fields: an object of texts,
 *  numbers and booleans; true is a box that is ticked, false one that is not. INVALID also: other fields. */
VESTRY_API vestry_err vestry_browser_form(vestry_browser *browser, const char *url, const vestry_value *fields,
                                          vestry_memory_exchange **ret_page);
/** Make a request as the Datastar client's actions do (get, post and so on), with the page's signals. Redirects are not
 *  followed, since it has none. signals: an object; NULL: none. Otherwise as vestry_browser_get. */
VESTRY_API vestry_err vestry_browser_send(vestry_browser *browser, const char *method, const char *url,
                                          const vestry_value *signals, vestry_memory_exchange **ret_exchange);
/** The value of a cookie that it keeps; NULL: none. Valid until its next request. */
VESTRY_API const char *vestry_browser_cookie(const vestry_browser *browser, const char *name);

#ifdef __cplusplus
}
#endif
#endif
