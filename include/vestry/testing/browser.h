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
 *  v            borrowed for the requests; it may be destroyed before the browser, but its host must outlive the
 *               browser
 *  ret_browser  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY
 *  Threads  any */
VESTRY_API vestry_err vestry_browser_create(vestry *v, vestry_browser **ret_browser);
/** A server that a browser uses through the network. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_browser_server {
  const char *address;     /**< numeric IPv4 address ["127.0.0.1"] */
  uint16_t port;           /**< mandatory */
  uint64_t patience_ms;    /**< longest wait for a connection, and for the next bytes of a response [10,000] */
  const vestry_host *host; /**< memory and time; borrowed [vestry_host_default] */
} vestry_browser_server;

/** Create a browser without cookies for a running server, with or without vestry, over HTTP/1.1 and without TLS. All
 *  functions of browsers and pages work with it, and block on the network. A stream that the server ends is opened
 *  again half a second later, by the function that reads the page next. The request of an action that gets no response
 *  (IO), or that runs once and gets 502, 503 or 504, is repeated, with the same nonce, until patience_ms has passed.
 *  Streams are not compressed.
 *  server       copied; its host is borrowed until the browser is destroyed
 *  ret_browser  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (the address, or port 0) | NO_MEMORY. The first request connects: its function also returns IO
 *           (no connection, or it ended within the response), TIMEOUT or TOO_LARGE (a head of more than 64 KiB)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_browser_connect(const vestry_browser_server *server, vestry_browser **ret_browser);
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

/* ------------------------------------------------------------------------------------------------ pages ---------- */

/** A page that a browser shows: its document, its signals, and its streams, whose events change both. Tests use it as a
 *  person does: they read its text, fill fields by their labels, and press buttons and links by their texts.
 *
 *      vestry_browser_open(ada, "/", &page);
 *      vestry_browser_fill(page, "Note", "Tea at four");
 *      vestry_browser_press(page, "Add");                       // with the page's token and nonce
 *      assert(vestry_browser_shows(page, "Tea at four"));       // after the stream's event
 *
 *  It has no JavaScript. It understands
 *  - fields: in a label, or named by a label's `for` or by `aria-label`; bound to a signal (data-bind:x,
 *    data-bind="x"), or with a name in a form;
 *  - signals: data-signals:x="…" and data-signals="{…}" whose values are literals; data-text="$x" and "$x.y";
 *  - statements before a request that set a signal: `$a = $b;` and `$a = 'literal';`;
 *  - disabled fields and buttons, which cannot be used;
 *  - requests: the first \@get('/…'), \@post('/…') and so on of data-on:click, data-on:submit and data-init, also as
 *    vestry_html_backend_action and vestry_html_presses write them, with csrf, once and the content of a form; plain
 *    forms and links;
 *  - events: patches of elements by id, and of the body; of signals; redirects and reloads.
 *  Other expressions are ignored. One thread at a time; its functions run the handlers on this thread. */
typedef struct vestry_browser_page vestry_browser_page;

/** Load a page, follow redirects, and open its streams (data-init, and the stream of a live page).
 *  ret_page  owned by the caller (vestry_browser_close); untouched on failure
 *  Returns  OK, whatever the status | as vestry_browser_get */
VESTRY_API vestry_err vestry_browser_open(vestry_browser *browser, const char *url, vestry_browser_page **ret_page);
/** Close a page, and hang up its streams, before its browser is destroyed. NULL is accepted. */
VESTRY_API void vestry_browser_close(vestry_browser_page *page);
/** Type a text into the field with this label. A check box: "on", or "off". A list (`select`): the text of an option.
 *  Radio buttons: the legend of their group (`fieldset`), and the label or the value of one; or the label of one, and
 *  "on".
 *  Returns  OK | NOT_FOUND (no such field, or option) | NO_MEMORY */
VESTRY_API vestry_err vestry_browser_fill(vestry_browser_page *page, const char *label, const char *text);
/** Press the button with this text, or follow the link: send its request as the client does, with the signals or
 *  fields, the page's token and a nonce, and apply the answer and the events of the page's streams. Of several buttons
 *  with the text, the first one is pressed.
 *  Returns  OK, whatever the status | NOT_FOUND (no such button) | UNSUPPORTED (its expression contains no request that
 *           this function understands) | as vestry_browser_get */
VESTRY_API vestry_err vestry_browser_press(vestry_browser_page *page, const char *text);
/** Get the status of the last response: of the document, or of the last press. */
VESTRY_API int vestry_browser_status(const vestry_browser_page *page);
/** Apply the events that have arrived, and compare the page's visible text, in which white space counts as single
 *  spaces.
 *  Returns  whether it contains the text */
VESTRY_API bool vestry_browser_shows(vestry_browser_page *page, const char *text);
/** Wait until the page shows a text. An instance without threads is stepped meanwhile. The clock of the test does not
 *  count: after each millisecond of the machine's clock, the page is examined again, at most timeout_ms times.
 *  Returns  OK | TIMEOUT */
VESTRY_API vestry_err vestry_browser_wait(vestry_browser_page *page, const char *text, uint64_t timeout_ms);
/** Wait until the streams of pages have received something, or must be opened again. For many users on one thread.
 *  pages        of browsers made by vestry_browser_connect
 *  ret_arrived  an array of count: whether to read the page again, for example by vestry_browser_shows
 *  Returns      OK, also after timeout_ms without any | INVALID (no page) | NO_MEMORY
 *  Threads      that of the pages; blocks for timeout_ms at most */
VESTRY_API vestry_err vestry_browser_poll(vestry_browser_page *const *pages, size_t count, uint64_t timeout_ms,
                                          bool *ret_arrived);
/** Get the visible text of the page, after the events that have arrived. Valid until the next call with this page;
 *  NULL: no memory. */
VESTRY_API const char *vestry_browser_text(vestry_browser_page *page);
/** Get a signal of the page as JSON, by its path ("form.title"). NULL: there is none. Borrowed until the next call with
 *  this page. */
VESTRY_API const json_t *vestry_browser_signal(vestry_browser_page *page, const char *path);
/** Create a browser for another instance, with copies of this browser's cookies: the same person after a restart, or at
 *  another node. As vestry_browser_create. */
VESTRY_API vestry_err vestry_browser_move(const vestry_browser *browser, vestry *v, vestry_browser **ret_browser);

#ifdef __cplusplus
}
#endif
#endif
