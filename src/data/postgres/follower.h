/* SPDX-License-Identifier: MIT */
/* Follows the commits to a database on a separate thread: it reads the WAL, and passes the commits to an index. */
#ifndef VSI_POSTGRES_FOLLOWER_H
#define VSI_POSTGRES_FOLLOWER_H

#include "data/postgres/index.h"
#include "data/postgres/pool.h"

typedef struct vsi_postgres_follower vsi_postgres_follower;

/* The state of a follower:
 *
 *     TRYING ──a start succeeds──→ GOING ──the connection or the WAL fails──→ TRYING
 *        └──two starts fail, although a server was reached; or its WAL cannot be read──→ REFUSED
 *     REFUSED ──a start succeeds──→ GOING
 *
 * TRYING   the first attempt, or the server is away
 * GOING    it follows
 * REFUSED  the server does not permit it, because of its configuration or this user's privileges, or it is not the
 *          application's server; it is tried again from time to time */
typedef enum vsi_postgres_following {
  VSI_POSTGRES_TRYING,
  VSI_POSTGRES_GOING,
  VSI_POSTGRES_REFUSED
} vsi_postgres_following;

typedef struct vsi_postgres_follower_options {
  vsi_postgres_pool *pool; /* of the application; its server is followed */
  vsi_postgres_index *index;
  size_t max_keys;     /* maximum for a transaction */
  uint32_t silence_ms; /* request a reply after this silence; after as long again the server is gone */
  /* Called on the follower's thread after the state has changed. Before GOING the index has been started. major:
   * version of the server */
  void (*changed)(void *ctx, vsi_postgres_following is, unsigned major);
  void *ctx;
} vsi_postgres_follower_options;

/* Create a follower and start its thread. OK | NO_MEMORY | IO */
vestry_err vsi_postgres_follower_create(const vsi_postgres_follower_options *options,
                                        vsi_postgres_follower **ret_follower);
/* Stop the thread, and wait for it. Other functions may still be called. NULL is accepted. */
void vsi_postgres_follower_stop(vsi_postgres_follower *follower);
/* Stop the follower and free it. NULL is accepted. */
void vsi_postgres_follower_destroy(vsi_postgres_follower *follower);
/* Wait until it is GOING or REFUSED, or until that time. Returns the state. */
vsi_postgres_following vsi_postgres_follower_settle(vsi_postgres_follower *follower, uint64_t until_ns);
/* Wait until all WAL before a position has been followed, and, if a commit may concern a page, the index has received a
 * current snapshot. OK | TIMEOUT. Not on the follower's thread. */
vestry_err vsi_postgres_follower_wait(vsi_postgres_follower *follower, uint64_t place, uint64_t until_ns);

/* Fill in the counters of following. */
void vsi_postgres_follower_stats_get(vsi_postgres_follower *follower, vestry_postgres_stats *stats);

#endif
