/* SPDX-License-Identifier: MIT */
/* essay: the mailbox */
#include "runtime/mailbox.h"

/* The queue is a singly linked list that producers extend at `head` and the consumer eats at `tail`:
 *
 *        tail                          head
 *         |                             |
 *         v      next         next      v
 *       [ a ] ---------> [ b ] ···> [ c ] -> NULL        ···> a link that its producer has not written yet
 *
 * It is Dmitry Vyukov's intrusive MPSC node-based queue ("Intrusive MPSC node-based queue", 1024cores.net). A push is
 * one exchange and one store, whatever the others do: wait-free. The price is the moment between the two, when the list
 * is cut: everything after the cut is in the queue, but the consumer cannot reach it. pop then says NULL, and the
 * producer's notify, which comes after its store, makes the consumer look again.
 *
 * Beside Concurrency Kit's (bench-containers, two processors, nanoseconds a message, four producers): 54, ck_stack that
 * is turned round 32, ck_ring 83, ck_fifo 110. A ring is bounded, and a push must not fail. A stack has the order that
 * its consumer makes by walking over all that waits.
 *
 * Invariant.   Following `next` from tail meets every mail that was pushed and not popped, in the order of the
 *              exchanges on head, once the cuts are mended; the last one is *head. The list is never without a node:
 *              the stub stands in when the consumer takes the last mail. The stub is in the list at most once, because
 *              the consumer alone pushes it, and only when tail, which is not the stub, is also the last node.
 * Order.       The exchanges on head are one total order, so mails of one producer stay in its order, and a chain,
 *              which enters by one exchange, stays together.
 * Memory.      A node has two writers of its `next`: its owner before the exchange (NULL), and the one producer whose
 *              exchange returned it. pop hands a node out only when it has read a non-NULL next from it, so that
 *              producer has already written, and no thread touches the node again: the consumer may free it at once.
 * Pairing.     [L] store-release of prev->next with the load-acquire of next in pop: the mail's contents are visible
 *              before the mail is. [X] the exchange is acq_rel: its acquire half pairs with the release half of the
 *              exchange that put prev there, so that prev->next = NULL, written before that one, cannot overtake and
 *              wipe out our link. */

void vsi_mailbox_init(vsi_mailbox *box) {
  atomic_init(&box->stub.next, NULL);
  atomic_init(&box->head, &box->stub);
  box->tail = &box->stub;
}

vsi_mail *vsi_mailbox_pop(vsi_mailbox *box) {
  vsi_mail *tail = box->tail;
  vsi_mail *next = atomic_load_explicit(&tail->next, memory_order_acquire); /* [L] */
  if (tail == &box->stub) {                                                 /* step over the stand-in */
    if (!next) return NULL;
    box->tail = tail = next;
    next = atomic_load_explicit(&tail->next, memory_order_acquire); /* [L] */
  }
  if (!next) {
    /* tail is the last node, or the link after it is under way. Only in the first case may the stub go in; when a
     * producer slips in between this look and the push, the stub lands after its mail, which is just as well. The load
     * is relaxed: the exchange inside the push orders what follows from it. */
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
