/* SPDX-License-Identifier: MIT */
/* Answers of tabs to streams of other nodes (app/stream/lease.h). */
#ifndef VSI_CLUSTER_RENEWALS_H
#define VSI_CLUSTER_RENEWALS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/siphash.h"
#include "vestry/cluster/cluster.h"
#include "vestry/error.h"

struct vestry_cluster;

/* NO_MEMORY: what was made is to be finished all the same */
vestry_err vsi_renewals_init(struct vestry_cluster *cluster, vsi_siphash_key key);
void vsi_renewals_stop(struct vestry_cluster *cluster);
void vsi_renewals_finish(struct vestry_cluster *cluster);

/* What other nodes find this one by. No lock. */
void vsi_renewals_address(const unsigned char *lease, unsigned char *ret_address, void *cluster);
/* Tell the node of that address. Whether there is such a node, and the address is this lease's. Takes the lock. */
bool vsi_renewals_add(const unsigned char *lease, const unsigned char *address, void *cluster);
/* Some of another node's, for streams of this one; under the lock. */
void vsi_renewals_take(struct vestry_cluster *cluster, const unsigned char *body, size_t len);

#endif
