/* SPDX-License-Identifier: MIT */
/** Action strings: expressions in attributes, such as \@get('/x'), by which a Datastar page sends requests.
 *
 *      char go[256];
 *      vestry_backend_action_string(go, sizeof go, VESTRY_METHOD_POST, NULL, "/rooms/%s/messages", room);
 *      vestry_html_add(&html, "<button data-on:click=\"%-s\">Send</button>", go);
 *
 *  An action string contains only characters that need no escape in text and in attributes with either kind of quotes
 *  (its own quotes are written as character references), so add it to HTML without escaping. */
#ifndef VESTRY_BACKEND_ACTION_H
#define VESTRY_BACKEND_ACTION_H

#include "vestry/event.h"
#include "vestry/html.h"

#ifdef __cplusplus
extern "C" {
#endif

/** X(enum, name of the action): methods. */
#define VESTRY_METHODS(X)                                                                                              \
  X(GET, "get")                                                                                                        \
  X(POST, "post")                                                                                                      \
  X(PUT, "put")                                                                                                        \
  X(PATCH, "patch")                                                                                                    \
  X(DELETE, "delete")                                                                                                  \
  X(QUERY, "query") /* client 1.0.4 and later: GET with a body (RFC 10008) */

/** The method of the request. QUERY changes nothing, as GET, but has its signals, or its form, in the body: use it for
 *  data that is too large for a URL, or should not be in logs. The guards of vestry/app/csrf.h and vestry/app/once.h
 *  admit safe methods, QUERY included, for two reasons: a page of another site can send QUERY only if CORS permits it,
 *  which vestry never does; and a repetition has no further effect. civetweb up to 1.17 does not support QUERY
 *  (vestry/civetweb.h); libmicrohttpd does. */
typedef enum vestry_method {
#define VESTRY_METHOD_ENUM(name, action) VESTRY_METHOD_##name,
  VESTRY_METHODS(VESTRY_METHOD_ENUM)
#undef VESTRY_METHOD_ENUM
} vestry_method;

/** Content of the request. */
typedef enum vestry_action_content {
  VESTRY_CONTENT_SIGNALS = 0, /**< the signals; the client's default */
  VESTRY_CONTENT_FORM         /**< the fields of a form: the one around the element, or that of the selector */
} vestry_action_content;

/** Whether a stream stays open while its tab is hidden. */
typedef enum vestry_when_hidden {
  VESTRY_HIDDEN_DEFAULT = 0, /**< GET: it is closed, and opened again when the tab is shown; other methods: it stays
                                  open */
  VESTRY_HIDDEN_OPEN,
  VESTRY_HIDDEN_CLOSED
} vestry_when_hidden;

/** When the client retries. */
typedef enum vestry_action_retry {
  VESTRY_RETRY_AUTO = 0, /**< after network failures; the client's default */
  VESTRY_RETRY_ERROR,    /**< also after responses 400 to 599 */
  VESTRY_RETRY_ALWAYS,   /**< also after a stream has ended cleanly; never after a redirect */
  VESTRY_RETRY_NEVER     /**< not after a response of any status (the client calls this 'never', but still retries after
                              network failures) */
} vestry_action_retry;

/** Treatment of a pending request of the same method and URL. */
typedef enum vestry_cancellation {
  VESTRY_CANCEL_AUTO = 0, /**< the pending request is aborted; the client's default */
  VESTRY_CANCEL_CLEANUP,  /**< as AUTO, and the new request is aborted when its element leaves the page */
  VESTRY_CANCEL_DISABLED  /**< neither request is aborted */
} vestry_cancellation;

/** For retry_max_count: no limit. */
#define VESTRY_RETRY_FOREVER UINT32_MAX

/** Maximum length of a signal's name in `sent`. */
#define VESTRY_SENT_MAX_BYTES 64

/** Options of an action, as of client 1.0; pointers are borrowed. Zero: the default of the client, in brackets. */
typedef struct vestry_backend_action_options {
  vestry_action_content content;
  const char *selector;            /**< CSS selector of the form; only with CONTENT_FORM. NULL: the form around the
                                        element */
  const vestry_attribute *headers; /**< more request headers; names are tokens, values printable ASCII */
  size_t headers_count;            /**< at most 64 */
  const char *filter_include;      /**< a regular expression (JavaScript's) of the paths of signals that are sent
                                        [all] */
  const char *filter_exclude;      /**< the same for paths of signals that are not sent ['(^|\.)_'] */
  const json_t *payload;           /**< sent instead of the signals; NULL: none, but see once */
  vestry_when_hidden when_hidden;
  vestry_action_retry retry;
  uint32_t retry_interval_ms; /**< delay before the first retry [1,000] */
  double retry_scaler;        /**< factor between delays [2]; finite, ≥ 0, at most 1,000,000 */
  uint32_t retry_max_wait_ms; /**< maximum delay [30,000] */
  uint32_t retry_max_count;   /**< maximum number of retries [10]; VESTRY_RETRY_FOREVER */
  vestry_cancellation cancellation;
  bool csrf; /**< send the page's token (vestry/app/csrf.h): from the signal `_csrf`, in the header X-CSRF-Token */
  bool once; /**< run the action once, even if the client repeats it (vestry/app/once.h): send a nonce, from the signal
                  `_once`, in the header X-Once. Repetitions send signals or form fields with their values at the time
                  of the submission. The default of cancellation is then DISABLED. With GET and QUERY this only adds the
                  header, and repetitions send current values */
  bool deduplicate; /**< with once: drop a submission that is identical to an earlier one and comes before its response
                         or within 500 ms, and the second submission of a double click */
  bool unordered;   /**< with once: send immediately, without waiting for earlier submissions of the page */
  const char
      *sent; /**< with once, not with GET and QUERY: name of a signal that counts the submissions that were sent and
                  whose results the page does not show yet (docs/guide/csrf-and-tabs.md): a letter or '_', then letters,
                  digits and '_', at most VESTRY_SENT_MAX_BYTES. A name that begins with '_' stays in the page [none] */
} vestry_backend_action_options;

/** Write an action string.
 *  buffer   receives at most capacity - 1 bytes and a NUL; on failure an empty text, unless capacity is 0
 *  options  NULL: the defaults
 *  url      a format as for vestry_html_add, for a URL. No argument can end the JavaScript string:
 *           - %s is percent-encoded as one component of the URL: a path segment, a name or value of the query. In the
 *             query it can be any text. In the path, vestry's servers answer 400 to a segment with '/', '\\' or a
 *             control character, or that ends with '.', because proxies could read another path: put such a text into
 *             the query, as in "/people?id=%s". The browser resolves a segment "." or "..", because URLs have no escape
 *             for these two
 *           - %-s is part of the URL unchanged, and "%-s" alone takes a whole URL
 *           - {$room.id} in the format is replaced by the value of that signal when the action runs, percent-encoded as
 *             one component: "/rooms/{$room.id}/messages"; names are letters, digits and '_'
 *  Returns  OK | INVALID (method, options, format, an empty URL, buffer NULL with capacity > 0, a payload that
 *           cannot be written as JSON) | TOO_LARGE (capacity; a payload that is nested too deep)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_backend_action_string(char *buffer, size_t capacity, vestry_method method,
                                                   const vestry_backend_action_options *options, const char *url, ...)
    VESTRY_PRINTF(5, 6);

/** Append an action string to HTML, in the contexts of vestry_html_js except a script element, where it would not be an
 *  action. Arguments as vestry_backend_action_string; returns as vestry_html_add (the offset is into url). */
VESTRY_API vestry_err vestry_html_backend_action(vestry_html *html, vestry_method method,
                                                 const vestry_backend_action_options *options, const char *url, ...)
    VESTRY_PRINTF(4, 5);

#ifdef __cplusplus
}
#endif
#endif
