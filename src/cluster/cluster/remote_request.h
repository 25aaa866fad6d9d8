/* SPDX-License-Identifier: MIT */
/* Requests to other nodes, and their responses. */
#ifndef VSI_CLUSTER_REMOTE_REQUEST_H
#define VSI_CLUSTER_REMOTE_REQUEST_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"
#include "store/scoped_key.h"
#include "vestry/cluster/cluster.h"

/* Return whether a request for a key is being performed that has not been sent to a node. */
bool vsi_remote_requests_pass_by(const vestry_cluster *cluster, uint64_t hash, unsigned node);
/* Handle an ANSWER of another node. Under the lock, whose release reports finished requests (cluster.h). */
void vsi_remote_request_take(vestry_cluster *cluster, const vsi_peer *peer, const vsi_wire_message *message);
/* Handle the replies of another node to questions. As above. */
void vsi_remote_questions_take(vestry_cluster *cluster, const vsi_peer *peer, const vsi_wire_message *message);
/* Call on_answer of finished requests, and free them: vestry_cluster.finish. Without the lock. */
void vsi_remote_requests_finish(vestry_cluster *cluster, void *finished);
/* Run by the timers: end the requests that are due; send the questions that wait. */
void vsi_remote_requests_due(vestry_timer *timer, void *cluster);
void vsi_remote_questions_due(vestry_timer *timer, void *cluster);
/* End all waiting requests with this error. */
void vsi_remote_requests_end(vestry_cluster *cluster, vestry_err error);
/* Number of functions of the application that the cluster is calling on this thread, each inside the one before. */
extern _Thread_local unsigned vsi_cluster_inside;

/* Functions of vsi_elsewhere. */
bool vsi_dispatch_is_shared(const vestry_scoped_key *key, void *cluster);
vestry_err vsi_dispatch_to_others(const vestry_scoped_key *key, json_t *effects, const vestry_dispatch_options *options,
                                  bool is_found, uint32_t *ret_count, void *cluster);

#endif
