/* SPDX-License-Identifier: MIT */
/* The scope of streams: a live stream gets another scope when its user logs in or out, and all streams of a scope end.
 *
 * A change of scope puts the stream under its keys in the new scope first, and removes it from the old ones last. So a
 * dispatch that finds it by either of them during the change reaches it, and if a put fails, the stream is still under
 * its old keys and the new entries are removed again. The streams that it replaces end when nothing can fail any more.
 * Until then their keys have one stream more. */
#include "base/log.h"
#include "base/memory.h"
#include "connection/connection.h"
#include "instance/stream_entries.h"
#include "serve/inside.h"
#include "store/store.h"

/* ------------------------------------------------------------------------------------------- change of a scope ---- */

/* An entry in the old scope, and its successor. */
typedef struct moved {
  vestry_handle from, to; /* 0: none */
} moved;

/* The key of an entry in the old scope. */
typedef struct former_key {
  const vestry_scope *scope;
  bool is_of; /* the scope of the entry */
  size_t len, room;
  unsigned char *data; /* the encoded key, if it fits into the room */
} former_key;

static void take_key(const vestry_scoped_key *key, void *ctx) {
  former_key *k = ctx;
  k->is_of = vsi_scoped_key_is_of(key, k->scope);
  k->len = key->len - key->key_offset;
  if (k->is_of && k->len <= k->room) memcpy(k->data, key->data + key->key_offset, k->len);
}

/* Get the key of an entry, if it is in the scope. Memory cannot be allocated under the store's lock, so the key is read
 * again if it is longer than the room; the entry may have left meanwhile. OK (is_of) | NO_MEMORY */
static vestry_err get_key(const vestry *v, vestry_handle handle, former_key *key) {
  for (;;) {
    key->is_of = false;
    if (!vsi_store_key_of(v->store, handle, take_key, key) || !key->is_of || key->len <= key->room) return VESTRY_OK;
    unsigned char *data = vsi_realloc(v->host, key->data, key->len);
    if (!data) return VESTRY_NO_MEMORY;
    key->data = data;
    key->room = key->len;
  }
}

static vestry_err pack(const vestry *v, vestry_scope scope, const former_key *key, vsi_scoped_key *ret_key) {
  return vsi_scoped_key_init_encoded(ret_key, &v->store->exit.hash, v->host, scope,
                                     (vestry_slice){key->data, key->len});
}

static vestry_err put_in_scope(vestry_connection *connection, const vestry *v, vestry_scope scope,
                               const former_key *key, vestry_handle *ret_handle) {
  vsi_scoped_key scoped;
  vestry_put_result result = {0};
  vestry_err error = pack(v, scope, key, &scoped);
  if (error) return error;
  error = vsi_store_put(v->store, scoped.key, connection, VESTRY_KEEP_MANY, SIZE_MAX, &result);
  vsi_scoped_key_finish(&scoped);
  *ret_handle = error || result.refreshed ? 0 : result.handle;
  return error;
}

/* Put the stream under its keys of the old scope in the new one. */
static vestry_err put_all(vestry_connection *connection, const vestry *v, const vsi_scope_change *change,
                          vestry_scope scope, const vsi_stream_entry *entries, size_t count, moved *moves) {
  former_key key = {.scope = &change->from};
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < count && !error; i++) {
    if (entries[i].store != v->store) continue;
    error = get_key(v, entries[i].handle, &key);
    if (error || !key.is_of) continue;
    moves[i].from = entries[i].handle;
    error = put_in_scope(connection, v, scope, &key, &moves[i].to);
  }
  vsi_free(v->host, key.data);
  return error;
}

/* The streams under a key of the new scope, besides the one that was moved there. */
typedef struct others {
  const vestry_connection *moved;
  size_t count;
  vestry_connection *first; /* the one that was put first, which is visited last; a reference */
} others;

static void count_other(void *value, void *ctx) {
  others *o = ctx;
  if (value == o->moved || !vestry_connection_is_open(value)) return;
  o->count++;
  vestry_connection_unref(o->first); /* not the last one: the store holds one */
  o->first = vestry_connection_ref(value);
}

/* Close the streams that the moved one replaces: of each key, the first of more than many_count. */
static void replace_all(const vestry_connection *connection, const vestry *v, vestry_scope scope, size_t many_count,
                        const moved *moves, size_t count) {
  former_key key = {.scope = &scope};
  for (size_t i = 0; i < count; i++) {
    vsi_scoped_key scoped;
    if (get_key(v, moves[i].to, &key) || !key.is_of || pack(v, scope, &key, &scoped)) continue;
    others o = {.moved = connection};
    (void)vsi_store_with(v->store, scoped.key, count_other, &o);
    vsi_scoped_key_finish(&scoped);
    if (o.count >= many_count) vestry_connection_close(o.first, VESTRY_CAUSE_REPLACED);
    vestry_connection_unref(o.first);
  }
  vsi_free(v->host, key.data);
}

/* Remove the stream from its entries in the old scope, or from the new ones if the change has failed. */
static void detach_all(const vestry *v, const moved *moves, size_t count, bool is_done) {
  for (size_t i = 0; i < count; i++)
    (void)vestry_store_remove_if(v->store, is_done ? moves[i].from : moves[i].to, VESTRY_CAUSE_DETACHED);
}

/* Change the scope of a stream after the change has begun. */
static vestry_err move(vestry_connection *connection, vestry *v, vsi_scope_change *change, vestry_scope scope,
                       size_t many_count) {
  const size_t room = vsi_stream_entries_copy(connection, NULL, 0); /* entries that another thread puts later stay */
  vsi_stream_entry *entries = vsi_calloc(v->host, room + 1, sizeof *entries);
  moved *moves = entries ? vsi_calloc(v->host, room + 1, sizeof *moves) : NULL;
  size_t count = moves ? vsi_stream_entries_copy(connection, entries, room) : 0;
  if (count > room) count = room;
  vestry_err error = moves ? put_all(connection, v, change, scope, entries, count, moves) : VESTRY_NO_MEMORY;
  if (!error) error = vsi_shares_enter(v->shares, scope, connection);
  if (!error) error = vsi_scope_change_commit(change, connection);
  if (moves) detach_all(v, moves, count, !error);
  if (!error) replace_all(connection, v, scope, many_count ? many_count : VSI_MANY_DEFAULT, moves, count);
  vsi_free(v->host, moves);
  vsi_free(v->host, entries);
  return error;
}

vestry_err vestry_connection_scope_set(vestry_connection *connection, vestry_scope scope, size_t many_count) {
  const vsi_stream_context *stream = connection ? vsi_stream_context_of(connection) : NULL;
  if (!stream) return VESTRY_INVALID;
  if (!scope.data && scope.len)
    return vsi_mistake(vsi_stream_context_v(stream)->host, "vestry_connection_scope_set", "scope.data is NULL");
  if (scope.len > VESTRY_SCOPE_MAX_BYTES) return VESTRY_TOO_LARGE;
  if (!vsi_connection_is_open(connection)) return VESTRY_CLOSED; /* the instance may be destroyed already */
  if (!vsi_stream_context_v(stream)->store->ops->key_of) return VESTRY_UNSUPPORTED;
  vsi_scope_change change;
  vestry_err error = vsi_scope_change_begin(&change, connection, scope);
  if (error) return error;
  if (!vsi_stream_is_of(connection, scope))
    error = move(connection, vsi_stream_context_v(stream), &change, scope, many_count);
  vsi_scope_change_end(&change, connection);
  return error;
}

/* ---------------------------------------------------------------------------------------------- end of a scope ---- */

typedef struct closing {
  vestry_scope scope;
  vestry_cause cause;
  bool has_closed;
} closing;

static void close_if_of_scope(vestry_connection *connection, void *ctx) {
  closing *c = ctx;
  if (vsi_stream_is_of(connection, c->scope) && vestry_connection_close(connection, c->cause)) c->has_closed = true;
}

vestry_err vestry_close_scope(vestry *v, vestry_scope scope, vestry_cause cause) {
  if (!v) return VESTRY_INVALID;
  if (!vsi_store_is_cause(cause) || cause == VESTRY_CAUSE_DETACHED || (!scope.data && scope.len))
    return vsi_mistake(v->host, "vestry_close_scope", "the cause cannot end a stream, or scope.data is NULL");
  if (!scope.len)
    return vsi_mistake(v->host, "vestry_close_scope",
                       "the scope is empty: the scope without an owner is of no user; check the name of the user");
  if (scope.len > VESTRY_SCOPE_MAX_BYTES) return VESTRY_TOO_LARGE;
  if (vsi_instance_is_forked(v)) return VESTRY_CLOSED;
  closing c = {scope, cause, false};
  vsi_group_each(v->group, close_if_of_scope, &c);
  vestry_err error = vestry_store_remove(v->store, scope, VESTRY_EVERY_KEY, cause, NULL);
  return error == VESTRY_NOT_FOUND && c.has_closed ? VESTRY_OK : error;
}
