/* SPDX-License-Identifier: MIT */
/* essay: submissions of a page: order, content and deduplication */
/* The script that a page needs for its actions that run once. The expression of an action (event/backend_action.c)
 * passes its submission to this script, with the content and with a function by which the client sends it.
 *
 * Order. Each request of the client backs off independently. For example, of three requests that wait for a server, the
 * last may reach it first. Therefore a page sends one submission at a time, in their order. The next one follows when
 * the former has ended or the first event of its response has arrived, so that a response that is a stream does not
 * delay the others. The client's backoff grows to half a minute. A submission that waits for its next attempt is sent
 * at once when an event of the page's stream arrives, because this shows that the server is reachable. It is sent again
 * with the same nonce, because an earlier attempt may have been performed. This happens at most four times
 * (hurriesMost): if only the requests of one submission do not get through, each event of the stream would restart it,
 * and the client would never give up.
 *
 * Servers that are busy or away. The client repeats a request without a response, but none that got 503, and of a proxy
 * 502 or 504. These mean that the submission was not done, or that its first run has not ended (once.c), so the script
 * repeats it, with the pauses and the number of attempts of the client. Listeners of the page see the same events as
 * after a lost connection. An action that sets `retry` is repeated by the client alone.
 *
 * Forms. A retry of the client reads the form again. By then the form may have other content, or be invalid, in which
 * case the client gives up silently. Therefore a copy is sent: the fields and files in a hidden form without validation
 * rules, outside of the body, because patches may change the body. If a form is invalid at the submission, the browser
 * shows where, and nothing is sent.
 *
 * Deduplication. A submission counts as a repeat of an earlier one in three cases:
 * - its content is identical, and the earlier one has not been answered;
 * - its content is identical, and it follows within half a second, because the response to the first click may have
 *   arrived before the second click;
 * - it is the second click of a double click, with any content and on any element, because the response may have
 *   emptied the field, or have put another button in the place of the first.
 * A key that is held presses a button or submits a form once: browsers repeat the click of Enter.
 * If the client has given up, it does not know whether the action was performed. The next submission with this content
 * is sent with the nonce of the earlier one.
 *
 * Sent and seen (app/page/sent.c). A submission that names a signal has a number. The request contains the number, and
 * the page's stream sends it back when the page shows the result of the submission. Until then the signal counts the
 * submission. A failed submission is removed from the count, and a second signal gets the reason. The client reports a
 * failure for an element, not for a request. If an element has several submissions, the script therefore assigns the
 * failure to the submission whose request ends directly after the report. A submission that was answered but is not
 * seen is checked: if the page's stream is down, the stream is opened at once; otherwise it is opened after five
 * seconds, because a message may have been lost. A newly opened stream checks all answered submissions, at most 16. On
 * a page without a stream a submission counts as seen when it is answered.
 *
 * The attributes contain no inline script, and no patch may replace their element. */
#include <stdio.h>
#include <string.h>

#include "app/guard/attributes.h"
#include "app/guard/proof.h"
#include "base/log.h"
#include "html/script.h"
#include "instance/instance.h"
#include "vestry/app/once.h"

VSI_SCRIPTS(once); /* once.js */

vestry_err vsi_once_attributes(const vestry_request *req, bool has_file, char *buffer, size_t capacity) {
  char text[VESTRY_ONCE_ATTRIBUTES_BYTES], nonce[VESTRY_ONCE_NONCE_BYTES];
  if (!req) return VESTRY_INVALID;
  if (!buffer && capacity) return vsi_mistake(req->v->host, "vestry_once_attributes", "the buffer is NULL");
  vestry_err error = vsi_nonce_make(req, "vestry_once_attributes", nonce);
  if (error) return error;
  int len = snprintf(text, sizeof text,
                     "data-signals:_once=\"'%s'\" data-init__once=\"window.vestryOnce = window.vestryOnce || %s\"",
                     nonce, has_file ? vsi_called_once : vsi_script_once);
  if (len < 0 || (size_t)len >= sizeof text || (size_t)len >= capacity) return VESTRY_TOO_LARGE;
  memcpy(buffer, text, (size_t)len + 1);
  return VESTRY_OK;
}

vestry_err vestry_once_attributes(const vestry_request *req, char *buffer, size_t capacity) {
  return vsi_once_attributes(req, false, buffer, capacity);
}
