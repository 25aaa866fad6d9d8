/* SPDX-License-Identifier: MIT */
/* What refreshes were for, by their numbers: the last ones, so that a render can say what made it. */
#ifndef VSI_PAGE_REASON_H
#define VSI_PAGE_REASON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/app/page.h"

enum { VSI_REASONS = 256, VSI_REASON_BYTES = 64 };

typedef struct vsi_reason {
  vestry_refresh_kind kind;
  char name[VSI_REASON_BYTES]; /* terminated; whole letters, where it is UTF-8 */
} vsi_reason;

/* Refreshes for the same reason that came one after the other are one. */
typedef struct vsi_reason_range {
  uint64_t from, to;
  vsi_reason is;
} vsi_reason_range;

typedef struct vsi_reasons {
  vsi_reason_range ranges[VSI_REASONS]; /* the i-th of all at i % VSI_REASONS */
  size_t count;                         /* of all that ever were */
} vsi_reasons;

/* The refresh of that number, which is higher than all before it. */
void vsi_reasons_add(vsi_reasons *reasons, uint64_t seq, vestry_refresh_kind kind, const char *name, size_t len);
/* false: it is not known any more; ret_reason is untouched. */
bool vsi_reasons_find(const vsi_reasons *reasons, uint64_t seq, vsi_reason *ret_reason);

/* How much of a topic's name operators are told: of the library's own, which are named after a tab ("vestry_tab/…"),
 * what stands before the id. */
size_t vsi_reason_told_len(const char *name, size_t len);

#endif
