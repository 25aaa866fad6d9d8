/* SPDX-License-Identifier: MIT */
/* Letters that wait to be written, in order, bounded in bytes. Under the broker's lock. */
#ifndef VSI_NATS_OUTBOX_H
#define VSI_NATS_OUTBOX_H

#include "vestry/broker.h"

typedef struct vsi_nats_letter {
  struct vsi_nats_letter *next;
  size_t len;
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  unsigned char data[];
} vsi_nats_letter;

typedef struct vsi_nats_outbox {
  vsi_nats_letter *first, **end;
  size_t bytes, max_bytes; /* of letters that are in it, or taken and not written yet */
} vsi_nats_outbox;

void vsi_nats_outbox_init(vsi_nats_outbox *outbox, size_t max_bytes);
void vsi_nats_outbox_add(vsi_nats_outbox *outbox, vsi_nats_letter *letter);
/* All of it, as a list; they still count. */
vsi_nats_letter *vsi_nats_outbox_take(vsi_nats_outbox *outbox);

/* NULL: out of memory. */
vsi_nats_letter *vsi_nats_letter_new(const vestry_host *host, const char *subject, const void *data, size_t len);
/* What it counts for. */
size_t vsi_nats_letter_bytes(size_t len);

#endif
