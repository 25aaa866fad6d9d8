/* SPDX-License-Identifier: MIT */
/* Other nodes, as the modules above see them: a layer above says how they are reached (cluster/). A module that looks
 * here first and finds what it looks for pays a hash and a few loads. */
#ifndef VSI_INSTANCE_ELSEWHERE_H
#define VSI_INSTANCE_ELSEWHERE_H

#include "instance/instance.h"
#include "store/scoped_key.h"
#include "vestry/value.h"

struct vestry_dispatch_options;
struct vestry_dispatch_result;

typedef struct vsi_elsewhere {
  /* A key was dispatched to here. false: no other node holds it, as far as they have told; a node that tells too late
   * that it did is told of a gap. */
  bool (*is_shared)(const vestry_scoped_key *key, void *ctx);
  /* Dispatch to the connections that other nodes have under a key, and wait for their answers.
   *  is_found    it is held here too: only nodes that are known to hold it are asked
   *  ret_count   how many connections; set in every case
   *  Returns  OK | NOT_FOUND (no stream) | TIMEOUT | IO | BUSY (this thread must not wait) | what they answer */
  vestry_err (*dispatch)(const vestry_scoped_key *key, json_t *effects, const struct vestry_dispatch_options *options,
                         bool is_found, uint32_t *ret_count, void *ctx);
  /* Send an event to the members that a channel has there. OK | NOT_FOUND (no member) | FULL, IO, TOO_LARGE, NO_MEMORY
   * (some nodes do not get it; those that live are told so) */
  vestry_err (*broadcast)(const vestry_scoped_key *name, vestry_event *event, void *ctx);
  /* Whether another node is known to hold a key. */
  bool (*is_held)(const vestry_scoped_key *key, void *ctx);
  /* The instance has begun to drain. Does not block. */
  void (*drains)(void *ctx);
  /* NULL, both: is_held is all that is known. This node alone may keep streams under a key, until `reserved` at least,
   * which is called once they are in the store, or are not. OK | EXISTS (another node holds it) | LIMIT (that is not
   * known) | NO_MEMORY. It may wait, for some seconds. */
  vestry_err (*reserve)(const vestry_scoped_key *key, void *ctx);
  void (*reserved)(const vestry_scoped_key *key, void *ctx);
  /* The address of this node for a lease of a stream of its own (app/stream/lease.h: VSI_LEASE_BYTES,
   * VSI_ADDRESS_BYTES); and tell the node of an address that its lease is renewed: whether there is such a node, and it
   * gave that address for that lease. Neither blocks. */
  void (*address)(const unsigned char *lease, unsigned char *ret_address, void *ctx);
  bool (*renew)(const unsigned char *lease, const unsigned char *address, void *ctx);
  void *ctx;
} vsi_elsewhere;

static inline const vsi_elsewhere *vsi_instance_elsewhere(const vestry *v) {
  return atomic_load_explicit(&v->elsewhere, memory_order_acquire); /* pairs with the release of the thread that sets
                                                                       it */
}

#endif
