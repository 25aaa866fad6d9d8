/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void vsi_log(const vestry_host *host, vestry_log_level level, const char *format, ...) {
  if (!host->log) return;
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  /* Text from clients must not forge, reorder or hide lines. */
  char *to = line;
  for (const char *at = line, *end = line + strlen(line); at < end;) {
    const size_t control = vsi_control_len(at, end);
    *to++ = control ? '?' : *at;
    at += control ? control : 1;
  }
  *to = '\0';
  host->log(host->ctx, level, line);
}

vestry_err vsi_option_ranges_check(const vestry_host *host, const char *function, const vsi_option_range *options,
                                   size_t count) {
  for (const vsi_option_range *at = options; at < options + count; at++) {
    if (!at->value || (at->value >= at->least && at->value <= at->most)) continue;
    vsi_log(host, VESTRY_LOG_ERROR, "%s: %s is %" PRIu64 ", but must be from %" PRIu64 " to %" PRIu64, function,
            at->name, at->value, at->least, at->most);
    return VESTRY_INVALID;
  }
  return VESTRY_OK;
}
