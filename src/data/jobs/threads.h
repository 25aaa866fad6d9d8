/* SPDX-License-Identifier: MIT */
/* The threads of jobs. */
#ifndef VSI_JOBS_THREADS_H
#define VSI_JOBS_THREADS_H

#include "data/jobs/state.h"

/* Start the threads. OK | NO_MEMORY | IO: no thread is left */
vestry_err vsi_jobs_threads_start(vestry_jobs *jobs);
/* Stop the threads, if there are any, and wait for the running jobs. */
void vsi_jobs_threads_stop(vestry_jobs *jobs);

#endif
