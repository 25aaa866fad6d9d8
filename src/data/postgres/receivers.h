/* SPDX-License-Identifier: MIT */
/* Receivers of a pool: each is notified that a visible commit may have written to its table, if a follower of
 * commits (data/postgres/follower.h) runs for that pool. Any thread; the pool's lock is taken briefly. */
#ifndef VSI_POSTGRES_RECEIVERS_H
#define VSI_POSTGRES_RECEIVERS_H

#include "data/postgres/keys.h"
#include "data/postgres/pool.h"

/* The owner provides the memory. Everything is guarded by the pool's lock. */
struct vsi_postgres_receiver {
  LIST_ENTRY(vsi_postgres_receiver) in;
  pthread_cond_t notified;
  uint32_t table, file; /* the table's oid, and the number of its file; 0: not known yet */
  bool is_open, is_listening;
  bool is_notified, is_roused;
};

/* Functions of vsi_sql_receiver_ops; see data/sql/sql.h. */
void vsi_postgres_receiver_open(vestry_sql_pool *pool, void *receiver);
void vsi_postgres_receiver_close(vestry_sql_pool *pool, void *receiver);
bool vsi_postgres_receiver_listen(vestry_sql_pool *pool, void *receiver);
bool vsi_postgres_receiver_know(vestry_sql_pool *pool, void *receiver, uint32_t table, uint32_t file);
bool vsi_postgres_receiver_wait(vestry_sql_pool *pool, void *receiver, uint64_t until_ns);
void vsi_postgres_receiver_rouse(vestry_sql_pool *pool, void *receiver);
extern const vsi_sql_receiver_ops vsi_postgres_receiver_ops;

/* ---- for the follower ---- */

/* Begin or end to follow. Notifies all receivers, because reports before may be incomplete. */
void vsi_postgres_receivers_follow(vsi_postgres_pool *pool, bool is_followed);
/* Return whether a receiver waits for what a commit wrote. keys NULL, here and below: unknown. */
bool vsi_postgres_receivers_want(vsi_postgres_pool *pool, const vsi_postgres_keys *keys);
/* Notify the receivers of a commit that is visible now. */
void vsi_postgres_receivers_notify(vsi_postgres_pool *pool, const vsi_postgres_keys *keys);

#endif
