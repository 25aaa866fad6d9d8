/* Logging through the host. */
#ifndef VSI_BASE_LOG_H
#define VSI_BASE_LOG_H

#include "vestry/host.h"

/* Formats into 1,024 bytes on the stack (longer lines are cut) and hands the line over; nothing without a logger. */
void vsi_log(const vestry_host *host, vestry_log_level level, const char *format, ...) VESTRY_PRINTF(3, 4);

#endif
