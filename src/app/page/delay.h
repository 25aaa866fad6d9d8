/* SPDX-License-Identifier: MIT */
/* Since when refreshes are due, by their numbers: so a render can say how old the change is that it answers. */
#ifndef VSI_PAGE_DELAY_H
#define VSI_PAGE_DELAY_H

#include <stddef.h>
#include <stdint.h>

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
