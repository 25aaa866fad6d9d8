/* SPDX-License-Identifier: MIT */
/* essay: submissions before the client runs */
/* On a slow network a page is shown seconds before its client runs. Until then a click on a button with an action does
 * nothing, and a form with an action is sent by the browser, to a wrong address. The script of this file takes these
 * events at the window, before any other listener, if an element around their target has an attribute data-on: for
 * them. It performs them again when the client runs.
 *
 * How it knows that the client runs: the client evaluates the data-init of an element that the script has inserted into
 * the head. The client then still applies the attributes of the body, so the events are performed by the next task.
 *
 * If the client cannot be loaded, they are performed at once, and not held any more: a form with an action and a method
 * is then sent by the browser, as without scripts. The client is the first script of the document that is a module.
 *
 * A click is dispatched again with all its properties, because the second click of a double click is recognised by them
 * (app/guard/once.js). A form is submitted once, with the content that it has then: a person who sees no effect presses
 * again. Input is restored before, because the client sets a bound field to the initial value of its signal. The state
 * of the fields is read when the client starts, because only the sequence of all events would lead to the same state:
 * of the radio buttons red, green, red, the last one counts.
 *
 * Browsers restore the state of controls: Chromium after Back, in a separate task that may come after the client, and
 * Firefox also after a reload, while it reads the document. A check box that acts at once would show a state that
 * others have changed since, and a click would do the opposite. Therefore such controls are set to the document's
 * state before the client binds them to signals, and their autocompletion is turned off, which prevents the task of
 * Chromium. Typed text is a draft, which stays. */
#include "vestry/app/early.h"

#include "html/script.h"

extern const char vsi_script_early[]; /* early.js */
VSI_SCRIPTS(early_begin);

vestry_err vestry_html_early(vestry_html *html, const char *nonce) {
  vestry_html_add(html, "<script");
  if (nonce && *nonce) vestry_html_add(html, " nonce=\"%s\"", nonce);
  return vestry_html_add(html, ">%-s el.begin = () => {%-s}}</script>", vsi_script_early,
                         VSI_SCRIPT(html, early_begin));
}
