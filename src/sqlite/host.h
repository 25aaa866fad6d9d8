/* The log of the pages' host. */
#ifndef VSI_SQLITE_HOST_H
#define VSI_SQLITE_HOST_H

#include "base/memory.h"

/* One line, cut to what a log takes; control characters become question marks. */
void vsi_sqlite_log(const vestry_host *host, vestry_log_level level, const char *format, ...) VESTRY_PRINTF(3, 4);

#endif
