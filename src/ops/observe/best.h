/* SPDX-License-Identifier: MIT */
/* The best of many, in a bounded room: a heap whose root is the worst that was kept. */
#ifndef VSI_OBSERVE_BEST_H
#define VSI_OBSERVE_BEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/ops/observe.h"

/* Greater values are better; of equal ones, smaller ids. */
typedef struct vsi_best_item {
  uint64_t value, id;
  void *of;
} vsi_best_item;

typedef struct vsi_best {
  size_t limit, count;
  vsi_best_item items[VESTRY_STREAMS_MAX_COUNT];
} vsi_best;

static inline bool vsi_best_is_better(uint64_t value, uint64_t id, uint64_t than_value, uint64_t than_id) {
  return value > than_value || (value == than_value && id < than_id);
}

/* limit: 1 to VESTRY_STREAMS_MAX_COUNT. */
void vsi_best_init(vsi_best *best, size_t limit);
/* Whether an item would be kept. */
bool vsi_best_takes(const vsi_best *best, uint64_t value, uint64_t id);
/* Keep one that would be. Returns `of` of the one that is not kept any more; NULL: there was room. */
void *vsi_best_add(vsi_best *best, const vsi_best_item *item);
/* Put them in order, the best first; nothing is added after that. */
void vsi_best_sort(vsi_best *best);

#endif
