/* SPDX-License-Identifier: MIT */
#include "event/deed.h"

#include <string.h>

#include "base/options.h"
#include "event/script.h"
#include "html/escape.h"

void vsi_deed_init(vsi_deed *deed, const vestry_host *host) {
  deed->host = host;
  vestry_html_init(&deed->code, host);
}

void vsi_deed_finish(vsi_deed *deed) {
  vestry_html_finish(&deed->code);
}

void vsi_deed_code(vsi_deed *deed, const char *code) {
  vsi_html_put_str(vsi_html_of(&deed->code), code);
}

/* HTML has no NUL; a string has. */
void vsi_deed_string(vsi_deed *deed, const char *text, size_t len) {
  vsi_html *code = vsi_html_of(&deed->code);
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

/* A timer, because a browser that is sent away while it still loads the page would put the new address in place of this
 * page's in its history; and so that the rest of the batch is still applied. */
void vsi_deed_leave(vsi_deed *deed, const char *url) {
  vsi_deed_code(deed, "setTimeout(() => window.location.href = ");
  vsi_deed_string(deed, url, strlen(url));
  vsi_deed_code(deed, ")");
}

static const char opening[] = "<i hidden", attribute[] = " data-init=\"", removal[] = "; el.remove()",
                  closing[] = "\"></i>";

typedef struct framed {
  vestry_script_options options;
  vestry_slice code;
} framed;

static void deed_layout(vsi_writer *writer, vsi_event_meaning *meaning, const void *ctx) {
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

vestry_err vsi_deed_event(vsi_deed *deed, const vestry_script_options *options, vestry_event **ret_event) {
  framed f = {.code = {NULL, 0}};
  vestry_err error = vestry_html_result(&deed->code, &f.code);
  if (!error) error = VSI_OPTIONS_TAKE(f.options, options);
  if (!error) error = vsi_script_options_check(&f.options, "data-init");
  return error ? error : vsi_event_build(deed->host, deed_layout, &f, ret_event);
}

vestry_err vsi_deed_html(vsi_deed *deed, vestry_html *html) {
  vestry_slice code;
  vestry_err error = vestry_html_result(&deed->code, &code);
  if (error) return error;
  vsi_html *to = vsi_html_of(html);
  vsi_html_put_str(to, opening);
  vsi_html_put_str(to, attribute);
  vsi_html_put(to, code.data, code.len);
  vsi_html_put_str(to, removal);
  vsi_html_put_str(to, closing);
  return to->error;
}
