/* SPDX-License-Identifier: MIT */
/** Stores: where connections are kept by scoped key.
 *
 *  A store holds values under keys; in vestry a value is a connection, but a store knows a value only by a few
 *  functions. A key can hold several values at once. Whatever leaves a store does so exactly once, with one cause: the
 *  purge hook is called, then the value's close, then its reference is dropped.
 *
 *      static const vestry_value_ops functions = {.ref = item_ref, .unref = item_unref, .close = item_close};
 *      vestry_store_options options = {.value = &functions, .idle_ms = 600000, .max_count = 10000};
 *      vestry_store_create("lru", &options, &store);
 *      vestry_store_put(store, scope, &key, value, VESTRY_KEEP_REPLACE, 0, &put);
 *      count = 4; vestry_store_get(store, scope, &key, found, &count);   // … use … and unref each
 *      vestry_store_remove(store, scope, &key, VESTRY_CAUSE_REMOVED, NULL);
 *
 *  The second half of this header is for those who bring a store of their own. */
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

/** How a store reaches a value. All of them: any thread, must not block. */
typedef struct vestry_value_ops {
  size_t size; /**< sizeof(vestry_value_ops), or 0 */
  /** May run under a lock of the store's, so that what get hands out cannot leave meanwhile: count, and do nothing
   *  else. */
  void (*ref)(void *value);
  /** No lock held; may call the store. */
  void (*unref)(void *value);
  /** The value has left the store: close it for this cause. Does nothing to a value that is closed already. No lock
   *  held; may call the store. */
  void (*close)(void *value, vestry_cause cause);
  /** When the value was last used otherwise than through the store, on the clock of the store's host; 0: never. The
   *  store asks this of a value that would leave for IDLE. May run under a lock of the store's: read, and do nothing
   *  else. NULL: only what goes through the store is a use. */
  uint64_t (*used_ns)(void *value);
  /** Whether the value has ended, or is about to, and has not left the store yet: such a value makes room in its scope,
   *  and under its key, before any other. May run under a lock of the store's: read, and do nothing else. NULL: none
   *  has. */
  bool (*has_ended)(void *value);
} vestry_value_ops;

/** Names one stay of one value in one store; never reused. 0 is none. */
typedef uint64_t vestry_handle;

/** What a purge hook is told. Pointers are valid during the call. */
typedef struct vestry_purged {
  vestry_scope scope;
  const void *key; /**< encoded; see vestry_key_format */
  size_t key_len;
  void *value; /**< still referenced by the store during the call */
  vestry_handle handle;
  vestry_cause cause;
} vestry_purged;

/** Called once for each value that leaves, before its close. Any thread that calls or drives the store, no lock held;
 *  may call the store. (A hook that puts the value into a full store again makes another value leave, and so on.) */
typedef void (*vestry_purge_fn)(const vestry_purged *purged, void *ctx);

/** Which value of an "lru" store goes when there is no room: the least recently used.
 *    - A put uses the value that it puts, and no other of its key; one that refreshes uses that value alone.
 *    - A look-up (get, with) uses all values of its key, one after the other in the order of their puts: the newest is
 *      the last one used, so it is the last one to go.
 *    - When a scope is full (max_per_scope_count), the value of it that was used longest ago goes, in the order of all
 *      uses; but one that has ended before those that live (found among the 64 that were used longest ago), and never
 *      the very value that is put: LIMIT if the scope has no other.
 *    - When the store is full (max_count), the values that were last used go by ticks of a 4,000th of idle_ms or
 *      lifetime_ms, in whole ms: none before one of an earlier tick. Inside a tick the order is exact among values of
 *      one key, and near it among keys.
 *    - When a key is full (KEEP_MANY), the value that was put longest ago goes, whatever was looked up; but one that
 *      has ended before those that live (found among the 64 that were put longest ago). Of a "hash" store, too. */

struct vestry_store_ops;
/** A type of stores of the application's own. */
typedef struct vestry_store_type {
  const struct vestry_store_ops *ops; /**< which has its name. Borrowed: must outlive the stores of the type */
  void *ctx;                          /**< handed to its create */
} vestry_store_type;

/** What a store keeps, and how long. Zero is the default. */
typedef struct vestry_store_options {
  size_t size;                   /**< sizeof(vestry_store_options), or 0 */
  const vestry_host *host;       /**< borrowed; NULL: default */
  const vestry_value_ops *value; /**< copied; all mandatory but the last two */
  vestry_purge_fn purge;         /**< NULL: none */
  void *purge_ctx;
  size_t max_count;           /**< lru: values held at most; 0: 10,000; hash: 0: no bound, else FULL beyond it */
  uint64_t idle_ms;           /**< lru: unused for so long → IDLE; 0: 10 minutes (but in vestry_options: never);
                                   VESTRY_NEVER_MS. hash: ignored. Where many were used otherwise (used_ns) it may be
                                   longer: for up to twice as long */
  uint64_t lifetime_ms;       /**< lru: so long after its first put → EXPIRED; 0: never. hash: ignored */
  size_t max_per_scope_count; /**< lru: entries of one scope at most, the least recently used goes → SIZE (see above);
                                   0: no cap. hash: LIMIT beyond it. A value under several keys has several entries */
  const vestry_store_type *types; /**< the application's own, each by a name that no other has, nor a built-in one.
                                       Read by vestry_store_create */
  size_t types_count;             /**< rows of it */
} vestry_store_options;

/** The defaults. */
#define VESTRY_STORE_OPTIONS_INIT                                                                                      \
  { sizeof(vestry_store_options), NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0 }

/** What a put does when the key holds values already. If the value that is put is
 *  one of them, it is refreshed under every policy, and keeps its place among them. */
typedef enum vestry_keep_policy {
  VESTRY_KEEP_REPLACE = 0, /**< the others leave for REPLACED */
  VESTRY_KEEP_REUSE,       /**< nothing is put or refreshed; the caller gets EXISTS and may get what is there */
  VESTRY_KEEP_REJECT,      /**< nothing is put, EXISTS: as REUSE for the store; the registry answers differently */
  VESTRY_KEEP_MANY         /**< the value joins them; beyond the maximum the oldest put leaves for REPLACED,
                                one that has ended (has_ended) before those that live */
} vestry_keep_policy;

/** What a put did. */
typedef struct vestry_put_result {
  size_t size;            /**< sizeof(vestry_put_result), or 0 */
  vestry_handle handle;   /**< of the value that is now stored */
  size_t displaced_count; /**< values that left because of this put: REPLACED or SIZE */
  bool refreshed;         /**< the same value was under the key already: its use was refreshed, its creation time and
                               handle are as they were */
} vestry_put_result;

/** Names for list: where a page ended. Zero to start. */
typedef struct vestry_list_cursor {
  uint64_t position; /**< opaque; 0 starts */
  uint64_t until;    /**< opaque; 0 starts */
  bool done;         /**< set when the last page was handed out */
} vestry_list_cursor;

/** One key that a page of a list names. Valid during the call. */
typedef struct vestry_listed {
  vestry_scope scope;
  const void *key; /**< encoded */
  size_t key_len;
  size_t values_count;
} vestry_listed;
/** Takes one key of a page. On the thread that lists, no lock held. */
typedef void (*vestry_list_fn)(const vestry_listed *listed, void *ctx);

/** live = put - removed; removed = the sum of removed_by_cause. Taken when no operation is under way they are exact. */
typedef struct vestry_store_stats {
  size_t size; /**< sizeof(vestry_store_stats), or 0 */
  uint64_t put_count, removed_count, live_count;
  uint64_t hits_count, misses_count; /**< of get, by key */
  uint64_t removed_by_cause[VESTRY_CAUSES_MAX];
} vestry_store_stats;

/** Create a store of a type by its name: "hash" (no eviction), "lru" (bounded, evicts the least recently used, expires
 *  the idle), or one of the options' types.
 *  options    copied, the functions of value too; must be given, with value and its ref, unref and close. host, the
 *             purge hook's context and the operations of types are borrowed until the store is destroyed
 *  ret_store  owned by the caller; untouched on failure
 *  Returns  OK | NOT_FOUND (no such type) | INVALID (also: a type of the options' is not complete) | EXISTS (one has a
 *           name that is taken) | NO_MEMORY | IO (no randomness for the hash key)
 *  Threads  any */
VESTRY_API vestry_err vestry_store_create(const char *type, const vestry_store_options *options,
                                          vestry_store **ret_store);

/** Remove everything for SHUTDOWN; puts fail with CLOSED from here on. Idempotent.
 *  Threads  any; runs callbacks on this thread */
VESTRY_API void vestry_store_close(vestry_store *store);

/** Close, then free. No other call may be under way or follow, and nothing may drive it any more. NULL is accepted.
 *  Threads  one; runs callbacks on this thread */
VESTRY_API void vestry_store_destroy(vestry_store *store);

/** Store a value under a key.
 *  value       borrowed; the store takes a reference on OK only
 *  many_count  for KEEP_MANY: values under one key at most; 0: 8
 *  ret_result  may be NULL; untouched on failure
 *  Returns  OK | EXISTS (REUSE, REJECT) | INVALID (key, value NULL, policy) | TOO_LARGE (key, scope) | FULL, LIMIT
 *           (hash store's bounds; LIMIT of an lru store: only this very value could make room in the scope) | CLOSED
 *           (the store) | NO_MEMORY (store unchanged in every one of these cases, but for values that have expired:
 *           they leave first)
 *  Threads  any; takes a lock briefly; runs the callbacks of what leaves, after the lock is released. The victim of a
 *           full store is never the value being put
 *  A value that ends while it is being put may do so before its handle is known. After the put, check whether the value
 *  has ended; if so, remove it by its handle. The code that ends a value marks it as ended before it looks for a handle
 *  to remove. Then no ended value stays stored. An instance does so for the streams that replies keep; a stream that
 *  the application puts into the instance's store by itself stays there until the application removes it. */
VESTRY_API vestry_err vestry_store_put(vestry_store *store, vestry_scope scope, const vestry_key *key, void *value,
                                       vestry_keep_policy policy, size_t many_count, vestry_put_result *ret_result);

/** Find the values of a key, most recently put last, and count as their use.
 *  values     receives held references, which the caller drops with the value's own unref
 *  count      in: room in values; out: how many were written. With more values than room the most recent are written
 *  Returns  OK | NOT_FOUND | INVALID, TOO_LARGE (key) | NO_MEMORY (never when scope and key together encode to 250
 *           bytes or less). count is 0 in all but the first
 *  Threads  any; does not block on I/O; runs ref, and the callbacks of this key's expired values that no tick has
 *           removed yet: they are removed first, no lock held, and are not returned */
VESTRY_API vestry_err vestry_store_get(vestry_store *store, vestry_scope scope, const vestry_key *key, void **values,
                                       size_t *count);

/** Looks at a value where it is kept. On the thread that asks, under a lock of the store's: it must be short, and must
 *  not block, wait for another thread, or call the store. The value is not referenced: to keep it, ref it here. */
typedef void (*vestry_with_fn)(void *value, void *ctx);
/** Call a function for each value of a key, the most recently put first, and count as their use: get without
 *  references, for what can be done at once.
 *  Returns  OK | NOT_FOUND (fn was not called) | INVALID, TOO_LARGE, NO_MEMORY (as get)
 *  Threads  any; takes a lock briefly; runs fn under it, and callbacks as get does, after it */
VESTRY_API vestry_err vestry_store_with(vestry_store *store, vestry_scope scope, const vestry_key *key,
                                        vestry_with_fn fn, void *ctx);

/** Remove all values of a key for a cause.
 *  ret_count  may be NULL; how many left
 *  Returns  OK | NOT_FOUND | INVALID (key, or cause NONE) | TOO_LARGE (key) | NO_MEMORY (as get)
 *  Threads  any; runs callbacks on this thread, no lock held */
VESTRY_API vestry_err vestry_store_remove(vestry_store *store, vestry_scope scope, const vestry_key *key,
                                          vestry_cause cause, size_t *ret_count);

/** Remove one value by identity, if it is still there: an old connection's late end never touches its successor.
 *  cause    not NONE
 *  Returns  true: it left for this cause; false: it had left before, or its time had come
 *  Threads  any; runs callbacks on this thread, no lock held */
VESTRY_API bool vestry_store_remove_if(vestry_store *store, vestry_handle handle, vestry_cause cause);

/** Hand out keys, a bounded page a call: while (!cursor.done) vestry_store_list(…, &cursor). A key that is there during
 *  the whole listing is named exactly once; one that comes or goes meanwhile at most once.
 *  Keys that come after the first page need not be named, so a listing ends however much is put.
 *  only_scope  NULL: all scopes
 *  page_count  keys a page at most (but keys whose hashes are alike share a page); 0: 256; at most 4,096
 *  fn          on this thread, no lock held; may call the store
 *  Returns  OK | NO_MEMORY (the page is not handed out, the cursor stays)
 *  Threads  any; takes locks briefly, however large the store */
VESTRY_API vestry_err vestry_store_list(vestry_store *store, const vestry_scope *only_scope, size_t page_count,
                                        vestry_list_cursor *cursor, vestry_list_fn fn, void *ctx);

/** Remove what is due by the host's clock.
 *  Returns  when to call again at the latest (host's clock); UINT64_MAX: nothing is due unless something is put
 *  Threads  any; runs callbacks on this thread, no lock held */
VESTRY_API uint64_t vestry_store_tick(vestry_store *store);

/** Counters, a snapshot. Threads any; takes locks briefly. */
VESTRY_API void vestry_store_stats_get(vestry_store *store, vestry_store_stats *ret_stats);

/** Expire on time without traffic: the store is ticked from a timer of a runtime's.
 *  runtime  on the same host as the store, whose clock both go by; borrowed until the store is driven no more. NULL:
 *           that it is; this waits for a tick that is under way, so not from a callback of the store's
 *  Returns  OK | EXISTS (a runtime drives it) | INVALID | NO_MEMORY | CLOSED (the runtime); NULL: OK
 *  Threads  any */
VESTRY_API vestry_err vestry_store_drive(vestry_store *store, vestry_runtime *runtime);

/* ------------------------------------------------------------------ for those who bring a store of their own ---- */

/** A key in canonical form, as a store implementation sees it: lengths, scope and key in one run of bytes. Two keys are
 *  equal if, and only if, their bytes are. */
typedef struct vestry_scoped_key {
  const unsigned char *data; /**< lengths and scope, then the encoded key; aligned for a uint32_t */
  size_t len;
  size_t key_offset;  /**< data + key_offset is what vestry_key_encode made */
  vestry_scope scope; /**< the scope's own bytes, inside data */
  /** Of the bytes, by a secret of the store's, for a table of the implementation's: without the secret no client can
   *  choose keys that collide in its upper bits. vestry_store_leave does not read it. */
  uint64_t hash;
} vestry_scoped_key;

/** The key whose bytes an implementation has copied, data and len of one that it was given. Borrows the copy, of any
 *  alignment; hash is 0. Threads any. */
VESTRY_API vestry_scoped_key vestry_scoped_key_read(const void *copy, size_t len);

/** Looks at a key. On the thread that asks, perhaps under a lock of the store's: it must be short, and must not block,
 *  wait for another thread, or call the store. key: valid during the call; its hash is 0. */
typedef void (*vestry_key_of_fn)(const vestry_scoped_key *key, void *ctx);

/** The way out of a store, for its implementation. */
typedef struct vestry_store_exit vestry_store_exit;
/** How an implementation tells the store that a value has left. Call it exactly once for each, on any thread, with no
 *  lock of the implementation's held and the key bytes still valid. It counts, purges, closes and drops the value. */
VESTRY_API void vestry_store_leave(vestry_store_exit *exit, const vestry_scoped_key *key, void *value,
                                   vestry_handle handle, vestry_cause cause);
/** An implementation. It keeps (key, value, handle) triples, finds them again, and says when one leaves. All
 *  members are mandatory but with, tick, next_deadline_ns, stats and key_of; any thread, concurrently. */
typedef struct vestry_store_ops {
  size_t size;      /**< sizeof(vestry_store_ops), or 0 */
  const char *type; /**< the name of the type; static */
  /** Make an instance. options: valid during the call, its host set, and its value: that is valid until destroy, and
   *  all its functions are there. get takes a reference by its ref before it releases its lock; ask its used_ns before
   *  a value leaves for IDLE (one that was used since stays), and its has_ended before one leaves because its scope or
   *  its key is full (one that has goes first). exit: to be kept, valid until destroy.
   *  OK | INVALID | NO_MEMORY | IO. */
  vestry_err (*create)(const vestry_store_options *options, vestry_store_exit *exit, void *type_ctx, void **ret_self);
  /** Free an instance; it is empty. */
  void (*destroy)(void *self);
  /** As vestry_store_put. Copies the key; many_count is not 0, ret_result is there. The caller has taken the value's
   *  reference already and keeps it on failure, and when the value was only refreshed. Handles are the
   *  implementation's to choose: unique for its life, not 0. */
  vestry_err (*put)(void *self, const vestry_scoped_key *key, void *value, vestry_keep_policy policy, size_t many_count,
                    vestry_put_result *ret_result);
  /** As vestry_store_get: OK | NOT_FOUND; *count on OK only. */
  vestry_err (*get)(void *self, const vestry_scoped_key *key, void **values, size_t *count);
  /** As vestry_store_with: OK | NOT_FOUND; may run fn under a lock. NULL: get serves for it. */
  vestry_err (*with)(void *self, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx);
  /** As vestry_store_remove: how many left. */
  size_t (*remove)(void *self, const vestry_scoped_key *key, vestry_cause cause);
  bool (*remove_if)(void *self, vestry_handle handle, vestry_cause cause);
  /** Remove everything; later puts fail with CLOSED. Idempotent. */
  void (*clear)(void *self, vestry_cause cause);
  /** As vestry_store_list; page_count is 1 to 4,096, the cursor not done. */
  vestry_err (*list)(void *self, const vestry_scope *only_scope, size_t page_count, vestry_list_cursor *cursor,
                     vestry_list_fn fn, void *ctx);
  /** Remove what is due. NULL: nothing expires. */
  void (*tick)(void *self);
  /** When the next tick is due, by what the store holds now; UINT64_MAX: never. Asked for after each tick, and after
   *  each put while a driver is there, so it should be cheap. NULL with tick. */
  uint64_t (*next_deadline_ns)(void *self);
  /** Counters of an implementation that counts for itself, so that no two threads write one counter. NULL: the store
   *  counts. */
  void (*stats)(void *self, vestry_store_stats *ret_stats);
  /** Call a function with the key under which a value is, by the handle of its stay. That is no use of the value. May
   *  run the function under a lock. Returns whether the value is there. NULL: streams are shown without their keys
   *  (vestry/ops/observe.h). */
  bool (*key_of)(void *self, vestry_handle handle, vestry_key_of_fn fn, void *ctx);
} vestry_store_ops;

#ifdef __cplusplus
}
#endif
#endif
