/* SPDX-License-Identifier: MIT */
/* What tests see of a receiver of topics. */
#ifndef VSI_POSTGRES_TOPICS_H
#define VSI_POSTGRES_TOPICS_H

#include "data/postgres/pool.h"
#include "vestry/data/postgres_topics.h"

enum { VSI_POSTGRES_TOPICS_NAME_BYTES = 40 };

struct vestry_postgres_topics {
  vestry_pages *pages;
  vsi_postgres_pool *pool;
  uint32_t silence_ms;
  char name[VSI_POSTGRES_TOPICS_NAME_BYTES]; /* a channel, by which it checks that notifications arrive */
  vsi_postgres_thread thread;
  uint64_t server; /* its start (VSI_POSTGRES_STARTED) */
  vsi_repeated_log failures;
  /* Belongs to the thread; before it starts, to vestry_postgres_topics_create. */
  PGconn *db;      /* NULL: not connected */
  bool has_come;   /* its own notification has arrived */
  const char *why; /* reason why it stopped receiving */
  /* Any thread; relaxed, because they are mere counters. */
  _Atomic(bool) is_listening;
  _Atomic(unsigned) starts_count;  /* times that receiving began; each refreshes every page */
  _Atomic(unsigned) refused_count; /* texts that cannot be topics, because they are longer */
};

#endif
