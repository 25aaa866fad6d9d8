/* SPDX-License-Identifier: MIT */
/** Content-Security-Policy: a document that runs only its own scripts and the Datastar client.
 *
 *      static const vestry_csp csp = {.client = "/datastar.js", .trusted_types = true};
 *
 *      vestry_guard(v, "/", vestry_csp_guard, (void *)&csp);          // every document, or
 *      vestry_reply_csp(reply, &csp);                                 // this one, in a handler or a page's render
 *
 *  The policy, unless `directives` changes it:
 *
 *      default-src 'none'; base-uri 'none'; connect-src 'self'; font-src 'self'; form-action 'self';
 *      frame-ancestors 'none'; img-src 'self' data:; script-src CLIENT 'nonce-…'; style-src 'self' 'nonce-…'
 *
 *  docs/guide/csp.md has how the nonce works and what it costs. */
#ifndef VESTRY_CSP_H
#define VESTRY_CSP_H

#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Effects of a policy on a response:
 *  - A document's nonce is 128 random bits in its Content-Security-Policy and in the attribute `data-nonce`, directly
 *    after the name of the `html` tag; if there is no such tag, one is inserted after the doctype. Client 1.0.3 and
 *    later reads the attribute once, removes it, and compiles expressions by scripts with that nonce. Therefore, the
 *    policy needs neither 'unsafe-eval' nor 'unsafe-inline', and scripts that the client inserts (the effect
 *    execute-script, prefetching) run.
 *  - The attribute is inserted when the document is answered, so that content, hashes, event ids, versions and shared
 *    encodings contain no nonce. Streams, and all responses to the client, have none.
 *  - The response is `private, no-store`, whatever its handler sets, without ETag, Last-Modified and Accept-Ranges,
 *    because a nonce that a cache repeats is worthless. This includes files in HTML (vestry/app/files.h), which are
 *    then sent uncompressed. Style sheets, scripts, pictures and data are cached as usual.
 *  - Inline scripts and styles need the nonce: `<script nonce="%s">`, of vestry_reply_nonce. Browsers reject attributes
 *    such as `onclick` and `style`.
 *  - A document with a Content-Encoding gets 500 and a line in the log, because no nonce can be inserted.
 *  - `X-Content-Type-Options: nosniff` (a file runs as a script only if its type is one) and `Referrer-Policy:
 *    same-origin` (other sites do not receive the page's address) are added, unless the reply has them. */

/** Value of vestry_csp.client for documents that load neither the client nor other scripts; their own run by the
 *  nonce. */
#define VESTRY_CSP_NO_CLIENT "'none'"

/** A policy. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_csp {
  size_t size;            /**< sizeof(vestry_csp), or 0 */
  const char *client;     /**< source of the client: http or https, or a path of this site, which permits every script
                               of this site; or VESTRY_CSP_NO_CLIENT [VESTRY_DATASTAR_CDN_URL] */
  bool client_needs_eval; /**< adds 'unsafe-eval' for a client before 1.0.3, which ignores `data-nonce` and compiles by
                               Function. Later clients work, too, because `data-nonce` is always there: set this before
                               you change the client, and unset it when all tabs have loaded the new one */
  bool trusted_types;     /**< strings become code only through the Trusted Types policy of the client: adds
                               `require-trusted-types-for 'script'; trusted-types datastar`. Client 1.0.3 and later.
                               Browsers without Trusted Types ignore it. Scripts that assign strings to innerHTML and
                               its like are rejected */
  const char *directives; /**< further directives: "img-src 'self' https://pictures.example; media-src 'self'". A
                               directive replaces the one of its name above, except that values of script-src and
                               style-src are added; with 'unsafe-inline', which browsers ignore beside a nonce, these
                               get no nonce. No comma */
} vestry_csp;

/** Give the document of this reply a policy and a nonce. Call it before vestry_reply_nonce and vestry_render_head. A
 *  second call changes the policy and keeps the nonce.
 *  csp  NULL: the defaults. Read during the call
 *  Returns  OK, also for a reply that is no document, which gets the headers without a nonce | INVALID (client: another
 *           scheme, a blank, quote, comma or semicolon; directives: a comma or control character, a directive without a
 *           name; size; logged) | NO_MEMORY | IO (no randomness). After an error the request gets 500, even if the
 *           handler continues
 *  Threads  the handler's, or the render's; does not block */
VESTRY_API vestry_err vestry_reply_csp(vestry_reply *reply, const vestry_csp *csp);

/** Get the nonce of the reply's document, for its own inline scripts and styles: 32 hexadecimal digits; "" without a
 *  policy. Keep it out of a page's content (between vestry_render_begin and vestry_render_end), which is the same for
 *  all users: such a document gets 500 and a line in the log.
 *  Valid until the reply is answered. NULL is accepted (vestry_render.reply in a part), and gives "". */
VESTRY_API const char *vestry_reply_nonce(const vestry_reply *reply);

/** Give documents a policy: a guard for vestry_guard; app is a vestry_csp, or NULL for the defaults. Requests of the
 *  client pass unchanged. An error page (vestry_error_page) for a path without a route calls vestry_reply_csp itself,
 *  because no guard has seen its request. */
VESTRY_API vestry_err vestry_csp_guard(const vestry_request *req, vestry_reply *reply, void *app);

#ifdef __cplusplus
}
#endif
#endif
