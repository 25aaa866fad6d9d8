/* SPDX-License-Identifier: MIT */
/* essay: close listeners, which are called at most once and never missed */
#include "connection/connection.h"

/* The close listeners of a connection. A node is the entry of one listener in the list.
 *
 * Three threads use a node: the first registers it, the second cancels it, and the runner ends the connection. They
 * rely on these properties:
 *
 * - Once: a node is in the list from the add until a critical section removes it. This section is either a cancel,
 *   which sees the node in the list (next is set) and clears next, or the runner, which does the same and then calls
 *   the node. The lock orders the two sections, and the second finds next cleared. So each accepted node is either
 *   called or cancelled, never both, and never twice.
 * - Complete: the runner sets the state CLOSED before its first critical section. A node added before this section is
 *   in the list and is called; an add that comes later sees the state and is refused. When the calls are over, the list
 *   is empty for ever, because it only shrinks after the first section.
 * - Bounded: a function that registers a node with the connection that is ending is refused, so the calls end.
 * - Memory: after the call of a node begins, neither the list nor the runner touches the node again, so its function
 *   may free it. A thread may cancel a node only if it can be sure that the node still exists, because the result false
 *   does not show whether the call is over. Writes before an add are visible to the call, and writes before the
 *   registration are visible to a thread whose cancel returns true: both through the lock.
 * - No lock is held during calls: nodes are removed one by one, and the lock is released for each call. So a function
 *   can cancel nodes that are not called yet, and a cancel on another thread never waits for a call.
 *
 * The lock is a spin lock instead of a mutex, because an idle stream must be small, threads rarely meet here, and the
 * lock is held for a few instructions. For the same reason each stream stores the first node of a ring instead of a
 * head. */

static vsi_close_node *node_of(const vsi_ring *in) {
  return in ? VSI_RING_OWNER(in, vsi_close_node, in) : NULL;
}

vestry_err vsi_connection_at_close(vestry_connection *connection, vsi_close_node *node) {
  vsi_connection_lock(connection);
  /* relaxed: the lock orders it, see above */
  const bool has_ended = atomic_load_explicit(&connection->state, memory_order_relaxed) == VESTRY_STATE_CLOSED;
  if (!has_ended && connection->at_close)
    vsi_ring_add_last(connection->at_close, &node->in);
  else if (!has_ended)
    vsi_ring_init(connection->at_close = &node->in);
  vsi_connection_unlock(connection);
  return has_ended ? VESTRY_CLOSED : VESTRY_OK;
}

void vsi_connection_call_at_close(vestry_connection *connection, vsi_close_node *node, vsi_close_fn fn) {
  vsi_close_node_init(node, fn);
  if (vsi_connection_at_close(connection, node)) fn(node, connection, vsi_connection_cause(connection));
}

static bool take_out_locked(vestry_connection *connection, vsi_close_node *node) {
  vsi_ring *in = &node->in, *next = in->next;
  if (!next) return false;
  if (connection->at_close == in) connection->at_close = next == in ? NULL : next;
  vsi_ring_remove(in);
  in->next = NULL;
  return true;
}

bool vsi_connection_cancel_at_close(vestry_connection *connection, vsi_close_node *node) {
  vsi_connection_lock(connection);
  const bool was_in = take_out_locked(connection, node);
  vsi_connection_unlock(connection);
  return was_in;
}

vsi_close_node *vsi_connection_find_at_close(vestry_connection *connection, vsi_close_fn fn, vsi_close_is_fn is,
                                             const void *ctx) {
  vsi_connection_lock(connection);
  vsi_ring *first = connection->at_close, *at = first;
  while (at && (node_of(at)->fn != fn || (is && !is(node_of(at), ctx)))) at = at->next == first ? NULL : at->next;
  vsi_connection_unlock(connection);
  return node_of(at);
}

void vsi_connection_call_close_nodes(vestry_connection *connection, vestry_cause cause) {
  for (vsi_close_node *node;;) {
    vsi_connection_lock(connection);
    node = node_of(connection->at_close);
    if (node) (void)take_out_locked(connection, node);
    vsi_connection_unlock(connection);
    if (!node) return;
    node->fn(node, connection, cause);
  }
}
