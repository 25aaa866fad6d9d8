/* SPDX-License-Identifier: MIT */
/* What is told that a connection has ended: other parts of the library, each by a node that is embedded in what it
 * keeps for the connection, so that nothing is allocated. See close_list.c for the essay. (Applications have the close
 * hook.) */
#ifndef VSI_CONNECTION_CLOSE_LIST_H
#define VSI_CONNECTION_CLOSE_LIST_H

#include <stdatomic.h>

#include "base/ring.h"
#include "base/spin_lock.h"
#include "vestry/connection.h"

typedef struct vsi_close_node vsi_close_node;

/* The connection has ended: its transport is gone, its state is CLOSED, its close hooks have not run yet. Once, on the
 * connection's runner (or where it was abandoned), no lock held; must not wait for I/O. The list has forgotten the node
 * and the function may free it. */
typedef void (*vsi_close_fn)(vsi_close_node *node, vestry_connection *connection, vestry_cause cause);

struct vsi_close_node {
  vsi_close_fn fn;
  vsi_ring in; /* guarded by the list's lock; next NULL: in no list */
};

typedef struct vsi_close_list {
  vsi_ring *first;    /* guarded by lock; in order of registration, and after the last one the first again */
  vsi_spin_lock lock; /* held for a few instructions */
  bool told;          /* guarded by lock: the runner has begun to tell, no more nodes are let in */
} vsi_close_list;

void vsi_close_list_init(vsi_close_list *list);
/* Call all nodes, those that came first first. Once. */
void vsi_close_list_tell(vsi_close_list *list, vestry_connection *connection, vestry_cause cause);
vestry_err vsi_close_list_add(vsi_close_list *list, vsi_close_node *node);
bool vsi_close_list_remove(vsi_close_list *list, vsi_close_node *node);
/* The first node with that function; NULL: none. On the runner, and only for nodes that are never taken back: so it
 * stays where it is until the runner itself tells it. */
VESTRY_API vsi_close_node *vsi_close_list_find(vsi_close_list *list, vsi_close_fn fn);

/* The same on any thread, of the nodes of which `is` says so: it looks at a node under the list's lock, so the node is
 * there. What is found is there as long as its function has not begun to free it. */
typedef bool (*vsi_close_is_fn)(const vsi_close_node *node, const void *ctx);
VESTRY_API vsi_close_node *vsi_close_list_find_if(vsi_close_list *list, vsi_close_fn fn, vsi_close_is_fn is,
                                                  const void *ctx);

static inline void vsi_close_node_init(vsi_close_node *node, vsi_close_fn fn) {
  *node = (vsi_close_node){.fn = fn};
}

#endif
