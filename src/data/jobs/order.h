/* SPDX-License-Identifier: MIT */
/* What a database makes of an order before it writes a row, and what comes after the commit. */
#ifndef VSI_JOBS_ORDER_H
#define VSI_JOBS_ORDER_H

#include "base/after.h"
#include "base/options.h"
#include "data/jobs/table.h"

/* An application's order, with all defaults, and a delay within which sums fit.
 *  ops      of the database whose function was called
 *  Returns  OK | INVALID (also: the jobs are kept in another database) | TOO_LARGE */
static inline vestry_err vsi_jobs_order_take(const vestry_jobs *jobs, const vsi_jobs_table_ops *ops,
                                             const vestry_job_order *given, vestry_job_order *ret_order) {
  const uint64_t most_ms = INT64_MAX / 4;
  vestry_job_order order;
  if (!jobs || jobs->table->ops != ops || !given || VSI_OPTIONS_TAKE(vestry_job_order, order, given))
    return VESTRY_INVALID;
  if (!vsi_jobs_is_name(order.kind, VESTRY_JOB_KIND_MAX_BYTES) || order.unique > VESTRY_JOB_UNIQUE_WAITING ||
      (order.key && !vsi_jobs_is_name(order.key, VESTRY_JOB_KEY_MAX_BYTES)) ||
      (order.payload.len && !order.payload.data))
    return VESTRY_INVALID;
  if (order.payload.len > jobs->options.max_payload_bytes) return VESTRY_TOO_LARGE;
  if (!order.attempts_most) order.attempts_most = jobs->options.attempts_most;
  if (order.delay_ms > most_ms) order.delay_ms = most_ms;
  *ret_order = order;
  return VESTRY_OK;
}

typedef struct vsi_jobs_wake {
  vsi_after after; /* first */
  vestry_jobs *jobs;
} vsi_jobs_wake;

static inline void vsi_jobs_wake_now(vsi_after *self, bool is_committed) {
  vestry_jobs *jobs = ((vsi_jobs_wake *)self)->jobs;
  vsi_free(jobs->host, self);
  if (is_committed) vestry_jobs_wake(jobs);
}

/* Have the threads look for jobs once a transaction is committed: once for each.
 *  after    what comes after it
 *  Returns  OK | NO_MEMORY */
static inline vestry_err vsi_jobs_wake_after(vestry_jobs *jobs, vsi_after **after) {
  for (const vsi_after *at = *after; at; at = at->next)
    if (at->fn == vsi_jobs_wake_now && ((const vsi_jobs_wake *)at)->jobs == jobs) return VESTRY_OK;
  vsi_jobs_wake *wake = vsi_calloc(jobs->host, 1, sizeof *wake);
  if (!wake) return VESTRY_NO_MEMORY;
  *wake = (vsi_jobs_wake){{.fn = vsi_jobs_wake_now}, jobs};
  vsi_after_add(after, &wake->after);
  return VESTRY_OK;
}

#endif
