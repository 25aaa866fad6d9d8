/* SPDX-License-Identifier: MIT */
/* One run of a job's function. */
#ifndef VSI_JOBS_RUN_H
#define VSI_JOBS_RUN_H

#include "data/jobs/state.h"

/* Take a job that is due and run it, on this thread. See vestry_jobs_step. */
vestry_err vsi_jobs_run_one(vestry_jobs *jobs, bool *ret_has_run);

#endif
