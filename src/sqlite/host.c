#include "sqlite/host.h"

#include <stdarg.h>
#include <stdio.h>

void vsi_sqlite_log(const vestry_host *host, vestry_log_level level, const char *format, ...) {
  if (!host->log) return;
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  for (char *at = line; *at; at++)
    if ((unsigned char)*at < 0x20 || *at == 0x7f) *at = '?';
  host->log(host->ctx, level, line);
}
