/* SPDX-License-Identifier: MIT */
#include "data/jobs/state.h"

void vestry_jobs_wake(vestry_jobs *jobs) {
  if (!jobs) return;
  vsi_mutex_lock(&jobs->lock);
  jobs->is_due = true;
  pthread_cond_broadcast(&jobs->work); /* glibc can lose a signal if several threads wait, and few do */
  vsi_mutex_unlock(&jobs->lock);
}
