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

/* Of the seam (data/sql/sql.h), which says what they do. */
void vsi_postgres_ear_open(vestry_sql_pool *pool, void *ear);
void vsi_postgres_ear_close(vestry_sql_pool *pool, void *ear);
bool vsi_postgres_ear_listen(vestry_sql_pool *pool, void *ear);
bool vsi_postgres_ear_know(vestry_sql_pool *pool, void *ear, uint32_t table, uint32_t file);
bool vsi_postgres_ear_wait(vestry_sql_pool *pool, void *ear, uint64_t until_ns);
void vsi_postgres_ear_rouse(vestry_sql_pool *pool, void *ear);
extern const vsi_sql_ear_ops vsi_postgres_ear_ops;

/* ---- the follower ---- */

/* One begins, or ends, to follow: what was heard before may not be all. */
void vsi_postgres_ears_follow(vsi_postgres_pool *pool, bool is_followed);
/* Whether an ear listens to what a commit wrote. keys: NULL: that is not known, here and below. */
bool vsi_postgres_ears_want(vsi_postgres_pool *pool, const vsi_postgres_keys *keys);
/* A commit can be seen by now. */
void vsi_postgres_ears_tell(vsi_postgres_pool *pool, const vsi_postgres_keys *keys);

#endif
