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

/* Since when refreshes are due, by their numbers: so a render can say how old the change is that it answers. */

enum { VSI_DELAYS = 512 };

/* Refreshes of one moment. at_ns: the earliest of their times; until_ns: the last one. */
typedef struct vsi_delay_range {
  uint64_t from, to, at_ns, until_ns;
} vsi_delay_range;

typedef struct vsi_delay_list {
  vsi_delay_range ranges[VSI_DELAYS]; /* the i-th of all at i % VSI_DELAYS */
  size_t count;                       /* of all that ever were */
} vsi_delay_list;

/* Zeroed, it is empty. Guarded by the pages' lock. */
typedef struct vsi_delays {
  vsi_delay_list last;    /* each of the last ones */
  vsi_delay_list earlier; /* all, as coarsely as that ten seconds have room */
} vsi_delays;

/* The refresh of that number, which is higher than all before it, is for a change of that time. */
void vsi_delays_add(vsi_delays *delays, uint64_t seq, uint64_t at_ns);
/* That time. Of one that is not among the last VSI_DELAYS, up to 20 ms earlier; of one that no list goes back to,
 * the earliest time that is known. 0: it was not added. */
uint64_t vsi_delays_find(const vsi_delays *delays, uint64_t seq);

#endif
