/* SPDX-License-Identifier: MIT */
/* Renewals of leases of streams on other nodes (app/stream/lease.h). */
#ifndef VSI_CLUSTER_RENEWALS_H
#define VSI_CLUSTER_RENEWALS_H

#include <stdbool.h>
#include <stddef.h>

#include "vestry/cluster/cluster.h"
#include "vestry/error.h"

struct vestry_cluster;

/* Write the address of this node for a lease, which a tab returns with a renewal. No lock. */
void vsi_renewals_address(const unsigned char *lease, unsigned char *ret_address, void *cluster);
/* Forward a renewal to the node of an address. false: there is no such node, or the address was not given out for this
 * lease. Takes the lock. */
bool vsi_renewals_add(const unsigned char *lease, const unsigned char *address, void *cluster);
/* Send the waiting renewals. Under the lock. */
void vsi_renewals_send(struct vestry_cluster *cluster);
/* Handle renewals that another node has forwarded. Under the lock. */
void vsi_renewals_take(struct vestry_cluster *cluster, const unsigned char *body, size_t len);

#endif
