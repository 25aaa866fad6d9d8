/* SPDX-License-Identifier: MIT */
/* essay: what is told that a connection has ended, once or not at all */
#include "connection/close_list.h"

/* Three parties meet over a node: the thread that registers it, the thread that cancels it, and the runner that ends
 * the connection. What they rely on:
 *
 * Once.       A node is in the list from the add to the one critical section that takes it out: a cancel's, which sees
 *             it in (next is set) and clears next; or the runner's, which does the same and then calls it. The lock
 *             makes one of them the first, the other finds next cleared. So each node that was let in is either called
 *             or taken back, never both, and never twice.
 * None is     The runner sets `told` in the first of its critical sections, before it takes anything. An add that comes
 * forgotten.  before is in the list and is taken; one that comes after sees `told` and is refused. There is no third.
 *             The list is empty for ever when tell returns: from `told` on it can only shrink.
 * Bounded.    A function that registers a node with the connection that is ending is refused, so tell ends.
 * Memory.     When a node is called, neither the list nor the runner touches it again, so its function may free it, and
 *             a cancel that comes later must not be made by a thread that cannot be sure that the node is still there:
 *             false says nothing about whether the call is over. What is written before an add is visible to the call,
 *             and what the canceller of a node does after its true follows what the thread did that registered it: both
 *             through the lock.
 * No lock is  Nodes are taken one by one, and the lock is given up for each call. So a function can cancel others that
 * held.       are still to come, and a cancel on another thread never waits for a call.
 *
 * The lock is a spin lock, not a mutex: an idle stream is to cost little, hardly anybody ever meets here, and it is
 * held for a few instructions. For the same reason the ring has no head, only its first member: each stream has one. */

static vsi_close_node *node_of(const vsi_ring *in) {
  return VSI_RING_OWNER(in, vsi_close_node, in);
}

void vsi_close_list_init(vsi_close_list *list) {
  list->lock = (vsi_spin_lock){0};
  list->told = false;
  list->first = NULL;
}

vestry_err vsi_close_list_add(vsi_close_list *list, vsi_close_node *node) {
  vsi_spin_lock_take(&list->lock, VSI_LOCK_CLOSE_LIST);
  bool told = list->told;
  if (!told) {
    vsi_ring_init(&node->in);
    if (list->first)
      vsi_ring_add_last(list->first, &node->in);
    else
      list->first = &node->in;
  }
  vsi_spin_lock_give(&list->lock);
  return told ? VESTRY_CLOSED : VESTRY_OK;
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

void vsi_close_list_tell(vsi_close_list *list, vestry_connection *connection, vestry_cause cause) {
  for (;;) {
    vsi_spin_lock_take(&list->lock, VSI_LOCK_CLOSE_LIST);
    list->told = true;
    vsi_close_node *node = list->first ? node_of(list->first) : NULL;
    if (node) take_out_locked(list, node);
    vsi_spin_lock_give(&list->lock);
    if (!node) return;
    node->fn(node, connection, cause);
  }
}
