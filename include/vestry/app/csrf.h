/* SPDX-License-Identifier: MIT */
/** CSRF: no other site sends requests in a user's name. A guard that lets an unsafe request (all but GET, HEAD,
 *  OPTIONS, QUERY and TRACE) pass only if it comes from this site's own pages, which it must prove twice.
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
 *  First, where it comes from: the browser's Sec-Fetch-Site says same-origin or none; from a browser that does not send
 *  it (over plain http none does), Origin is the request's Host; from a program that sends neither, nothing is known.
 *  A page of the same site, but of another host or port, is of another origin: it is refused, unless that is trusted.
 *
 *  Second, a token: in the header X-CSRF-Token, in the form's field `csrf`, or in the body's signal `csrf`; never in a
 *  query. It is bound to the scope. With sessions that is the session, so a log-in or log-out makes those before it
 *  worthless; without, it is bound to a cookie too, which is set with it. Each is another text, so that none is found
 *  out by the size of compressed pages. It belongs outside of what is patched, so that equal contents stay equal, and
 *  into no page that a cache keeps.
 *
 *  What is refused is answered 403: with the application's error page for that, or a sentence that says why. (A page
 *  that was open while the user logged in elsewhere is refused too. It learns so by
 *  data-on:datastar-fetch="evt.detail.type=='error'&&evt.detail.argsRaw.status==403&&($_stale=true)", and can show a
 *  link to itself.) */
#ifndef VESTRY_CSRF_H
#define VESTRY_CSRF_H

#include "vestry/routes.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The protection of an instance. */
typedef struct vestry_csrf vestry_csrf;

/** How it protects. Zero is the default. */
typedef struct vestry_csrf_options {
  size_t size;                        /**< sizeof(vestry_csrf_options), or 0 */
  const char *const *trusted_origins; /**< as browsers write them, "https://www.example.org:8443": pages of theirs may
                                           send requests too; the token they need is theirs to get. Behind a proxy that
                                           changes Host: the site's own. Copied */
  size_t trusted_origins_count;       /**< at most 64 */
  bool insecure;                      /**< the cookie of an instance without sessions goes over plain http too */
} vestry_csrf_options;

/** Room for a token: 64 hexadecimal digits and a NUL. */
#define VESTRY_CSRF_TOKEN_BYTES 65

/** Create one.
 *  v         borrowed; must not be destroyed before
 *  options   NULL: the defaults
 *  ret_csrf  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (an origin that is none; too many) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_csrf_create(vestry *v, const vestry_csrf_options *options, vestry_csrf **ret_csrf);
/** No request may use it any more. NULL is accepted. */
VESTRY_API void vestry_csrf_destroy(vestry_csrf *csrf);

/** The guard, for vestry_guard; app is the vestry_csrf. A handler may call it too, and return what it returns. */
VESTRY_API vestry_err vestry_csrf_guard(const vestry_request *req, vestry_reply *reply, void *app);

/** A token for a page. After a log-in in the same handler, it is one of the new session.
 *  reply    has the cookie, where there are no sessions
 *  token    set on OK
 *  Returns  OK | INVALID (in an error page of a request that has no session yet) | NO_MEMORY | IO (no randomness)
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_csrf_token(vestry_csrf *csrf, const vestry_request *req, vestry_reply *reply,
                                        char token[VESTRY_CSRF_TOKEN_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
