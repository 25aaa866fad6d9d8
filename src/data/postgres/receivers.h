/* SPDX-License-Identifier: MIT */
/* Receivers ("ears") of a pool: each is notified that a visible commit may have written to its table, if a follower of
 * commits (data/postgres/follower.h) runs for that pool. Any thread; the pool's lock is taken briefly. */
#ifndef VSI_POSTGRES_EARS_H
#define VSI_POSTGRES_EARS_H

#include "data/postgres/keys.h"
#include "data/postgres/loan.h"

/* The owner provides the memory. Everything is guarded by the pool's lock. */
struct vsi_postgres_ear {
  LIST_ENTRY(vsi_postgres_ear) in;
  pthread_cond_t heard;
  uint32_t table, file; /* the table's oid, and the number of its file; 0: not known yet */
  bool is_open, is_listening;
  bool has_heard, is_roused;
};

/* Functions of vsi_sql_ear_ops; see data/sql/sql.h. */
void vsi_postgres_ear_open(vestry_sql_pool *pool, void *ear);
void vsi_postgres_ear_close(vestry_sql_pool *pool, void *ear);
bool vsi_postgres_ear_listen(vestry_sql_pool *pool, void *ear);
bool vsi_postgres_ear_know(vestry_sql_pool *pool, void *ear, uint32_t table, uint32_t file);
bool vsi_postgres_ear_wait(vestry_sql_pool *pool, void *ear, uint64_t until_ns);
void vsi_postgres_ear_rouse(vestry_sql_pool *pool, void *ear);
extern const vsi_sql_ear_ops vsi_postgres_ear_ops;

/* ---- for the follower ---- */

/* Begin or end to follow. Notifies all receivers, because reports before may be incomplete. */
void vsi_postgres_ears_follow(vsi_postgres_pool *pool, bool is_followed);
/* Return whether a receiver waits for what a commit wrote. keys NULL, here and below: unknown. */
bool vsi_postgres_ears_want(vsi_postgres_pool *pool, const vsi_postgres_keys *keys);
/* Notify the receivers of a commit that is visible now. */
void vsi_postgres_ears_tell(vsi_postgres_pool *pool, const vsi_postgres_keys *keys);

#endif
