/* SPDX-License-Identifier: MIT */
/* Logging through the host. Header only, like base/memory.h. */
#ifndef VSI_BASE_LOG_H
#define VSI_BASE_LOG_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/control.h"
#include "vestry/error.h"
#include "vestry/host.h"

/* Log a line. It is formatted into 1,024 bytes on the stack (longer lines are cut); nothing happens without a
 * logger. */
static inline void vsi_log(const vestry_host *host, vestry_log_level level, const char *format, ...)
    VESTRY_PRINTF(3, 4);
static inline void vsi_log(const vestry_host *host, vestry_log_level level, const char *format, ...) {
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

/* Log that a function was called with invalid arguments. Returns INVALID. */
static inline vestry_err vsi_mistake(const vestry_host *host, const char *function, const char *why) {
  vsi_log(host, VESTRY_LOG_ERROR, "%s: %s", function, why);
  return VESTRY_INVALID;
}

#endif
