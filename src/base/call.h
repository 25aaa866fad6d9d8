/* SPDX-License-Identifier: MIT */
/* A function of the library that the application has called, for what is logged of it: one line for people, which names
 * the function, what it was called for, what is wrong, and what helps. Header only, as base/memory.h is. */
#ifndef VSI_BASE_CALL_H
#define VSI_BASE_CALL_H

#include "base/log.h"

typedef struct vsi_call {
  const vestry_host *host;
  const char *function; /* its name */
  const char *name;     /* of the database, as the log has it; no password */
} vsi_call;

/* Log a reason, which is to say what helps, too. Returns the error that is given. */
static inline vestry_err vsi_refuse(const vsi_call *call, vestry_err error, const char *format, ...)
    VESTRY_PRINTF(3, 4);
static inline vestry_err vsi_refuse(const vsi_call *call, vestry_err error, const char *format, ...) {
  char reason[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);
  vsi_log(call->host, VESTRY_LOG_ERROR, "%s, %s: %s", call->function, call->name, reason);
  return error;
}

#endif
