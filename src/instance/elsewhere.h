/* SPDX-License-Identifier: MIT */
/* Other nodes, as the modules of the core access them; the cluster, a layer above, implements the access (cluster/). A
 * module first searches its own node; if it finds the key there, the access costs only a hash and a few loads. */
#ifndef VSI_INSTANCE_ELSEWHERE_H
#define VSI_INSTANCE_ELSEWHERE_H

#include "instance/instance.h"
#include "store/scoped_key.h"
#include "vestry/value.h"

struct vestry_dispatch_options;
struct vestry_dispatch_result;

typedef struct vsi_elsewhere {
  /* Return whether another node may hold a key to which this node has dispatched. false: no other node has announced
   * it. A node that announces too late that it held the key receives a gap. */
  bool (*is_shared)(const vestry_scoped_key *key, void *ctx);
  /* Dispatch to the connections that other nodes hold under a key, and wait for their replies.
   * is_found   this node holds the key, too: only nodes that are known to hold it receive the dispatch
   * ret_count  number of connections; always set
   * Returns  OK | NOT_FOUND (no stream) | TIMEOUT | IO | BUSY (this thread must not wait) | their result */
  vestry_err (*dispatch)(const vestry_scoped_key *key, json_t *effects, const struct vestry_dispatch_options *options,
                         bool is_found, uint32_t *ret_count, void *ctx);
  /* Send an event to the members of a channel on other nodes. OK | NOT_FOUND (no member) | FULL, IO, TOO_LARGE,
   * NO_MEMORY (some nodes do not receive it; the live nodes receive a report of the loss) */
  vestry_err (*broadcast)(const vestry_scoped_key *name, vestry_event *event, void *ctx);
  /* Return whether another node is known to hold a key. */
  bool (*is_held)(const vestry_scoped_key *key, void *ctx);
  /* Report that the instance has begun to drain. Does not block. */
  void (*drains)(void *ctx);
  /* `address` returns this node's address for a lease of one of its streams (app/stream/lease.h: VSI_LEASE_BYTES,
   * VSI_ADDRESS_BYTES). `renew` reports to the node of an address that its lease was renewed; it returns whether there
   * is such a node and it issued that address for that lease. Neither blocks. */
  void (*address)(const unsigned char *lease, unsigned char *ret_address, void *ctx);
  bool (*renew)(const unsigned char *lease, const unsigned char *address, void *ctx);
  void *ctx;
} vsi_elsewhere;

static inline const vsi_elsewhere *vsi_instance_elsewhere(const vestry *v) {
  return atomic_load_explicit(&v->elsewhere, memory_order_acquire); /* pairs with the release of the setting thread */
}

#endif
