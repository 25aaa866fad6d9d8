/* SPDX-License-Identifier: MIT */
/* The topics of a transaction: a set that grows while rows are changed, and is emptied when they are published or
 * rolled back. Used by one thread at a time. */
#ifndef VSI_SQLITE_TOPICS_H
#define VSI_SQLITE_TOPICS_H

#include <stdbool.h>
#include <stdint.h>

#include "vestry/app/page.h"

enum {
  VSI_SQLITE_TOPICS_MAX = 4096,    /* of one transaction; more become "all topics" */
  VSI_SQLITE_TOPICS_BYTES = 262144 /* maximum size of their names; the same */
};

typedef struct vsi_sqlite_topics {
  const vestry_host *host;
  char *bytes; /* the names, each with a NUL */
  size_t bytes_count, bytes_room;
  uint32_t *slots; /* offset of a name + 1; 0: free */
  size_t slots_count, count;
  size_t last;  /* offset of the name added last, because most changes repeat it */
  bool are_all; /* all topics, whatever the set contains */
} vsi_sqlite_topics;

void vsi_sqlite_topics_init(vsi_sqlite_topics *topics, const vestry_host *host);
void vsi_sqlite_topics_finish(vsi_sqlite_topics *topics);
/* Add a topic; if there is no room for it, all topics. len: 1 to VESTRY_PAGE_TOPIC_MAX_BYTES, without a NUL. */
void vsi_sqlite_topics_add(vsi_sqlite_topics *topics, const char *topic, size_t len);
/* Empty the set, and release the memory that a large transaction has used. */
void vsi_sqlite_topics_clear(vsi_sqlite_topics *topics);
/* Refresh the topics. ret_seq: that of the last one; untouched if there is none. OK, or the error of vestry_refresh. */
vestry_err vsi_sqlite_topics_refresh(const vsi_sqlite_topics *topics, vestry_pages *pages, uint64_t *ret_seq);

#endif
