/* SPDX-License-Identifier: MIT */
/** Stores: maps from scoped keys (vestry/key.h) to connections, with bounds, eviction and expiry.
 *
 *  A store holds values under keys. In vestry a value is a connection; the store reaches it through vestry_value_ops. A
 *  key can hold several values; a value under a key is an entry. When an entry leaves the store, it has one cause, and
 *  the store calls the purge hook once, then close, then unref for its value. With cause DETACHED it does not call
 *  close: the value has left this key and stays open.
 *
 *      static const vestry_value_ops ops = {.ref = item_ref, .unref = item_unref, .close = item_close}; // yours
 *      vestry_scope scope = {0}; // the scope without an owner
 *      vestry_store *store;
 *      vestry_err error = vestry_store_create("lru", &(vestry_store_options){.value = &ops, .max_count = 500}, &store);
 *      if (!error) error = vestry_store_put(store, scope, VESTRY_KEY("item", 1), item, VESTRY_KEEP_REPLACE, 0, NULL);
 *      void *found[4]; size_t count = 4; // in: capacity, out: number
 *      if (!error) error = vestry_store_get(store, scope, VESTRY_KEY("item", 1), found, &count); // then unref each
 *
 *  The second half of this header is the interface for other store implementations. */
#ifndef VESTRY_STORE_H
#define VESTRY_STORE_H

#include "vestry/cause.h"
#include "vestry/key.h"
#include "vestry/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Values by scoped key. */
typedef struct vestry_store vestry_store;

/** Identifies one entry of a store from its put to its removal. Never reused; 0 is none. */
typedef uint64_t vestry_handle;

/** Functions by which a store reaches a value. They are called on any thread and must not block. */
typedef struct vestry_value_ops {
  /** Take a reference. May run under a lock of the store, so it must do nothing but increment a counter. (The lock
   *  keeps vestry_store_get from returning a value that another thread is freeing.) */
  void (*ref)(void *value);
  /** Drop a reference. No lock is held; may call the store. */
  void (*unref)(void *value);
  /** Close a value that has left the store, with this cause, which is not DETACHED. Must accept a value that is closed
   *  already. No lock is held; may call the store. */
  void (*close)(void *value, vestry_cause cause);
  /** Return the time of the value's last use outside the store, on the clock of the store's host; 0: never used. The
   *  store calls it before it evicts the value with cause IDLE. May run under a lock of the store: only read. NULL:
   *  only store operations count as use. */
  uint64_t (*used_ns)(void *value);
  /** Return whether a stored value has ended or is ending. From a full scope or key, the store evicts such values
   *  before all others. May run under a lock of the store: only read. NULL: as if it returned false. */
  bool (*has_ended)(void *value);
  /** The last three functions let a value record its entries, so that its end can remove them; all of them are set, or
   *  none. No lock is held; they may call the store.
   *
   *  entering: a put is about to store the value. OK, or the error that the put returns, for example CLOSED if the
   *  value has ended. */
  vestry_err (*entering)(void *value, vestry_store *store);
  /** The put that `entering` announced is over. handle: of its entry, which may have left already; 0: the put has
   *  failed, or the value was under the key already. If the value has ended meanwhile, this function must remove the
   *  entry. */
  void (*entered)(void *value, vestry_store *store, vestry_handle handle);
  /** An entry of the value has left. Called after the purge hook and before close, perhaps before `entered`. */
  void (*left)(void *value, vestry_store *store, vestry_handle handle);
} vestry_value_ops;

/** The argument of a purge hook. Its pointers are valid during the call. */
typedef struct vestry_purged {
  vestry_scope scope;
  const void *key; /**< encoded; see vestry_key_format */
  size_t key_len;
  void *value; /**< still referenced by the store during the call */
  vestry_handle handle;
  vestry_cause cause;
} vestry_purged;

/** Called once for each entry that was removed, replaced or evicted, or has expired, before `close` of its value. Runs
 *  on a thread that calls the store, or on one of the runtime that drives it (vestry_store_drive). No lock is held; may
 *  call the store. A hook may put the value back; a full store then evicts another value. */
typedef void (*vestry_purge_fn)(const vestry_purged *purged, void *ctx);

/** A store type that the application implements. */
typedef struct vestry_store_type {
  const struct vestry_store_ops *ops; /**< with the type's name; borrowed until the last store of the type is
                                           destroyed */
  void *ctx;                          /**< passed to create */
} vestry_store_type;

/** Options of a store. Zero is the default.
 *
 *  Eviction order of an "lru" store:
 *  - max_count, of the whole store: the least recently used value is evicted. The store records uses in steps of about
 *    min(idle_ms, lifetime_ms) / 4,000, rounded up to whole ms (150 ms if both are "never"). A value last used in an
 *    earlier step is evicted first; within a step the order is exact among values of one key, and approximate among
 *    keys.
 *  - max_per_scope_count: the least recently used value of the scope is evicted, in exact order. An ended value
 *    (has_ended) among the 64 least recently used is evicted before it. A put never evicts its own value, which may be
 *    in the scope under other keys; the put returns LIMIT if the scope has no other value.
 *  - many_count of KEEP_MANY, also in a "hash" store: an ended value among the 64 oldest of the key leaves with cause
 *    REPLACED; if there is none, the value that was put first under the key.
 *
 *  A put counts as use of its value. A lookup (get, with) counts as use of all values of its key, in the order of their
 *  puts, so the newest becomes the most recently used. */
typedef struct vestry_store_options {
  const vestry_host *host;       /**< borrowed; NULL: default */
  const vestry_value_ops *value; /**< copied; ref, unref and close are mandatory */
  vestry_purge_fn purge;         /**< NULL: none */
  void *purge_ctx;
  size_t max_count;           /**< lru: maximum number of entries, then eviction; 0: 10,000. hash: FULL beyond it;
                                   0: no maximum */
  uint64_t idle_ms;           /**< lru: an entry that was not used for this time leaves with cause IDLE; 0: 10 minutes
                                   (vestry_options: never); VESTRY_NEVER_MS: never. An entry whose latest use is known
                                   by used_ns only may leave late, at most after twice idle_ms. hash: ignored */
  uint64_t lifetime_ms;       /**< lru: an entry leaves with cause EXPIRED when this time has passed since its first
                                   put; 0: never. hash: ignored */
  size_t max_per_scope_count; /**< lru: maximum number of entries of one scope, then eviction with cause SIZE; 0: no
                                   maximum. hash: LIMIT beyond it. A value under several keys has several entries */
  const vestry_store_type *types; /**< store types of the application; each name differs from the others and from the
                                       built-in ones. Read by vestry_store_create */
  size_t types_count;             /**< number of types */
} vestry_store_options;

/** Behaviour of a put whose key has other values already. A put of a value that its key has already marks the value as
 *  used and returns OK, under every policy. The value keeps its position among the values of the key, its creation time
 *  and its handle; under REPLACE, the other values leave. */
typedef enum vestry_keep_policy {
  VESTRY_KEEP_REPLACE = 0, /**< the old values leave with cause REPLACED */
  VESTRY_KEEP_REUSE,       /**< the put stores nothing, does not count as use of the old values, and returns EXISTS; the
                                caller can get them */
  VESTRY_KEEP_REJECT,      /**< nothing is stored: EXISTS. For the store the same as REUSE; for a reply see
                                vestry_reply_keep (vestry/request.h) */
  VESTRY_KEEP_MANY /**< the put adds the value; beyond the maximum, an ended value, or else the oldest, leaves with
                        cause REPLACED */
} vestry_keep_policy;

/** Result of a put. */
typedef struct vestry_put_result {
  vestry_handle handle;   /**< of the stored entry */
  size_t displaced_count; /**< number of values that left because of this put, with cause REPLACED or SIZE */
  bool refreshed;         /**< the value was under the key already: it is marked as used, and keeps its creation time
                               and handle */
} vestry_put_result;

/** Position of a listing. Begin with zero. */
typedef struct vestry_list_cursor {
  uint64_t position; /**< opaque */
  uint64_t until;    /**< opaque */
  bool done;         /**< set after the last page */
} vestry_list_cursor;

/** One listed key. Valid during the call. */
typedef struct vestry_listed {
  vestry_scope scope;
  const void *key; /**< encoded */
  size_t key_len;
  size_t values_count;
} vestry_listed;
/** Receives one key, on the listing thread. No lock is held. */
typedef void (*vestry_list_fn)(const vestry_listed *listed, void *ctx);

/** Counters: live = put - removed, and removed is the sum of removed_by_cause. Exact if no operation runs meanwhile. */
typedef struct vestry_store_stats {
  uint64_t put_count, removed_count, live_count;
  uint64_t hits_count, misses_count; /**< of lookups by key */
  uint64_t removed_by_cause[VESTRY_CAUSES_MAX];
} vestry_store_stats;

/** A scope and a key that are packed and hashed once, for a program that uses them often (vestry_store_ready). It is
 *  accepted wherever a key is, and must not move. Functions with a scope accept the ready key's one, or
 *  (vestry_scope){0} instead; another one is INVALID. As a part of a tuple it is the key without the scope. */
typedef vestry_key vestry_ready_key[8];

/** Create a store.
 *  type       "hash" (no eviction), "lru" (bounded; evicts the least recently used entries, expires idle ones), or the
 *             name of one of options->types
 *  options    copied, with the functions of value; value is mandatory. host, purge_ctx and the ops of types are
 *             borrowed until vestry_store_destroy
 *  ret_store  owned by the caller; untouched on failure
 *  Returns  OK | NOT_FOUND (no such type) | INVALID (options, or an incomplete type) | EXISTS (two types of one name) |
 *           NO_MEMORY | IO (no randomness for the hash key)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_store_create(const char *type, const vestry_store_options *options,
                                          vestry_store **ret_store);

/** Close and free a store. No other call may run or follow, and no runtime may drive the store. NULL is accepted.
 *  Threads  one; runs callbacks on this thread */
VESTRY_API void vestry_store_destroy(vestry_store *store);

/** Store a value under a key.
 *  value       borrowed; the store takes a reference if it returns OK
 *  many_count  for KEEP_MANY: maximum number of values under the key; 0: 8
 *  ret_result  may be NULL; untouched on failure
 *  Returns  OK | EXISTS (REUSE, REJECT) | INVALID (key, value, policy) | TOO_LARGE (key, scope) | FULL, LIMIT (bounds
 *           of a hash store; LIMIT of an lru store: the scope has no other value to evict) | CLOSED (the store) |
 *           NO_MEMORY. On failure the store is unchanged, except that expired values may leave
 *  Threads  any; takes a lock briefly; runs the callbacks of evicted values after it has released the lock
 *
 *  A full store never evicts the value being put. A value can end on another thread before put has returned its handle;
 *  `entering` and `entered` of vestry_value_ops let the value remove such an entry. Streams of an instance do this
 *  (vestry_connection_values): a put gives a live stream one more key, and the stream's end removes all its entries. */
VESTRY_API vestry_err vestry_store_put(vestry_store *store, vestry_scope scope, const vestry_key *key, void *value,
                                       vestry_keep_policy policy, size_t many_count, vestry_put_result *ret_result);

/** Make a ready key. It is fastest in this store, and correct in all others.
 *      vestry_ready_key room;
 *      vestry_err error = vestry_store_ready(store, scope, VESTRY_KEY("room", 7), room);
 *      if (!error) error = vestry_store_with(store, (vestry_scope){0}, room, ring, NULL); // many times
 *  ret_ready  borrows neither scope nor key; needs no end; untouched on failure
 *  Returns  OK | INVALID (key, scope) | TOO_LARGE (scope and key encode to more than 230 bytes) | NO_MEMORY (scope and
 *           key are longer than that)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_store_ready(vestry_store *store, vestry_scope scope, const vestry_key *key,
                                         vestry_ready_key ret_ready);

/** Get the values of a key, the most recent put last. This counts as use of them.
 *  values     receives references, which the caller drops with unref
 *  count      in: capacity of values; out: number of values written. If there are more, only the most recent ones are
 *             written
 *  Returns  OK | NOT_FOUND | INVALID, TOO_LARGE (key) | NO_MEMORY (never if scope and key encode to at most 250 bytes).
 *           count is 0 unless OK
 *  Threads  any; no I/O; runs ref. Expired values of this key that are still in the store are removed
 *           first, with their callbacks and no lock held, and are not returned */
VESTRY_API vestry_err vestry_store_get(vestry_store *store, vestry_scope scope, const vestry_key *key, void **values,
                                       size_t *count);

/** Receives a value under a lock of the store, on the calling thread. It must be short and must not block, wait for
 *  another thread, or call the store. The value is borrowed; take a reference to keep it. */
typedef void (*vestry_with_fn)(void *value, void *ctx);
/** Call fn for each value of a key, the most recent put first (vestry_store_get returns it last), without taking
 *  references. This counts as use of the values.
 *  Returns  OK | NOT_FOUND (fn was not called) | INVALID, TOO_LARGE, NO_MEMORY (as vestry_store_get)
 *  Threads  any; takes a lock briefly and runs fn under it; then runs callbacks of expired values */
VESTRY_API vestry_err vestry_store_with(vestry_store *store, vestry_scope scope, const vestry_key *key,
                                        vestry_with_fn fn, void *ctx);

/** The key of a vestry_store_remove that removes all keys of a scope. */
static const vestry_key VESTRY_EVERY_KEY[1] = {{VESTRY_KEY_EVERY, 0, NULL, 0, NULL}};

/** Remove all values of a key, or, with VESTRY_EVERY_KEY, of all keys of a scope. In the second case, values that are
 *  put meanwhile may stay. To end the streams of a user, see vestry_close_scope (vestry/instance.h).
 *  scope      empty: the one without an owner; with VESTRY_EVERY_KEY all of its values leave. Check the name of a
 *             user first
 *  cause      any but NONE
 *  ret_count  may be NULL; number of removed values, also on NOT_FOUND
 *  Returns  OK | NOT_FOUND (no value) | INVALID (key, scope, cause) | TOO_LARGE (key, scope) | NO_MEMORY (as
 *           vestry_store_get)
 *  Threads  any; runs callbacks on this thread, no lock held. VESTRY_EVERY_KEY takes locks briefly, however large the
 *           store and the scope. The time grows with the number of keys in the store; with max_per_scope_count only
 *           with those that share a lock with the scope */
VESTRY_API vestry_err vestry_store_remove(vestry_store *store, vestry_scope scope, const vestry_key *key,
                                          vestry_cause cause, size_t *ret_count);

/** Remove one value of a key, so that the other values of the key stay. With cause DETACHED, a stream leaves the key
 *  and stays open.
 *  value    borrowed; compared by its address
 *  cause    any but NONE
 *  Returns  OK | NOT_FOUND (the value is not under the key) | INVALID (key, value, cause) | TOO_LARGE (key) | NO_MEMORY
 *           (as vestry_store_get)
 *  Threads  any; runs callbacks on this thread, no lock held */
VESTRY_API vestry_err vestry_store_remove_value(vestry_store *store, vestry_scope scope, const vestry_key *key,
                                                void *value, vestry_cause cause);

/** Remove one entry by its handle, so that the late end of an old connection does not remove its successor.
 *  cause    any but NONE
 *  Returns  whether the entry left with this cause; false if it had left before or had expired
 *  Threads  any; runs callbacks on this thread, no lock held */
VESTRY_API bool vestry_store_remove_if(vestry_store *store, vestry_handle handle, vestry_cause cause);

/** List keys, one bounded page for each call: while (!cursor.done) vestry_store_list(…, &cursor). A key that is present
 *  during the whole listing is listed once; a key that comes or goes meanwhile at most once. A listing may miss keys
 *  that are put after its first page, so that it ends even if puts never stop.
 *  only_scope  NULL: all scopes
 *  page_count  maximum number of keys in a page; 0: 256; at most 4,096. Keys with equal hashes share a page
 *  fn          called on this thread, no lock held; may call the store
 *  Returns  OK | NO_MEMORY (the page is not listed, the cursor does not move)
 *  Threads  any; takes locks briefly, however large the store */
VESTRY_API vestry_err vestry_store_list(vestry_store *store, const vestry_scope *only_scope, size_t page_count,
                                        vestry_list_cursor *cursor, vestry_list_fn fn, void *ctx);

/** Get a snapshot of the counters. Threads any; takes locks briefly. */
VESTRY_API void vestry_store_stats_get(vestry_store *store, vestry_store_stats *ret_stats);

/** Drive a store: remove expired values on a timer of a runtime, so that they leave on time even if no thread
 *  calls the store.
 *  runtime  must have the same host as the store, because both use its clock; borrowed. NULL stops the driving and
 *           waits for a running tick, so a callback of the store must not pass NULL
 *  Returns  OK | EXISTS (a runtime drives the store) | INVALID (another host) | NO_MEMORY | CLOSED (the runtime);
 *           always OK for NULL
 *  Threads  any */
VESTRY_API vestry_err vestry_store_drive(vestry_store *store, vestry_runtime *runtime);

/* -------------------------------------------------------------------------------- store implementations ---- */

/** A key in canonical form: lengths, scope and key in consecutive bytes. Two scoped keys are equal if and only if their
 *  bytes are. */
typedef struct vestry_scoped_key {
  const unsigned char *data; /**< lengths and scope, then the encoded key; aligned for a uint32_t */
  size_t len;
  size_t key_offset;  /**< data + key_offset is the key as vestry_key_encode writes it */
  vestry_scope scope; /**< borrows the scope's bytes in data */
  /** Hash of the bytes, for tables. It is computed with a secret of the store, so that clients cannot choose keys whose
   *  upper hash bits collide. vestry_store_leave does not read it. */
  uint64_t hash;
} vestry_scoped_key;

/** Read a key from a copy of its data and len. The result borrows the copy, which may have any alignment; hash is 0.
 *  Threads any. */
VESTRY_API vestry_scoped_key vestry_scoped_key_read(const void *copy, size_t len);

/** Receives a key on the calling thread, possibly under a lock of the store. It must be short and must not block, wait
 *  for another thread, or call the store. key is valid during the call; its hash is 0. */
typedef void (*vestry_key_of_fn)(const vestry_scoped_key *key, void *ctx);

/** The object through which an implementation reports removed values to the store. */
typedef struct vestry_store_exit vestry_store_exit;
/** Report that a value has left. The store counts it, calls the purge hook and close, and drops the reference. Call it
 *  exactly once for each value, on any thread, with no lock of the implementation held and the key's bytes valid. */
VESTRY_API void vestry_store_leave(vestry_store_exit *exit, const vestry_scoped_key *key, void *value,
                                   vestry_handle handle, vestry_cause cause);
/** Functions of a store implementation, which keeps entries (key, value, handle). These may be NULL: `tick`,
 *  `next_deadline_ns`, `stats`, `key_of`. Called on any thread, concurrently. */
typedef struct vestry_store_ops {
  const char *type; /**< name of the type; static */
  /** Create a store of this type.
   *  options  valid during the call; host is set. value is valid until destroy, and all its functions are set. The
   *           store must call used_ns before a value leaves with cause IDLE, and keep a value that was used within
   *           idle_ms. It must call has_ended before a full scope or key evicts a value, and evict an ended value
   *           before others
   *  exit     valid until destroy
   *  Returns  OK | INVALID | NO_MEMORY | IO */
  vestry_err (*create)(const vestry_store_options *options, vestry_store_exit *exit, void *type_ctx, void **ret_self);
  /** Free a store that is empty. */
  void (*destroy)(void *self);
  /** As vestry_store_put. Copies the key; many_count is not 0, ret_result is not NULL. The caller passes a reference to
   *  the value. `put` takes this reference over, unless the put fails or only marks a stored value as used. Handles are
   *  not 0, and never repeat during the life of the store. */
  vestry_err (*put)(void *self, const vestry_scoped_key *key, void *value, vestry_keep_policy policy, size_t many_count,
                    vestry_put_result *ret_result);
  /** As vestry_store_with: OK | NOT_FOUND. No other thread may remove a value while fn runs for it, because fn may take
   *  a reference; so fn runs under a lock. */
  vestry_err (*with)(void *self, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx);
  /** Remove a value of a key; NULL: all values of the key. Returns the number of removed values. */
  size_t (*remove)(void *self, const vestry_scoped_key *key, const void *value, vestry_cause cause);
  /** As vestry_store_remove_if. */
  bool (*remove_if)(void *self, vestry_handle handle, vestry_cause cause);
  /** Remove all values of a scope; returns their number. scope NULL: remove all values, and later puts return CLOSED;
   *  idempotent. */
  size_t (*clear)(void *self, const vestry_scope *scope, vestry_cause cause);
  /** As vestry_store_list; page_count is 1 to 4,096, and the cursor is not done. */
  vestry_err (*list)(void *self, const vestry_scope *only_scope, size_t page_count, vestry_list_cursor *cursor,
                     vestry_list_fn fn, void *ctx);
  /** Remove the values that have expired. NULL: no value expires. */
  void (*tick)(void *self);
  /** Return the time of the next tick; UINT64_MAX: never. Called after each tick and, while a runtime drives the store,
   *  after each put, so it should be cheap. NULL if `tick` is NULL. */
  uint64_t (*next_deadline_ns)(void *self);
  /** Fill in the counters, for an implementation that counts by itself, for example for each thread. NULL: the store
   *  counts. */
  void (*stats)(void *self, vestry_store_stats *ret_stats);
  /** Call a function with the key of an entry. This does not count as use of the value. May run fn under a lock.
   *  Returns whether the entry is present. NULL: streams are shown without their keys (vestry/ops/observe.h), and
   *  vestry_connection_scope_set returns UNSUPPORTED. */
  bool (*key_of)(void *self, vestry_handle handle, vestry_key_of_fn fn, void *ctx);
} vestry_store_ops;

#ifdef __cplusplus
}
#endif
#endif
