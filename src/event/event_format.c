/* SPDX-License-Identifier: MIT */
/* Events made by formats of the HTML builder. */
#include "event/event_format.h"

#include <string.h>

#include "base/log.h"
#include "html/builder.h"

vestry_err vsi_html_settle(vestry_html *html, vestry_slice *ret_html) {
  char why[VSI_HTML_EXPLAINED];
  if (vestry_html_error(html, NULL, NULL) == VESTRY_INVALID)
    vsi_log(vsi_html_of(html)->host, VESTRY_LOG_ERROR, "html: %s", vsi_html_explain(html, VESTRY_INVALID, why));
  return vestry_html_result(html, ret_html);
}

vestry_err vsi_event_velements(const vestry_host *host, const vestry_elements_options *options,
                               vestry_event **ret_event, const char *format, va_list arguments) {
  vestry_html html;
  vestry_slice made;
  vestry_html_init(&html, host);
  vestry_html_vadd(&html, format, arguments);
  vestry_err error = vsi_html_settle(&html, &made);
  if (!error) error = vestry_event_elements(host, made.data, made.len, options, ret_event);
  vestry_html_finish(&html);
  return error;
}

vestry_err vestry_event_elementsf(const vestry_host *host, const vestry_elements_options *options,
                                  vestry_event **ret_event, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vestry_err error = vsi_event_velements(host, options, ret_event, format, arguments);
  va_end(arguments);
  return error;
}
