#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void vsi_log(const vestry_host *host, vestry_log_level level, const char *format, ...) {
  if (!host->log) return;
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  for (char *at = line; *at; at++)
    if ((unsigned char)*at < 0x20 || *at == 0x7f) *at = '?'; /* what a client sent must not forge lines */
  host->log(host->ctx, level, line);
}

vestry_err vsi_mistake(const vestry_host *host, const char *function, const char *why) {
  vsi_log(host, VESTRY_LOG_ERROR, "%s: %s", function, why);
  return VESTRY_INVALID;
}
