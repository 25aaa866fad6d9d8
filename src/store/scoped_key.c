/* SPDX-License-Identifier: MIT */
/* Packing a scope and a key into one run of words. Common keys are packed in one pass; all others are encoded by key.c
 * first. */
#include "store/scoped_key.h"

#include <endian.h>

#include "base/memory.h"
#include "base/processor.h"

/* -------------------------------------------------------------------------------------------- bytes in words ---- */

/* Load at most 8 bytes, the first one lowest, followed by zeroes; reads none beyond. */
static inline uint64_t load_bytes(const unsigned char *at, size_t len) {
  uint64_t word = 0;
  if (len == 8) {
    memcpy(&word, at, 8);
    return le64toh(word);
  }
  if (len >= 4) { /* two overlapping loads */
    uint32_t first, last;
    memcpy(&first, at, 4);
    memcpy(&last, at + len - 4, 4);
    return le32toh(first) | (uint64_t)le32toh(last) << 8 * (len - 4);
  }
  if (len) word = at[0] | (uint64_t)at[len / 2] << 8 * (len / 2) | (uint64_t)at[len - 1] << 8 * (len - 1);
  return word;
}

/* The destination of packed bytes. Passed by value, so that it stays in registers. */
typedef struct packer {
  uint64_t *at;
  uint64_t word; /* the bytes that do not fill a word yet */
  unsigned bits; /* number of their bits */
} packer;

/* Append bytes. len: 1 to 8. */
static inline packer pack(packer to, uint64_t bytes, unsigned len) {
  to.word |= bytes << to.bits;
  unsigned bits = to.bits + 8 * len;
  if (bits >= 64) {
    *to.at++ = htole64(to.word);
    to.word = bytes >> 1 >> (63 - to.bits); /* the rest; none if they began a word */
    bits -= 64;
  }
  to.bits = bits;
  return to;
}

/* ------------------------------------------------------------------------------------------------- common keys ---- */

enum { LEAF_MOST = 127, LEAF_WORDS = 18, SCOPE_MOST = 64 };

/* Pack an integer in the encoding of key.h. */
static inline packer pack_integer(packer to, int64_t integer) {
  uint64_t number = (uint64_t)integer << 1 ^ (integer < 0 ? UINT64_MAX : 0);
  if (__builtin_expect(number < 0x80, 1)) return pack(to, VESTRY_KEY_INTEGER | number << 8, 2);
  to = pack(to, VESTRY_KEY_INTEGER, 1);
  for (; number >= 0x80; number >>= 7) to = pack(to, (number & 0x7f) | 0x80, 1);
  return pack(to, number, 1);
}

/* Pack a key that is an integer, a short string, short bytes, or a tuple of them. false: the key is of another form, or
 * a leaf would begin after `last`. */
static inline bool pack_flat(packer *in_out, const uint64_t *last, const vestry_key *key) {
  packer to = *in_out;
  const vestry_key *leaf = key, *end = key + 1;
  if (key->type == VESTRY_KEY_TUPLE) {
    if (!key->parts || key->len > LEAF_MOST) return false;
    leaf = key->parts;
    end = leaf + key->len;
    to = pack(to, VESTRY_KEY_TUPLE | key->len << 8, 2);
  }
  for (; leaf != end; leaf++) {
    if (to.at > last) return false;
    if (leaf->type == VESTRY_KEY_INTEGER) {
      to = pack_integer(to, leaf->integer);
      continue;
    }
    bool has_bytes = leaf->type == VESTRY_KEY_STRING || leaf->type == VESTRY_KEY_BYTES;
    if (!has_bytes || !leaf->data || leaf->len > LEAF_MOST) return false;
    to = pack(to, leaf->type | leaf->len << 8, 2);
    const unsigned char *at = leaf->data;
    size_t len = leaf->len;
    for (; len >= 8; at += 8, len -= 8) to = pack(to, load_bytes(at, 8), 8);
    if (len) to = pack(to, load_bytes(at, len), (unsigned)len);
  }
  *in_out = to;
  return true;
}

static inline uint64_t *pack_scope(uint64_t *to, vestry_scope scope) {
  const unsigned char *at = scope.data;
  size_t len = scope.len;
  for (; len >= 16; at += 16, to += 2, len -= 16) vsi_words_copy(to, at, 16);
  for (; len >= 8; at += 8, len -= 8) *to++ = htole64(load_bytes(at, 8));
  if (len) *to++ = htole64(load_bytes(at, len));
  return to;
}

/* Set the key's data and hash, after lens and count words were written. There is room for one more word. */
static inline void seal(vsi_scoped_key *scoped, const vsi_keyed_hash *hash, uint32_t *lens, uint64_t *words,
                        size_t count) {
  words[count] = 0;
  scoped->own = vsi_scoped_key_at(lens, *lens, vsi_keyed_hash_words(hash, words, (count + 1) & ~(size_t)1, *lens));
  scoped->key = &scoped->own;
}

/* Pack keys of any form, more slowly. */
static VSI_SELDOM vestry_err init_any(vsi_scoped_key *scoped, const vsi_keyed_hash *hash, const vestry_host *host,
                                      vestry_scope scope, const vestry_key *key) {
  if (!key || (!scope.data && scope.len)) return VESTRY_INVALID;
  if (scope.len > VESTRY_SCOPE_MAX_BYTES) return VESTRY_TOO_LARGE;
  const bool is_checked = key->parts == key;
  size_t key_len = key->len;
  vestry_err error = is_checked ? VESTRY_OK : vsi_key_measure(key, &key_len);
  if (error) return error;
  scoped->host = host;
  scoped->heap = NULL;
  uint32_t *lens = &scoped->lens;
  size_t count = vsi_words_for(scope.len) + vsi_words_for(key_len);
  if (count >= VSI_SCOPED_KEY_STACK_WORDS) { /* allocate, with the words after their lengths */
    if (!(scoped->heap = vsi_alloc(host, (2 + count) * sizeof(uint64_t)))) return VESTRY_NO_MEMORY;
    lens = (uint32_t *)scoped->heap + 1;
  }
  *lens = (uint32_t)(scope.len << 16 | key_len);
  uint64_t *words = (uint64_t *)(void *)(lens + 1), *key_at = pack_scope(words, scope);
  words[count - 1] = 0; /* the padding */
  if (is_checked)
    memcpy(key_at, key->data, key_len);
  else
    error = vestry_key_encode(key, key_at, key_len, &key_len);
  seal(scoped, hash, lens, words, count);
  return error;
}

/* Not inlined, because its callers are shorter and faster without the copy. */
__attribute__((noinline)) vestry_err vsi_scoped_key_pack(vsi_scoped_key *scoped, const vsi_keyed_hash *hash,
                                                         const vestry_host *host, vestry_scope scope,
                                                         const vestry_key *key) {
  if (__builtin_expect(scope.len > SCOPE_MOST || (!scope.data && scope.len) || !key, 0))
    return init_any(scoped, hash, host, scope, key);
  uint64_t *words = scoped->words, *key_at = pack_scope(words, scope);
  packer to = {key_at, 0, 0};
  if (__builtin_expect(!pack_flat(&to, words + VSI_SCOPED_KEY_STACK_WORDS - LEAF_WORDS - 1, key), 0))
    return init_any(scoped, hash, host, scope, key);
  scoped->heap = NULL;
  scoped->lens = (uint32_t)(scope.len << 16 | ((size_t)(to.at - key_at) * 8 + to.bits / 8));
  *to.at = htole64(to.word);
  seal(scoped, hash, &scoped->lens, words, (size_t)(to.at - words) + (to.bits != 0));
  return VESTRY_OK;
}

VSI_SELDOM void vsi_scoped_key_free(vsi_scoped_key *scoped) {
  vsi_free(scoped->host, scoped->heap);
  scoped->heap = NULL;
}

vestry_scoped_key *vsi_scoped_key_keep(const vestry_host *host, const vestry_scoped_key *key, void *room,
                                       size_t room_bytes) {
  struct kept {
    vestry_scoped_key key;
    uint32_t unused, lens;
    uint64_t words[];
  };
  uint32_t lens = vsi_scoped_key_lens(key);
  size_t bytes = vsi_lens_words(lens) * sizeof(uint64_t);
  struct kept *kept = sizeof *kept + bytes <= room_bytes ? room : vsi_alloc(host, sizeof *kept + bytes);
  if (!kept) return NULL;
  kept->lens = lens;
  memcpy(kept->words, vsi_scoped_key_words(key), bytes);
  kept->key = vsi_scoped_key_at(&kept->lens, lens, key->hash);
  return &kept->key;
}

vestry_scoped_key vestry_scoped_key_read(const void *copy, size_t len) {
  (void)len; /* the data contains the lengths */
  uint32_t lens;
  memcpy(&lens, copy, sizeof lens);
  return vsi_scoped_key_at(copy, lens, 0);
}
