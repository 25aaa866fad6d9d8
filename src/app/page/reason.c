/* SPDX-License-Identifier: MIT */
#include "app/page/reason.h"

#include <string.h>

#include "base/utf8.h"

size_t vsi_reason_told_len(const char *name, size_t len) {
  static const char own[] = "vestry_";
  const char *end = len >= sizeof own - 1 && memcmp(name, own, sizeof own - 1) == 0 ? memchr(name, '/', len) : NULL;
  return end ? (size_t)(end - name) : len;
}

static size_t told_len(const char *name, size_t len) {
  len = vsi_reason_told_len(name, len);
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
  while (low < high) { /* the first that ends there or later */
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
