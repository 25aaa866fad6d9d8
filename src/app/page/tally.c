/* SPDX-License-Identifier: MIT */
/* Data about pages for operators: the reasons and times of recent refreshes, and counters. Reasons and times are lists
 * in the order of the refreshes' numbers, so they are searched by bisection. */
#include "app/page/tally.h"

#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"

/* -------------------------------------------------------------------------- reasons and times of refreshes ------- */

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
    reasons->ranges[(reasons->count - 1) % VSI_REASONS].of.to = seq;
    return;
  }
  vsi_reason_range *range = &reasons->ranges[reasons->count++ % VSI_REASONS];
  range->of = (vsi_refresh_range){seq, seq};
  range->is.kind = kind;
  memcpy(range->is.name, name, len);
  range->is.name[len] = '\0';
}

/* Find the entry that contains seq, among the last `room` of `count` entries in ascending order. Entry i is at
 * i % room, and begins with its range. Returns NULL if there is none. */
static const void *find_range(const void *entries, size_t size, size_t room, size_t count, uint64_t seq) {
  const char *const bytes = entries;
  size_t low = count > room ? count - room : 0, high = count;
  while (low < high) { /* first entry that ends at seq or later */
    const size_t middle = low + (high - low) / 2;
    if (((const vsi_refresh_range *)(const void *)(bytes + middle % room * size))->to < seq)
      low = middle + 1;
    else
      high = middle;
  }
  const vsi_refresh_range *found = (const void *)(bytes + low % room * size);
  return low < count && found->from <= seq ? found : NULL;
}

bool vsi_reasons_find(const vsi_reasons *reasons, uint64_t seq, vsi_reason *ret_reason) {
  const vsi_reason_range *found =
      find_range(reasons->ranges, sizeof *reasons->ranges, VSI_REASONS, reasons->count, seq);
  if (found) *ret_reason = found->is;
  return found;
}

/* Fragments do not store a time, because there are many and most are idle. A fragment has the number of the refresh
 * that marked it, and the time is looked up here. */

#define APART_NS UINT64_C(20000000)

static uint64_t least(uint64_t a_ns, uint64_t b_ns) {
  return a_ns < b_ns ? a_ns : b_ns;
}

/* Nearly all times come in order; a commit may have an earlier time than a refresh that was added before it. */
static void add(vsi_delay_list *list, uint64_t seq, uint64_t at_ns, uint64_t apart_ns) {
  vsi_delay_range *last = list->count ? &list->ranges[(list->count - 1) % VSI_DELAYS] : NULL;
  const uint64_t first_ns = last ? least(last->at_ns, at_ns) : at_ns;
  const bool is_near = last && last->until_ns - first_ns < apart_ns && at_ns - first_ns < apart_ns;
  if (!is_near) {
    list->ranges[list->count++ % VSI_DELAYS] = (vsi_delay_range){{seq, seq}, at_ns, at_ns};
    return;
  }
  last->of.to = seq;
  last->at_ns = first_ns;
  if (last->until_ns < at_ns) last->until_ns = at_ns;
}

void vsi_delays_add(vsi_delays *delays, uint64_t seq, uint64_t at_ns) {
  add(&delays->last, seq, at_ns, 0);
  add(&delays->earlier, seq, at_ns, APART_NS);
}

/* Return the oldest entry; the list is not empty. */
static const vsi_delay_range *oldest_of(const vsi_delay_list *list) {
  return &list->ranges[list->count > VSI_DELAYS ? list->count % VSI_DELAYS : 0];
}

static bool goes_back_to(const vsi_delay_list *list, uint64_t seq) {
  return list->count <= VSI_DELAYS || oldest_of(list)->of.from <= seq;
}

uint64_t vsi_delays_find(const vsi_delays *delays, uint64_t seq) {
  if (!delays->last.count) return 0;
  const vsi_delay_list *list = goes_back_to(&delays->last, seq) ? &delays->last : &delays->earlier;
  if (!goes_back_to(list, seq)) return oldest_of(list)->at_ns;
  const vsi_delay_range *found = find_range(list->ranges, sizeof *list->ranges, VSI_DELAYS, list->count, seq);
  return found ? found->at_ns : 0;
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
