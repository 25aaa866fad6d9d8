/* SPDX-License-Identifier: MIT */
#include "sqlite/jobs_state.h"

int64_t vsi_jobs_now_ms(const vestry_jobs *jobs) {
  const int64_t now_ms = jobs->options.now_ms(jobs->options.now_ctx), most = INT64_MAX / 4;
  return now_ms < 0 ? 0 : now_ms > most ? most : now_ms;
}

bool vsi_jobs_is_name(const char *text, size_t most) {
  const size_t len = text ? strnlen(text, most + 1) : 0;
  return len > 0 && len <= most;
}

int64_t vsi_jobs_period_of(vsi_jobs_period period, int64_t now_ms) {
  int64_t since = (now_ms - period.offset_ms) % period.length_ms;
  return now_ms - (since < 0 ? since + period.length_ms : since);
}

int64_t vsi_jobs_period_after(vsi_jobs_period period, int64_t now_ms) {
  return vsi_jobs_period_of(period, now_ms) + period.length_ms;
}

void vestry_jobs_wake(vestry_jobs *jobs) {
  if (!jobs) return;
  vsi_mutex_lock(&jobs->lock);
  jobs->is_due = true;
  pthread_cond_broadcast(&jobs->work); /* few threads wait; a signal may be lost by glibc where several do */
  vsi_mutex_unlock(&jobs->lock);
}
