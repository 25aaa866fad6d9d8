/* SPDX-License-Identifier: MIT */
/** CSRF protection: a guard that checks origin and token, so that unsafe requests (all but GET, HEAD, OPTIONS, QUERY
 *  and TRACE) are accepted from pages of this site only.
 *
 *      vestry_csrf_create(v, NULL, &csrf);
 *      vestry_guard(v, "/", vestry_csrf_guard, csrf);
 *
 *      char token[VESTRY_CSRF_TOKEN_BYTES];                              // a page
 *      vestry_csrf_token(csrf, req, reply, token);
 *      vestry_html_add(&html, "<body data-signals:_csrf=\"'%s'\">", token);
 *      // an action: \@post('/x',{headers:{'X-CSRF-Token':$_csrf}}), which vestry_backend_action_options.csrf writes
 *      // a form: <input type="hidden" name="csrf" value="%s">
 *
 *  A rejected request gets 403: the application's error page, or a sentence with the reason. The log has a warning with
 *  method, path and reason, such as "there is no token", at most once a minute for each reason; a token that is out of
 *  date is logged at the level INFO.
 *  docs/guide/csrf-and-tabs.md has the rules. */
#ifndef VESTRY_CSRF_H
#define VESTRY_CSRF_H

#include "vestry/routes.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The protection of an instance. The guard checks:
 *  origin  the value of the browser's Sec-Fetch-Site is "same-origin" or "none"; without that header, which browsers do
 *          not send over plain http, Origin equals the request's Host; a client that sends neither header passes this
 *          check. A page on another host or port, even of the same site, has another origin: its requests are rejected
 *          unless the origin is trusted
 *  token   in the header X-CSRF-Token, in the form's field `csrf`, or in the body's signal `csrf`; never in a query. A
 *          token is bound to the request's scope. With sessions the scope is the session, so that a log-in or log-out
 *          invalidates earlier tokens. Without sessions a token is also bound to a cookie, which vestry_csrf_token
 *          sets. A token is the same in all pages of a session, so that the content of a private live page
 *          (vestry/app/page.h) may contain it. Never put it into a cached page
 *  A log-in in one tab invalidates the tokens of pages that are open in other tabs. Such a page can detect this by
 *  data-on:datastar-fetch="evt.detail.type=='error'&&evt.detail.argsRaw.status==403&&($_stale=true)", and show a link
 *  to itself. */
typedef struct vestry_csrf vestry_csrf;

/** Options of the protection. Zero is the default. */
typedef struct vestry_csrf_options {
  const char *const *trusted_origins; /**< origins whose pages may also send requests, as browsers write them: with
                                           http or https, and without a path, as in "https://www.example.org:8443".
                                           These pages must obtain a token themselves. Behind a proxy that changes Host,
                                           add the origin of this site. Copied */
  size_t trusted_origins_count;       /**< at most 64 */
  bool insecure;                      /**< allow plain http for the cookie of an instance without sessions */
} vestry_csrf_options;

/** Size of a token: 64 hexadecimal digits and a NUL. */
#define VESTRY_CSRF_TOKEN_BYTES 65

/** Create a protection.
 *  v         borrowed until vestry_csrf_destroy
 *  options   NULL: the defaults
 *  ret_csrf  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (a malformed origin; too many; logged) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_csrf_create(vestry *v, const vestry_csrf_options *options, vestry_csrf **ret_csrf);
/** Destroy a protection, after the last request that uses it. NULL is accepted. Threads any; does not block. */
VESTRY_API void vestry_csrf_destroy(vestry_csrf *csrf);

/** Reject forged requests: a guard for vestry_guard; app is the vestry_csrf. A handler may also call it and return its
 *  result. */
VESTRY_API vestry_err vestry_csrf_guard(const vestry_request *req, vestry_reply *reply, void *app);

/** Get the token for a page. After a log-in in the same handler, the token belongs to the new session. Also for the
 *  render of a private live page, for a document or for a stream.
 *  req    not NULL: the render of a part (vestry_render_part) has no request and can make no token
 *  reply  gets the cookie, if the instance has no sessions
 *  token  set on OK
 *  Returns  OK | INVALID (logged: the render of a shared page, whose content other users receive; an error page of a
 *           request that failed before its session was known; NULL) | NO_MEMORY | IO (no randomness)
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_csrf_token(vestry_csrf *csrf, const vestry_request *req, vestry_reply *reply,
                                        char token[VESTRY_CSRF_TOKEN_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
