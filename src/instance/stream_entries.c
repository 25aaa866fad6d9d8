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

/* The records of a stream, wherever they are: change them, and pass them to write_locked. */
typedef struct view {
  record *all;
  size_t count, room;
  record one; /* of a stream without a list */
} view;

static void read_locked(const vsi_stream_context *stream, view *is) {
  if (stream->has_list) {
    vsi_stream_list *list = stream->entries.list;
    *is = (view){.all = list->records, .count = list->count, .room = list->room};
  } else {
    const uintptr_t own = (uintptr_t)vsi_stream_context_v(stream)->store;
    *is = (view){&is->one, stream->has_one, 1, {own | stream->one_has_left, stream->entries.handle}};
  }
}

static void write_locked(vsi_stream_context *stream, const view *is) {
  if (stream->has_list) {
    stream->entries.list->count = (uint32_t)is->count;
    return;
  }
  stream->has_one = is->count;
  stream->one_has_left = is->one.store & 1;
  stream->entries.handle = is->one.handle;
}

/* Drop a record; the others keep their order. */
static void drop_record(view *is, size_t i) {
  is->count--;
  memmove(&is->all[i], &is->all[i + 1], (is->count - i) * sizeof *is->all);
}

/* Return the index of the first record that equals this one; is->count: there is none. */
static size_t find_record(const view *is, uintptr_t store, vestry_handle handle) {
  size_t i = 0;
  while (i < is->count && (is->all[i].store != store || is->all[i].handle != handle)) i++;
  return i;
}

/* Reserve a record. Returns false if the list must grow first. */
static bool reserve_locked(vsi_stream_context *stream, uintptr_t store) {
  view is;
  read_locked(stream, &is);
  const bool is_possible = stream->has_list || store == (uintptr_t)vsi_stream_context_v(stream)->store;
  if (!is_possible || is.count == is.room) return false;
  is.all[is.count++] = (record){store, 0};
  write_locked(stream, &is);
  return true;
}

/* Move the records to a list with more room. Returns the list to free: the former one, NULL, or `list` itself if it is
 * not larger, or if the stream has ended. */
static vsi_stream_list *move_locked(vsi_stream_context *stream, vsi_stream_list *list) {
  view is;
  read_locked(stream, &is);
  if (list->room <= is.count || atomic_load_explicit(&stream->ended, memory_order_relaxed)) return list;
  memcpy(list->records, is.all, is.count * sizeof *is.all);
  list->count = (uint32_t)is.count;
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
  for (view is;;) {
    vsi_connection_lock(connection);
    bool has_ended = atomic_load_explicit(&stream->ended, memory_order_relaxed); /* set under the lock */
    read_locked(stream, &is);
    /* A stream that changes its scope is in both scopes for a moment. */
    bool has_room = is.count < (1 + vsi_stream_context_v(stream)->max_per_stream_count) * (stream->is_moving ? 2 : 1);
    bool is_reserved = !has_ended && has_room && reserve_locked(stream, (uintptr_t)store);
    vsi_connection_unlock(connection);
    if (is_reserved) return VESTRY_OK;
    if (has_ended) return VESTRY_CLOSED;
    if (!has_room) return refuse_entry(vsi_stream_context_v(stream));
    vestry_err error = make_record_room(connection, stream, is.count < FIRST_ROOM ? FIRST_ROOM : 2 * is.count);
    if (error) return error;
  }
}

/* Give a reserved record its handle, or drop it. Returns whether the entry stays stored, as far as the records show. */
static bool settle_locked(vsi_stream_context *stream, uintptr_t store, vestry_handle handle) {
  view is;
  read_locked(stream, &is);
  const size_t left = handle ? find_record(&is, store | 1, handle) : is.count, reserved = find_record(&is, store, 0);
  const bool is_stored = handle && left == is.count;
  VSI_ASSERT(left < is.count || reserved < is.count);
  if (is_stored)
    is.all[reserved].handle = handle;
  else
    drop_record(&is, left < is.count ? left : reserved);
  write_locked(stream, &is);
  return is_stored;
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
    view is;
    read_locked(stream, &is);
    size_t at = find_record(&is, (uintptr_t)store, handle);
    if (at < is.count) {
      drop_record(&is, at);
    } else if ((at = find_record(&is, (uintptr_t)store, 0)) < is.count) {
      is.all[at] = (record){(uintptr_t)store | 1, handle};
    }
    write_locked(stream, &is);
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
  view is;
  read_locked(stream, &is); /* no thread changes them any more */
  for (const record *at = is.all; at < is.all + is.count; at++)
    if (at->handle && !(at->store & 1)) vestry_store_remove_if((vestry_store *)at->store, at->handle, cause);
}

void vsi_stream_entries_free(vsi_stream_context *stream, const vestry_host *host) {
  if (stream->has_new_scope) vsi_free(host, stream->entries.list->scope);
  if (stream->has_list) vsi_free(host, stream->entries.list);
}

size_t vsi_stream_entries_copy(vestry_connection *connection, vsi_stream_entry *to, size_t room) {
  vsi_stream_context *stream = vsi_stream_context_of(connection);
  size_t copied = 0;
  if (!stream) return 0;
  view is;
  vsi_connection_lock(connection);
  read_locked(stream, &is);
  for (const record *at = is.all; at < is.all + is.count; at++) {
    if (!at->handle || at->store & 1) continue;
    if (copied < room) to[copied] = (vsi_stream_entry){(vestry_store *)at->store, at->handle};
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
