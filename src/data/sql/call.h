/* SPDX-License-Identifier: MIT */
/* A call of a library function by the application, for messages in the log. A message is one line, which names the
 * function, the database, the error, and a remedy. Header only, because the libraries
 * of both databases use it. */
#ifndef VSI_SQL_CALL_H
#define VSI_SQL_CALL_H

#include <stdarg.h>
#include <stdio.h>

#include "base/held_log.h"
#include "base/log.h"

typedef struct vsi_call {
  const vestry_host *host;
  const char *function; /* its name */
  const char *name;     /* of the database, as shown in the log; no password */
  /* The failures that were logged in the last minute, of calls that a request or a row can repeat. NULL: each one is
   * logged, because the application makes such a call once. */
  vsi_repeated_log *repeated;
} vsi_call;

/* Log a reason, which should include a remedy, and must not depend on text that clients choose (vsi_log_repeated).
 * Returns the given error. */
static inline vestry_err vsi_refuse(const vsi_call *call, vestry_err error, const char *format, ...)
    VESTRY_PRINTF(3, 4);
static inline vestry_err vsi_refuse(const vsi_call *call, vestry_err error, const char *format, ...) {
  char reason[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);
  vsi_log_repeated(call->host, call->repeated, 0, VESTRY_LOG_ERROR, "%s, %s: %s", call->function, call->name, reason);
  return error;
}

#endif
