/* SPDX-License-Identifier: MIT */
#include "ops/observe/inside.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "coding/coding.h"
#include "connection/connection.h"
#include "ops/observe/stream_tail.h"
#include "store/key.h"
#include "store/store.h"
#include "vestry/cause.h"

/* Number of entries among which the key of a stream is sought. */
enum { FEW_ENTRIES = 8 };

/* The hash uses the secret of the store, but SipHash-2-4 instead of the function that places keys. The secret cannot be
 * computed from its results. */
void vsi_shown_scope(const vestry *v, vestry_scope scope, vsi_shown_key *key) {
  *key->scope = '\0';
  if (!scope.len) return;
  const vsi_hash_128 hash = vsi_siphash_128_of(v->store->exit.hash.siphash, scope.data, scope.len);
  snprintf(key->scope, sizeof key->scope, "%08x", (unsigned)(hash.low & UINT32_MAX));
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
  if (!is_found) *key->text = '\0';
  return is_found;
}

void vsi_shown_stream_get(const vestry *v, vestry_connection *connection, vsi_shown_stream *ret_shown) {
  /* The coder is set when other threads can already find the connection, but before its start. acquire pairs with the
   * release of the state after that (runner.c). */
  const bool has_begun = atomic_load_explicit(&connection->state, memory_order_acquire) != VESTRY_STATE_OPENING;
  const vsi_coding *coding = has_begun ? vsi_connection_coding(connection) : NULL;
  char scope[VESTRY_SCOPE_MAX_BYTES];
  *ret_shown =
      (vsi_shown_stream){.id = connection->id,
                         .is_console = vsi_tail_is_excluded(connection),
                         .adapter = connection->ops->name ? connection->ops->name : "",
                         .coding = coding ? coding->profile.ops->coding : "identity",
                         .last_error = (vestry_err)atomic_load_explicit(&connection->refusal, memory_order_relaxed)};
  vestry_connection_stats_get(connection, &ret_shown->stats);
  ret_shown->age_ms = vsi_shown_ms(vsi_now_ns(v->host), ret_shown->stats.opened_ns);
  vsi_shown_scope(v, vestry_connection_scope_get(connection, scope), &ret_shown->key);
  vsi_shown_key_of_stream(connection, &ret_shown->key);
}

void vsi_shown_stream_put(vsi_report *report, const vsi_shown_stream *shown) {
  static const char *const states[] = {"opening", "open", "closing", "closed"};
  const vestry_connection_stats *stats = &shown->stats;
  const vsi_shown_key *key = &shown->key;
  vsi_report_put(report, VESTRY_OBJECT("id", shown->id, "scope", key->scope, "key", key->text, "key_cut", key->is_cut,
                                       "state", states[stats->state], "cause",
                                       vsi_report_text(stats->cause ? vestry_cause_name(stats->cause) : NULL), "age_ms",
                                       shown->age_ms, "adapter", shown->adapter));
  vsi_report_put(report, VESTRY_OBJECT("coding", shown->coding, "written_count", stats->written_count,
                                       "conflated_count", stats->conflated_count, "refused_count", stats->refused_count,
                                       "discarded_count", stats->discarded_count, "written_bytes", stats->written_bytes,
                                       "wire_bytes", stats->wire_bytes, "last_error",
                                       vsi_report_text(shown->last_error ? vestry_strerror(shown->last_error) : NULL)));
  if (shown->is_console) vsi_report_put(report, VESTRY_OBJECT("console", VESTRY_TRUE));
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
