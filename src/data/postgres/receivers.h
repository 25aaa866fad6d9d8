/* SPDX-License-Identifier: MIT */
/* Receivers of a pool, for the follower of commits. Any thread; the pool's lock is taken briefly. */
#ifndef VSI_POSTGRES_RECEIVERS_H
#define VSI_POSTGRES_RECEIVERS_H

#include "data/postgres/pool.h"

extern const vsi_sql_receiver_ops vsi_postgres_receiver_ops;

/* Begin or end to follow. Notifies all receivers, because reports before may be incomplete. */
void vsi_postgres_receivers_follow(vsi_postgres_pool *pool, bool is_followed);
/* Return whether a receiver waits for what a commit wrote. keys NULL, here and below: unknown. */
bool vsi_postgres_receivers_want(vsi_postgres_pool *pool, const vsi_postgres_keys *keys);
/* Notify the receivers of a commit that is visible now. */
void vsi_postgres_receivers_notify(vsi_postgres_pool *pool, const vsi_postgres_keys *keys);

#endif
