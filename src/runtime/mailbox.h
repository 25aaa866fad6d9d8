/* SPDX-License-Identifier: MIT */
/* An unbounded intrusive queue: many producers, one consumer (Vyukov's). See mailbox.c for the essay. */
#ifndef VSI_RUNTIME_MAILBOX_H
#define VSI_RUNTIME_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct vsi_mail {
  _Atomic(struct vsi_mail *) next;
} vsi_mail;

typedef struct vsi_mailbox {
  _Atomic(vsi_mail *) head; /* producers swap here */
  vsi_mail *tail;           /* used by the consumer only */
  vsi_mail stub;
} vsi_mailbox;

void vsi_mailbox_init(vsi_mailbox *box);

/* Push a mail. Wait-free, any thread. */
static inline void vsi_mailbox_push(vsi_mailbox *box, vsi_mail *mail) {
  atomic_store_explicit(&mail->next, NULL, memory_order_relaxed);                    /* published by [X] */
  vsi_mail *prev = atomic_exchange_explicit(&box->head, mail, memory_order_acq_rel); /* [X] */
  atomic_store_explicit(&prev->next, mail, memory_order_release);                    /* [L] */
}

/* Take the oldest. NULL: the queue is empty, or a push is incomplete (its producer has not linked it yet, and will
 * notify the consumer when it has). One consumer at a time. */
vsi_mail *vsi_mailbox_pop(vsi_mailbox *box);

/* Return whether the mailbox is empty. Consumer only. false: a mail was pushed that pop has not returned yet (pop may
 * still return NULL). true: there is none, or the first push is incomplete. */
bool vsi_mailbox_is_empty(const vsi_mailbox *box);

#endif
