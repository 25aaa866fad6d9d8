/* SPDX-License-Identifier: MIT */
/* When the table is queried for due jobs. */
#ifndef VSI_JOBS_POLL_H
#define VSI_JOBS_POLL_H

#include "data/jobs/state.h"

enum { VSI_JOBS_PAUSE_MS = 1000 /* pause after a failure, for example a full disk */ };

/* Query the table, and compute the time of the next query. The errors are those of the table. */
vestry_err vsi_jobs_poll(vestry_jobs *jobs, bool is_aside, bool *ret_is_due);

/* Query the table again after poll_ms. All due jobs were locked by other transactions, whose end is not reported if
 * they are rolled back. */
void vsi_jobs_poll_again(vestry_jobs *jobs);

/* ---- the looking thread ---- */

/* Query the table if it is time and a worker waits, and wake the workers if a job is due. */
void vsi_jobs_poll_in_time(vestry_jobs *jobs);
/* Wait until it is time for a query, at most every_ms, or until vsi_jobs_rouse is called. false: the thread must
 * end. */
bool vsi_jobs_rest(vestry_jobs *jobs, uint32_t every_ms);

/* ---- any thread; no lock is held ---- */

void vsi_jobs_rouse(vestry_jobs *jobs);

#endif
