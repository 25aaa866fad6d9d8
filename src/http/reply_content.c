/* SPDX-License-Identifier: MIT */
/* Replies whose content is made here: by formats of the HTML builder, as JSON, and redirects. */
#include <stdarg.h>

#include "base/memory.h"
#include "event/layout.h"
#include "event/script.h"
#include "http/reply.h"
#include "json/write.h"

/* Redirect the Datastar client. The client uses fetch, which would follow a redirect and take the target page as the
 * response, and the browser would not leave the page. Therefore the response is HTML that the client appends to the
 * body, with an attribute whose expression it runs. A script as the response would become an inline script, which a
 * strict policy blocks, and the client would never finish the action. */
static vestry_err redirect_by_action(vestry_reply *reply, const char *url) {
  vestry_html html;
  vestry_slice body;
  vestry_html_init(&html, reply->host);
  vestry_err error = vsi_html_leave(&html, url);
  if (!error) error = vestry_html_result(&html, &body);
  if (!error) error = vestry_reply_header(reply, "datastar-selector", "body");
  if (!error) error = vestry_reply_header(reply, "datastar-mode", "append");
  if (!error) error = vestry_reply_body(reply, "text/html; charset=utf-8", body.data, body.len);
  vestry_html_finish(&html);
  return error ? vsi_reply_remember(reply, error) : vestry_reply_status(reply, 200);
}

vestry_err vestry_reply_redirect(vestry_reply *reply, int status, const char *url) {
  bool is_redirect = (status >= 301 && status <= 303) || status == 307 || status == 308;
  if (!is_redirect || !vsi_is_web_address(url))
    return vsi_reply_refuse(
        reply, VESTRY_INVALID,
        "a redirect needs the status 301, 302, 303, 307 or 308, and a relative, http or https address");
  if (reply->is_datastar) return redirect_by_action(reply, url);
  vestry_err error = vestry_reply_header(reply, "Location", url);
  return error ? error : vestry_reply_status(reply, status);
}

vestry_err vestry_reply_json(vestry_reply *reply, const json_t *json) {
  vsi_writer writer = {.to = NULL};
  if (!json || vsi_json_put(&writer, json))
    return vsi_reply_refuse(reply, VESTRY_INVALID, "the value cannot be written as JSON");
  const size_t len = writer.len;
  vestry_err error = vsi_reply_make_room(reply, len);
  if (error) return error;
  char *text = vsi_alloc(reply->host, len + 1);
  if (!text) return vsi_reply_remember(reply, VESTRY_NO_MEMORY);
  writer = (vsi_writer){.to = text};
  (void)vsi_json_put(&writer, json); /* succeeds, as before */
  text[len] = '\0';
  return vsi_reply_take_body(reply, "application/json", text, len);
}

/* ------------------------------------------------------------------------------------------------- formats -------- */

/* Pass the built HTML to `put`. */
static vestry_err take_content(vestry_reply *reply, vestry_err (*put)(vestry_reply *reply, vestry_slice html),
                               vestry_html *html) {
  vestry_slice made;
  vestry_err error = vsi_reply_remember(reply, vsi_html_settle(html, &made));
  if (!error) return put(reply, made);
  if (error != VESTRY_NO_MEMORY) reply->refused = error; /* logged already */
  return error;
}

static vestry_err build_content(vestry_reply *reply, vestry_err (*put)(vestry_reply *reply, vestry_slice html),
                                const char *format, va_list arguments) VESTRY_PRINTF(3, 0);
static vestry_err build_content(vestry_reply *reply, vestry_err (*put)(vestry_reply *reply, vestry_slice html),
                                const char *format, va_list arguments) {
  vestry_html html;
  vestry_html_init(&html, reply->host);
  vestry_html_vadd(&html, format, arguments);
  vestry_err error = take_content(reply, put, &html);
  vestry_html_finish(&html);
  return error;
}

static vestry_err put_elements(vestry_reply *reply, vestry_slice html) {
  return vestry_reply_patch_elements(reply, html.data); /* terminated; a format makes no NUL */
}

vestry_err vestry_reply_patch_elementsf(vestry_reply *reply, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vestry_err error = build_content(reply, put_elements, format, arguments);
  va_end(arguments);
  return error;
}

static vestry_err put_body(vestry_reply *reply, vestry_slice html) {
  return vestry_reply_body(reply, NULL, html.data, html.len);
}

vestry_err vestry_reply_bodyf(vestry_reply *reply, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vestry_err error = build_content(reply, put_body, format, arguments);
  va_end(arguments);
  return error;
}

vestry_err vestry_reply_html(vestry_reply *reply, vestry_html *html) {
  return html ? take_content(reply, put_body, html) : vsi_reply_refuse(reply, VESTRY_INVALID, "the HTML is NULL");
}
