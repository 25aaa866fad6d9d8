/* SPDX-License-Identifier: MIT */
/** Requests and replies: what a handler is given, and the data it answers with.
 *
 *  A handler sends nothing itself. It fills a reply: a status and body, or a key and effects; vestry performs it:
 *  - an ordinary request (no Datastar-Request header): status, headers and body are answered; effects are dropped.
 *  - a Datastar request: with effects, a connection to keep or a watch (vestry/app/watch.h), vestry finds the
 *  connection
 *    (the one the reply names; the open ones stored under its key), dispatches the effects to it and answers 204; or
 *    opens a new stream, stores it under the key when it is to stay open, and dispatches the effects down that. Without
 *    any of these, status, headers and body are answered (204 when nothing was set).
 *
 *  The builders of a reply return errors, but a handler may leave two kinds to vestry: after NO_MEMORY, and when
 *  effects are performed after the last vestry_reply_key failed, the reply is not performed and the error is answered.
 *
 *      static vestry_err jump(const vestry_request *req, vestry_reply *reply, void *app) {
 *        vestry_reply_key(reply, VESTRY_KEY("counter", 1));
 *        return vestry_reply_patch_signals(reply, VESTRY_OBJECT("counter", add_ten(app)));
 *      } */
#ifndef VESTRY_REQUEST_H
#define VESTRY_REQUEST_H

#include "vestry/html.h"
#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An application's handler. On the adapter's thread, no lock held; may block as long as the server can spare the
 *  thread. req and reply are valid during the call.
 *  Returns  OK; otherwise the error is answered, and the reply thrown away, unless it has a status of 400 or more and a
 *  body: then it is the answer, whatever the error. Mistakes of the client: MALFORMED 400 (from vestry_request_json and
 *  the functions of vestry/signals.h); NOT_FOUND 404; EXISTS 409; TOO_LARGE 413. LIMIT and FULL: 503 with Retry-After.
 *  All others 500, with a line in the host's log: INVALID among them, since functions return it to a program that
 *  passes a wrong argument; and any error that a builder of this reply has returned, for a refused format, say. To
 *  answer otherwise, set status and body, and return OK or an error: counters of failed requests go by the error, and
 *  so does vestry_once_guard, which forgets requests that return LIMIT or FULL */
typedef vestry_err (*vestry_handler_fn)(const vestry_request *req, vestry_reply *reply, void *app);

/** A request: what it says of itself, to be read and not to be written. All of it is borrowed and valid during the
 *  handler; what the functions hand out, too. Handler's thread only. */
struct vestry_request {
  vestry *v;          /**< the instance that serves it */
  const char *method; /**< "GET", "POST", … as sent */
  const char *path;   /**< URL-decoded, without query */
  const char *query;  /**< as sent, without '?'; "" when there is none. See vestry_query_value */
  vestry_slice body;  /**< whole; len 0 when there is none. Bounded by max_body_bytes (vestry/instance.h) */
  json_t *signals;    /**< the page's, an object; NULL for an ordinary request. json_incref to keep them on this thread,
                             json_deep_copy to change them, or for another thread: empty ones may be shared by all
                             requests. A form sent by the client (contentType 'form') has an empty object. Signals that
                             are too large are answered 413 and malformed ones 400 before the handler is called */
  vestry_scope scope; /**< what the scope function made of the request */
  bool is_datastar;   /**< the Datastar client sent it: header Datastar-Request is "true" */
  int error;          /**< in a handler of vestry_error_page: the status that it makes a page for; otherwise 0 */
  struct vsi_request *own; /**< the library's */
};

/** A header's value, name in any case; NULL: not there. */
VESTRY_API const char *vestry_request_header(const vestry_request *req, const char *name);
/** The value of a cookie, without the quotes around it if it has them. Of several with that name the first. A cookie
 *  outside the grammar of RFC 6265 (section 4.1.1) is not there.
 *  buffer   receives at most capacity - 1 bytes and a NUL; untouched on failure
 *  Returns  OK | NOT_FOUND | TOO_LARGE */
VESTRY_API vestry_err vestry_request_cookie(const vestry_request *req, const char *name, char *buffer, size_t capacity);
/** The peer's address as text; "" when unknown, and of a peer on a UNIX socket. A proxy's, if there is one in front. */
VESTRY_API const char *vestry_request_peer(const vestry_request *req);
/** The body as JSON, whatever value it is: for requests that no page makes. Size, depth and count are checked before
 *  anything is built: what reads or frees a value recurses, and a server's threads may have little stack (civetweb's
 *  100 kB: jansson's own json_loads, which goes 2,048 deep, ends the process there).
 *  limits     NULL: those of the instance's signals (vestry_options.signals)
 *  ret_value  a new reference, the caller's (json_decref); untouched on failure
 *  ret_error  may be NULL; set on MALFORMED and TOO_LARGE only
 *  Returns    OK | MALFORMED (also: no body, or what vestry_signals_parse refuses) | TOO_LARGE (any of the limits) |
 *             NO_MEMORY */
VESTRY_API vestry_err vestry_request_json(const vestry_request *req, const vestry_signals_limits *limits,
                                          json_t **ret_value, vestry_signals_error *ret_error);
/** Where a value of a request stands. */
typedef enum vestry_in {
  VESTRY_IN_PATH,  /**< what a parameter of its route's pattern stood for (vestry/routes.h) */
  VESTRY_IN_QUERY, /**< after the '?' */
  VESTRY_IN_FORM   /**< a field of the form that is the body: application/x-www-form-urlencoded, or
                        multipart/form-data without its files */
} vestry_in;

/** The value of that name, decoded: UTF-8, terminated, without NUL. What comes of a query or form is the client's,
 *  whatever it is.
 *  index    of several with that name, as boxes that are ticked send them: which one, from 0
 *  Returns  NULL: not there; or that place has a broken escape, something that is no UTF-8, a NUL, or more than 1,000
 *           values: then none of its values is there. No memory also means NULL */
VESTRY_API const char *vestry_request_value_at(const vestry_request *req, vestry_in in, const char *name, size_t index);
/** The same of the first with that name. */
static inline const char *vestry_request_value(const vestry_request *req, vestry_in in, const char *name) {
  return vestry_request_value_at(req, in, name, 0);
}
/** Read the value of that name, the first of several, into a variable of C's (vestry/value.h).
 *      vestry_request_get(req, VESTRY_IN_QUERY, "page", vestry_into_between(&page, 1, 1000));
 *  into     an integer: digits, perhaps a '-' before them, and nothing else. A number: of JSON's grammar. A boolean:
 *           true, on and 1; false, off and 0. (A box that is not ticked is not sent: NOT_FOUND.) A text: as it is
 *  Returns  OK | NOT_FOUND | MALFORMED (another text; an integer outside of its bounds; the place, as above) |
 *           TOO_LARGE (more than 1,000 values) | INVALID (JSON is not read) | NO_MEMORY. A handler that returns it
 *           answers what is due */
VESTRY_API vestry_err vestry_request_get(const vestry_request *req, vestry_in in, const char *name, vestry_into into);

/** A file of a form, in pieces of the body: whatever the client says it is. */
typedef struct vestry_upload {
  size_t size;        /**< sizeof(vestry_upload), or 0 */
  vestry_slice name;  /**< as its user's machine has it: not one for yours */
  vestry_slice type;  /**< len 0: not said */
  vestry_slice bytes; /**< not terminated */
} vestry_upload;

/** The file that a form (multipart/form-data) has in the field of that name; of several the first.
 *  OK | NOT_FOUND | MALFORMED (no such form) | INVALID. */
VESTRY_API vestry_err vestry_request_file(const vestry_request *req, const char *name, vestry_upload *ret_file);

/** Status of the answer; otherwise 200, or 204 when there is no body. A status that has no body (204, 205, 304) drops
 *  it. Ignored when the reply goes down a stored connection or opens a stream.
 *  OK | INVALID (not 200 to 599). */
VESTRY_API vestry_err vestry_reply_status(vestry_reply *reply, int status);
/** Add a header; copied. A name set twice is sent twice, except Content-Type, where the last wins. A new stream's head
 *  has these headers too, but for Content-Type, Content-Encoding, Cache-Control and X-Accel-Buffering, which are its
 *  own. OK | INVALID (no token for a name; a control character other than a tab in the value; a header that frames the
 *  body: Content-Length, Transfer-Encoding, Connection, Keep-Alive, Trailer, Upgrade, TE, Date) | NO_MEMORY.
 *
 *  An answer without a Cache-Control of yours is `private, no-store` once a guard or the handler has asked where the
 *  request comes from: for the user or the session, a tab, a token, a nonce, a cookie, or a header that names a user
 *  (Cookie, Authorization, X-Remote-User, X-Forwarded-User, X-Forwarded-Email). So is every answer to a request with a
 *  scope of your own (vestry_options.scope), or whose scope function has asked for one of these; and every answer that
 *  sets a cookie, unless yours says private or no-store. What differs by peer you say yourself. */
VESTRY_API vestry_err vestry_reply_header(vestry_reply *reply, const char *name, const char *value);
/** Which requests a cookie goes with. */
typedef enum vestry_same_site {
  VESTRY_SAME_SITE_LAX,    /**< this site, and links to it from elsewhere */
  VESTRY_SAME_SITE_STRICT, /**< this site alone */
  VESTRY_SAME_SITE_NONE    /**< every site; must be secure */
} vestry_same_site;

/** A cookie for the browser (RFC 6265bis). What is left out is the safe choice. */
typedef struct vestry_cookie {
  size_t size;                /**< see vestry/error.h */
  const char *name;           /**< a token */
  const char *value;          /**< visible ASCII, no quote, comma, semicolon or backslash; NULL: empty */
  const char *path;           /**< NULL: / */
  const char *domain;         /**< and those below it; NULL: this host alone */
  int64_t max_age_s;          /**< seconds, browsers keep none for more than 400 days; 0: until the browser ends */
  vestry_same_site same_site; /**< LAX unless set */
  bool insecure;              /**< also over plain http */
  bool for_scripts;           /**< the page's scripts may read it: no HttpOnly */
  bool remove;                /**< have the browser forget it: same name, path and domain; no value, no age */
} vestry_cookie;

/** Add a Set-Cookie header; on a new stream's head, too. Copied.
 *  OK | INVALID (what a browser would refuse or read otherwise: a name or value outside the grammar, more than 4,096
 *  bytes of both, a path that does not begin with /, a domain that is no host's name; SameSite=None that is insecure;
 *  a name with __Secure- or __Host-, in any case, that is insecure; __Host- with a domain or another path) |
 *  NO_MEMORY. */
VESTRY_API vestry_err vestry_reply_cookie(vestry_reply *reply, const vestry_cookie *cookie);
/** The body and, unless a header says otherwise, its content type (NULL: text/html; charset=utf-8). Copied; an empty
 *  body is one, too. The last wins. OK | INVALID (the content type, as a header's value; body NULL with len > 0) |
 *  LIMIT (the bodies of all answers hold what they may, max_answer_bytes of vestry_bounds: no memory was taken, and
 *  the reply has no body. It is answered 503 with Retry-After, if the handler returns OK or LIMIT and gives it no other
 *  body; for vestry_once_guard it has run) | NO_MEMORY. */
VESTRY_API vestry_err vestry_reply_body(vestry_reply *reply, const char *content_type, const void *body, size_t len);

/** The body as HTML by a format of vestry/html.h: a %s is escaped for where it stands. Otherwise as vestry_reply_body;
 *  INVALID also for what vestry_html_add refuses: the host's log says why and where. */
VESTRY_API vestry_err vestry_reply_bodyf(vestry_reply *reply, const char *format, ...) VESTRY_PRINTF(2, 3);

/** The body as the HTML that was built; copied, the builder stays the caller's. Whatever status was set goes with it,
 *  422 for a form that was filled in wrongly, say. As vestry_reply_body, or the error that sticks in the builder. */
VESTRY_API vestry_err vestry_reply_html(vestry_reply *reply, vestry_html *html);

/** Send the browser to another page: 301, 302, 303 (see other: for the answer to a form), 307 or 308. An ordinary
 *  request is answered with that status and Location. The Datastar client fetches, and would take the page that the
 *  redirect leads to for the answer; so its request is answered with status 200 and an element whose `data-init` leaves
 *  the page (HTML, and headers that have it appended to the body), which no policy takes for an inline script.
 *  url      relative, http or https. Never one that a client sent: the application says where a page may lead
 *  Returns  OK | INVALID (another status; another scheme, a control character, empty) | LIMIT (as vestry_reply_body) |
 *           NO_MEMORY */
VESTRY_API vestry_err vestry_reply_redirect(vestry_reply *reply, int status, const char *url);
/** The body as JSON, application/json; json is borrowed. OK | INVALID (NULL; nested deeper than 256; a text in it that
 *  is not UTF-8) | LIMIT (as vestry_reply_body) | NO_MEMORY. */
VESTRY_API vestry_err vestry_reply_json(vestry_reply *reply, const json_t *json);

/** Name the key: of the stored connections that the effects go to, and of a new stream that is kept. Copied.
 *  OK | INVALID, TOO_LARGE (the key; 500, if the reply is a stream's or the handler returns it) | NO_MEMORY. */
VESTRY_API vestry_err vestry_reply_key(vestry_reply *reply, const vestry_key *key);
/** Keep the stream that this request opens under one more key, beside others: a page is its user's and its board's.
 *  Dispatches, removals and lists reach it by each of its keys. The stream leaves all of its keys when it ends, and
 *  also when it is removed or evicted under one of them. Each key is an entry of the store's, and counts for its
 *  bounds; for the cap of a scope it counts in the scope of each. Only vestry_reply_keep looks for other streams, and
 *  only under vestry_reply_key's key; a reply that keeps no stream ignores these keys. No more keys than
 *  vestry_bounds.max_per_stream_count, 64 unless it says otherwise. Where many streams look at one thing, a channel
 *  (vestry_reply_join) costs less than a key: one event goes to all.
 *  scope       whose key it is; req->scope: of the request's own
 *  key         copied
 *  many_count  open streams under it at most, 0: 8; beyond it the oldest is closed for REPLACED
 *  Returns  OK | INVALID, TOO_LARGE (scope, key) | LIMIT (max_per_stream_count), all of them
 *           answered 500, and said why in the log | NO_MEMORY. A store that is full or closed
 *           refuses: 503, no effect is dispatched, and the stream is under none of its keys */
VESTRY_API vestry_err vestry_reply_add_key(vestry_reply *reply, vestry_scope scope, const vestry_key *key,
                                           size_t many_count);
/** Keys that a reply may have beside that of vestry_reply_key, unless vestry_bounds.max_per_stream_count says
 *  otherwise. */
#define VESTRY_REPLY_KEYS_MAX 64

/** Send to this very connection, whatever the key says; a reference is held. If it has closed, the effects go nowhere
 *  else (they were meant for its page, not for that of this request) and the answer is 410. OK | INVALID (NULL). */
VESTRY_API vestry_err vestry_reply_connection(vestry_reply *reply, vestry_connection *connection);
/** Keep the stream that this request opens: it stays open when the effects are done (auto-close off) and is stored
 *  under the reply's key, if one was named. Without it a new stream closes when its effects are done; if it is told to
 *  stay open otherwise (vestry_reply_auto_close, vestry_options.keep_open) it is kept with REUSE.
 *  policy      when open connections are stored under the key already:
 *              REPLACE  a new stream takes their place, they are closed for REPLACED; the effects go to the new one
 *              MANY     a new stream joins them; the effects go to the new one: they are what this page starts with.
 *                       Later dispatches by the key, and replies that name it without keeping, reach all of them
 *              REUSE    no stream is opened, the effects go to them and the answer is 204
 *              REJECT   the answer is 409, no effect is dispatched
 *              When two requests race for a key that no stream holds, one is stored and the other finds it there.
 *  many_count  for MANY: open connections under the key at most, 0: 8; beyond it the oldest is closed for REPLACED
 *  A store that is full or closed, or has no memory, refuses: 503, 503, 500, and no effect is dispatched.
 *  OK | INVALID. */
VESTRY_API vestry_err vestry_reply_keep(vestry_reply *reply, vestry_keep_policy policy, size_t many_count);
/** true: close the new stream after its effects, also after failed ones; false: leave it open. It wins over the default
 *  of vestry_reply_keep (off) and of the instance (on). A stream with auto-close is never stored. */
VESTRY_API void vestry_reply_auto_close(vestry_reply *reply, bool auto_close);
/** Perform no more of the effects once something has failed, an effect or an interceptor. Otherwise the rest goes
 *  on. */
VESTRY_API void vestry_reply_fail_fast(vestry_reply *reply, bool fail_fast);
/** Treat the request as the Datastar client's, though it does not say so: an EventSource, curl, another program. Its
 *  signals are not read. What such a reader understands is vestry_event_plain. An EventSource comes back after every
 *  end, a clean one too, with its last event's id in Last-Event-ID: what keeps it away is an answer of 204. */
VESTRY_API void vestry_reply_any_client(vestry_reply *reply);
/** Data of the stream that this request opens, for vestry_connection_data.
 *  data     taken, in any case; what was given before is destroyed
 *  destroy  called exactly once: with the last reference to the stream, on the thread that drops it, perhaps after
 *           vestry_destroy; or, if no stream is opened (the effects go to a stored one, any answer, an error, no
 *           memory), on this thread when the request has been answered. No lock held, must not block. NULL: nothing is
 *           to be done
 *  A stream that is given up for a stored one (vestry_reply_keep) has it until then. */
VESTRY_API void vestry_reply_data(vestry_reply *reply, void *data, vestry_destroy_fn destroy);
/** What the stream is like that a request opens. What is left out is as an earlier call has it, or else the
 *  instance. */
typedef struct vestry_stream_options {
  size_t size;                                 /**< sizeof(vestry_stream_options), or 0 */
  const vestry_connection_options *connection; /**< its bounds and habits: where not zero, over the instance's */
  const vestry_connection_hooks *hooks;        /**< called before the instance's; see vestry_connection_hooks */
  const vestry_profile *profiles; /**< how it may be written, best first, instead of the instance's. A client that
                                       accepts none of them, nor identity, is answered 406 */
  size_t profiles_count;          /**< of these, at most VESTRY_PROFILES_MAX; 0 with profiles: identity alone */
} vestry_stream_options;

/** Say what the stream is like that this request opens.
 *      vestry_reply_stream(reply, &(vestry_stream_options){.hooks = &hooks});
 *  options  copied, and what they point to
 *  Returns  OK | INVALID (nothing of it counts; said in the log) */
VESTRY_API vestry_err vestry_reply_stream(vestry_reply *reply, const vestry_stream_options *options);

/** Add one effect: a list that is headed by its name.
 *      vestry_reply_effect(reply, VESTRY_LIST("counter/start", step));
 *      vestry_reply_effect(reply, VESTRY_VALUES(json));   // of JSON made elsewhere: a reference is taken on OK only
 *  OK | INVALID (no list headed by a text; what vestry_value_to_json refuses) | TOO_LARGE | NO_MEMORY. */
VESTRY_API vestry_err vestry_reply_effect(vestry_reply *reply, const vestry_value *effect);
/** Shorthands for the effects patch-elements, patch-signals (an object) and
 *  execute-script. As vestry_reply_effect; texts are UTF-8, otherwise INVALID. No placeholder
 *  is looked for in signals, so that values of a client's may be among them; with vestry_reply_effect they can have
 *  some.
 *      vestry_reply_patch_signals(reply, VESTRY_OBJECT("counter", n)); */
VESTRY_API vestry_err vestry_reply_patch_elements(vestry_reply *reply, const char *html);
VESTRY_API vestry_err vestry_reply_patch_signals(vestry_reply *reply, const vestry_value *signals);
/** vestry_reply_patch_elements by a format of vestry/html.h: a %s is escaped for where it stands. INVALID also for what
 *  vestry_html_add refuses: the host's log says why and where. */
VESTRY_API vestry_err vestry_reply_patch_elementsf(vestry_reply *reply, const char *format, ...) VESTRY_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif
#endif
