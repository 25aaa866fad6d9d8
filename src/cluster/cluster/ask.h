/* SPDX-License-Identifier: MIT */
/* What is asked of other nodes, and answered. */
#ifndef VSI_CLUSTER_ASK_H
#define VSI_CLUSTER_ASK_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"
#include "store/scoped_key.h"

struct vsi_ask;

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
/* Ask; on_answer is called, unless it fails. ret_id may be NULL. OK | NO_MEMORY | CLOSED */
vestry_err vsi_ask_begin(vestry_cluster *cluster, const vsi_asking *asking, uint64_t *ret_id);
/* Whether an ask of a key is under way that has not gone to a node. */
bool vsi_asks_pass_by(const vestry_cluster *cluster, uint64_t hash, unsigned node);
/* Call on_answer with what came of the ask on this node, where no other is asked. Without the lock; on_answer may be
 * NULL. */
void vsi_ask_answer(vestry_answer_fn on_answer, vestry_err error, uint32_t count, void *ctx);
/* Take an ANSWER from another node. Asks that are over are put into *done. Under the lock. */
void vsi_ask_take(vestry_cluster *cluster, const vsi_peer *peer, const vsi_wire_message *message,
                  struct vsi_ask **done);
/* Call on_answer of the asks in done, and free them. Without the lock. */
void vsi_asks_finish(vestry_cluster *cluster, struct vsi_ask *done);
void vsi_asks_due(vestry_timer *timer, void *cluster);
/* End all asks that wait, with this error. */
void vsi_asks_end(vestry_cluster *cluster, vestry_err error);
/* After it; none waits any more. */
void vsi_asks_free(vestry_cluster *cluster);
/* Whether this thread may wait for answers: not inside of the runtime, nor of a function of the application's that the
 * cluster calls. */
bool vsi_ask_may_wait(const vestry_cluster *cluster);
/* Inside how many such functions this thread is. */
extern _Thread_local unsigned vsi_cluster_inside;
/* Ask, and wait; on_answer and ctx do not count. OK | BUSY (this thread must not wait) | as on_answer is told */
vestry_err vsi_ask_wait(vestry_cluster *cluster, const vsi_asking *asking, uint32_t *ret_count);

#endif
