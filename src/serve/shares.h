/* SPDX-License-Identifier: MIT */
/* How many streams each scope has, whatever keys they have, of an instance that bounds them. Not of the scope without a
 * name: it is everybody's. */
#ifndef VSI_SERVE_SHARES_H
#define VSI_SERVE_SHARES_H

#include "vestry/connection.h"
#include "vestry/store.h"

typedef struct vsi_shares vsi_shares;

/* OK | NO_MEMORY | IO (no randomness). */
vestry_err vsi_shares_create(const vestry_host *host, size_t max_count, vsi_shares **ret_shares);
/* No stream is entered any more. NULL is accepted. */
void vsi_shares_destroy(vsi_shares *shares);

/* A stream that is going to stay is one of its scope's from here to its end. If the scope has too many then, another
 * one is closed for REPLACED. shares NULL: there is no bound. OK (it has ended already, perhaps) | NO_MEMORY. */
vestry_err vsi_shares_enter(vsi_shares *shares, vestry_scope scope, vestry_connection *connection);

/* How many were closed. NULL: none. */
uint64_t vsi_shares_outnumbered(const vsi_shares *shares);

#endif
