#include "store/scoped_key.h"

#include <string.h>

#include "base/memory.h"
#include "store/key.h"

/* Room for the key behind the scope's head: the rest of the stack buffer if it fits, else an allocation. Usual keys are
 * thus encoded in one pass, and only long ones are measured. */
static vestry_err encode_key(vsi_scoped_key *scoped, const vestry_key *key, unsigned char **data, size_t offset,
                             size_t *ret_len) {
  if (offset < sizeof scoped->stack) {
    vestry_err error = vestry_key_encode(key, scoped->stack + offset, sizeof scoped->stack - offset, ret_len);
    if (error != VESTRY_TOO_LARGE) return error;
  }
  size_t len = 0;
  vestry_err error = vsi_key_measure(key, &len);
  if (error) return error;
  scoped->heap = vsi_alloc(scoped->host, offset + len);
  if (!scoped->heap) return VESTRY_NO_MEMORY;
  *data = scoped->heap;
  return vestry_key_encode(key, scoped->heap + offset, len, ret_len);
}

/* Short scopes and plain strings or bytes, the most usual kind, without a detour: lengths below 128 are one byte. */
static bool init_short(vsi_scoped_key *scoped, const vestry_host *host, vestry_scope scope, const vestry_key *key) {
  if (!key || (key->type != VESTRY_KEY_BYTES && key->type != VESTRY_KEY_STRING)) return false;
  if (scope.len > 63 || key->len > 127 || !key->data || (!scope.data && scope.len)) return false;
  unsigned char *at = scoped->stack;
  *at++ = (unsigned char)scope.len;
  if (scope.len) memcpy(at, scope.data, scope.len);
  unsigned char *key_at = at + scope.len;
  key_at[0] = (unsigned char)key->type; /* the tags are the types, see key.h */
  key_at[1] = (unsigned char)key->len;
  memcpy(key_at + 2, key->data, key->len);
  size_t offset = (size_t)(key_at - scoped->stack);
  scoped->host = host;
  scoped->heap = NULL;
  scoped->key = (vestry_scoped_key){scoped->stack, offset + 2 + key->len, offset, {at, scope.len}};
  return true;
}

vestry_err vsi_scoped_key_init(vsi_scoped_key *scoped, const vestry_host *host, vestry_scope scope,
                               const vestry_key *key) {
  if (init_short(scoped, host, scope, key)) return VESTRY_OK;
  if (!scope.data && scope.len) return VESTRY_INVALID;
  if (scope.len > VESTRY_SCOPE_MAX_BYTES) return VESTRY_TOO_LARGE;
  scoped->host = host;
  scoped->heap = NULL;
  unsigned char head[10];
  size_t head_len = vsi_key_number_write(scope.len, head);
  size_t offset = head_len + scope.len, key_len = 0;
  unsigned char *data = scoped->stack;
  vestry_err error = encode_key(scoped, key, &data, offset, &key_len);
  if (error) return error;
  memcpy(data, head, head_len);
  if (scope.len) memcpy(data + head_len, scope.data, scope.len);
  scoped->key = (vestry_scoped_key){data, offset + key_len, offset, {data + head_len, scope.len}};
  return VESTRY_OK;
}

void vsi_scoped_key_finish(vsi_scoped_key *scoped) {
  if (!scoped->heap) return;
  vsi_free(scoped->host, scoped->heap);
  scoped->heap = NULL;
}

vestry_scoped_key vsi_scoped_key_read(const unsigned char *data, size_t len) {
  uint64_t scope_len = 0;
  const unsigned char *scope = vsi_key_number_read(data, data + len, &scope_len); /* not NULL: we wrote it */
  size_t key_offset = (size_t)(scope - data) + (size_t)scope_len;
  return (vestry_scoped_key){data, len, key_offset, {scope, (size_t)scope_len}};
}

bool vsi_scoped_key_is_of(const vestry_scoped_key *key, const vestry_scope *scope) {
  return key->scope.len == scope->len && (scope->len == 0 || memcmp(key->scope.data, scope->data, scope->len) == 0);
}
