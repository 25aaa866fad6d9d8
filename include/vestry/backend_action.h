/* SPDX-License-Identifier: MIT */
/** Action strings: what makes a Datastar page send a request, such as \@get('/x'), for the value of an attribute.
 *
 *      char go[256];
 *      vestry_backend_action_string(go, sizeof go, VESTRY_METHOD_POST, NULL, "/rooms/%s/messages", room);
 *      vestry_html_add(&html, "<button data-on:click=\"%-s\">Send</button>", go);
 *
 *  An action string is made of characters that stand for themselves in text and in attributes, with either kind of
 *  quotes (its own quotes are references), so it is put in as it is. */
#ifndef VESTRY_BACKEND_ACTION_H
#define VESTRY_BACKEND_ACTION_H

#include "vestry/event.h"
#include "vestry/html.h"

#ifdef __cplusplus
extern "C" {
#endif

/** X(enum, name of the action). */
#define VESTRY_METHODS(X)                                                                                              \
  X(GET, "get")                                                                                                        \
  X(POST, "post")                                                                                                      \
  X(PUT, "put")                                                                                                        \
  X(PATCH, "patch")                                                                                                    \
  X(DELETE, "delete")                                                                                                  \
  X(QUERY, "query") /* client 1.0.4 and later: GET with a body (RFC 10008) */

/** The method of the request. QUERY asks, and changes nothing, as GET does, but has its signals, or its form, in the
 *  body: for what does not fit into an address, and should not stand in logs. What is safe is let pass by the guards of
 *  vestry/app/csrf.h and vestry/app/once.h: no other site's page can send it without being let (by CORS, which vestry
 *  never does), and doing it twice does no more than once. civetweb up to 1.17 cannot take it (vestry/civetweb.h);
 *  libmicrohttpd can. */
typedef enum vestry_method {
#define VESTRY_METHOD_ENUM(name, action) VESTRY_METHOD_##name,
  VESTRY_METHODS(VESTRY_METHOD_ENUM)
#undef VESTRY_METHOD_ENUM
} vestry_method;

/** What the request carries. */
typedef enum vestry_action_content {
  VESTRY_CONTENT_SIGNALS = 0, /**< the signals; the client's default */
  VESTRY_CONTENT_FORM         /**< the fields of a form: the one around the element, or that of the selector */
} vestry_action_content;

/** Whether a stream stays open while its tab is hidden. */
typedef enum vestry_when_hidden {
  VESTRY_HIDDEN_DEFAULT = 0, /**< closed and reopened for GET, open for the others */
  VESTRY_HIDDEN_OPEN,
  VESTRY_HIDDEN_CLOSED
} vestry_when_hidden;

/** When the client tries again. */
typedef enum vestry_action_retry {
  VESTRY_RETRY_AUTO = 0, /**< after failures of the network; the client's default */
  VESTRY_RETRY_ERROR,    /**< also after answers 400 to 599 */
  VESTRY_RETRY_ALWAYS,   /**< also when a stream has ended cleanly; never after a redirect */
  VESTRY_RETRY_NEVER     /**< written as 'never': after an answer it gives up; failures of the network are retried */
} vestry_action_retry;

/** What becomes of a request of the same method and URL that is still under way. */
typedef enum vestry_cancellation {
  VESTRY_CANCEL_AUTO = 0, /**< it is aborted; the client's default */
  VESTRY_CANCEL_CLEANUP,  /**< and this one is, too, when its element leaves the page */
  VESTRY_CANCEL_DISABLED  /**< both go on */
} vestry_cancellation;

/** For retry_max_count: without end. */
#define VESTRY_RETRY_FOREVER UINT32_MAX

/** The name of a signal for `sent`. */
#define VESTRY_SENT_MAX_BYTES 64

/** The options of an action, as of client 1.0; pointers are borrowed. Zero: the default of the client, in brackets. */
typedef struct vestry_backend_action_options {
  size_t size; /**< sizeof(vestry_backend_action_options), or 0 */
  vestry_action_content content;
  const char *selector;            /**< CSS, of the form; only with CONTENT_FORM. NULL: the form around the element */
  const vestry_attribute *headers; /**< more request headers; names are tokens, values printable ASCII */
  size_t headers_count;            /**< at most 64 */
  const char *filter_include;      /**< a regular expression (JavaScript's): signals, by path, that are sent [all] */
  const char *filter_exclude;      /**< and that are not ['(^|\.)_'] */
  const json_t *payload;           /**< sent instead of the signals; NULL: none, but see once */
  vestry_when_hidden when_hidden;
  vestry_action_retry retry;
  uint32_t retry_interval_ms; /**< before the first retry [1,000] */
  double retry_scaler;        /**< each wait is so many times the last [2]; finite, ≥ 0, at most 1,000,000 */
  uint32_t retry_max_wait_ms; /**< [30,000] */
  uint32_t retry_max_count;   /**< [10]; VESTRY_RETRY_FOREVER */
  vestry_cancellation cancellation;
  bool csrf; /**< send the page's token along (vestry/app/csrf.h): of the signal `_csrf`, in the header X-CSRF-Token */
  bool once; /**< have it run once, also if the client repeats it (vestry/app/once.h): by the signal `_once`, in X-Once.
                  What it sends, signals or a form's fields, is what they were at the submission. [cancellation:
                  DISABLED]. For GET and QUERY it is the header alone: their retries send what is newest */
  bool deduplicate; /**< of once: an identical submission before the first is answered, or of a double click, is none */
  bool unordered;   /**< of once: sent at once, not after the earlier submissions of its page */
  const char
      *sent; /**< of once, not of GET and QUERY: the name of a signal that says how many submissions were sent and
                           are not seen yet (vestry/app/once.h): a letter or '_', then letters, digits and '_', at most
                           VESTRY_SENT_MAX_BYTES. One that begins with '_' stays in the page [none] */
} vestry_backend_action_options;

/** Write an action string.
 *  buffer   receives at most capacity - 1 bytes and a NUL; untouched on TOO_LARGE for a capacity of 0, otherwise an
 *           empty text on failure
 *  options  NULL: the defaults
 *  url      a format as that of vestry_html_add, for a URL: %s is percent-encoded as one component of it (a path
 *           segment, a name or value of the query). In the query it can hold anything. In the path vestry's servers
 *           answer 400 to a segment with '/', '\\' or a control character, or that ends with '.', because proxies could
 *           read another path: put such a text into the query, "/people?id=%s". %-s is part of the URL as it is, and
 *           "%-s" alone takes a whole URL. Either way it cannot leave the JavaScript string. (A segment that is "." or
 *           ".." goes up the path in the browser: URLs have no escape for these two.) In the format itself, {$room.id}
 *           is what that signal is in the page when the action runs, likewise percent-encoded as one component:
 *           "/rooms/{$room.id}/messages"; names are letters, digits and '_'
 *  Returns  OK | INVALID (method, options, format, an empty URL, buffer NULL with capacity > 0) | TOO_LARGE (capacity)
 *           | NO_MEMORY (only with a payload, whose JSON jansson writes)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_backend_action_string(char *buffer, size_t capacity, vestry_method method,
                                                   const vestry_backend_action_options *options, const char *url, ...)
    VESTRY_PRINTF(5, 6);

/** Append an action string to HTML, where vestry_html_js could stand, but not in a script element: there it would be no
 *  action. Arguments as vestry_backend_action_string; returns as vestry_html_add (the offset is into url). */
VESTRY_API vestry_err vestry_html_backend_action(vestry_html *html, vestry_method method,
                                                 const vestry_backend_action_options *options, const char *url, ...)
    VESTRY_PRINTF(4, 5);

#ifdef __cplusplus
}
#endif
#endif
