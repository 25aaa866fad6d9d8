/* SPDX-License-Identifier: MIT */
#include "ops/observe/inside.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "coding/coding.h"
#include "connection/connection.h"
#include "store/key.h"
#include "store/store.h"

/* Number of entries among which the key of a stream is sought. */
enum { FEW_ENTRIES = 8 };

/* The hash uses the secret of the store, but SipHash-2-4 instead of the function that places keys. The secret cannot be
 * computed from its results. */
void vsi_shown_scope(const vestry *v, vestry_scope scope, char digits[VSI_SHOWN_SCOPE_BYTES]) {
  *digits = '\0';
  if (!scope.len) return;
  const vsi_hash_128 hash = vsi_siphash_128_of(v->store->exit.hash.siphash, scope.data, scope.len);
  snprintf(digits, VSI_SHOWN_SCOPE_BYTES, "%08x", (unsigned)(hash.low & UINT32_MAX));
}

void vsi_shown_key_of(const void *encoded, size_t len, vsi_shown_key *key) {
  key->is_cut = vsi_key_show(encoded, len, key->text, sizeof key->text);
}

bool vsi_shown_begins(const char *text, const char *prefix) {
  const size_t len = prefix ? strlen(prefix) : 0;
  if (strncmp(text, prefix ? prefix : "", len) == 0) return true;
  return strncmp(text + strspn(text, "[{\""), prefix, len) == 0;
}

static void show_key(const vestry_scoped_key *key, void *ctx) {
  vsi_shown_key_of(key->data + key->key_offset, key->len - key->key_offset, ctx);
}

bool vsi_shown_key_of_stream(vestry_connection *connection, vsi_shown_key *key) {
  vsi_stream_entry few[FEW_ENTRIES];
  size_t count = vsi_stream_entries_copy(connection, few, FEW_ENTRIES);
  bool is_found = false;
  for (size_t i = 0; i < count && i < FEW_ENTRIES && !is_found; i++)
    is_found = vsi_store_key_of(few[i].store, few[i].handle, show_key, key);
  if (!is_found) *key = (vsi_shown_key){.text = ""};
  return is_found;
}

const char *vsi_shown_adapter(const vestry_connection *connection) {
  return connection->ops->name ? connection->ops->name : "";
}

/* The coder is set when other threads can already find the connection, but before its start. acquire pairs with the
 * release of the state after that (runner.c). */
const char *vsi_shown_coding(const vestry_connection *connection) {
  const bool has_begun = atomic_load_explicit(&connection->state, memory_order_acquire) != VESTRY_STATE_OPENING;
  return has_begun && vsi_connection_coder(connection) ? connection->coder->coding->profile.ops->coding : "identity";
}

vestry_err vsi_shown_refusal(const vestry_connection *connection) {
  return (vestry_err)atomic_load_explicit(&connection->refusal, memory_order_relaxed);
}

void vsi_shown_name(const char *name, size_t len, char *text, size_t room) {
  const char *at = name, *end = name + len;
  size_t shown = 0;
  while (at < end) {
    bool is_valid;
    size_t step = vsi_utf8_next(at, end, &is_valid);
    is_valid &= (unsigned char)*at >= 0x20 && *at != 0x7f;
    const char *from = is_valid ? at : VSI_UTF8_REPLACEMENT;
    const size_t bytes = is_valid ? step : sizeof VSI_UTF8_REPLACEMENT - 1;
    if (bytes >= room - shown) break;
    memcpy(text + shown, from, bytes);
    shown += bytes;
    at += step;
  }
  text[shown] = '\0';
}
