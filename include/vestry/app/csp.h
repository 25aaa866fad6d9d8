/* SPDX-License-Identifier: MIT */
/** Content-Security-Policy: a document under which nothing runs but its own scripts and the Datastar client, by one
 *  call.
 *
 *      static const vestry_csp csp = {.client = "/datastar.js", .trusted_types = true};
 *
 *      vestry_guard(v, "/", vestry_csp_guard, (void *)&csp);          // every document, or
 *      vestry_reply_csp(reply, &csp);                                 // this one, in a handler or a page's render
 *
 *  A document's nonce is 128 random bits that stand in its Content-Security-Policy and in the attribute `data-nonce` of
 *  its `html` element. Client 1.0.3 and later reads the attribute once, removes it, and compiles expressions by scripts
 *  with that nonce. So the policy needs neither 'unsafe-eval' nor 'unsafe-inline', and scripts that the client puts in
 *  (the effect execute-script, prefetching) run under it.
 *
 *  The attribute is put in when the document is answered, and in no other place: what a handler or a page's render has
 *  made is the same for everybody. So a page's content, its hash, the id that a stream says, a version, and what is
 *  encoded once for many tabs have no nonce in them, and two answers from the same render have two. Streams, and all
 *  answers to the client, have none. It stands right after the name of the `html` tag; where there is no such tag, one
 *  is put in after the doctype.
 *
 *  What it costs:
 *  - The answer is `private, no-store`, whatever its handler says, and has no ETag, Last-Modified or Accept-Ranges: a
 *    nonce that a cache gives to a second document is none. So is a file in HTML (vestry/app/files.h), which is then
 *    sent as it is, without compression. Style sheets, scripts, pictures and data are cached as ever.
 *  - Inline scripts and styles of the document's own need its nonce: `<script nonce="%s">`, of vestry_reply_nonce.
 *    Attributes such as `onclick` and `style` cannot have one: they are refused by the browser.
 *  - A body that is encoded already (Content-Encoding) cannot be given a nonce: it is answered 500, and the log says
 *    so.
 *
 *  The policy, unless `directives` says otherwise:
 *
 *      default-src 'none'; base-uri 'none'; connect-src 'self'; font-src 'self'; form-action 'self';
 *      frame-ancestors 'none'; img-src 'self' data:; script-src CLIENT 'nonce-…'; style-src 'self' 'nonce-…'
 *
 *  With it come `X-Content-Type-Options: nosniff` (a file runs as a script only if its type says that it is one) and
 *  `Referrer-Policy: same-origin` (no other site is told which page links to it), unless the reply has them. */
#ifndef VESTRY_CSP_H
#define VESTRY_CSP_H

#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** For vestry_csp.client: documents load no client, and no other script; those of their own run by their nonce. */
#define VESTRY_CSP_NO_CLIENT "'none'"

/** A policy. Zero is the default, in brackets. */
typedef struct vestry_csp {
  size_t size;            /**< sizeof(vestry_csp), or 0 */
  const char *client;     /**< where documents load the client from: http or https, or a path of this site, which means
                               that every script of this site may be loaded; or VESTRY_CSP_NO_CLIENT
                               [VESTRY_DATASTAR_CDN_URL] */
  bool client_needs_eval; /**< the client is one before 1.0.3, which passes over `data-nonce` and compiles by Function:
                               'unsafe-eval' is added. A later client does without, but needs `data-nonce`, which is
                               there in both cases: so an application that changes its client can set this first and
                               take it away when all tabs have loaded the new one */
  bool trusted_types;     /**< strings become code only through the client's own policy for Trusted Types: adds
                               `require-trusted-types-for 'script'; trusted-types datastar`. Client 1.0.3 and later.
                               Browsers without Trusted Types pass over it. Scripts of the page that set innerHTML and
                               its like from strings are refused */
  const char *directives; /**< more of it: "img-src 'self' https://pictures.example; media-src 'self'". A directive
                               takes the place of the one of its name above; what it says of script-src and style-src is
                               added to these; beside 'unsafe-inline', which browsers pass over where there is a nonce,
                               these have none. No comma */
} vestry_csp;

/** Give the document that this reply is a policy and a nonce. Before what needs the nonce: vestry_reply_nonce,
 *  vestry_render_head. A second call changes the policy and keeps the nonce.
 *  csp      NULL: the defaults. Read during the call
 *  Returns  OK, also for a reply that is no document: then nothing comes of it but the headers, without a nonce |
 *           INVALID (client: another scheme, a blank, quote, comma or semicolon; directives: a comma or control
 *           character, a directive without a name; size; said in the log) | NO_MEMORY | IO (no randomness). After an
 *           error the reply is answered 500, also if the handler goes on
 *  Threads  the handler's, or the render's; does not block */
VESTRY_API vestry_err vestry_reply_csp(vestry_reply *reply, const vestry_csp *csp);

/** The nonce of the reply's document, for its own inline scripts and styles: 32 hexadecimal digits; "" without a
 *  policy.
 *  It must not stand in a page's content (between vestry_render_begin and vestry_render_end), which is the same for
 *  everybody: such a document is answered 500, and the log says so.
 *  Valid until the reply is answered. NULL is accepted (vestry_render.reply in a part), and has none. */
VESTRY_API const char *vestry_reply_nonce(const vestry_reply *reply);

/** The same as a guard, for vestry_guard: app is a vestry_csp, or NULL for the defaults. Requests of the client are let
 *  pass as they are. Error pages (vestry_error_page) call vestry_reply_csp themselves where no guard has let the
 *  request in: on paths without a route. */
VESTRY_API vestry_err vestry_csp_guard(const vestry_request *req, vestry_reply *reply, void *app);

#ifdef __cplusplus
}
#endif
#endif
