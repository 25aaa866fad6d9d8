/* SPDX-License-Identifier: MIT */
/* Holding back a line of the log, so that its caller can add its cause, or log it less often. */
#ifndef VSI_BASE_HELD_LOG_H
#define VSI_BASE_HELD_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vestry/error.h"
#include "vestry/host.h"

enum { VSI_HELD_LOG_BYTES = 640 }; /* a line has room for it, and for what its caller adds */

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

/* How many lines about one reason are logged: `burst` at once, and then one each `each_ns`. */
typedef struct vsi_log_rate {
  uint64_t each_ns;
  uint32_t burst;
} vsi_log_rate;
#define VSI_ONCE_A_MINUTE ((vsi_log_rate){UINT64_C(60000000000), 1})

/* The reasons for which lines were logged so recently that they count. Zero: none. Any thread; lock-free. */
enum { VSI_REPEATED_REASONS = 16 };
typedef struct vsi_repeated_log {
  struct vsi_repeated_reason {
    _Atomic(uint64_t) until;    /* high half: the reason; low half: until when its lines count (log.c). 0: unused */
    _Atomic(uint32_t) left_out; /* lines since then that were not logged */
  } reasons[VSI_REPEATED_REASONS];
} vsi_repeated_log;

/* Return a reason that stands for the text of a line, never 0. */
VESTRY_API uint32_t vsi_log_reason(const char *line);
/* Return whether to log a line about this reason (not 0): at the rate for each reason, and for at most
 * VSI_REPEATED_REASONS reasons at a time. All calls for a log have the same rate.
 * ret_left_out  for true: how many lines about it were left out since the last one; NULL: not needed */
bool vsi_log_is_due(vsi_repeated_log *log, vsi_log_rate rate, uint32_t reason, uint64_t now_ns, uint32_t *ret_left_out);
/* Log a line whose cause can repeat without bound, for example for each request or row, if it is due: once a minute for
 * each reason, and for at most VSI_REPEATED_REASONS reasons in a minute. It ends with the number of left-out lines
 * about its reason, " (and 7 times before)". If this thread holds back the line (vsi_log_hold), it counts as due,
 * because the code that holds it logs it. A line at DEBUG is always due, and uses up no reason of other lines.
 * log     NULL: each line is due
 * reason  must not depend on text that clients choose, because they could use up the reasons; 0: the text of the line
 * Returns whether it was due */
VESTRY_API bool vsi_log_repeated(const vestry_host *host, vsi_repeated_log *log, uint32_t reason,
                                 vestry_log_level level, const char *format, ...) VESTRY_PRINTF(5, 6);

#endif
