/* SPDX-License-Identifier: MIT */
/* Reasons of the last refreshes, by number, so that operators see why a page was rendered. */
#ifndef VSI_PAGE_REASON_H
#define VSI_PAGE_REASON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/app/page.h"

enum { VSI_REASONS = 256, VSI_REASON_BYTES = 64 };

typedef struct vsi_reason {
  vestry_refresh_kind kind;
  char name[VSI_REASON_BYTES]; /* terminated; UTF-8 is cut between characters */
} vsi_reason;

/* Consecutive refreshes with the same reason. */
typedef struct vsi_reason_range {
  uint64_t from, to;
  vsi_reason is;
} vsi_reason_range;

typedef struct vsi_reasons {
  vsi_reason_range ranges[VSI_REASONS]; /* entry i is at i % VSI_REASONS */
  size_t count;                         /* number of entries ever added */
} vsi_reasons;

/* Add the reason of a refresh. seq is higher than all numbers added before. */
void vsi_reasons_add(vsi_reasons *reasons, uint64_t seq, vestry_refresh_kind kind, const char *name, size_t len);
/* Find the reason of a refresh. Returns false, with ret_reason untouched, if it is not stored any more. */
bool vsi_reasons_find(const vsi_reasons *reasons, uint64_t seq, vsi_reason *ret_reason);

/* Return how many bytes of a topic's name operators see: all of them, except that the library's own topics with the id
 * of a tab ("vestry_tab/…") are cut before the id. */
size_t vsi_reason_shown_len(const char *name, size_t len);

/* Times of the changes behind refreshes, by number, so that a render can report the age of the change that it shows. */

enum { VSI_DELAYS = 512 };

/* Refreshes at about the same time. at_ns: the earliest time of their changes; until_ns: the latest. */
typedef struct vsi_delay_range {
  uint64_t from, to, at_ns, until_ns;
} vsi_delay_range;

typedef struct vsi_delay_list {
  vsi_delay_range ranges[VSI_DELAYS]; /* entry i is at i % VSI_DELAYS */
  size_t count;                       /* number of entries ever added */
} vsi_delay_list;

/* A zeroed struct is empty. The lock of the pages guards it. */
typedef struct vsi_delays {
  vsi_delay_list last;    /* one entry for each of the last refreshes */
  vsi_delay_list earlier; /* one entry for each 20 ms, which covers ten seconds or more */
} vsi_delays;

/* Add the time of the change behind a refresh. seq is higher than all numbers added before. */
void vsi_delays_add(vsi_delays *delays, uint64_t seq, uint64_t at_ns);
/* Find the time of a change. If its refresh is not among the last VSI_DELAYS, the result is up to 20 ms early; if it is
 * older than both lists, the result is the earliest time that is known. Returns 0 if it was not added. */
uint64_t vsi_delays_find(const vsi_delays *delays, uint64_t seq);

#endif
