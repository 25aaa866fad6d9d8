/* SPDX-License-Identifier: MIT */
/* The limit on the number of streams of each scope, under any keys. The empty scope is not limited, because all users
 * share it. */
#ifndef VSI_SERVE_SHARES_H
#define VSI_SERVE_SHARES_H

#include "vestry/connection.h"
#include "vestry/store.h"

typedef struct vsi_shares vsi_shares;

/* Create the limit for an instance. OK | NO_MEMORY | IO (no randomness). */
vestry_err vsi_shares_create(const vestry_host *host, size_t max_count, vsi_shares **ret_shares);
/* Destroy the limit, after the last stream has left. NULL is accepted. */
void vsi_shares_destroy(vsi_shares *shares);

/* Count a stream that stays open for its scope until it ends. If the scope has too many streams then, another one is
 * closed with cause REPLACED. shares NULL: there is no limit. OK (the stream may have ended already) | NO_MEMORY. */
vestry_err vsi_shares_enter(vsi_shares *shares, vestry_scope scope, vestry_connection *connection);

/* Return the number of streams closed. NULL: 0. */
uint64_t vsi_shares_outnumbered(const vsi_shares *shares);

#endif
