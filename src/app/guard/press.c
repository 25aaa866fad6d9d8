/* SPDX-License-Identifier: MIT */
/* One listener for many buttons: the text of an action (event/backend_action.c) in which the URL is replaced by that of
 * the pressed button. The script of actions that run once (once.js) gets the button, too: it is the element that is
 * busy, whose double clicks count, and whose form is sent. The client's events name the element with the listener. */
#include "vestry/app/press.h"

#include <stdio.h>
#include <string.h>

#include "base/options.h"

enum { ACTION_BYTES = 4096 };
#define URL "vestry-press"

vestry_err vestry_html_presses(vestry_html *html, vestry_method method, const vestry_backend_action_options *given) {
  static const char quoted[] = "&#39;" URL "&#39;", end[] = ",el,evt)";
  char action[ACTION_BYTES], value[ACTION_BYTES + 256];
  vestry_backend_action_options options;
  vestry_err error = VSI_OPTIONS_TAKE(vestry_backend_action_options, options, given);
  options.size = sizeof options;
  if (!options.cancellation) options.cancellation = VESTRY_CANCEL_DISABLED;
  if (!error) error = vestry_backend_action_string(action, sizeof action, method, &options, URL);
  if (error == VESTRY_INVALID) return vestry_html_backend_action(html, method, given, URL); /* it reports the reason */
  if (error) return error;
  char *url = strstr(action, quoted);
  const char *behind = url + sizeof quoted - 1;
  *url = '\0';
  const size_t len = strlen(behind);
  const bool is_once = len >= sizeof end - 1 && strcmp(behind + len - (sizeof end - 1), end) == 0;
  snprintf(value, sizeof value,
           "(b=&gt;b&amp;&amp;el.contains(b)&amp;&amp;(evt.preventDefault(),%sb.dataset.press%.*s%s))"
           "(evt.target.closest(&#39;[data-press]:not([aria-disabled=true])&#39;))",
           action, (int)(len - 1), behind, is_once ? ",b)" : ")");
  return vestry_html_add(html, "data-on:click=\"%-s\"", value);
}
