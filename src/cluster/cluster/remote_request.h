/* SPDX-License-Identifier: MIT */
/* What is asked of other nodes, and answered. */
#ifndef VSI_CLUSTER_REMOTE_REQUEST_H
#define VSI_CLUSTER_REMOTE_REQUEST_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"
#include "store/scoped_key.h"
#include "vestry/cluster/cluster.h"

struct vsi_remote_request;

typedef struct vsi_asking {
  const vestry_scoped_key *key;
  json_t *effects, *data; /* data NULL: none */
  bool is_found;          /* as vsi_elsewhere.dispatch */
  bool is_fail_fast;
  uint32_t count; /* what came of it here */
  vestry_err error;
  vestry_answer_fn on_answer; /* NULL: it is not to be told */
  void *ctx;
  /* Or, instead of the key and the effects: */
  const vsi_wire_list *list; /* its id does not count */
  uint64_t only;             /* nodes, a bit each */
  vsi_buffer *page;          /* takes what comes; NULL: nothing but counts is wanted. Valid until on_answer */
} vsi_asking;
/* Whether an ask of a key is under way that has not gone to a node. */
bool vsi_remote_requests_pass_by(const vestry_cluster *cluster, uint64_t hash, unsigned node);
/* Take an ANSWER from another node. Asks that are over are put into *done. Under the lock. */
void vsi_remote_request_take(vestry_cluster *cluster, const vsi_peer *peer, const vsi_wire_message *message,
                             struct vsi_remote_request **done);
/* Call on_answer of the asks in done, and free them. Without the lock. */
void vsi_remote_requests_finish(vestry_cluster *cluster, struct vsi_remote_request *done);
void vsi_remote_requests_due(vestry_timer *timer, void *cluster);
/* End all asks that wait, with this error. */
void vsi_remote_requests_end(vestry_cluster *cluster, vestry_err error);
/* After it; none waits any more. */
void vsi_remote_requests_free(vestry_cluster *cluster);
/* Whether this thread may wait for answers: not inside of the runtime, nor of a function of the application's that the
 * cluster calls. */
bool vsi_remote_request_may_wait(const vestry_cluster *cluster);
/* Inside how many such functions this thread is. */
extern _Thread_local unsigned vsi_cluster_inside;
/* Ask, and wait; on_answer and ctx do not count. OK | BUSY (this thread must not wait) | as on_answer is told */
vestry_err vsi_remote_request_wait(vestry_cluster *cluster, const vsi_asking *asking, uint32_t *ret_count);

/* What the application sends to all nodes, and the instance's dispatch to other nodes. */

/* vsi_elsewhere.is_shared and dispatch */
bool vsi_dispatch_is_shared(const vestry_scoped_key *key, void *cluster);
vestry_err vsi_dispatch_to_others(const vestry_scoped_key *key, json_t *effects, const vestry_dispatch_options *options,
                                  bool is_found, uint32_t *ret_count, void *cluster);

#endif
