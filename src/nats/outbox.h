/* What waits for the thread that speaks to libnats, in order: messages, and interests that have changed. Messages are
 * bounded in bytes; an interest is in it once at most, so these are bounded by themselves. Under the broker's lock. */
#ifndef VSI_NATS_OUTBOX_H
#define VSI_NATS_OUTBOX_H

#include "vestry/broker.h"

typedef struct vsi_nats_item {
  struct vsi_nats_item *next;
  bool is_interest; /* otherwise a vsi_nats_letter */
} vsi_nats_item;

typedef struct vsi_nats_letter {
  vsi_nats_item item; /* first */
  size_t len;
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  unsigned char data[];
} vsi_nats_letter;

typedef struct vsi_nats_outbox {
  vsi_nats_item *first, **end;
  size_t bytes, max_bytes; /* of letters that are in it, or taken and not written yet */
} vsi_nats_outbox;

void vsi_nats_outbox_init(vsi_nats_outbox *outbox, size_t max_bytes);
void vsi_nats_outbox_add(vsi_nats_outbox *outbox, vsi_nats_item *item);
/* All of it, as a list; its letters still count. */
vsi_nats_item *vsi_nats_outbox_take(vsi_nats_outbox *outbox);

/* NULL: out of memory. */
vsi_nats_letter *vsi_nats_letter_new(const vestry_host *host, const char *subject, const void *data, size_t len);
/* What it counts for. */
size_t vsi_nats_letter_bytes(size_t len);

#endif
