/* SPDX-License-Identifier: MIT */
/* The topics of a transaction: a set that is filled while rows are changed, and emptied when they are published or
 * rolled back. One thread at a time. */
#ifndef VSI_SQLITE_TOPICS_H
#define VSI_SQLITE_TOPICS_H

#include <stdbool.h>
#include <stdint.h>

#include "vestry/app/page.h"

enum {
  VSI_SQLITE_TOPICS_MAX = 4096,    /* of one transaction; more become "all" */
  VSI_SQLITE_TOPICS_BYTES = 262144 /* likewise, of their names */
};

typedef struct vsi_sqlite_topics {
  const vestry_host *host;
  char *bytes; /* the names, each terminated */
  size_t bytes_count, bytes_room;
  uint32_t *slots; /* one more than where a name begins; 0: free */
  size_t slots_count, count;
  size_t last;  /* where the one begins that was said last: most changes say it again */
  bool are_all; /* whatever the set says */
} vsi_sqlite_topics;

void vsi_sqlite_topics_init(vsi_sqlite_topics *topics, const vestry_host *host);
void vsi_sqlite_topics_finish(vsi_sqlite_topics *topics);
/* Add one; if there is no room for it, all of them. len: 1 to VESTRY_PAGE_TOPIC_MAX_BYTES, without a NUL in it. */
void vsi_sqlite_topics_add(vsi_sqlite_topics *topics, const char *topic, size_t len);
/* None any more. What a large transaction took is given back. */
void vsi_sqlite_topics_clear(vsi_sqlite_topics *topics);
/* Refresh them. ret_seq: of the last one; untouched if there is none. OK, or what vestry_refresh says. */
vestry_err vsi_sqlite_topics_refresh(const vsi_sqlite_topics *topics, vestry_pages *pages, uint64_t *ret_seq);

#endif
