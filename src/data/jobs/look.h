/* SPDX-License-Identifier: MIT */
/* When the table is asked whether a job is due. */
#ifndef VSI_JOBS_LOOK_H
#define VSI_JOBS_LOOK_H

#include "data/jobs/state.h"

enum { VSI_JOBS_PAUSE_MS = 1000 /* after a failure, such as a full disk */ };

/* Ask it, and note when it is to be asked again. The errors are those of the table. */
vestry_err vsi_jobs_look(vestry_jobs *jobs, bool is_aside, bool *ret_is_due);

/* What is due was locked by other transactions, whose end tells nothing: ask again after poll_ms. */
void vsi_jobs_look_again(vestry_jobs *jobs);

/* ---- the thread that looks ---- */

/* The same, if it is time, and a worker waits, which is woken if one is due. */
void vsi_jobs_look_in_time(vestry_jobs *jobs);
/* Wait until it is time, for every_ms at most, or until it is roused. false: it is to end. */
bool vsi_jobs_rest(vestry_jobs *jobs, uint32_t every_ms);

/* ---- any thread; no lock is held ---- */

void vsi_jobs_rouse(vestry_jobs *jobs);

#endif
