/* SPDX-License-Identifier: MIT */
/* The public functions of the HTML builder (vestry/html.h): adding formats, texts, HTML and JavaScript values, and
 * taking the result. */
#include "base/log.h"
#include "base/memory.h"
#include "html/escape.h"
#include "html/format.h"
#include "html/place.h"
#include "vestry/value.h"

void vestry_html_init(vestry_html *builder, const vestry_host *host) {
  vsi_html *html = vsi_html_of(builder);
  *html = (vsi_html){.host = vsi_host(host)};
  vsi_place_init(&html->place);
}

void vestry_html_finish(vestry_html *builder) {
  vsi_html *html = vsi_html_of(builder);
  if (!html->is_fixed) vsi_free(html->host, html->data);
  vsi_html_forget(html);
  html->data = NULL;
  html->capacity = 0;
  vestry_html_clear(builder);
}

void vestry_html_clear(vestry_html *builder) {
  vsi_html *html = vsi_html_of(builder);
  html->len = html->at = 0;
  html->error = VESTRY_OK;
  html->why = NULL;
  html->is_at_format = html->has_file = false;
  vsi_place_init(&html->place);
}

/* ---------------------------------------------------------------------------------------------------- pieces ------ */

static void put_own(vsi_html *html, const char *bytes, size_t len) {
  if (!len) return;
  vsi_html_put(html, bytes, len);
  vsi_place_read(&html->place, bytes, len);
  const char *why = vsi_place_conflict(&html->place);
  if (why) vsi_html_fail(html, VESTRY_INVALID, why);
}

vestry_err vestry_html_vadd(vestry_html *builder, const char *format, va_list arguments) {
  vsi_html *html = vsi_html_of(builder);
  static const vsi_format_sink sink = {put_own, vsi_html_insert, put_own};
  if (!vsi_html_add_learned(html, &sink, format, arguments)) vsi_html_format(html, &sink, format, arguments);
  return html->error;
}

vestry_err vestry_html_add(vestry_html *builder, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vestry_err error = vestry_html_vadd(builder, format, arguments);
  va_end(arguments);
  return error;
}

vestry_err vestry_html_text(vestry_html *builder, const char *text, size_t len) {
  vsi_html *html = vsi_html_of(builder);
  if (!text && len) return vsi_html_fail(html, VESTRY_INVALID, "the text is NULL");
  vsi_html_insert(html, text, len);
  return html->error;
}

vestry_err vestry_html_raw(vestry_html *builder, const char *bytes, size_t len) {
  vsi_html *html = vsi_html_of(builder);
  if (!bytes && len) return vsi_html_fail(html, VESTRY_INVALID, "the text is NULL");
  if (!html->error && len) put_own(html, bytes, len);
  return html->error;
}

/* ------------------------------------------------------------------------------------------------------ code ------ */

vestry_err vestry_html_js(vestry_html *builder, const char *text, size_t len) {
  vsi_html *html = vsi_html_of(builder);
  if (!text && len) return vsi_html_fail(html, VESTRY_INVALID, "the text is NULL");
  const char *quote = NULL;
  if (vsi_html_code_begin(html, true, '\'', &quote)) return html->error;
  vsi_html_put_str(html, quote);
  vsi_html_escape_js(html, text, len);
  vsi_html_put_str(html, quote);
  vsi_html_code_end(html);
  return html->error;
}

vestry_err vestry_html_json(vestry_html *builder, const vestry_value *value) {
  vsi_html *html = vsi_html_of(builder);
  const char *quote = NULL;
  if (vsi_html_code_begin(html, true, '"', &quote)) return html->error;
  vsi_html_put_value(html, value, quote);
  vsi_html_code_end(html);
  return html->error;
}

/* ------------------------------------------------------------------------------------------------------- end ------ */

vestry_err vestry_html_result(vestry_html *builder, vestry_slice *ret_html) {
  vsi_html *html = vsi_html_of(builder);
  if (!vsi_html_reserve(html, 0)) return html->error;
  html->data[html->len] = '\0';
  *ret_html = (vestry_slice){.data = html->data, .len = html->len};
  return VESTRY_OK;
}

vestry_value vestry_value_html(vestry_html *builder) {
  vestry_slice built = {NULL, 0};
  char why[VSI_HTML_EXPLAINED];
  vestry_err error = builder ? vestry_html_result(builder, &built) : VESTRY_OK;
  if (error) /* NULL is refused where the value is used, and the reason is unknown there */
    vsi_log_mistake(vsi_html_of(builder)->host, "html", vsi_html_explain(builder, error, why));
  return vestry_value_string(built.data);
}

vestry_err vestry_html_error(const vestry_html *builder, const char **ret_why, size_t *ret_offset) {
  vsi_html *html = vsi_html_of(builder);
  if (ret_why) *ret_why = html->why ? html->why : "";
  if (ret_offset) *ret_offset = html->at;
  return html->error;
}
