/* SPDX-License-Identifier: MIT */
/* The threads of jobs. */
#ifndef VSI_JOBS_THREADS_H
#define VSI_JOBS_THREADS_H

#include "data/jobs/state.h"

/* OK | NO_MEMORY | IO: none is left */
vestry_err vsi_jobs_threads_start(vestry_jobs *jobs);
/* End them, if there are any; what runs is waited for. */
void vsi_jobs_threads_stop(vestry_jobs *jobs);

#endif
