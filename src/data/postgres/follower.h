/* SPDX-License-Identifier: MIT */
/* Follows what is committed to a database, on a thread of its own: reads the WAL, and tells an index of it. */
#ifndef VSI_POSTGRES_FOLLOWER_H
#define VSI_POSTGRES_FOLLOWER_H

#include "data/postgres/index.h"

typedef struct vsi_postgres_follower vsi_postgres_follower;

/* TRYING  for the first time, or the server is away
 * GOING   it follows
 * REFUSED the server does not let it: as it is set up, or by this user's rights; it is tried again now and then */
typedef enum vsi_postgres_following {
  VSI_POSTGRES_TRYING,
  VSI_POSTGRES_GOING,
  VSI_POSTGRES_REFUSED
} vsi_postgres_following;

typedef struct vsi_postgres_follower_options {
  const vestry_host *host;
  const char *url;  /* borrowed */
  const char *name; /* of the database, for the log; borrowed */
  vsi_postgres_index *index;
  size_t max_keys;     /* of a transaction */
  uint32_t silence_ms; /* a server that says nothing for so long is asked; and after as long again it is gone */
  /* It has changed; before it is GOING the index is started. On the follower's thread. major: of the server */
  void (*changed)(void *ctx, vsi_postgres_following is, unsigned major);
  /* No connection has come for a while: whether the server is there for others. On the follower's thread; may block */
  bool (*is_there)(void *ctx);
  void *ctx;
} vsi_postgres_follower_options;

/* OK | NO_MEMORY | IO */
vestry_err vsi_postgres_follower_create(const vsi_postgres_follower_options *options,
                                        vsi_postgres_follower **ret_follower);
/* Ends the thread, and waits for it: it follows no more, and the rest may still be called. NULL is accepted. */
void vsi_postgres_follower_stop(vsi_postgres_follower *follower);
/* Stops it, and frees it. NULL is accepted. */
void vsi_postgres_follower_destroy(vsi_postgres_follower *follower);
/* Wait until it has said whether it can follow: it is GOING or REFUSED; or until that time. */
vsi_postgres_following vsi_postgres_follower_settle(vsi_postgres_follower *follower, uint64_t until_ns);
/* Wait until it has followed all WAL up to there, and told the index what is visible by now.
 * OK | TIMEOUT. Not on the follower's thread. */
vestry_err vsi_postgres_follower_wait(vsi_postgres_follower *follower, uint64_t place, uint64_t until_ns);

typedef struct vsi_postgres_follower_stats {
  vsi_postgres_following is;
  uint64_t starts_count; /* times that it began to follow */
  uint64_t records_count;
  uint64_t bytes;
  uint64_t lag_bytes; /* of WAL that the server has, and that was not read */
  uint64_t lag_ms;    /* since when it has had some */
} vsi_postgres_follower_stats;
void vsi_postgres_follower_stats_get(vsi_postgres_follower *follower, vsi_postgres_follower_stats *ret_stats);

#endif
