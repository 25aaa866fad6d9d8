/* SPDX-License-Identifier: MIT */
/* Counters of rejected requests, and the budget of bytes that all running requests share. */
#include "http/intake.h"

#include "instance/instance.h"

void vestry_turn_away(vestry *v, vestry_refusal refusal) {
  if (refusal <= VESTRY_REFUSAL_NONE || refusal >= VESTRY_REFUSAL_COUNT) return;
  atomic_fetch_add_explicit(&v->refused_by_reason[refusal], 1, memory_order_relaxed); /* relaxed: only a count */
}

bool vestry_request_bytes_take(vestry *v, size_t bytes) {
  return vsi_budget_take(&v->request_bytes, bytes);
}

bool vsi_request_bytes_take_waiting(vestry *v, size_t bytes) {
  const uint64_t used = atomic_load_explicit(&v->request_bytes.used, memory_order_relaxed); /* relaxed: an estimate */
  return used <= v->request_bytes.max / 2 && vestry_request_bytes_take(v, bytes);
}

uint64_t vestry_request_bytes_excess(const vestry *v) {
  uint64_t used = atomic_load_explicit(&v->request_bytes.used, memory_order_relaxed); /* relaxed: an estimate */
  return used > v->request_bytes.mark ? used - v->request_bytes.mark : 0;
}

void vestry_request_bytes_give(vestry *v, size_t bytes) {
  vsi_budget_give_back(&v->request_bytes, bytes);
  vsi_trim_note(&v->trim, bytes);
}

void vsi_intake_stats(vestry *v, vestry_stats *stats) {
  for (size_t i = 0; i < VESTRY_REFUSAL_COUNT; i++)
    stats->refused_by_reason[i] =
        atomic_load_explicit(&v->refused_by_reason[i], memory_order_relaxed); /* relaxed: only counts */
  stats->request_bytes = atomic_load_explicit(&v->request_bytes.used, memory_order_relaxed);
  stats->request_peak_bytes = atomic_load_explicit(&v->request_bytes.peak, memory_order_relaxed);
  stats->answer_bytes = atomic_load_explicit(&v->answer_bytes.used, memory_order_relaxed);
  stats->answer_peak_bytes = atomic_load_explicit(&v->answer_bytes.peak, memory_order_relaxed);
  stats->answers_cut_count = atomic_load_explicit(&v->answers_cut, memory_order_relaxed);
}
