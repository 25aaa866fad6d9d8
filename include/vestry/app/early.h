/* SPDX-License-Identifier: MIT */
/** Clicks and submits before the Datastar client runs: they are kept, and performed when it runs, once and in their
 *  order.
 *
 *      vestry_html_add(html, "<head>");
 *      vestry_html_early(html, vestry_reply_nonce(reply));
 *
 *  Without it, a click on a button is lost while the client is loaded, and the browser itself sends a form. */
#ifndef VESTRY_EARLY_H
#define VESTRY_EARLY_H

#include "vestry/html.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Append a script element, of less than 3 kB, to the head of a document. Until the client runs, it keeps
 *  - clicks on elements with data-on:click, or inside them; of delegated actions (vestry/app/press.h) those on their
 *    buttons, so that links beside them lead away;
 *  - submits of forms with data-on:submit: one for each form, which is submitted with the content that it has then;
 *  - changes of elements with data-on:change: the last one of each;
 *  - input: the client gets the present text of each field, not the initial value of its signal.
 *  When the client starts, check boxes, radio buttons, lists and sliders that belong to no form, or act at once by an
 *  expression data-on:change, data-on:input or data-on:click, show the document, not what the browser has restored.
 *  A pressed button has aria-busy="true" meanwhile. In an element with data-early="native" the browser performs clicks
 *  and submits itself, as it does without scripts: for forms with an action and a method, for example a log-in.
 *  If the client, the first script of type module, cannot be loaded, the browser performs kept and later events itself.
 *  nonce    of the document's policy (vestry_reply_nonce); NULL or "": none
 *  Returns  as vestry_html_add
 *  Threads  that of html; does not block */
VESTRY_API vestry_err vestry_html_early(vestry_html *html, const char *nonce);

#ifdef __cplusplus
}
#endif
#endif
