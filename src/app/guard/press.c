/* SPDX-License-Identifier: MIT */
/* One listener for many buttons. The script of actions that run once (once.js) gets the pressed button, too: it is the
 * element that is busy, whose double clicks count, and whose form is sent. The client's events name the element with
 * the listener. app/page/early.js recognises the listener by its selector. */
#include "vestry/app/press.h"

#include "app/guard/attributes.h"
#include "event/script.h"

vestry_err vestry_html_presses(vestry_html *html, vestry_method method, const vestry_backend_action_options *options) {
  return vsi_html_presses(html, method, options, "");
}

vestry_err vsi_html_presses(vestry_html *html, vestry_method method, const vestry_backend_action_options *given,
                            const char *first) {
  vestry_backend_action_options options = given ? *given : (vestry_backend_action_options){0};
  if (!options.cancellation) options.cancellation = VESTRY_CANCEL_DISABLED;
  /* a page with actions that run once has a listener for held keys */
  if (!options.once)
    vestry_html_add(html,
                    "data-on:keydown=\"evt.repeat && evt.key === 'Enter' && evt.target.closest('[data-press]') && "
                    "evt.preventDefault()\" ");
  vestry_html_add(html, "data-on:click=\"(b => b && el.contains(b) && (evt.preventDefault(),%-s", first);
  vestry_err error = vsi_html_action_of_pressed(html, method, &options); /* it reports a mistake */
  if (error) return error;
  return vestry_html_add(html, "))(evt.target.closest('[data-press]:not([aria-disabled=true])'))\"");
}
