/* SPDX-License-Identifier: MIT */
/* What is counted of each page and each part, where it happens: always, since it costs a few additions under a lock
 * that is held there anyway. */
#ifndef VSI_PAGE_TALLY_H
#define VSI_PAGE_TALLY_H

#include "app/page/reason.h"
#include "vestry/connection.h"
#include "vestry/host.h"

typedef struct vsi_fragment vsi_fragment;

/* At most so many pages, and so many parts: what comes later is counted together. */
enum {
  VSI_TALLY_PAGES = 128,
  VSI_TALLY_PARTS = 128,
  VSI_TALLIES = 1 + VSI_TALLY_PAGES + VSI_TALLY_PARTS,
  VSI_TALLY_SLICES = 12
};

/* Counts of the last minute, in slices of five seconds. */
typedef struct vsi_minute {
  uint64_t last; /* the number of the slice that was counted in last */
  uint32_t counts[VSI_TALLY_SLICES];
} vsi_minute;

/* Of a page at one pattern of a route, or of a part by its id. It stays as long as the pages do. */
typedef struct vsi_tally {
  struct vsi_tally *next;     /* of its page's; a part: of the parts of that */
  struct vsi_tally *parts;    /* a page's */
  const struct vsi_tally *of; /* a part: where it stood first; NULL: a page's */
  const char *name;           /* the pattern, the part's id; NULL: of those that there is no room for */
  uint16_t place;             /* in all */
  /* All below is guarded by the pages' lock. */
  size_t streams_count;
  uint64_t documents_count, first_count;
  uint64_t renders_count, changed_count, unchanged_count, current_count, failed_count, dropped_count;
  uint64_t handler_ns, handler_longest_ns, sent_bytes;
  vsi_minute renders, unchanged;
  vsi_reason reason, unchanged_reason; /* of the last render whose reason is known */
  uint64_t reason_ns;                  /* when that was */
} vsi_tally;

typedef struct vsi_tallies {
  vsi_tally *all[VSI_TALLIES]; /* the first: all others */
  size_t count, pages_count, parts_count;
  vsi_tally others;
} vsi_tallies;

void vsi_tallies_init(vsi_tallies *tallies);
void vsi_tallies_finish(vsi_tallies *tallies, const vestry_host *host);
/* A new one, with a copy of its name. NULL: no memory. */
vsi_tally *vsi_tallies_add(vsi_tallies *tallies, const vestry_host *host, const char *name);
/* What a minute's counts come to at that time. */
VESTRY_API uint64_t vsi_minute_sum(const vsi_minute *minute, uint64_t now_ns);

/* A call of the handler is over. */
void vsi_tally_made(vsi_tally *tally, const vsi_reason *reason, uint64_t began_ns, uint64_t ended_ns);
/* What it made was the same. */
void vsi_tally_unchanged(vsi_tally *tally, const vsi_reason *reason, uint64_t ended_ns);

/* Which tally counts what. All with the lock but where it says otherwise. */

/* That of a page at the route of a request, or of a part in a page that is counted by `of`; made if there is none. When
 * there is no room or no memory it is that of all others. */
vsi_tally *vsi_tally_of_page(vestry_page *page, const vestry_request *req);
vsi_tally *vsi_tally_of_part(vestry_pages *pages, vsi_tally *of, const char *id);
/* That of a fragment. */
vsi_tally *vsi_tally_of(const vsi_fragment *fragment);
/* All as they are now: no lock. Returns how many there are. */
VESTRY_API size_t vsi_tallies_copy(vestry_pages *pages, vsi_tally ret[VSI_TALLIES]);

#endif
