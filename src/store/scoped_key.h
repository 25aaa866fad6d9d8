/* SPDX-License-Identifier: MIT */
/* A scoped key in one run of bytes, which is made of words so that it is compared and hashed by words:
 *
 *   4 bytes   both lengths: the scope's << 16 | the key's
 *   words     the scope, zeroes up to a word
 *             the key as vestry_key_encode makes it, zeroes up to an even number of words, the scope's included
 *
 * Equal runs are equal scopes and keys. A usual key is packed in one pass, through registers: a wide load of what
 * narrow stores have just written would wait for all of them. */
#ifndef VSI_STORE_SCOPED_KEY_H
#define VSI_STORE_SCOPED_KEY_H

#include "base/keyed_hash.h"
#include "base/processor.h"
#include "base/words.h"
#include "vestry/store.h"

/* Usual keys are made on the stack, so that a look-up allocates nothing; longer ones are allocated. */
enum { VSI_SCOPED_KEY_STACK_WORDS = 48 };

typedef struct vsi_scoped_key {
  /* points into this struct, which must stay where it is, or to heap */
  _Alignas(VSI_CACHE_LINE) vestry_scoped_key key;
  const vestry_host *host;
  uint32_t unused, lens;
  uint64_t words[VSI_SCOPED_KEY_STACK_WORDS]; /* a line begins here: no load of them waits for two stores */
  void *heap;                                 /* NULL: on the stack */
} vsi_scoped_key;

/* OK (finish it) | INVALID | TOO_LARGE | NO_MEMORY. */
VESTRY_API vestry_err vsi_scoped_key_init(vsi_scoped_key *scoped, const vsi_keyed_hash *hash, const vestry_host *host,
                                          vestry_scope scope, const vestry_key *key);
/* The same, the long way, which any key can go. */
vestry_err vsi_scoped_key_init_any(vsi_scoped_key *scoped, const vsi_keyed_hash *hash, const vestry_host *host,
                                   vestry_scope scope, const vestry_key *key);
/* The same for a key that is encoded, whether well or not: one that is not equals none. */
VESTRY_API vestry_err vsi_scoped_key_init_encoded(vsi_scoped_key *scoped, const vsi_keyed_hash *hash,
                                                  const vestry_host *host, vestry_scope scope, vestry_slice encoded);
VESTRY_API void vsi_scoped_key_free(vsi_scoped_key *scoped);
/* Keep a packed key: in `room`, so many bytes for any type, if it is short enough, otherwise in one allocation, which
 * vsi_free frees. room: NULL, 0: an allocation. NULL: out of memory. */
vestry_scoped_key *vsi_scoped_key_keep(const vestry_host *host, const vestry_scoped_key *key, void *room,
                                       size_t room_bytes);

/* ------------------------------------------------------------------------------------------ what it is made of ---- */

static inline size_t vsi_lens_scope(uint32_t lens) {
  return lens >> 16;
}
static inline size_t vsi_lens_key(uint32_t lens) {
  return lens & 0xffff;
}
/* How many words there are, the last of them perhaps a zero: an even number. */
static inline size_t vsi_lens_words(uint32_t lens) {
  return (vsi_words_for(vsi_lens_scope(lens)) + vsi_words_for(vsi_lens_key(lens)) + 1) & ~(size_t)1;
}

static inline uint32_t vsi_scoped_key_lens(const vestry_scoped_key *key) {
  return *(const uint32_t *)(const void *)key->data;
}
/* How many bytes of words, but for the last ones' zeroes. */
static inline size_t vsi_scoped_key_bytes(const vestry_scoped_key *key) {
  return key->len - sizeof(uint32_t);
}
static inline const uint64_t *vsi_scoped_key_words(const vestry_scoped_key *key) {
  return (const uint64_t *)(const void *)(key->data + sizeof(uint32_t));
}

/* The key that stands after its lengths. data: any alignment. */
static inline vestry_scoped_key vsi_scoped_key_at(const void *data, uint32_t lens, uint64_t hash) {
  const unsigned char *bytes = data, *scope = bytes + sizeof lens;
  size_t scope_len = vsi_lens_scope(lens), key_offset = sizeof lens + vsi_words_for(scope_len) * 8;
  return (vestry_scoped_key){bytes, key_offset + vsi_lens_key(lens), key_offset, {scope, scope_len}, hash};
}

static inline void vsi_scoped_key_finish(vsi_scoped_key *scoped) {
  if (__builtin_expect(scoped->heap != NULL, 0)) vsi_scoped_key_free(scoped);
}

/* Whether a key is of a scope. */
static inline bool vsi_scoped_key_is_of(const vestry_scoped_key *key, const vestry_scope *scope) {
  return key->scope.len == scope->len && (scope->len == 0 || memcmp(key->scope.data, scope->data, scope->len) == 0);
}

#endif
