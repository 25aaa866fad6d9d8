/* SPDX-License-Identifier: MIT */
/* essay: the mailbox */
#include "runtime/mailbox.h"

/* The mailbox is a queue with many producers and one consumer: a singly linked list. Producers append at `head`, and
 * the consumer removes at `tail`:
 *
 *        tail                          head
 *         |                             |
 *         v      next         next      v
 *       [ a ] ---------> [ b ] ···> [ c ] -> NULL        ···> a link that its producer has not written yet
 *
 * It is Dmitry Vyukov's intrusive MPSC node-based queue ("Intrusive MPSC node-based queue", 1024cores.net). A push is
 * one exchange and one store, independent of other threads: wait-free. Its price is the moment between the exchange and
 * the store, when the list is cut: everything after the cut is in the queue, but the consumer cannot reach it. Then pop
 * returns NULL. The producer notifies the consumer after its store, so the consumer tries again.
 *
 * Compared with Concurrency Kit (bench-containers, two processors, nanoseconds for each message, four producers): this
 * mailbox needs 54, ck_stack with reversal 32, ck_ring 83, ck_fifo 110. A ring is bounded, but a push must not fail. A
 * stack has the right order only after its consumer has reversed all waiting messages.
 *
 * - Invariant: when all links are written, the nodes that are reached from tail by `next` are all mails that were
 *   pushed and not popped, in the order of the exchanges on head. The last one is *head. The list always has a node:
 *   the stub takes its place when the consumer removes the last mail. The stub is in the list at most once, because
 *   only the consumer pushes it, and only if tail, which is not the stub, is also the last node.
 * - Order: the exchanges on head have a total order. So the mails of one producer keep their order.
 * - Memory: two threads write the `next` of a node: its owner before the exchange (NULL), and the producer whose
 *   exchange returned the node. pop returns a node only after it has read a non-NULL next from it. So that producer has
 *   already written, and no thread touches the node again: the consumer may free it at once.
 * - Pairing: [L] the store-release of prev->next pairs with the load-acquire of next in pop: the content of a mail is
 *   visible before the mail. [X] the exchange is acq_rel: its acquire pairs with the release of the exchange that put
 *   prev there. So prev->next = NULL, written before that exchange, cannot come after our link and overwrite it. */

void vsi_mailbox_init(vsi_mailbox *box) {
  atomic_init(&box->stub.next, NULL);
  atomic_init(&box->head, &box->stub);
  box->tail = &box->stub;
}

vsi_mail *vsi_mailbox_pop(vsi_mailbox *box) {
  vsi_mail *tail = box->tail;
  vsi_mail *next = atomic_load_explicit(&tail->next, memory_order_acquire); /* [L] */
  if (tail == &box->stub) {                                                 /* skip the stub */
    if (!next) return NULL;
    box->tail = tail = next;
    next = atomic_load_explicit(&tail->next, memory_order_acquire); /* [L] */
  }
  if (!next) {
    /* tail is the last node, or the link after it is not written yet. Only in the first case may the stub be pushed. If
     * a producer pushes between this load and the push, the stub lands after its mail, which is also correct. The load
     * is relaxed, because the exchange inside the push orders what follows. */
    if (atomic_load_explicit(&box->head, memory_order_relaxed) != tail) return NULL;
    vsi_mailbox_push(box, &box->stub);
    next = atomic_load_explicit(&tail->next, memory_order_acquire); /* [L] */
    if (!next) return NULL;
  }
  box->tail = next;
  return tail;
}

bool vsi_mailbox_is_empty(const vsi_mailbox *box) {
  return box->tail == &box->stub && !atomic_load_explicit(&box->stub.next, memory_order_acquire); /* [L] */
}
