#include "store/scopes.h"

#include <string.h>

#include "base/memory.h"

vestry_err vsi_scopes_init(vsi_scopes *scopes, const vestry_host *host, vsi_siphash_key hash_key) {
  scopes->host = host;
  scopes->hash_key = hash_key;
  return vsi_index_init(&scopes->index, host);
}

void vsi_scopes_finish(vsi_scopes *scopes) {
  vsi_index_finish(&scopes->index);
}

/* The bytes before the key are the scope's, with their length. */
static vsi_index_key index_key(const vsi_scopes *scopes, const vestry_scoped_key *key) {
  return (vsi_index_key){vsi_siphash_1_3(scopes->hash_key, key->data, key->key_offset), key->data, key->key_offset};
}

vsi_scope_record *vsi_scopes_find(vsi_scopes *scopes, const vestry_scoped_key *key) {
  vsi_index_key wanted = index_key(scopes, key);
  return vsi_index_find(&scopes->index, &wanted);
}

vsi_scope_record *vsi_scopes_enter(vsi_scopes *scopes, const vestry_scoped_key *key) {
  vsi_index_key wanted = index_key(scopes, key);
  vsi_scope_record *record = vsi_index_find(&scopes->index, &wanted);
  if (!record) {
    record = vsi_alloc(scopes->host, offsetof(vsi_scope_record, bytes) + wanted.len);
    if (!record) return NULL;
    memcpy(record->bytes, wanted.data, wanted.len);
    record->key = (vsi_index_key){wanted.hash, record->bytes, wanted.len};
    record->count = 0;
    vsi_ring_init(&record->uses);
    if (vsi_index_add(&scopes->index, &record->key)) {
      vsi_free(scopes->host, record);
      return NULL;
    }
  }
  record->count++;
  return record;
}

void vsi_scopes_leave(vsi_scopes *scopes, vsi_scope_record *record) {
  if (--record->count) return;
  vsi_index_remove(&scopes->index, &record->key);
  vsi_free(scopes->host, record);
}
