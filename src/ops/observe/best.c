/* SPDX-License-Identifier: MIT */
#include "ops/observe/best.h"

static bool is_worse(const vsi_best_item *a, const vsi_best_item *b) {
  return vsi_best_is_better(b->value, b->id, a->value, a->id);
}

static void swap(vsi_best_item *a, vsi_best_item *b) {
  const vsi_best_item other = *a;
  *a = *b;
  *b = other;
}

void vsi_best_init(vsi_best *best, size_t limit) {
  best->limit = limit;
  best->count = 0;
}

bool vsi_best_takes(const vsi_best *best, uint64_t value, uint64_t id) {
  return best->count < best->limit || vsi_best_is_better(value, id, best->items[0].value, best->items[0].id);
}

/* Of the first `count`, the root may be better than its children. */
static void sink(vsi_best_item *items, size_t count) {
  for (size_t at = 0, child; (child = at * 2 + 1) < count; at = child) {
    if (child + 1 < count && is_worse(&items[child + 1], &items[child])) child++;
    if (!is_worse(&items[child], &items[at])) return;
    swap(&items[child], &items[at]);
  }
}

void *vsi_best_add(vsi_best *best, const vsi_best_item *item) {
  vsi_best_item *items = best->items;
  if (best->count == best->limit) {
    void *worst = items[0].of;
    items[0] = *item;
    sink(items, best->count);
    return worst;
  }
  size_t at = best->count++;
  items[at] = *item;
  for (; at && is_worse(&items[at], &items[(at - 1) / 2]); at = (at - 1) / 2) swap(&items[at], &items[(at - 1) / 2]);
  return NULL;
}

void vsi_best_sort(vsi_best *best) {
  for (size_t left = best->count; left > 1;) {
    swap(&best->items[0], &best->items[--left]);
    sink(best->items, left);
  }
}
