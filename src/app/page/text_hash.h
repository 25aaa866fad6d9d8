/* SPDX-License-Identifier: MIT */
/* A keyed hash of long texts, whose values clients may see: 128 bits, at a few bytes for each cycle.
 *
 * A text may be hashed in pieces. Equal pieces in equal order have equal hashes; another division of the same text has
 * another hash. The reasons are in text_hash.c. */
#ifndef VSI_PAGE_TEXT_HASH_H
#define VSI_PAGE_TEXT_HASH_H

#include "base/siphash.h"

enum { VSI_TEXT_HASH_WORDS = 128, VSI_TEXT_HASH_BLOCK = VSI_TEXT_HASH_WORDS * 8 };

typedef struct vsi_text_key {
  uint64_t nh[VSI_TEXT_HASH_WORDS];
  vsi_siphash_key sums;
} vsi_text_key;

/* Derive a key from a secret, which is used for nothing else. */
void vsi_text_key_derive(vsi_text_key *key, vsi_siphash_key secret);

typedef struct vsi_text_hash {
  const vsi_text_key *key; /* borrowed */
  vsi_siphash_128 sums;
} vsi_text_hash;

void vsi_text_hash_init(vsi_text_hash *hash, const vsi_text_key *key);
/* Add a piece; one without bytes changes nothing. data may be NULL if len is 0. */
void vsi_text_hash_update(vsi_text_hash *hash, const void *data, size_t len);
/* Return the hash of all pieces so far; more can be added afterwards. */
vsi_hash_128 vsi_text_hash_final(const vsi_text_hash *hash);

/* Return a hash of a text and a word that no client sees: it has 64 bits, and takes half the time for short texts. */
uint64_t vsi_text_hash_hidden(const vsi_text_key *key, uint64_t with, const void *data, size_t len);

/* Return the hash of a text in one piece. */
static inline vsi_hash_128 vsi_text_hash_of(const vsi_text_key *key, const void *data, size_t len) {
  vsi_text_hash hash;
  vsi_text_hash_init(&hash, key);
  vsi_text_hash_update(&hash, data, len);
  return vsi_text_hash_final(&hash);
}

#endif
