/* SPDX-License-Identifier: MIT */
/* The reasons and times of recent refreshes. Both are lists in the order of the refreshes' numbers, so they are
 * searched by bisection. */
#include "app/page/reason.h"

#include <string.h>

#include "base/utf8.h"

size_t vsi_reason_shown_len(const char *name, size_t len) {
  static const char own[] = "vestry_";
  const char *end = len >= sizeof own - 1 && memcmp(name, own, sizeof own - 1) == 0 ? memchr(name, '/', len) : NULL;
  return end ? (size_t)(end - name) : len;
}

static size_t told_len(const char *name, size_t len) {
  len = vsi_reason_shown_len(name, len);
  return len < VSI_REASON_BYTES ? len : vsi_utf8_trim(name, VSI_REASON_BYTES - 1);
}

static bool is_last(const vsi_reasons *reasons, vestry_refresh_kind kind, const char *name, size_t len) {
  if (!reasons->count) return false;
  const vsi_reason *is = &reasons->ranges[(reasons->count - 1) % VSI_REASONS].is;
  return is->kind == kind && memcmp(is->name, name, len) == 0 && is->name[len] == '\0';
}

void vsi_reasons_add(vsi_reasons *reasons, uint64_t seq, vestry_refresh_kind kind, const char *name, size_t len) {
  len = told_len(name, len);
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

bool vsi_reasons_find(const vsi_reasons *reasons, uint64_t seq, vsi_reason *ret_reason) {
  size_t low = reasons->count > VSI_REASONS ? reasons->count - VSI_REASONS : 0, high = reasons->count;
  while (low < high) { /* first entry that ends at seq or later */
    size_t middle = low + (high - low) / 2;
    if (reasons->ranges[middle % VSI_REASONS].to < seq)
      low = middle + 1;
    else
      high = middle;
  }
  const vsi_reason_range *found = &reasons->ranges[low % VSI_REASONS];
  if (low == reasons->count || found->from > seq) return false;
  *ret_reason = found->is;
  return true;
}

/* Fragments do not store a time, because there are many and most are idle. A fragment has the number of the refresh
 * that marked it, and the time is looked up here. */

#define APART_NS UINT64_C(20000000)

static const vsi_delay_range *range_at(const vsi_delay_list *list, size_t i) {
  return &list->ranges[i % VSI_DELAYS];
}

static uint64_t least(uint64_t a_ns, uint64_t b_ns) {
  return a_ns < b_ns ? a_ns : b_ns;
}

/* Nearly all times come in order; the time of a commit may be earlier than that of a refresh before it. */
static void add(vsi_delay_list *list, uint64_t seq, uint64_t at_ns, uint64_t apart_ns) {
  vsi_delay_range *last = list->count ? &list->ranges[(list->count - 1) % VSI_DELAYS] : NULL;
  const uint64_t first_ns = last ? least(last->at_ns, at_ns) : at_ns;
  const bool is_near = last && last->until_ns - first_ns < apart_ns && at_ns - first_ns < apart_ns;
  if (!is_near) {
    list->ranges[list->count++ % VSI_DELAYS] = (vsi_delay_range){seq, seq, at_ns, at_ns};
    return;
  }
  last->to = seq;
  last->at_ns = first_ns;
  if (last->until_ns < at_ns) last->until_ns = at_ns;
}

void vsi_delays_add(vsi_delays *delays, uint64_t seq, uint64_t at_ns) {
  add(&delays->last, seq, at_ns, 0);
  add(&delays->earlier, seq, at_ns, APART_NS);
}

/* Return the index of the oldest entry; the list is not empty. */
static size_t oldest_of(const vsi_delay_list *list) {
  return list->count > VSI_DELAYS ? list->count - VSI_DELAYS : 0;
}

static bool goes_back_to(const vsi_delay_list *list, uint64_t seq) {
  return list->count && (list->count <= VSI_DELAYS || range_at(list, oldest_of(list))->from <= seq);
}

/* The list covers seq. Search the last entry that does not begin after seq; if any entry contains seq, it is this
 * one. */
static uint64_t find(const vsi_delay_list *list, uint64_t seq) {
  size_t low = oldest_of(list), high = list->count;
  if (range_at(list, low)->from > seq) return 0;
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    if (range_at(list, middle)->from <= seq)
      low = middle;
    else
      high = middle;
  }
  return seq <= range_at(list, low)->to ? range_at(list, low)->at_ns : 0;
}

uint64_t vsi_delays_find(const vsi_delays *delays, uint64_t seq) {
  if (!delays->last.count) return 0;
  if (goes_back_to(&delays->last, seq)) return find(&delays->last, seq);
  if (goes_back_to(&delays->earlier, seq)) return find(&delays->earlier, seq);
  return range_at(&delays->earlier, oldest_of(&delays->earlier))->at_ns;
}
