/* SPDX-License-Identifier: MIT */
/* A scoped key as one run of bytes, made of words so that it can be compared and hashed by words:
 *
 *   4 bytes   both lengths: the scope's << 16 | the key's
 *   words     the scope, zero-padded to a whole word
 *             the key as vestry_key_encode makes it, zero-padded so that scope and key have an even number of words
 *
 * Two runs are equal if and only if scopes and keys are equal. A common key is packed in one pass through registers,
 * because a wide load that follows narrow stores to the same bytes would wait for all of them. */
#ifndef VSI_STORE_SCOPED_KEY_H
#define VSI_STORE_SCOPED_KEY_H

#include <string.h>

#include "base/keyed_hash.h"
#include "base/processor.h"
#include "store/key.h"

/* Two words; the address may have any alignment. */
typedef uint64_t vsi_word_pair __attribute__((vector_size(16), aligned(1), may_alias));

static inline size_t vsi_words_for(size_t bytes) {
  return (bytes + 7) / 8;
}

/* Return whether this number of bytes is equal, rounded up to pairs of words. bytes > 0. A key that an
 * entry contains has at most three pairs, which are compared without a loop. */
static inline bool vsi_words_equal(const uint64_t *a, const uint64_t *b, size_t bytes) {
  const vsi_word_pair *one = (const void *)a, *other = (const void *)b;
  vsi_word_pair differ = one[0] ^ other[0];
  if (bytes > 16) differ |= one[1] ^ other[1];
  if (bytes > 32) differ |= one[2] ^ other[2];
  for (size_t i = 3; i < (bytes + 15) / 16; i++) differ |= one[i] ^ other[i];
  return !(differ[0] | differ[1]);
}

/* Copy this number of bytes, rounded up to pairs of words. bytes > 0. */
static inline void vsi_words_copy(uint64_t *to, const void *from, size_t bytes) {
  const uint64_t *end = to + (bytes + 7) / 8;
  const vsi_word_pair *pair = from;
  do *(vsi_word_pair *)(void *)to = *pair++, to += 2;
  while (to < end);
}

/* Common keys are packed on the stack, so that a lookup allocates nothing; longer ones are allocated. */
enum { VSI_SCOPED_KEY_STACK_WORDS = 48 };

typedef struct vsi_scoped_key {
  _Alignas(VSI_CACHE_LINE) const vestry_scoped_key *key; /* `own`, or that of a ready key */
  vestry_scoped_key own;                                 /* points into this struct, which must not move, or to heap */
  uint32_t unused, lens;
  uint64_t words[VSI_SCOPED_KEY_STACK_WORDS]; /* starts a cache line, so that no load of words waits for two stores */
  const vestry_host *host;
  void *heap; /* NULL: on the stack */
} vsi_scoped_key;

/* Pack a scope and a key that is not ready. OK | INVALID | TOO_LARGE | NO_MEMORY. */
VESTRY_API vestry_err vsi_scoped_key_pack(vsi_scoped_key *scoped, const vsi_keyed_hash *hash, const vestry_host *host,
                                          vestry_scope scope, const vestry_key *key);
VESTRY_API void vsi_scoped_key_free(vsi_scoped_key *scoped);
/* Copy a packed key into `room` (room_bytes, aligned for any type) if it is short enough, otherwise into one
 * allocation, which the caller frees with vsi_free. room NULL, room_bytes 0: always allocate. Returns NULL if out of
 * memory. */
vestry_scoped_key *vsi_scoped_key_keep(const vestry_host *host, const vestry_scoped_key *key, void *room,
                                       size_t room_bytes);

/* ---------------------------------------------------------------------------------------------- parts of a key ---- */

static inline size_t vsi_lens_scope(uint32_t lens) {
  return lens >> 16;
}
static inline size_t vsi_lens_key(uint32_t lens) {
  return lens & 0xffff;
}
/* Return the number of words, rounded up to an even number; the last word may be zero. */
static inline size_t vsi_lens_words(uint32_t lens) {
  return (vsi_words_for(vsi_lens_scope(lens)) + vsi_words_for(vsi_lens_key(lens)) + 1) & ~(size_t)1;
}

static inline uint32_t vsi_scoped_key_lens(const vestry_scoped_key *key) {
  return *(const uint32_t *)(const void *)key->data;
}
/* Return the number of bytes of the words, without the padding of the last ones. */
static inline size_t vsi_scoped_key_bytes(const vestry_scoped_key *key) {
  return key->len - sizeof(uint32_t);
}
static inline const uint64_t *vsi_scoped_key_words(const vestry_scoped_key *key) {
  return (const uint64_t *)(const void *)(key->data + sizeof(uint32_t));
}

/* Return the key whose lengths are at data, with the words after them. data: any alignment. */
static inline vestry_scoped_key vsi_scoped_key_at(const void *data, uint32_t lens, uint64_t hash) {
  const unsigned char *bytes = data, *scope = bytes + sizeof lens;
  size_t scope_len = vsi_lens_scope(lens), key_offset = sizeof lens + vsi_words_for(scope_len) * 8;
  return (vestry_scoped_key){bytes, key_offset + vsi_lens_key(lens), key_offset, {scope, scope_len}, hash};
}

static inline void vsi_scoped_key_finish(vsi_scoped_key *scoped) {
  if (__builtin_expect(scoped->heap != NULL, 0)) vsi_scoped_key_free(scoped);
}

/* Return whether a key has this scope. */
static inline bool vsi_scoped_key_is_of(const vestry_scoped_key *key, const vestry_scope *scope) {
  return key->scope.len == scope->len && (scope->len == 0 || memcmp(key->scope.data, scope->data, scope->len) == 0);
}

/* Pack a scope and an encoded key that was checked, marked by a pointer to itself. As vsi_scoped_key_init. */
static inline vestry_err vsi_scoped_key_init_encoded(vsi_scoped_key *scoped, const vsi_keyed_hash *hash,
                                                     const vestry_host *host, vestry_scope scope,
                                                     vestry_slice encoded) {
  vestry_key key = vestry_key_encoded(encoded.data, encoded.len);
  if (encoded.len && encoded.len <= VESTRY_KEY_MAX_BYTES) key.parts = &key;
  return vsi_scoped_key_pack(scoped, hash, host, scope, &key);
}
/* Pack a scope and a key, or take them from a ready key. OK (call finish) | INVALID | TOO_LARGE | NO_MEMORY. */
static inline vestry_err vsi_scoped_key_init(vsi_scoped_key *scoped, const vsi_keyed_hash *hash,
                                             const vestry_host *host, vestry_scope scope, const vestry_key *key) {
  if (!key || __builtin_expect(key->type != VESTRY_KEY_READY, 1))
    return vsi_scoped_key_pack(scoped, hash, host, scope, key);
  const vestry_scoped_key *ready = &((const vsi_ready_key *)(const void *)key)->key;
  if (scope.len && !vsi_scoped_key_is_of(ready, &scope)) return VESTRY_INVALID;
  if (__builtin_expect(((const vsi_ready_key *)(const void *)key)->secret != hash->low, 0))
    return vsi_scoped_key_init_encoded(scoped, hash, host, ready->scope,
                                       (vestry_slice){ready->data + ready->key_offset, ready->len - ready->key_offset});
  scoped->key = ready;
  scoped->heap = NULL;
  return VESTRY_OK;
}

#endif
