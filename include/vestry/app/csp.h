/* SPDX-License-Identifier: MIT */
/** Content-Security-Policy: send documents in which only the Datastar client and their own scripts run.
 *
 *      static const vestry_csp csp = {.client = "/datastar.js", .trusted_types = true};
 *
 *      vestry_guard(v, "/", vestry_csp_guard, (void *)&csp);          // every document, or
 *      vestry_reply_csp(reply, &csp);                                 // this one, in a handler or a page's render
 *
 *  docs/guide/csp.md explains the nonce and its costs. */
#ifndef VESTRY_CSP_H
#define VESTRY_CSP_H

#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Effects of a policy on a response ("client" is the Datastar client):
 *  - A document's nonce is 128 random bits in its Content-Security-Policy and in the attribute `data-nonce`, directly
 *    after the name of the `html` tag; if there is no such tag, one is inserted after the doctype. Client 1.0.3 and
 *    later reads the attribute once, removes it, and compiles expressions in scripts that have this nonce. Therefore,
 *    the policy needs neither 'unsafe-eval' nor 'unsafe-inline', and scripts that the client inserts (for
 *    execute-script and prefetching) run.
 *  - The attribute is inserted when the response is sent, so that content, hashes, event ids, versions and shared
 *    encodings contain no nonce. Streams and all other responses to requests of the client get no policy.
 *  - A document is sent with `Cache-Control: private, no-store` and without ETag, Last-Modified and Accept-Ranges, even
 *    if the handler sets these headers, because a nonce protects only if it is used once. This applies to HTML files,
 *    too (vestry/app/files.h), which are then sent uncompressed. Style sheets, scripts, pictures and data are cached as
 *    usual.
 *  - Inline scripts and styles need the nonce from vestry_reply_nonce: `<script nonce="%s">`. Browsers reject
 *    attributes such as `onclick` and `style`.
 *  - If a handler sets Content-Encoding on a document, the response is 500 and the log has a line, because no nonce can
 *    be inserted into an encoded document.
 *  - `X-Content-Type-Options: nosniff` (browsers run a file as a script only if its Content-Type is that of a script)
 *    and `Referrer-Policy: same-origin` (other sites do not receive the page's address) are added, unless the reply has
 *    them. */

/** Value of vestry_csp.client for documents that load no script, not even the client. Their inline scripts run by the
 *  nonce. */
#define VESTRY_CSP_NO_CLIENT "'none'"

/** The default policy. For another one, copy this text and change it. */
#define VESTRY_CSP_POLICY                                                                                              \
  "default-src 'none'; base-uri 'none'; connect-src 'self'; font-src 'self'; form-action 'self'; "                     \
  "frame-ancestors 'none'; img-src 'self' data:; script-src {client} {nonce}; style-src 'self' {nonce}"

/** A policy. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_csp {
  const char *client;     /**< source of the client: an http or https URL; a path of this site, which permits every
                               script of this site; or VESTRY_CSP_NO_CLIENT [VESTRY_DATASTAR_CDN_URL] */
  const char *policy;     /**< the whole policy, in which " {client}" stands for the source of the client, and
                               " {nonce}" for that of the nonce, both with the blank before them. Omit {nonce} where
                               the policy has 'unsafe-inline', which browsers ignore beside a nonce. Must not contain a
                               comma [VESTRY_CSP_POLICY] */
  bool client_needs_eval; /**< adds 'unsafe-eval' to {client}, for a client before 1.0.3, which ignores `data-nonce`
                               and compiles by the constructor Function. Later clients work with it, too. To change
                               between such clients, set this before the change, and unset it when all tabs have loaded
                               the later client */
  bool trusted_types;     /**< adds `require-trusted-types-for 'script'; trusted-types datastar`: strings become code
                               only through the client's Trusted Types policy (client 1.0.3 and later), and browsers
                               reject scripts that assign strings to innerHTML and similar properties. Browsers without
                               Trusted Types ignore it */
} vestry_csp;

/** Send the document of this reply with a policy and a nonce. Call it before vestry_reply_nonce and vestry_render_head.
 *  A second call changes the policy and keeps the nonce.
 *  csp  NULL: the defaults. Read during the call
 *  Returns  OK (a reply that is not a document gets the headers without a nonce) | INVALID (client: another scheme, a
 *           blank, quote, comma or semicolon; policy: a comma or control character; logged) | NO_MEMORY | IO (no
 *           randomness). After an error the request gets 500, even if the handler continues
 *  Threads  the handler's, or the render's; does not block */
VESTRY_API vestry_err vestry_reply_csp(vestry_reply *reply, const vestry_csp *csp);

/** Get the nonce of the reply's document, for its inline scripts and styles: 32 hexadecimal digits; "" without a
 *  policy. Do not use it in a page's content (between vestry_render_begin and vestry_render_end), because streams send
 *  the same content without a nonce: the response is then 500, and the log has a line. Valid until the reply is
 *  answered. NULL is accepted (vestry_render.reply in a part), and gives "". */
VESTRY_API const char *vestry_reply_nonce(const vestry_reply *reply);

/** Send all documents below a path with a policy: a guard for vestry_guard; app is a vestry_csp, or NULL for the
 *  defaults. Responses to requests of the client are not changed. An error page (vestry_error_page) must call
 *  vestry_reply_csp itself for a path without a route, because guards do not run for such a request. */
VESTRY_API vestry_err vestry_csp_guard(const vestry_request *req, vestry_reply *reply, void *app);

#ifdef __cplusplus
}
#endif
#endif
