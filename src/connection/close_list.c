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
 * - Complete: the runner sets the mark in its first critical section, before it removes a node. A node added before is
 *   in the list and is called; an add that comes later sees the mark and is refused. When the calls are over, the list
 *   is empty for ever, because it only shrinks after the mark is set.
 * - Bounded: a function that registers a node with the connection that is ending is refused, so the calls end.
 * - Memory: after the call of a node begins, neither the list nor the runner touches the node again, so its function
 *   may free it. A thread may cancel a node only if it can be sure that the node still exists, because the result false
 *   does not show whether the call is over. Writes before an add are visible to the call, and writes before the
 *   registration are visible to a thread whose cancel returns true: both through the lock.
 * - No lock is held during calls: nodes are removed one by one, and the lock is released for each call. So a function
 *   can cancel nodes that are not called yet, and a cancel on another thread never waits for a call.
 *
 * The lock is a spin lock instead of a mutex, because an idle stream must be small, threads rarely meet here, and the
 * lock is held for a few instructions. For the same reason each stream stores only the ring's first member instead of a
 * head, and the mark that the calls have begun is a bit of it. */

#define NOTIFIED ((uintptr_t)1)

static vsi_close_node *node_of(const vsi_ring *in) {
  return VSI_RING_OWNER(in, vsi_close_node, in);
}

/* Get and set the first member of the ring; NULL: none. The mark stays. */
static vsi_ring *first_locked(const vsi_close_list *list) {
  return (vsi_ring *)(list->first & ~NOTIFIED);
}
static void set_first_locked(vsi_close_list *list, vsi_ring *first) {
  list->first = (uintptr_t)first | (list->first & NOTIFIED);
}

vestry_err vsi_connection_at_close(vestry_connection *connection, vsi_close_node *node) {
  vsi_close_list *list = &connection->at_close;
  vsi_connection_lock(connection);
  bool is_notified = list->first & NOTIFIED;
  if (!is_notified) {
    vsi_ring *first = first_locked(list);
    vsi_ring_init(&node->in);
    if (first)
      vsi_ring_add_last(first, &node->in);
    else
      set_first_locked(list, &node->in);
  }
  vsi_connection_unlock(connection);
  return is_notified ? VESTRY_CLOSED : VESTRY_OK;
}

void vsi_connection_call_at_close(vestry_connection *connection, vsi_close_node *node, vsi_close_fn fn) {
  vsi_close_node_init(node, fn);
  if (vsi_connection_at_close(connection, node)) fn(node, connection, vsi_connection_cause(connection));
}

static void take_out_locked(vsi_close_list *list, vsi_close_node *node) {
  if (first_locked(list) == &node->in) set_first_locked(list, vsi_ring_is_empty(&node->in) ? NULL : node->in.next);
  vsi_ring_remove(&node->in);
  node->in.next = NULL;
}

bool vsi_connection_cancel_at_close(vestry_connection *connection, vsi_close_node *node) {
  vsi_connection_lock(connection);
  bool in = node->in.next != NULL;
  if (in) take_out_locked(&connection->at_close, node);
  vsi_connection_unlock(connection);
  return in;
}

vsi_close_node *vsi_connection_find_at_close(vestry_connection *connection, vsi_close_fn fn, vsi_close_is_fn is,
                                             const void *ctx) {
  vsi_connection_lock(connection);
  vsi_ring *first = first_locked(&connection->at_close), *at = first;
  while (at && (node_of(at)->fn != fn || (is && !is(node_of(at), ctx)))) at = at->next == first ? NULL : at->next;
  vsi_connection_unlock(connection);
  return at ? node_of(at) : NULL;
}

void vsi_connection_call_close_nodes(vestry_connection *connection, vestry_cause cause) {
  vsi_close_list *list = &connection->at_close;
  for (;;) {
    vsi_connection_lock(connection);
    list->first |= NOTIFIED;
    vsi_close_node *node = first_locked(list) ? node_of(first_locked(list)) : NULL;
    if (node) take_out_locked(list, node);
    vsi_connection_unlock(connection);
    if (!node) return;
    node->fn(node, connection, cause);
  }
}
