/* SPDX-License-Identifier: MIT */
/* Ears of a pool: each listens to one table, and hears that a commit which can be seen by now may have written to it,
 * if a follower of commits (data/postgres/follower.h) goes over that pool. Any thread; the pool's lock is taken
 * briefly. */
#ifndef VSI_POSTGRES_EARS_H
#define VSI_POSTGRES_EARS_H

#include "data/postgres/keys.h"
#include "data/postgres/loan.h"

/* Its owner's memory. All of it is guarded by the pool's lock. */
struct vsi_postgres_ear {
  LIST_ENTRY(vsi_postgres_ear) in;
  pthread_cond_t heard;
  uint32_t table, file; /* the table's oid, and the number of its file; 0: not known yet */
  bool is_open, is_listening;
  bool has_heard, is_roused;
};

/* Zeroes are closed. A second call does nothing, each. */
void vsi_postgres_ear_open(vestry_postgres_pool *pool, vsi_postgres_ear *ear);
void vsi_postgres_ear_close(vestry_postgres_pool *pool, vsi_postgres_ear *ear);
/* Listen, before the table is read, to the next commit that the reader may not see. false: nothing will be heard, as no
 * commits are followed, or the table is not known, or the ear is closed. */
bool vsi_postgres_ear_listen(vestry_postgres_pool *pool, vsi_postgres_ear *ear);
/* That is the table. Returns whether it was that one before. */
bool vsi_postgres_ear_know(vestry_postgres_pool *pool, vsi_postgres_ear *ear, uint32_t table, uint32_t file);
/* Wait until it hears something, is roused, or until that time. Returns whether it has heard something since the last
 * wait. */
bool vsi_postgres_ear_wait(vestry_postgres_pool *pool, vsi_postgres_ear *ear, uint64_t until_ns);
void vsi_postgres_ear_rouse(vestry_postgres_pool *pool, vsi_postgres_ear *ear);

/* ---- the follower ---- */

/* One begins, or ends, to follow: what was heard before may not be all. */
void vsi_postgres_ears_follow(vestry_postgres_pool *pool, bool is_followed);
/* Whether an ear listens to what a commit wrote. keys: NULL: that is not known, here and below. */
bool vsi_postgres_ears_want(vestry_postgres_pool *pool, const vsi_postgres_keys *keys);
/* A commit can be seen by now. */
void vsi_postgres_ears_tell(vestry_postgres_pool *pool, const vsi_postgres_keys *keys);

#endif
