/* SPDX-License-Identifier: MIT */
/* Letters to one subject that waited together go as one message of NATS: a server and libnats work for each message,
 * however short. A letter that goes alone is the message.
 *
 *   MARK (1), how many letters (1), and of each: how many bytes (4, little-endian), the bytes
 *
 * A letter that begins with MARK itself never goes as it is. What comes in is judged as a whole before any letter of it
 * is told: a message that begins with MARK, and is not what it says, is told as it is, and is for its receiver to
 * refuse. */
#ifndef VSI_NATS_JOINED_H
#define VSI_NATS_JOINED_H

#include <stdbool.h>

#include "vestry/host.h"

enum {
  VSI_NATS_JOINED_MARK = 1,
  VSI_NATS_JOINED_HEAD = 2,
  VSI_NATS_JOINED_EACH = 4,
  VSI_NATS_JOINED_MOST = 255,   /* letters */
  VSI_NATS_JOINED_BYTES = 65536 /* of a message that has several */
};

/* Whether a letter cannot go as it is. */
bool vsi_nats_joined_must(const void *data, size_t len);
/* Append a letter to a message, which is empty before the first; there is room for HEAD once, EACH and the letter.
 * Returns how many bytes the message has. Not more than MOST. */
size_t vsi_nats_joined_add(unsigned char *message, size_t message_len, const void *data, size_t len);

/* The letters of a message, one after the other. */
typedef struct vsi_nats_joined {
  const unsigned char *at;
  size_t count; /* that are left */
} vsi_nats_joined;

/* false: the message is one letter. */
bool vsi_nats_joined_open(const void *data, size_t len, vsi_nats_joined *ret_joined);
/* The next letter, of those that are left. */
vestry_slice vsi_nats_joined_next(vsi_nats_joined *joined);

#endif
