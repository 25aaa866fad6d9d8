/* SPDX-License-Identifier: MIT */
/* Encoded keys, and keys that are ready.
 *
 *   integer   01  zigzag of the value
 *   string    02  length  bytes …
 *   bytes     03  length  bytes …
 *   tuple     04  count   parts, each encoded …
 *
 * Numbers are LEB128: seven bits a byte, lowest first; the top bit is set if more bytes follow; only the shortest form
 * is valid. The length of an encoding follows from its content, so no encoding is a prefix of another, and a run of
 * encodings can be read in only one way. */
#ifndef VSI_STORE_KEY_H
#define VSI_STORE_KEY_H

#include "vestry/store.h"

/* Compute the length of the result of vestry_key_encode. OK | INVALID | TOO_LARGE. */
vestry_err vsi_key_measure(const vestry_key *key, size_t *ret_len);

/* Format a key of any length, as vestry_key_format does. If the buffer is full, the text is cut, but not inside a
 * character. capacity: not 0. A malformed part ends the text. Returns whether the text was cut. */
VESTRY_API bool vsi_key_show(const void *encoded, size_t len, char *buffer, size_t capacity);

/* A vestry_ready_key. From `key` on it is what vsi_scoped_key_keep writes. */
typedef struct vsi_ready_key {
  vestry_key_type type;  /* READY; in the place of vestry_key's type */
  uint64_t secret;       /* a part of the secret of the hash in `key` */
  vestry_scoped_key key; /* points to `lens` */
  uint32_t unused, lens;
  uint64_t words[31];
} __attribute__((may_alias)) vsi_ready_key;
_Static_assert(sizeof(vsi_ready_key) == sizeof(vestry_ready_key), "room of a ready key");

#endif
