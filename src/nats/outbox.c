/* SPDX-License-Identifier: MIT */
#include "nats/outbox.h"

#include "base/memory.h"

enum { LETTER_BYTES = 128 };

void vsi_nats_outbox_init(vsi_nats_outbox *outbox, size_t max_bytes) {
  *outbox = (vsi_nats_outbox){.max_bytes = max_bytes};
  outbox->end = &outbox->first;
}

void vsi_nats_outbox_add(vsi_nats_outbox *outbox, vsi_nats_letter *letter) {
  letter->next = NULL;
  *outbox->end = letter;
  outbox->end = &letter->next;
}

vsi_nats_letter *vsi_nats_outbox_take(vsi_nats_outbox *outbox) {
  vsi_nats_letter *all = outbox->first;
  outbox->first = NULL;
  outbox->end = &outbox->first;
  return all;
}

vsi_nats_letter *vsi_nats_letter_new(const vestry_host *host, const char *subject, const void *data, size_t len) {
  vsi_nats_letter *letter = vsi_alloc(host, sizeof *letter + len);
  if (!letter) return NULL;
  letter->len = len;
  memcpy(letter->subject, subject, strlen(subject) + 1);
  if (len) memcpy(letter->data, data, len);
  return letter;
}

size_t vsi_nats_letter_bytes(size_t len) {
  return len + LETTER_BYTES;
}
