/* SPDX-License-Identifier: MIT */
/* Client actions: JavaScript for the page to run, in an element whose `data-init` the client evaluates
 * (client_action.h). */
#include "event/client_action.h"

#include <string.h>

#include "base/options.h"
#include "event/script.h"
#include "html/escape.h"

void vsi_client_action_init(vsi_client_action *action, const vestry_host *host) {
  action->host = host;
  vestry_html_init(&action->code, host);
}

void vsi_client_action_finish(vsi_client_action *action) {
  vestry_html_finish(&action->code);
}

void vsi_client_action_code(vsi_client_action *action, const char *code) {
  vsi_html_put_str(vsi_html_of(&action->code), code);
}

/* HTML cannot contain a NUL, but a JavaScript string can: it is written as an escape. */
void vsi_client_action_string(vsi_client_action *action, const char *text, size_t len) {
  vsi_html *code = vsi_html_of(&action->code);
  const char *end = text + len;
  vsi_html_put_str(code, "'");
  while (text < end) {
    const char *nul = memchr(text, '\0', (size_t)(end - text));
    vsi_html_escape_js(code, text, (size_t)((nul ? nul : end) - text));
    if (nul) vsi_html_put_str(code, "\\x00");
    text = nul ? nul + 1 : end;
  }
  vsi_html_put_str(code, "'");
}

/* A timer delays the navigation for two reasons. A browser that is redirected while it loads a page would replace this
 * page's entry in its history by the new address. And the rest of the batch is applied first. */
void vsi_client_action_leave(vsi_client_action *action, const char *url) {
  vsi_client_action_code(action, "setTimeout(() => window.location.href = ");
  vsi_client_action_string(action, url, strlen(url));
  vsi_client_action_code(action, ")");
}

static const char opening[] = "<i hidden", attribute[] = " data-init=\"", removal[] = "; el.remove()",
                  closing[] = "\"></i>";

typedef struct framed {
  vestry_script_options options;
  vestry_slice code;
} framed;

static void action_layout(vsi_writer *writer, vsi_event_meaning *meaning, const void *ctx) {
  const framed *f = ctx;
  vsi_put_script_head(writer, meaning, &f->options);
  vsi_put_str(writer, opening);
  vsi_put_script_attributes(writer, &f->options);
  vsi_put_str(writer, attribute);
  vsi_put(writer, f->code.data, f->code.len);
  if (!f->options.keep) vsi_put_str(writer, removal);
  vsi_put_str(writer, closing);
  vsi_put_str(writer, "\n\n");
}

vestry_err vsi_client_action_event(vsi_client_action *action, const vestry_script_options *options,
                                   vestry_event **ret_event) {
  framed f = {.code = {NULL, 0}};
  vestry_err error = vestry_html_result(&action->code, &f.code);
  if (!error) error = VSI_OPTIONS_TAKE(vestry_script_options, f.options, options);
  if (!error) error = vsi_script_options_check(&f.options, "data-init");
  return error ? error : vsi_event_build(action->host, action_layout, &f, ret_event);
}

vestry_err vsi_client_action_html(vsi_client_action *action, vestry_html *html) {
  vestry_slice code;
  vestry_err error = vestry_html_result(&action->code, &code);
  if (error) return error;
  vsi_html *to = vsi_html_of(html);
  vsi_html_put_str(to, opening);
  vsi_html_put_str(to, attribute);
  vsi_html_put(to, code.data, code.len);
  vsi_html_put_str(to, removal);
  vsi_html_put_str(to, closing);
  return to->error;
}
