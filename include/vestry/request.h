/* SPDX-License-Identifier: MIT */
/** Requests and replies: the input of a handler, and the data that it answers with.
 *
 *  A handler sends nothing by itself. It fills a reply, and vestry performs the reply when the handler has returned:
 *  - ordinary request (no Datastar-Request header): vestry sends status, headers and body, and drops effects
 *    (vestry/registry.h).
 *  - Datastar request with effects, vestry_reply_keep or a watch (vestry/app/watch.h): if the reply names a connection,
 *    the effects go there (204, or 410 if it has closed). Otherwise they go to the open connections under the reply's
 *    key (204), unless the reply keeps a stream with REPLACE or MANY. In all other cases the response is a new stream
 *    with the effects; vestry_reply_keep stores it.
 *  - any other Datastar request: vestry sends status, headers and body (204 if none is set).
 *
 *      static vestry_err jump(const vestry_request *req, vestry_reply *reply, void *app) {
 *        vestry_reply_key(reply, VESTRY_KEY("counter", 1));
 *        return vestry_reply_patch_signals(reply, VESTRY_OBJECT("counter", add_ten(app))); // the program's add_ten
 *      } */
#ifndef VESTRY_REQUEST_H
#define VESTRY_REQUEST_H

#include "vestry/html.h"
#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Handles a request. Called on the adapter's thread, no lock held; may block for as long as the server can do without
 *  this thread. req and reply are valid during the call.
 *  Returns  OK: vestry performs the reply. Otherwise, vestry drops the reply and answers with the status of the error,
 *           unless the reply has a status of 400 or more and a body: then vestry sends these. Statuses by error:
 *           - errors of the client: MALFORMED 400 (for example from vestry_request_json and the functions of
 *             vestry/signals.h), NOT_FOUND 404, EXISTS 409, TOO_LARGE 413
 *           - LIMIT and FULL, and CLOSED while the instance is closing: 503 with Retry-After
 *           - all others: 500, and a line in the host's log. This includes INVALID, which means a mistake in the
 *             program, and the error of a vestry_reply_… function that has refused its arguments: for example,
 *             TOO_LARGE of vestry_reply_key gets 500, not 413
 *  To send another response, set status and body, and return OK; with a status of 400 or more, an error may also be
 *  returned. The counters of failed requests count by the returned error. vestry_once_guard (vestry/app/once.h) lets a
 *  client repeat a request whose handler returned LIMIT or FULL, with one exception (vestry_reply_body).
 *
 *  A handler need not check the vestry_reply_… functions for NO_MEMORY. If its reply has effects or keeps a stream, it
 *  need not check vestry_reply_key, vestry_reply_store and vestry_reply_add_key for any error. If such an error occurs,
 *  vestry answers 500 instead of performing the reply. */
typedef vestry_err (*vestry_handler_fn)(const vestry_request *req, vestry_reply *reply, void *app);

/** A request. Read-only; all of it, and everything that the functions below return of it, is borrowed and valid during
 *  the handler. Use it on the handler's thread only. */
struct vestry_request {
  vestry *v;          /**< the instance that serves the request */
  const char *method; /**< "GET", "POST", … as sent */
  const char *path;   /**< URL-decoded, without query */
  const char *query;  /**< as sent, without '?'; "" if there is none. See vestry_request_value */
  vestry_slice body;  /**< the whole body; len 0 if there is none. Bounded by max_body_bytes (vestry/instance.h) */
  json_t *signals;    /**< the page's signals, an object; NULL for an ordinary request. json_incref keeps them on this
                           thread; use json_deep_copy for another thread. A form sent by the client (contentType 'form')
                           has an empty object. Signals that are too large get 413 and malformed ones 400 before the
                           handler is called */
  vestry_scope scope; /**< owner of the request's keys: set by the scope function, or by sessions */
  bool is_datastar;   /**< true if the Datastar client sent the request: header Datastar-Request is "true" */
  int error;          /**< in a handler of vestry_error_page: the status of the error; otherwise 0 */
  struct vsi_request *own; /**< private */
};

/** Get the value of a header; its name in any case. NULL: absent. If a request has several lines with this name, the
 *  value is that of the first. Exception: the lines of X-Forwarded-For, -Host and -Proto, Forwarded, X-Real-IP, and the
 *  headers in the list below are joined with ", ", because only the last line may be the proxy's; those of Cookie with
 *  "; ", because a proxy may pass on a line for each cookie.
 *
 *  The headers in the list below name a user. If a handler reads one, its response is private (vestry_reply_header).
 *  The renders of a page's stream can read these headers, too (vestry/app/page.h). The proxy in front has to remove
 *  them from the requests of clients. For another header that names a user, set the scope (vestry_options.scope) or
 *  Cache-Control.
 *  - Cookie, Authorization, X-Forwarded-Client-Cert, X-Vouch-User, X-WebAuth-User
 *  - Remote- and X-Remote- with User, Name, Email, Groups (Authelia, Apache)
 *  - X-Forwarded- and X-Auth-Request- with User, Email, Groups, Preferred-Username, Access-Token (oauth2-proxy)
 *  - X-Authentik- with Username, Name, Email, Groups, Entitlements, Uid, Jwt
 *  - Cf-Access-Authenticated-User-Email, Cf-Access-Jwt-Assertion
 *  - X-Amzn-Oidc-Identity, -Data, -Accesstoken
 *  - X-Goog-Authenticated-User-Email, -Id; X-Goog-Iap-Jwt-Assertion
 *  - X-Ms-Client-Principal, -Id, -Name
 *  - Tailscale-User-Login, -Name, -Profile-Pic
 *  - X-Pomerium-Jwt-Assertion, X-Pomerium-Claim- with Email, Groups, Name, User */
VESTRY_API const char *vestry_request_header(const vestry_request *req, const char *name);
/** Get the value of a cookie, without quotes around it. If several cookies have the name, the first one counts. A
 *  cookie outside the grammar of RFC 6265 (section 4.1.1) counts as absent.
 *  buffer   receives at most capacity - 1 bytes and a NUL; untouched on failure
 *  Returns  OK | NOT_FOUND | TOO_LARGE */
VESTRY_API vestry_err vestry_request_cookie(const vestry_request *req, const char *name, char *buffer, size_t capacity);
/** Get the peer's address as text; "" if it is unknown or the peer is on a UNIX socket. With a proxy in front, this is
 *  the proxy's address. */
VESTRY_API const char *vestry_request_peer(const vestry_request *req);
/** Parse the body as JSON of any type, for requests of programs other than the Datastar client. Size, depth and count
 *  are checked before anything is built, because reading and freeing a value recurses, and a server's threads may have
 *  a small stack. For example, jansson's json_loads, whose limit is 2,048 levels, overflows civetweb's 100 kB.
 *  limits     NULL: the limits of the instance's signals (vestry_options.signals)
 *  ret_value  a new reference, owned by the caller (json_decref); untouched on failure
 *  ret_error  may be NULL; set on MALFORMED and TOO_LARGE only
 *  Returns    OK | MALFORMED (no body; not well formed; or, unlike in vestry_signals_parse, a zero character, half a
 *             surrogate pair or an integer beyond 64 bits) | TOO_LARGE (any of the limits) | INVALID (the size of
 *             limits) | NO_MEMORY */
VESTRY_API vestry_err vestry_request_json(const vestry_request *req, const vestry_signals_limits *limits,
                                          json_t **ret_value, vestry_signals_error *ret_error);
/** Part of a request that a value is read from. */
typedef enum vestry_in {
  VESTRY_IN_PATH,  /**< a parameter of the route's pattern (vestry/routes.h) */
  VESTRY_IN_QUERY, /**< the query, after the '?' */
  VESTRY_IN_FORM   /**< a field of the form in the body: application/x-www-form-urlencoded, or multipart/form-data
                        without its files */
} vestry_in;

/** Get the decoded value of a name: UTF-8, terminated, without NUL. The client controls values of a query or form, so
 *  check them.
 *  index    position among values of the same name, from 0; a form sends one for each ticked box
 *  Returns  NULL: absent, or no memory. If a form has a broken escape, invalid UTF-8 or a NUL, all its values count as
 *           absent; in a query, those of the same name. So do all values of a query with more than
 *           vestry_bounds.max_values_count */
VESTRY_API const char *vestry_request_value_at(const vestry_request *req, vestry_in in, const char *name, size_t index);
/** Get the first value of a name: vestry_request_value_at with index 0. */
static inline const char *vestry_request_value(const vestry_request *req, vestry_in in, const char *name) {
  return vestry_request_value_at(req, in, name, 0);
}
/** Read the first value of a name into a C variable (vestry/value.h).
 *      int64_t page = 1;
 *      vestry_err error = vestry_request_get(req, VESTRY_IN_QUERY, "page", vestry_into_between(&page, 1, 1000));
 *      if (error && error != VESTRY_NOT_FOUND) return error;
 *  into     by type:
 *           - integer: digits, with an optional '-' before them, and nothing else
 *           - number: JSON's grammar
 *           - boolean: true, on, 1; false, off, 0. An unticked box is not sent: NOT_FOUND
 *           - text: unchanged
 *  Returns  OK | NOT_FOUND | MALFORMED (another text; an integer out of bounds; a malformed value or form, as for
 *           vestry_request_value_at) | TOO_LARGE (a query with too many values) | INVALID (into is of JSON, a list or
 *           an object; a NULL name) | NO_MEMORY. A handler can return this error as it is */
VESTRY_API vestry_err vestry_request_get(const vestry_request *req, vestry_in in, const char *name, vestry_into into);

/** A file of a form, as slices of the body. All of it is under the client's control. */
typedef struct vestry_upload {
  vestry_slice name;  /**< file name on the user's machine, as sent: a quote is %22; do not use it as a path on yours */
  vestry_slice type;  /**< len 0: none sent */
  vestry_slice bytes; /**< not terminated */
} vestry_upload;

/** Get the file in a field of a form (multipart/form-data). If the field has several files, the first one counts.
 *  Returns  OK | NOT_FOUND (no file in a field of this name, or the body is of another type) | MALFORMED (the form is
 *           not well formed) | INVALID (an argument is NULL) */
VESTRY_API vestry_err vestry_request_file(const vestry_request *req, const char *name, vestry_upload *ret_file);

/** Set the status of the response. Default: 200, or 204 without a body. A status that allows no body (204, 205, 304)
 *  drops the body. Ignored if the reply's effects go to a stored connection, or the reply opens a stream.
 *  OK | INVALID (not 200 to 599). */
VESTRY_API vestry_err vestry_reply_status(vestry_reply *reply, int status);
/** Add a header; copied. A header that is added twice is sent twice, except Content-Type, for which the last call
 *  counts. A header with an empty value may be left out, because some servers cannot send it. The head of a new stream
 *  has these headers, too, except Content-Type, Content-Encoding, Cache-Control and X-Accel-Buffering, which vestry
 *  sets. OK | INVALID (the name is no token; the value has a control character other than a tab; a header that frames
 *  the body: Content-Length, Transfer-Encoding, Connection, Keep-Alive, Trailer, Upgrade, TE, Date) | NO_MEMORY.
 *
 *  Without a Cache-Control of yours, vestry adds `private, no-store` to
 *  - a response whose guard or handler has read the identity of the client: the user or the session, a tab, a token, a
 *    nonce, a cookie, or a header that names a user (vestry_request_header);
 *  - every response to a request whose scope function has set a scope or has read such an identity
 *    (vestry_options.scope).
 *  A response that sets a cookie, or contains a nonce (vestry_reply_csp), gets `private, no-store` even if you set a
 *  Cache-Control, unless yours contains private or no-store. If a response differs by peer address, set Cache-Control
 *  yourself. */
VESTRY_API vestry_err vestry_reply_header(vestry_reply *reply, const char *name, const char *value);
/** Requests with which the browser sends a cookie. */
typedef enum vestry_same_site {
  VESTRY_SAME_SITE_LAX,    /**< requests of this site, and links to it from other sites */
  VESTRY_SAME_SITE_STRICT, /**< requests of this site only */
  VESTRY_SAME_SITE_NONE    /**< requests of all sites; the cookie must be secure */
} vestry_same_site;

/** A cookie for the browser (RFC 6265bis). Zero is the safe choice for each member. */
typedef struct vestry_cookie {
  const char *name;           /**< a token */
  const char *value;          /**< visible ASCII, no quote, comma, semicolon or backslash; NULL: empty */
  const char *path;           /**< NULL: / */
  const char *domain;         /**< domain to which it is sent, including subdomains; NULL: this host only */
  int64_t max_age_s;          /**< seconds; browsers cap it at 400 days; 0: until the browser ends */
  vestry_same_site same_site; /**< LAX unless set */
  bool insecure;              /**< sent over plain http, too */
  bool for_scripts;           /**< readable by the page's scripts: no HttpOnly */
  bool remove;                /**< delete the cookie with this name, path and domain; value must be empty, and max_age_s
                                   0 */
} vestry_cookie;

/** Add a Set-Cookie header, also to the head of a new stream. Copied. OK | INVALID (see below) | NO_MEMORY. INVALID
 *  means that a browser would refuse the cookie or read it differently: a name or value outside the grammar; name and
 *  value together longer than 4,096 bytes; a path that does not begin with /, contains a blank, a semicolon or bytes
 *  that are not ASCII, or is longer than 1,024 bytes; a domain that is no host name; a negative age; insecure with
 *  SameSite=None; insecure with a name that begins with __Secure- or __Host- (upper or lower case); __Host- with a
 *  domain or another path than `/`; a removal with a value or an age. */
VESTRY_API vestry_err vestry_reply_cookie(vestry_reply *reply, const vestry_cookie *cookie);
/** Set the body and, unless a header sets it, its content type (NULL or "": text/html; charset=utf-8). Copied; a body
 *  may be empty. The last call wins. OK | INVALID (the content type, as for the value of a header; body NULL with
 *  len > 0) | LIMIT (see below) | NO_MEMORY.
 *
 *  LIMIT means that the bodies of all responses have reached vestry_bounds.max_all_responses_bytes; the reply then has
 *  no body. If the handler then returns OK or LIMIT and sets no other body, the response is 503 with Retry-After. The
 *  handler may have done its work already. Therefore vestry_once_guard stores such a request as done, and a repetition
 *  does not run; a request whose handler returned LIMIT for another reason may be repeated. */
VESTRY_API vestry_err vestry_reply_body(vestry_reply *reply, const char *content_type, const void *body, size_t len);

/** Set the body as HTML by a format of vestry/html.h, which escapes each %s for its context. Otherwise as
 *  vestry_reply_body. INVALID also if vestry_html_add refuses the format; the host's log has the reason and the
 *  place. */
VESTRY_API vestry_err vestry_reply_bodyf(vestry_reply *reply, const char *format, ...) VESTRY_PRINTF(2, 3);

/** Set the body to the HTML of a builder, which is copied; the caller still owns the builder. The status is not
 *  changed, for example 422 for a form with errors. Returns as vestry_reply_body, or the first error of the builder. */
VESTRY_API vestry_err vestry_reply_html(vestry_reply *reply, vestry_html *html);

/** Redirect the browser to another page. An ordinary request gets this status and Location. A Datastar request gets
 *  status 200 and HTML instead, an element whose `data-init` loads the new page, because the client's fetch would
 *  follow a redirect and treat the target page as the response. Headers of the response make the client append this
 *  element to the body. A Content-Security-Policy does not block this as an inline script.
 *  status   301, 302, 303 (see other: for the response to a form), 307 or 308
 *  url      relative, http or https. Never pass a URL that a client sent
 *  Returns  OK | INVALID (another status; another scheme, a control character, empty) | LIMIT (as vestry_reply_body) |
 *           NO_MEMORY */
VESTRY_API vestry_err vestry_reply_redirect(vestry_reply *reply, int status, const char *url);
/** Set the body as JSON, application/json; json is borrowed. OK | INVALID (NULL; nested deeper than 256; a text in it
 *  that is not UTF-8) | LIMIT (as vestry_reply_body) | NO_MEMORY. */
VESTRY_API vestry_err vestry_reply_json(vestry_reply *reply, const json_t *json);

/** Name the key of the reply. The reply's effects go to the connections stored under this key, and a new stream that is
 *  kept is stored under it. Copied; the last of several calls counts.
 *  OK | INVALID, TOO_LARGE (the key: the response is 500 if the reply has effects or keeps a stream, or if the handler
 *  returns the error) | NO_MEMORY. */
VESTRY_API vestry_err vestry_reply_key(vestry_reply *reply, const vestry_key *key);
/** Use another store of the instance (vestry_options.stores) for the keys of this reply, which are in the scope that
 *  the store's scope function sets for this request. The reply's effects go to the streams stored there, and a new
 *  stream that is kept is stored there. Call it before vestry_reply_key and vestry_reply_add_key; for a key in a second
 *  store, put the stream there when it has opened (vestry_store_put in an on_open hook). The scope of the stream itself
 *  remains that of the request.
 *  name     NULL: the instance's own store, and the scope of the request. The last of several calls counts
 *  Returns  OK | NOT_FOUND (no store of this name), INVALID (a key is named already): the response is 500, as after an
 *           error of vestry_reply_key, and the log has the reason | the error of the scope function, FAILED (its scope
 *           is too long): the response is 500 if the reply has effects or keeps a stream | NO_MEMORY */
VESTRY_API vestry_err vestry_reply_store(const vestry_request *req, vestry_reply *reply, const char *name);
/** Keep the stream that this request opens under one more key, for example a page under its user and its board.
 *  Dispatches, removals and lists reach it by each of its keys. The stream leaves all its keys when it ends, and also
 *  when it is removed or evicted under one of them.
 *  - Each key is an entry of the store and counts for the store's bounds, and for max_per_scope_count in its own scope.
 *  - vestry_reply_keep looks for other streams under the key of vestry_reply_key only.
 *  - A reply that keeps no stream ignores these keys.
 *  - A channel (vestry_reply_join) costs less than a key if many streams show the same content, because one event goes
 *    to all.
 *  scope       scope of the key; req->scope: that of the request
 *  key         copied
 *  many_count  maximum number of open streams under the key, 0: 8; beyond it the oldest ends with cause REPLACED
 *  Returns  OK | INVALID, TOO_LARGE (scope, key) | LIMIT (more keys than vestry_bounds.max_per_stream_count, 64 by
 *           default) | NO_MEMORY. The first three errors lead to a 500, with the reason in the log. A full or closed
 *           store refuses when the reply is performed: 503, no effect is dispatched, and the stream is under none of
 *           its keys */
VESTRY_API vestry_err vestry_reply_add_key(vestry_reply *reply, vestry_scope scope, const vestry_key *key,
                                           size_t many_count);
/** Default of vestry_bounds.max_per_stream_count: maximum number of keys of a reply beside that of vestry_reply_key. */
#define VESTRY_REPLY_KEYS_MAX 64

/** Send the effects to this connection, regardless of the key; the reply holds a reference. If the connection has
 *  closed, the response is 410 and the effects go nowhere else, because they were meant for its page and not for the
 *  page of this request.
 *  OK | INVALID (NULL; a connection of another instance). */
VESTRY_API vestry_err vestry_reply_connection(vestry_reply *reply, vestry_connection *connection);
/** Keep the stream that this request opens: it stays open after the effects, and is stored under the reply's key, if
 *  one is named. Without this call, a new stream closes after its effects. If it stays open for another reason (a
 *  watch, vestry_options.keep_open), it is stored as with REUSE.
 *  policy      if open connections are stored under the key:
 *              REPLACE  a new stream replaces them; they end with cause REPLACED. The effects go to the new one
 *              MANY     a new stream joins them. The effects go to the new one, because they are the initial content of
 *                       its page. Later dispatches by the key, and replies that name it without keeping, reach all of
 *                       them
 *              REUSE    no stream is opened, the effects go to the stored ones, and the response is 204
 *              REJECT   the response is 409, no effect is dispatched
 *              If two requests race for an unused key, the stream of one is stored, and the policy applies to the other
 *              as to a later request.
 *  many_count  for MANY: maximum number of open connections under the key, 0: 8; beyond it the oldest ends with cause
 *              REPLACED
 *  If the store is full or closed, the response is 503, and 500 if there is no memory; no effect is dispatched.
 *  OK | INVALID. */
VESTRY_API vestry_err vestry_reply_keep(vestry_reply *reply, vestry_keep_policy policy, size_t many_count);
/** Treat the request like one of the Datastar client although it has no Datastar-Request header, for example because it
 *  comes from an EventSource, curl or another program. Its signals are not read. Send the effect send-event to
 *  such clients. An EventSource reconnects after every end, also a clean one, with the id of its last event in
 *  Last-Event-ID; a response of 204 stops it. */
VESTRY_API void vestry_reply_any_client(vestry_reply *reply);
/** Options of the stream that this request opens. Unset members keep the value of an earlier call, or the instance's
 *  default. */
typedef struct vestry_stream_options {
  const vestry_connection_options *connection; /**< bounds and behaviour; non-zero members override the instance's */
  const vestry_connection_hooks *hooks;        /**< called before the instance's; see vestry_connection_hooks */
  const vestry_profile *profiles; /**< encodings offered, best first; they replace those of the instance. A client that
                                       accepts none of them, nor identity, gets 406 */
  size_t profiles_count;          /**< number of profiles, at most VESTRY_PROFILES_MAX; 0 with profiles: identity
                                       only */
  bool auto_close;                /**< the stream closes after its effects, even if some have failed, and is never
                                       stored. Default: only without vestry_reply_keep, a watch and
                                       vestry_options.keep_open */
  bool fail_fast; /**< skip the remaining effects after the first failure of an effect or an interceptor */
  void *data;     /**< for vestry_connection_data; taken in any case. Data of an earlier call is destroyed */
  /** Called exactly once for data, no lock held, must not block. If a stream is opened: with the last reference to it,
   *  on the thread that drops it, possibly after vestry_destroy. If none is opened (the effects go to a stored one, any
   *  response, an error, no memory): on this thread, after the response. NULL: none. If a stream was opened and then
   *  given up for a stored one (vestry_reply_keep), its hooks still see the data. */
  vestry_destroy_fn destroy;
} vestry_stream_options;

/** Set options of the stream that this request opens.
 *      const vestry_connection_hooks hooks = {.on_close = closed}; // closed: a vestry_on_close_fn
 *      return vestry_reply_stream(reply, &(vestry_stream_options){.hooks = &hooks});
 *  options  copied, including the data to which they point
 *  Returns  OK | INVALID (none of the options take effect; the log has the reason) */
VESTRY_API vestry_err vestry_reply_stream(vestry_reply *reply, const vestry_stream_options *options);

/** Add one effect: a list whose first item is its name.
 *      vestry_reply_effect(reply, VESTRY_LIST("counter/start", 10));
 *      vestry_reply_effect(reply, VESTRY_VALUES(json));   // existing JSON: a reference is taken on OK only
 *  OK | INVALID (not a list with a text first; refused by vestry_value_to_json) | TOO_LARGE | NO_MEMORY. */
VESTRY_API vestry_err vestry_reply_effect(vestry_reply *reply, const vestry_value *effect);
/** Add an effect patch-elements or patch-signals (an object). Returns as vestry_reply_effect; texts are UTF-8,
 *  otherwise INVALID. Placeholders (vestry/registry.h) in signals are not replaced, so that the signals may contain
 *  values of a client; use vestry_reply_effect for signals with placeholders.
 *      vestry_reply_patch_signals(reply, VESTRY_OBJECT("counter", 4)); */
VESTRY_API vestry_err vestry_reply_patch_elements(vestry_reply *reply, const char *html);
VESTRY_API vestry_err vestry_reply_patch_signals(vestry_reply *reply, const vestry_value *signals);
/** Add an effect patch-elements by a format of vestry/html.h, which escapes each %s for its context. INVALID also if
 *  vestry_html_add refuses the format; the host's log has the reason and the place. Otherwise returns as
 *  vestry_reply_effect. */
VESTRY_API vestry_err vestry_reply_patch_elementsf(vestry_reply *reply, const char *format, ...) VESTRY_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif
#endif
