/* SPDX-License-Identifier: MIT */
/* Data about pages for operators: the reasons of recent refreshes, and counters. */
#include "app/page/tally.h"

#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"

/* ----------------------------------------------------------------------------------- reasons of refreshes -------- */

size_t vsi_reason_shown_len(const char *name, size_t len) {
  static const char own[] = "vestry_";
  const char *end = len >= sizeof own - 1 && memcmp(name, own, sizeof own - 1) == 0 ? memchr(name, '/', len) : NULL;
  return end ? (size_t)(end - name) : len;
}

static size_t stored_len(const char *name, size_t len) {
  len = vsi_reason_shown_len(name, len);
  return len < VSI_REASON_BYTES ? len : vsi_utf8_trim(name, VSI_REASON_BYTES - 1);
}

static bool is_last(const vsi_reasons *reasons, vestry_refresh_kind kind, const char *name, size_t len) {
  if (!reasons->count) return false;
  const vsi_reason *is = &reasons->ranges[(reasons->count - 1) % VSI_REASONS].is;
  return is->kind == kind && memcmp(is->name, name, len) == 0 && is->name[len] == '\0';
}

void vsi_reasons_add(vsi_reasons *reasons, uint64_t seq, vestry_refresh_kind kind, const char *name, size_t len) {
  len = stored_len(name, len);
  if (is_last(reasons, kind, name, len)) {
    reasons->ranges[(reasons->count - 1) % VSI_REASONS].to = seq;
    return;
  }
  vsi_reason_range *range = &reasons->ranges[reasons->count++ % VSI_REASONS];
  range->from = range->to = seq;
  range->is.kind = kind;
  memcpy(range->is.name, name, len);
  range->is.name[len] = '\0';
}

/* The ranges are in the order of the refreshes' numbers, so they are searched by bisection. */
bool vsi_reasons_find(const vsi_reasons *reasons, uint64_t seq, vsi_reason *ret_reason) {
  size_t low = reasons->count > VSI_REASONS ? reasons->count - VSI_REASONS : 0, high = reasons->count;
  while (low < high) { /* first range that ends at seq or later */
    const size_t middle = low + (high - low) / 2;
    if (reasons->ranges[middle % VSI_REASONS].to < seq)
      low = middle + 1;
    else
      high = middle;
  }
  const vsi_reason_range *found = &reasons->ranges[low % VSI_REASONS];
  const bool is_found = low < reasons->count && found->from <= seq;
  if (is_found) *ret_reason = found->is;
  return is_found;
}

#define SLICE_NS (UINT64_C(5000) * VSI_NS_PER_MS)

/* -------------------------------------------------------------------------------------------------- a minute ------ */

static void count_in_minute(vsi_minute *minute, uint64_t now_ns) {
  const uint64_t now = now_ns / SLICE_NS;
  if (now > minute->last) {
    uint64_t passed = now - minute->last;
    for (uint64_t i = 1; i <= passed && i <= VSI_TALLY_SLICES; i++)
      minute->counts[(minute->last + i) % VSI_TALLY_SLICES] = 0;
    minute->last = now;
  }
  minute->counts[minute->last % VSI_TALLY_SLICES]++;
}

uint64_t vsi_minute_sum(const vsi_minute *minute, uint64_t now_ns) {
  const uint64_t now = now_ns / SLICE_NS;
  uint64_t sum = 0;
  for (uint64_t i = 0; i < VSI_TALLY_SLICES && i <= minute->last; i++)
    if (minute->last - i + VSI_TALLY_SLICES > now) sum += minute->counts[(minute->last - i) % VSI_TALLY_SLICES];
  return sum;
}

/* ------------------------------------------------------------------------------------------------- the tallies ---- */

void vsi_tallies_init(vsi_tallies *tallies) {
  tallies->all[0] = &tallies->others;
  tallies->count = 1;
}

void vsi_tallies_finish(vsi_tallies *tallies, const vestry_host *host) {
  for (size_t i = 1; i < tallies->count; i++) vsi_free(host, tallies->all[i]);
  vsi_map_finish(&tallies->by_name, host);
}

/* -------------------------------------------------------------------------------------------------- counting ------ */

void vsi_tally_made(vsi_tally *tally, const vsi_reason *reason, uint64_t began_ns, uint64_t ended_ns) {
  const uint64_t took_ns = ended_ns > began_ns ? ended_ns - began_ns : 0;
  tally->renders_count++;
  tally->handler_ns += took_ns;
  if (took_ns > tally->handler_longest_ns) tally->handler_longest_ns = took_ns;
  count_in_minute(&tally->renders, ended_ns);
  if (reason->kind == VESTRY_REFRESH_FIRST) tally->first_count++;
  /* new streams are frequent, so they must not replace the reason of a refresh */
  if (reason->kind == VESTRY_REFRESH_NONE || (reason->kind == VESTRY_REFRESH_FIRST && tally->reason.kind)) return;
  tally->reason = *reason;
  tally->reason_ns = ended_ns;
}

void vsi_tally_unchanged(vsi_tally *tally, const vsi_reason *reason, uint64_t ended_ns) {
  tally->unchanged_count++;
  count_in_minute(&tally->unchanged, ended_ns);
  if (reason->kind) tally->unchanged_reason = *reason;
}
