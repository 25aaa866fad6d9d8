/* SPDX-License-Identifier: MIT */
/* Channels and keys to which messages were recently sent, but not to all nodes. They are kept while another node may
 * announce late that it has members or streams of them. The caller holds the cluster's lock. */
#ifndef VSI_CLUSTER_RECENT_H
#define VSI_CLUSTER_RECENT_H

#include "vestry/cluster/cluster.h"

void vsi_recent_note(vestry_cluster *cluster, uint64_t hash, uint64_t sent);
/* Return whether, since since_ns, a message was sent that a node did not get. */
bool vsi_recent_was_without(const vestry_cluster *cluster, uint64_t hash, unsigned node, uint64_t since_ns);
/* Check a node that announces now that it has members of a channel. true: it has missed a message. Reported once. */
bool vsi_recent_look_back(vestry_cluster *cluster, uint64_t hash, unsigned node);

#endif
