#include "store/scoped_key.h"

#include "base/memory.h"
#include "base/processor.h"
#include "store/key.h"

/* Room for the words: those on the stack, or new ones behind their lengths. */
static vestry_err make_room(vsi_scoped_key *scoped, size_t count, uint32_t **ret_lens) {
  *ret_lens = &scoped->lens;
  if (count <= VSI_SCOPED_KEY_STACK_WORDS) return VESTRY_OK;
  uint64_t *memory = vsi_alloc(scoped->host, (1 + count) * sizeof *memory);
  if (!memory) return VESTRY_NO_MEMORY;
  scoped->heap = memory;
  *ret_lens = (uint32_t *)(void *)memory + 1;
  return VESTRY_OK;
}

VSI_SELDOM vestry_err vsi_scoped_key_init_any(vsi_scoped_key *scoped, const vsi_keyed_hash *hash,
                                              const vestry_host *host, vestry_scope scope, const vestry_key *key) {
  if (!key || (!scope.data && scope.len)) return VESTRY_INVALID;
  if (scope.len > VESTRY_SCOPE_MAX_BYTES) return VESTRY_TOO_LARGE;
  size_t key_len;
  vestry_err error = vsi_key_measure(key, &key_len);
  if (error) return error;
  scoped->host = host;
  scoped->heap = NULL;
  uint32_t *lens;
  size_t count = vsi_words_for(scope.len) + vsi_words_for(key_len);
  error = make_room(scoped, count + 1, &lens);
  if (error) return error;
  *lens = (uint32_t)(scope.len << 16 | key_len);
  uint64_t *words = (uint64_t *)(void *)(lens + 1), *key_at = vsi_pack_scope(words, scope);
  words[count - 1] = 0;
  error = vestry_key_encode(key, key_at, key_len, &key_len);
  vsi_scoped_key_seal(scoped, hash, lens, words, count);
  return error;
}

VSI_SELDOM void vsi_scoped_key_free(vsi_scoped_key *scoped) {
  vsi_free(scoped->host, scoped->heap);
  scoped->heap = NULL;
}

vestry_scoped_key vestry_scoped_key_read(const void *copy, size_t len) {
  (void)len; /* the lengths say it */
  uint32_t lens;
  memcpy(&lens, copy, sizeof lens);
  return vsi_scoped_key_at(copy, lens, 0);
}
