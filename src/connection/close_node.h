/* SPDX-License-Identifier: MIT */
/* Close listeners: functions of other modules that are called when a connection has ended. A node is embedded in the
 * listener's own data for the connection, so nothing is allocated. (Applications use the close hook.) See close_list.c
 * for the essay. */
#ifndef VSI_CONNECTION_CLOSE_NODE_H
#define VSI_CONNECTION_CLOSE_NODE_H

#include "base/ring.h"
#include "vestry/connection.h"

typedef struct vsi_close_node vsi_close_node;

/* Called when the connection has ended: its transport is gone, its state is CLOSED, and its close hooks have not run
 * yet. Called once, on the connection's runner (or on the thread that abandoned it), no lock held; must not wait for
 * I/O. The list no longer refers to the node, so the function may free it. */
typedef void (*vsi_close_fn)(vsi_close_node *node, vestry_connection *connection, vestry_cause cause);

struct vsi_close_node {
  vsi_close_fn fn;
  vsi_ring in; /* guarded by the connection's lock; next NULL: in no list */
};

/* See vsi_connection_find_at_close. */
typedef bool (*vsi_close_is_fn)(const vsi_close_node *node, const void *ctx);

static inline void vsi_close_node_init(vsi_close_node *node, vsi_close_fn fn) {
  *node = (vsi_close_node){.fn = fn};
}

#endif
