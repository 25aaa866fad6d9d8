/* SPDX-License-Identifier: MIT */
/* essay: the entries of a stream that is put, removed and ended by different threads */
/* A stream records its entries, so that its end can remove them. The stores call entering, entered and left
 * (vestry_value_ops) for each entry, without a lock of theirs:
 *
 *   entering   a put begins: a record of this store is reserved, so that a put of a stream never runs out of memory
 *              after it has stored the stream. Its handle is 0
 *   entered    the put is over: a reserved record of the store gets the handle, or is dropped
 *   left       an entry has left: its record is dropped
 *
 * Several puts of one stream may run at the same time, and an entry may leave before `entered` has come. Then `left`
 * finds no record with this handle. It takes a reserved record of the store, of which there is at least one, stores the
 * handle in it and marks it; `entered` with this handle drops it. If another put of the same store gets its `entered`
 * first, it finds a reserved record, too, because each put has reserved one.
 *
 * The end sets `ended` under the lock. From then on no record changes: entering returns CLOSED, entered removes its
 * entry itself, and left does nothing. So the runner can go through the records without the lock, and each entry is
 * removed, either by the runner, if `entered` came before the end, or by `entered`. A removal by handle happens once,
 * even if both try.
 *
 * Most streams have one entry, in the instance's own store: it needs no memory beside the context. Others have a list.
 * All is guarded by the connection's lock, under which no memory is allocated. */
#include "instance/stream_entries.h"

#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/memory.h"
#include "connection/connection.h"
#include "store/store.h"

/* A record. store: the lowest bit is the mark of an entry that has left before `entered`. */
typedef struct record {
  uintptr_t store;
  vestry_handle handle; /* 0: reserved */
} record;

/* The scope of a stream after a change. */
struct vsi_stream_new_scope {
  size_t len;
  char bytes[];
};

typedef struct vsi_stream_list {
  uint32_t count, room;
  struct vsi_stream_new_scope *scope; /* if has_new_scope */
  record records[];
} vsi_stream_list;

enum { FIRST_ROOM = 2 };

static size_t bytes_for(size_t room) {
  return sizeof(vsi_stream_list) + room * sizeof(record);
}

/* --------------------------------------------------------------------------------------------- records, locked ---- */

static size_t count_locked(const vsi_stream_context *stream) {
  return stream->has_list ? stream->entries.list->count : stream->has_one;
}

static record record_locked(const vsi_stream_context *stream, size_t i) {
  if (stream->has_list) return stream->entries.list->records[i];
  return (record){(uintptr_t)vsi_stream_context_v(stream)->store | stream->one_has_left, stream->entries.handle};
}

static void set_locked(vsi_stream_context *stream, size_t i, record to) {
  if (stream->has_list) {
    stream->entries.list->records[i] = to;
    return;
  }
  stream->one_has_left = to.store & 1;
  stream->entries.handle = to.handle;
}

/* Drop a record; the others keep their order. */
static void drop_locked(vsi_stream_context *stream, size_t i) {
  if (!stream->has_list) {
    stream->has_one = false;
    return;
  }
  vsi_stream_list *list = stream->entries.list;
  list->count--;
  memmove(&list->records[i], &list->records[i + 1], (list->count - i) * sizeof *list->records);
}

/* Return the index of the first record that equals this one; count_locked: there is none. */
static size_t find_record_locked(const vsi_stream_context *stream, uintptr_t store, vestry_handle handle) {
  size_t i = 0;
  for (size_t count = count_locked(stream); i < count; i++) {
    const record at = record_locked(stream, i);
    if (at.store == store && at.handle == handle) break;
  }
  return i;
}

/* Reserve a record. Returns false if the list must grow first. */
static bool reserve_locked(vsi_stream_context *stream, uintptr_t store) {
  if (!stream->has_list) {
    if (stream->has_one || store != (uintptr_t)vsi_stream_context_v(stream)->store) return false;
    stream->has_one = true;
    stream->one_has_left = false;
    stream->entries.handle = 0;
    return true;
  }
  vsi_stream_list *list = stream->entries.list;
  if (list->count == list->room) return false;
  list->records[list->count++] = (record){store, 0};
  return true;
}

/* Move the records to a list with more room. Returns the list to free: the former one, NULL, or `list` itself if it is
 * not larger, or if the stream has ended. */
static vsi_stream_list *move_locked(vsi_stream_context *stream, vsi_stream_list *list) {
  size_t count = count_locked(stream);
  if (list->room <= count || atomic_load_explicit(&stream->ended, memory_order_relaxed)) return list;
  for (size_t i = 0; i < count; i++) list->records[i] = record_locked(stream, i);
  list->count = (uint32_t)count;
  vsi_stream_list *former = stream->has_list ? stream->entries.list : NULL;
  list->scope = stream->has_new_scope ? former->scope : NULL;
  stream->has_list = true;
  stream->entries.list = list;
  return former;
}

/* ------------------------------------------------------------------------------- values of stores: connections ---- */

static void value_ref(void *value) {
  (void)vsi_connection_hold(value);
}

static void value_unref(void *value) {
  vestry_connection_unref(value);
}

static void value_close(void *value, vestry_cause cause) {
  vestry_connection_close(value, cause);
}

static uint64_t value_used_ns(void *value) {
  return vsi_connection_last_write_ns(value);
}

static bool value_has_ended(void *value) {
  return !vestry_connection_is_open(value);
}

/* Make room for this number of records. OK | NO_MEMORY */
static vestry_err make_record_room(vestry_connection *connection, vsi_stream_context *stream, size_t room) {
  vsi_stream_list *list = vsi_alloc(vsi_stream_context_v(stream)->host, bytes_for(room));
  if (!list) return VESTRY_NO_MEMORY;
  list->room = (uint32_t)room;
  vsi_connection_lock(connection);
  list = move_locked(stream, list);
  vsi_connection_unlock(connection);
  vsi_free(vsi_stream_context_v(stream)->host, list);
  return VESTRY_OK;
}

static vestry_err refuse_entry(vestry *v) {
  vsi_log_repeated(v->host, &v->repeated, 0, VESTRY_LOG_ERROR,
                   "vestry_store_put: a stream can have at most %zu keys in addition to its first; raise "
                   "vestry_bounds.max_per_stream_count",
                   v->max_per_stream_count);
  return VESTRY_LIMIT;
}

/* Dispatches of the store's instance would reach the stream, and the end of that instance would end it. */
static vestry_err refuse_stranger(const vestry_store *store) {
  return vsi_mistake(store->host, "vestry_store_put",
                     "the stream belongs to another instance than the store; put it into a store of its own instance, "
                     "or into one that no instance has");
}

/* Reserve a record for a put that begins. OK | CLOSED (the stream has ended) | LIMIT | INVALID | NO_MEMORY */
static vestry_err value_entering(void *value, vestry_store *store) {
  vestry_connection *connection = value;
  vsi_stream_context *stream = vsi_stream_context_of(connection);
  if (!stream) return VESTRY_OK;
  if (store->owner && store->owner != vsi_stream_context_v(stream)) return refuse_stranger(store);
  for (;;) {
    vsi_connection_lock(connection);
    bool has_ended = atomic_load_explicit(&stream->ended, memory_order_relaxed); /* set under the lock */
    size_t count = has_ended ? 0 : count_locked(stream);
    /* A stream that changes its scope is in both scopes for a moment. */
    bool has_room = count < (1 + vsi_stream_context_v(stream)->max_per_stream_count) * (stream->is_moving ? 2 : 1);
    bool is_reserved = !has_ended && has_room && reserve_locked(stream, (uintptr_t)store);
    vsi_connection_unlock(connection);
    if (is_reserved) return VESTRY_OK;
    if (has_ended) return VESTRY_CLOSED;
    if (!has_room) return refuse_entry(vsi_stream_context_v(stream));
    vestry_err error = make_record_room(connection, stream, count < FIRST_ROOM ? FIRST_ROOM : 2 * count);
    if (error) return error;
  }
}

/* Give a reserved record its handle, or drop it. Returns whether the entry stays stored, as far as the records show. */
static bool settle_locked(vsi_stream_context *stream, uintptr_t store, vestry_handle handle) {
  size_t left = handle ? find_record_locked(stream, store | 1, handle) : count_locked(stream);
  if (left < count_locked(stream)) {
    drop_locked(stream, left);
    return false;
  }
  size_t reserved = find_record_locked(stream, store, 0);
  VSI_ASSERT(reserved < count_locked(stream));
  if (handle)
    set_locked(stream, reserved, (record){store, handle});
  else
    drop_locked(stream, reserved);
  return handle != 0;
}

static void value_entered(void *value, vestry_store *store, vestry_handle handle) {
  vestry_connection *connection = value;
  vsi_stream_context *stream = vsi_stream_context_of(connection);
  if (!stream) return;
  vsi_connection_lock(connection);
  bool has_ended = atomic_load_explicit(&stream->ended, memory_order_relaxed);
  bool is_stored = has_ended ? handle != 0 : settle_locked(stream, (uintptr_t)store, handle);
  vsi_connection_unlock(connection);
  /* A stream that is ending leaves at once, although its end would remove the entry, too. */
  if (is_stored && (has_ended || !vsi_connection_is_open(connection)))
    vestry_store_remove_if(store, handle, vsi_connection_cause(connection));
}

static void value_left(void *value, vestry_store *store, vestry_handle handle) {
  vestry_connection *connection = value;
  vsi_stream_context *stream = vsi_stream_context_of(connection);
  if (!stream) return;
  vsi_connection_lock(connection);
  if (!atomic_load_explicit(&stream->ended, memory_order_relaxed)) {
    size_t at = find_record_locked(stream, (uintptr_t)store, handle);
    if (at < count_locked(stream)) {
      drop_locked(stream, at);
    } else if ((at = find_record_locked(stream, (uintptr_t)store, 0)) < count_locked(stream)) {
      set_locked(stream, at, (record){(uintptr_t)store | 1, handle});
    }
  }
  vsi_connection_unlock(connection);
}

const vestry_value_ops vestry_connection_values = {.ref = value_ref,
                                                   .unref = value_unref,
                                                   .close = value_close,
                                                   .used_ns = value_used_ns,
                                                   .has_ended = value_has_ended,
                                                   .entering = value_entering,
                                                   .entered = value_entered,
                                                   .left = value_left};

/* -------------------------------------------------------------------------------------------- for the instance ---- */

vestry_err vsi_stream_entries_reserve(vestry_connection *connection, size_t count) {
  return make_record_room(connection, vsi_stream_context_of(connection), count);
}

void vsi_stream_entries_end(vestry_connection *connection, vsi_stream_context *stream, vestry_cause cause) {
  vsi_connection_lock(connection);
  atomic_store_explicit(&stream->ended, true, memory_order_release); /* pairs with ops/observe/closes.c */
  vsi_connection_unlock(connection);
  for (size_t i = 0, count = count_locked(stream); i < count; i++) { /* no thread changes them any more */
    const record at = record_locked(stream, i);
    if (at.handle && !(at.store & 1)) vestry_store_remove_if((vestry_store *)at.store, at.handle, cause);
  }
}

void vsi_stream_entries_free(vsi_stream_context *stream, const vestry_host *host) {
  if (stream->has_new_scope) vsi_free(host, stream->entries.list->scope);
  if (stream->has_list) vsi_free(host, stream->entries.list);
}

size_t vsi_stream_entries_copy(vestry_connection *connection, vsi_stream_entry *to, size_t room) {
  vsi_stream_context *stream = vsi_stream_context_of(connection);
  size_t copied = 0;
  if (!stream) return 0;
  vsi_connection_lock(connection);
  for (size_t i = 0, count = count_locked(stream); i < count; i++) {
    const record at = record_locked(stream, i);
    if (!at.handle || at.store & 1) continue;
    if (copied < room) to[copied] = (vsi_stream_entry){(vestry_store *)at.store, at.handle};
    copied++;
  }
  vsi_connection_unlock(connection);
  return copied;
}

/* --------------------------------------------------------------------------------------------------- the scope ---- */

vestry_scope vsi_stream_last_scope(const vsi_stream_context *stream) {
  if (!stream->has_new_scope) return vsi_stream_context_first_scope(stream);
  const struct vsi_stream_new_scope *scope = stream->entries.list->scope;
  return (vestry_scope){scope->bytes, scope->len};
}

vestry_scope vestry_connection_scope_get(vestry_connection *connection, char buffer[VESTRY_SCOPE_MAX_BYTES]) {
  vsi_stream_context *stream = vsi_stream_context_of(connection);
  vestry_scope scope = {buffer, 0};
  if (!stream) return scope;
  vsi_connection_lock(connection);
  const vestry_scope own = vsi_stream_last_scope(stream);
  scope.len = own.len;
  if (own.len) memcpy(buffer, own.data, own.len);
  vsi_connection_unlock(connection);
  return scope;
}

static bool are_equal(vestry_scope a, vestry_scope b) {
  return a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}

bool vsi_stream_is_of(vestry_connection *connection, vestry_scope scope) {
  vsi_stream_context *stream = vsi_stream_context_of(connection);
  if (!stream) return false;
  vsi_connection_lock(connection);
  bool is_of = are_equal(vsi_stream_last_scope(stream), scope);
  vsi_connection_unlock(connection);
  return is_of;
}

vestry_err vsi_scope_change_begin(vsi_scope_change *change, vestry_connection *connection, vestry_scope to) {
  vsi_stream_context *stream = vsi_stream_context_of(connection);
  change->to = vsi_alloc(vsi_stream_context_v(stream)->host, sizeof *change->to + to.len);
  if (!change->to) return VESTRY_NO_MEMORY;
  change->to->len = to.len;
  if (to.len) memcpy(change->to->bytes, to.data, to.len);
  vsi_connection_lock(connection);
  bool has_list = stream->has_list;
  vestry_err error = atomic_load_explicit(&stream->ended, memory_order_relaxed) ? VESTRY_CLOSED : VESTRY_OK;
  if (!error && stream->is_moving) error = VESTRY_BUSY;
  if (!error) stream->is_moving = true;
  vsi_connection_unlock(connection);
  if (error) {
    vsi_free(vsi_stream_context_v(stream)->host, change->to);
    return error;
  }
  change->from = vestry_connection_scope_get(connection, change->from_bytes); /* only this thread changes it */
  /* The new scope is in the list. A stream that has ended gets no list, and then no scope. */
  if (!has_list) error = make_record_room(connection, stream, FIRST_ROOM);
  if (error) vsi_scope_change_end(change, connection);
  return error;
}

vestry_err vsi_scope_change_commit(vsi_scope_change *change, vestry_connection *connection) {
  vsi_stream_context *stream = vsi_stream_context_of(connection);
  vsi_connection_lock(connection);
  bool has_ended = atomic_load_explicit(&stream->ended, memory_order_relaxed);
  if (!has_ended) {
    struct vsi_stream_new_scope *former = stream->has_new_scope ? stream->entries.list->scope : NULL;
    stream->entries.list->scope = change->to;
    stream->has_new_scope = true;
    change->to = former;
  }
  vsi_connection_unlock(connection);
  return has_ended ? VESTRY_CLOSED : VESTRY_OK;
}

void vsi_scope_change_end(vsi_scope_change *change, vestry_connection *connection) {
  vsi_stream_context *stream = vsi_stream_context_of(connection);
  vsi_connection_lock(connection);
  stream->is_moving = false;
  vsi_connection_unlock(connection);
  vsi_free(vsi_stream_context_v(stream)->host, change->to);
}
