/* SPDX-License-Identifier: MIT */
/* Counters of rejected requests, and the memory that running requests hold. */
#ifndef VSI_HTTP_INTAKE_H
#define VSI_HTTP_INTAKE_H

#include "vestry/adapter.h"

/* Return the maximum of a limit of bodies. While a body is read it is in memory twice, as the adapter's and as the
 * request's, and both must stay below the 7/8 of max_request_bytes from which on requests are closed. */
static inline size_t vsi_body_bytes_most(size_t max_request_bytes) {
  return max_request_bytes / 16 * 7;
}

/* Reserve memory as vestry_request_bytes_take does, for a request that holds it while it waits for the rest of its
 * body, and that no adapter closes for the sake of other requests. Such requests may use half of the bound. */
VESTRY_API bool vsi_request_bytes_take_waiting(vestry *v, size_t bytes);

/* Write these counters into stats. */
void vsi_intake_stats(vestry *v, vestry_stats *stats);

#endif
