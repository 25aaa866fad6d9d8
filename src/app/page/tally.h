/* SPDX-License-Identifier: MIT */
/* Data about pages for operators: the reasons and times of the last refreshes, and the counters of each page and part.
 * The counters are always active, because counting costs only a few additions, under a lock that is held anyway. */
#ifndef VSI_PAGE_TALLY_H
#define VSI_PAGE_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "vestry/app/page.h"
#include "vestry/connection.h"
#include "vestry/host.h"

typedef struct vsi_fragment vsi_fragment;

/* Reasons of the last refreshes, by number, so that operators see why a page was rendered. */

enum { VSI_REASONS = 256, VSI_REASON_BYTES = 64 };

typedef struct vsi_reason {
  vestry_refresh_kind kind;
  char name[VSI_REASON_BYTES]; /* terminated; UTF-8 is cut between characters */
} vsi_reason;

/* Consecutive refreshes with the same reason, by their first and last number. */
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

/* Times of the changes behind the last refreshes, by number, so that a render can report the age of the change that it
 * shows. Fragments do not store a time, because there are many and most are idle. */

enum { VSI_DELAYS = 4096 };

/* A zeroed struct is empty. The lock of the pages guards it. */
typedef struct vsi_delays {
  struct vsi_delay {
    uint64_t seq, at_ns;
  } last[VSI_DELAYS]; /* at seq % VSI_DELAYS */
} vsi_delays;

static inline void vsi_delays_add(vsi_delays *delays, uint64_t seq, uint64_t at_ns) {
  delays->last[seq % VSI_DELAYS] = (struct vsi_delay){seq, at_ns};
}
/* Find the time of a change; 0: it was not added. If VSI_DELAYS further refreshes have come since, the result is the
 * time of one of them, so the reported age is too low. */
static inline uint64_t vsi_delays_find(const vsi_delays *delays, uint64_t seq) {
  const struct vsi_delay *found = &delays->last[seq % VSI_DELAYS];
  return found->seq >= seq ? found->at_ns : 0;
}

/* Counters. */

/* Maximum number of pages and of parts with separate counters; all later ones share one tally. */
enum {
  VSI_TALLY_PAGES = 128,
  VSI_TALLY_PARTS = 128,
  VSI_TALLIES = 1 + VSI_TALLY_PAGES + VSI_TALLY_PARTS,
  VSI_TALLY_SLICES = 12
};

/* Events of the last minute, in slices of five seconds. */
typedef struct vsi_minute {
  uint64_t last; /* number of the slice in which the last event was counted */
  uint32_t counts[VSI_TALLY_SLICES];
} vsi_minute;

/* Counters of a page at one route pattern, or of a part with one id. A tally lives as long as the pages. */
typedef struct vsi_tally {
  vsi_map_link in;            /* first; in vsi_tallies.by_name */
  const void *owner;          /* of the name: the page; for a part, the tally of the page */
  const struct vsi_tally *of; /* a part: the page where it was rendered first; NULL for a page */
  const char *name;           /* route pattern of a page or id of a part; NULL: the tally of all others */
  uint16_t place;             /* index in vsi_tallies.all */
  /* The lock of the pages guards all members below. */
  size_t streams_count;
  uint64_t documents_count, first_count;
  uint64_t renders_count, changed_count, unchanged_count, current_count, failed_count, dropped_count;
  uint64_t handler_ns, handler_longest_ns, sent_bytes;
  vsi_minute renders, unchanged;
  vsi_reason reason, unchanged_reason; /* of the last render with a known reason */
  uint64_t reason_ns;                  /* time of the last `reason` */
} vsi_tally;

typedef struct vsi_tallies {
  vsi_tally *all[VSI_TALLIES]; /* index 0: the tally of all others */
  size_t count, pages_count, parts_count;
  vsi_map by_name; /* a window may have more parts than there are tallies, each of which is looked up when it opens */
  vsi_tally others;
} vsi_tallies;

void vsi_tallies_init(vsi_tallies *tallies);
void vsi_tallies_finish(vsi_tallies *tallies, const vestry_host *host);
/* Return the number of events in the minute before now_ns. */
VESTRY_API uint64_t vsi_minute_sum(const vsi_minute *minute, uint64_t now_ns);

/* Count a call of a handler, which has returned. */
void vsi_tally_made(vsi_tally *tally, const vsi_reason *reason, uint64_t began_ns, uint64_t ended_ns);
/* Count a render with unchanged content. */
void vsi_tally_unchanged(vsi_tally *tally, const vsi_reason *reason, uint64_t ended_ns);

/* The tallies of pages, parts and fragments. The caller holds the lock unless the comment states otherwise. */

/* Get the tally of a page at the route of a request, or of a part in the page with tally `of`; created on first use.
 * Without room or memory this is the tally of all others. */
vsi_tally *vsi_tally_of_page(vestry_page *page, const vestry_request *req);
vsi_tally *vsi_tally_of_part(vestry_pages *pages, vsi_tally *of, const char *id);
/* Get the tally of a fragment. */
vsi_tally *vsi_tally_of(const vsi_fragment *fragment);
/* Copy all tallies. Called without the lock. Returns their number. */
VESTRY_API size_t vsi_tallies_copy(vestry_pages *pages, vsi_tally ret[VSI_TALLIES]);

#endif
