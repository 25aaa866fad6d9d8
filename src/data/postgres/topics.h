/* SPDX-License-Identifier: MIT */
/* What tests see of a receiver of topics. */
#ifndef VSI_POSTGRES_TOPICS_H
#define VSI_POSTGRES_TOPICS_H

#include "vestry/data/postgres_topics.h"

/* Refresh pages for all commits so far; call vestry_pages_settle afterwards. OK | TIMEOUT | INVALID (this thread has a
 * transaction of the pool) | the errors of vestry_sql_run_alone */
vestry_err vsi_postgres_topics_settle(vestry_postgres_topics *topics, uint64_t timeout_ms, uint64_t *ret_seq);

/* Counters since the receiver was created, and the current state. received_count = refreshed_count + refused_count. */
typedef struct vsi_postgres_topics_stats {
  bool is_listening;
  uint64_t starts_count;    /* times that receiving began; each refreshes every page */
  uint64_t received_count;  /* topics that were received */
  uint64_t refreshed_count; /* topics that were refreshed */
  uint64_t refused_count;   /* texts that cannot be topics: longer than VESTRY_PAGE_TOPIC_MAX_BYTES */
} vsi_postgres_topics_stats;

vsi_postgres_topics_stats vsi_postgres_topics_stats_get(vestry_postgres_topics *topics);

#endif
