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
#include "base/words.h"
#include "vestry/store.h"

/* Usual keys are made on the stack, so that a look-up allocates nothing; longer ones are allocated. */
enum { VSI_SCOPED_KEY_STACK_WORDS = 48 };

typedef struct vsi_scoped_key {
  vestry_scoped_key key; /* points into this struct, which must stay where it is, or to heap */
  const vestry_host *host;
  void *heap; /* NULL: on the stack */
  uint32_t unused, lens;
  uint64_t words[VSI_SCOPED_KEY_STACK_WORDS];
} vsi_scoped_key;

/* Any key. As vsi_scoped_key_init. */
vestry_err vsi_scoped_key_init_any(vsi_scoped_key *scoped, const vsi_keyed_hash *hash, const vestry_host *host,
                                   vestry_scope scope, const vestry_key *key);
void vsi_scoped_key_free(vsi_scoped_key *scoped);

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
static inline const uint64_t *vsi_scoped_key_words(const vestry_scoped_key *key) {
  return (const uint64_t *)(const void *)(key->data + sizeof(uint32_t));
}

/* The key that stands behind its lengths. data: any alignment. */
static inline vestry_scoped_key vsi_scoped_key_at(const void *data, uint32_t lens, uint64_t hash) {
  const unsigned char *bytes = data, *scope = bytes + sizeof lens;
  size_t scope_len = vsi_lens_scope(lens), key_offset = sizeof lens + vsi_words_for(scope_len) * 8;
  return (vestry_scoped_key){bytes, key_offset + vsi_lens_key(lens), key_offset, {scope, scope_len}, hash};
}

/* ---------------------------------------------------------------------------------------------------- packing ---- */

/* A type and a number, as key.h has them. */
static inline vsi_packer vsi_pack_head(vsi_packer to, vestry_key_type type, uint64_t number) {
  if (__builtin_expect(number < 0x80, 1)) return vsi_pack(to, (uint64_t)type | number << 8, 2);
  to = vsi_pack(to, (uint64_t)type, 1);
  for (; number >= 0x80; number >>= 7) to = vsi_pack(to, (number & 0x7f) | 0x80, 1);
  return vsi_pack(to, number, 1);
}

enum { VSI_PACKED_LEAF_MOST = 127, VSI_PACKED_SCOPE_MOST = 64 };

/* An integer, or a short string or bytes, if it surely fits before `end`. */
static inline __attribute__((always_inline)) bool vsi_pack_leaf(vsi_packer *to, const uint64_t *end,
                                                                const vestry_key *leaf) {
  if (leaf->type == VESTRY_KEY_INTEGER) {
    if (end - to->at < 3) return false;
    uint64_t zigzag = (uint64_t)leaf->integer << 1 ^ (leaf->integer < 0 ? UINT64_MAX : 0);
    *to = vsi_pack_head(*to, VESTRY_KEY_INTEGER, zigzag);
    return true;
  }
  if ((leaf->type != VESTRY_KEY_STRING && leaf->type != VESTRY_KEY_BYTES) || !leaf->data ||
      leaf->len > VSI_PACKED_LEAF_MOST || (size_t)(end - to->at) < leaf->len / 8 + 3)
    return false;
  *to = vsi_pack_bytes(vsi_pack_head(*to, leaf->type, leaf->len), leaf->data, leaf->len);
  return true;
}

/* A leaf, or a tuple of leaves. */
static inline __attribute__((always_inline)) bool vsi_pack_flat(vsi_packer *to, const uint64_t *end,
                                                                const vestry_key *key) {
  if (key->type != VESTRY_KEY_TUPLE) return vsi_pack_leaf(to, end, key);
  if (!key->parts || key->len > VSI_PACKED_LEAF_MOST) return false;
  *to = vsi_pack_head(*to, VESTRY_KEY_TUPLE, key->len);
  for (size_t i = 0; i < key->len; i++)
    if (!vsi_pack_leaf(to, end, &key->parts[i])) return false;
  return true;
}

static inline uint64_t *vsi_pack_scope(uint64_t *to, vestry_scope scope) {
  const unsigned char *at = scope.data;
  size_t len = scope.len;
  for (; len >= 8; at += 8, len -= 8) *to++ = vsi_in_register(htole64(vsi_load_bytes(at, 8)));
  if (len) *to++ = htole64(vsi_load_bytes(at, len));
  return to;
}

/* words, of which count have been written, and lens are there: hash them. */
static inline void vsi_scoped_key_seal(vsi_scoped_key *scoped, const vsi_keyed_hash *hash, uint32_t *lens,
                                       uint64_t *words, size_t count) {
  if (count & 1) words[count++] = 0;
  scoped->key = vsi_scoped_key_at(lens, *lens, vsi_keyed_hash_words(hash, words, count, *lens));
}

/* OK (finish it) | INVALID | TOO_LARGE | NO_MEMORY. */
static inline __attribute__((always_inline)) vestry_err vsi_scoped_key_init(vsi_scoped_key *scoped,
                                                                            const vsi_keyed_hash *hash,
                                                                            const vestry_host *host, vestry_scope scope,
                                                                            const vestry_key *key) {
  if (__builtin_expect(scope.len <= VSI_PACKED_SCOPE_MOST && (scope.data || !scope.len) && key, 1)) {
    uint64_t *key_at = vsi_pack_scope(scoped->words, scope);
    vsi_packer to = {key_at, 0, 0};
    if (__builtin_expect(vsi_pack_flat(&to, scoped->words + VSI_SCOPED_KEY_STACK_WORDS - 2, key), 1)) {
      scoped->heap = NULL;
      scoped->lens = (uint32_t)(scope.len << 16 | ((size_t)(to.at - key_at) * 8 + to.bits / 8));
      if (to.bits) *to.at++ = htole64(to.word);
      vsi_scoped_key_seal(scoped, hash, &scoped->lens, scoped->words, (size_t)(to.at - scoped->words));
      return VESTRY_OK;
    }
  }
  return vsi_scoped_key_init_any(scoped, hash, host, scope, key);
}

static inline void vsi_scoped_key_finish(vsi_scoped_key *scoped) {
  if (__builtin_expect(scoped->heap != NULL, 0)) vsi_scoped_key_free(scoped);
}

/* Whether a key is of a scope. */
static inline bool vsi_scoped_key_is_of(const vestry_scoped_key *key, const vestry_scope *scope) {
  return key->scope.len == scope->len && (scope->len == 0 || memcmp(key->scope.data, scope->data, scope->len) == 0);
}

#endif
