/* SPDX-License-Identifier: MIT */
/* essay: close listeners, which are called at most once and never missed */
#include "connection/close_list.h"

/* The close listeners of a connection. A node is the entry of one listener in the list.
 *
 * Three threads use a node: the first registers it, the second cancels it, and the runner ends the connection. They
 * rely on these properties:
 *
 * - Once: a node is in the list from the add until a critical section removes it. This section is either a cancel,
 *   which sees the node in the list (next is set) and clears next, or the runner, which does the same and then calls
 *   the node. The lock orders the two sections, and the second finds next cleared. So each accepted node is either
 *   called or cancelled, never both, and never twice.
 * - Complete: the runner sets `told` in its first critical section, before it removes a node. A node added before is in
 *   the list and is called; an add that comes later sees `told` and is refused. When the calls are over, the list is
 *   empty for ever, because it only shrinks after `told` is set.
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
 * head. */

static vsi_close_node *node_of(const vsi_ring *in) {
  return VSI_RING_OWNER(in, vsi_close_node, in);
}

void vsi_close_list_init(vsi_close_list *list) {
  list->lock = (vsi_spin_lock){0};
  list->is_notified = false;
  list->first = NULL;
}

vestry_err vsi_close_list_add(vsi_close_list *list, vsi_close_node *node) {
  vsi_spin_lock_take(&list->lock, VSI_LOCK_CLOSE_LIST);
  bool is_notified = list->is_notified;
  if (!is_notified) {
    vsi_ring_init(&node->in);
    if (list->first)
      vsi_ring_add_last(list->first, &node->in);
    else
      list->first = &node->in;
  }
  vsi_spin_lock_give(&list->lock);
  return is_notified ? VESTRY_CLOSED : VESTRY_OK;
}

static void take_out_locked(vsi_close_list *list, vsi_close_node *node) {
  if (list->first == &node->in) list->first = vsi_ring_is_empty(&node->in) ? NULL : node->in.next;
  vsi_ring_remove(&node->in);
  node->in.next = NULL;
}

bool vsi_close_list_remove(vsi_close_list *list, vsi_close_node *node) {
  vsi_spin_lock_take(&list->lock, VSI_LOCK_CLOSE_LIST);
  bool in = node->in.next != NULL;
  if (in) take_out_locked(list, node);
  vsi_spin_lock_give(&list->lock);
  return in;
}

vsi_close_node *vsi_close_list_find_if(vsi_close_list *list, vsi_close_fn fn, vsi_close_is_fn is, const void *ctx) {
  vsi_spin_lock_take(&list->lock, VSI_LOCK_CLOSE_LIST);
  vsi_ring *at = list->first;
  while (at && (node_of(at)->fn != fn || (is && !is(node_of(at), ctx)))) at = at->next == list->first ? NULL : at->next;
  vsi_spin_lock_give(&list->lock);
  return at ? node_of(at) : NULL;
}

vsi_close_node *vsi_close_list_find(vsi_close_list *list, vsi_close_fn fn) {
  return vsi_close_list_find_if(list, fn, NULL, NULL);
}

void vsi_close_list_notify(vsi_close_list *list, vestry_connection *connection, vestry_cause cause) {
  for (;;) {
    vsi_spin_lock_take(&list->lock, VSI_LOCK_CLOSE_LIST);
    list->is_notified = true;
    vsi_close_node *node = list->first ? node_of(list->first) : NULL;
    if (node) take_out_locked(list, node);
    vsi_spin_lock_give(&list->lock);
    if (!node) return;
    node->fn(node, connection, cause);
  }
}
