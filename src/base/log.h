/* Logging through the host. */
#ifndef VSI_BASE_LOG_H
#define VSI_BASE_LOG_H

#include "vestry/error.h"
#include "vestry/host.h"

/* Formats into 1,024 bytes on the stack (longer lines are cut) and hands the line over; nothing without a logger. */
void vsi_log(const vestry_host *host, vestry_log_level level, const char *format, ...) VESTRY_PRINTF(3, 4);
/* Say what a function was called with that it does not accept. Returns INVALID. */
vestry_err vsi_mistake(const vestry_host *host, const char *function, const char *why);

/* A line that is ready, for libraries of their own, which do not see the functions above. */
static inline void vsi_log_line(const vestry_host *host, vestry_log_level level, const char *line) {
  if (host->log) host->log(host->ctx, level, line);
}

#endif
