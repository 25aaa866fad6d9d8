/* What is looked for in an index: a key, hashed, and if it is short in the form in which slots hold it.
 *
 * A short key is three words, zero behind its end. Its hash is taken of the words, so that a look-up by a short key
 * never reads it byte by byte. */
#ifndef VSI_STORE_PROBE_H
#define VSI_STORE_PROBE_H

#include <string.h>

#include "base/keyed_hash.h"
#include "store/slab.h"

typedef struct vsi_probe {
  uint64_t hash;
  uint64_t words[3];         /* short: the bytes */
  const unsigned char *data; /* long: the bytes; NULL: it is short */
  size_t len;
  uint8_t slot_len; /* as in a slot */
} vsi_probe;

/* Up to 24 bytes as words, in memory order. */
static inline void vsi_words_load(uint64_t words[3], const unsigned char *data, size_t len) {
  words[0] = words[1] = words[2] = 0;
  memcpy(words, data, len);
}

/* Make a probe of a scoped key's bytes, which are borrowed. */
static inline void vsi_probe_init(vsi_probe *probe, const vsi_keyed_hash *hash, const unsigned char *data, size_t len) {
  probe->len = len;
  if (len <= VSI_SLOT_KEY_BYTES) {
    probe->data = NULL;
    probe->slot_len = (uint8_t)len;
    vsi_words_load(probe->words, data, len);
    probe->hash = vsi_keyed_hash_words(hash, probe->words[0], probe->words[1], probe->words[2], len);
  } else {
    probe->data = data;
    probe->slot_len = VSI_SLOT_OUTSIDE;
    probe->hash = vsi_siphash_1_3(hash->siphash, data, len);
  }
}

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static inline uint64_t vsi_word_at(const unsigned char *at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

/* The same for a string or bytes of 8 to 16 in the scope without a name, the least that a key can be: put together in
 * registers, to the bytes that vsi_scoped_key_init would write (0, type, length, data). false: it is another. */
static inline bool vsi_probe_direct(vsi_probe *probe, const vsi_keyed_hash *hash, vestry_scope scope,
                                    const vestry_key *key) {
  if (scope.len || !key || (key->type != VESTRY_KEY_BYTES && key->type != VESTRY_KEY_STRING) || !key->data ||
      key->len - 8 > 8)
    return false;
  uint64_t first = vsi_word_at(key->data);
  uint64_t second =
      key->len == 8 ? 0 : vsi_word_at((const unsigned char *)key->data + key->len - 8) >> (128 - 8 * key->len);
  probe->data = NULL;
  probe->len = key->len + 3;
  probe->slot_len = (uint8_t)probe->len;
  probe->words[0] = (uint64_t)key->type << 8 | (uint64_t)key->len << 16 | first << 24;
  probe->words[1] = first >> 40 | second << 24;
  probe->words[2] = second >> 40;
  probe->hash = vsi_keyed_hash_words(hash, probe->words[0], probe->words[1], probe->words[2], probe->len);
  return true;
}

/* Whether a slot has these words. Word by word: a memcmp would want them in memory, and look-ups keep them in
 * registers. */
static inline bool vsi_probe_has_words(const vsi_probe *probe, const vsi_slot *slot) {
  uint64_t first = vsi_word_at(slot->key), second = vsi_word_at(slot->key + 8);
  uint64_t last = vsi_word_at(slot->key + VSI_SLOT_KEY_BYTES - 8); /* its end is what the third word is */
  return !((first ^ probe->words[0]) | (second ^ probe->words[1]) |
           (last >> (24 - VSI_SLOT_KEY_BYTES) * 8 ^ probe->words[2]));
}
_Static_assert(VSI_SLOT_KEY_BYTES > 16 && VSI_SLOT_KEY_BYTES < 24, "three words");
#else
static inline bool vsi_probe_direct(vsi_probe *probe, const vsi_keyed_hash *hash, vestry_scope scope,
                                    const vestry_key *key) {
  (void)probe, (void)hash, (void)scope, (void)key;
  return false;
}
static inline bool vsi_probe_has_words(const vsi_probe *probe, const vsi_slot *slot) {
  return memcmp(slot->key, probe->words, VSI_SLOT_KEY_BYTES) == 0;
}
#endif

/* Whether a slot is under this key. */
static inline bool vsi_probe_matches(const vsi_probe *probe, const vsi_slot *slot) {
  if (slot->hash != (uint32_t)(probe->hash >> 32) || slot->len != probe->slot_len) return false;
  if (probe->slot_len != VSI_SLOT_OUTSIDE) return vsi_probe_has_words(probe, slot);
  const vsi_outside *outside;
  memcpy(&outside, slot->key, sizeof outside);
  return outside->len == probe->len && memcmp(outside->bytes, probe->data, probe->len) == 0;
}

#endif
