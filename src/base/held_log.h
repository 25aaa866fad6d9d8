/* SPDX-License-Identifier: MIT */
/* Holding back a line of the log, so that its caller can add its cause, or log it less often. */
#ifndef VSI_BASE_HELD_LOG_H
#define VSI_BASE_HELD_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "vestry/error.h"

enum { VSI_HELD_LOG_BYTES = 512 };

/* A line that was held back; longer lines are cut. */
typedef struct vsi_held_log {
  struct vsi_held_log *outer;
  char line[VSI_HELD_LOG_BYTES]; /* "": none */
} vsi_held_log;

/* From now on hold back the first line of the level ERROR that this thread logs (base/log.h); further lines are logged.
 * Calls can be nested; then the innermost one holds the line. */
VESTRY_API void vsi_log_hold(vsi_held_log *held);
/* End the last vsi_log_hold of this thread. The caller decides whether it logs the line. */
VESTRY_API void vsi_log_release(const vsi_held_log *held);

/* The last line about something that fails again and again, guarded by the caller. */
typedef struct vsi_repeated_log {
  uint64_t hash, logged_ns; /* logged_ns 0: none was logged */
  uint64_t left_out;        /* equal lines since then that were not logged */
} vsi_repeated_log;

/* Return whether to log a line: if it differs from the last one, or a minute has passed. ret_left_out: how many equal
 * lines were left out before. */
VESTRY_API bool vsi_log_is_due(vsi_repeated_log *last, const char *line, uint64_t now_ns, uint64_t *ret_left_out);

#endif
