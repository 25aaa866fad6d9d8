/* SPDX-License-Identifier: MIT */
/* What the application sends to all nodes, and the instance's dispatch to other nodes. */
#ifndef VSI_CLUSTER_DISPATCH_H
#define VSI_CLUSTER_DISPATCH_H

#include "store/scoped_key.h"
#include "vestry/cluster/cluster.h"

/* vsi_elsewhere.is_shared and dispatch */
bool vsi_dispatch_is_shared(const vestry_scoped_key *key, void *cluster);
vestry_err vsi_dispatch_to_others(const vestry_scoped_key *key, json_t *effects, const vestry_dispatch_options *options,
                                  bool is_found, uint32_t *ret_count, void *cluster);

#endif
