/* The hash store: keeps what it is given until it is removed. Several tables (shards), each under a lock of its own;
 * which one a key is in, its hash says. */
#include <pthread.h>

#include "base/memory.h"
#include "store/builtin.h"
#include "store/page.h"
#include "store/scopes.h"

enum { SHARD_BITS = 4, SHARDS = 1 << SHARD_BITS, BATCH = 256 };

typedef struct shard {
  pthread_mutex_t lock;
  vsi_table table; /* guarded by lock */
  bool closed;     /* guarded by lock */
} shard;

/* Lock order: a shard's lock, then scopes_lock. No two shards' locks at once. */
typedef struct hash_store {
  const vestry_host *host;
  vestry_store_exit *exit;
  vsi_siphash_key hash_key;
  size_t max_count, max_per_scope_count; /* SIZE_MAX: no bound */
  _Atomic(size_t) count;                 /* values in all shards: reserved before, released after */
  pthread_mutex_t scopes_lock;
  vsi_scopes scopes; /* guarded by scopes_lock; empty unless scopes have a cap */
  shard shards[SHARDS];
} hash_store;

/* The top bits: the index of a table goes by the lower ones. */
static shard *shard_of(hash_store *store, uint64_t hash) {
  return &store->shards[hash >> (64 - SHARD_BITS)];
}

typedef struct hash_entry {
  vsi_entry entry;
  vsi_scope_record *scope; /* NULL: scopes have no cap */
} hash_entry;

static shard *lock_shard_of(hash_store *store, uint64_t hash) {
  shard *s = shard_of(store, hash);
  pthread_mutex_lock(&s->lock);
  return s;
}

static void unlock_and_run(hash_store *store, shard *s, vsi_leaving *leaving) {
  pthread_mutex_unlock(&s->lock);
  vsi_leaving_run(leaving, store->host, store->exit);
}

/* ------------------------------------------------------------------------------------------------------ bounds ---- */

/* The count never passes the bound, so what it says is what others may rely on. */
static bool reserve(hash_store *store) {
  size_t count = atomic_load_explicit(&store->count, memory_order_relaxed);
  do {
    if (count >= store->max_count) return false;
    /* relaxed, here and below: a number that nothing else hangs on */
  } while (!atomic_compare_exchange_weak_explicit(&store->count, &count, count + 1, memory_order_relaxed,
                                                  memory_order_relaxed));
  return true;
}

static void release(hash_store *store, size_t count) {
  atomic_fetch_sub_explicit(&store->count, count, memory_order_relaxed);
}

/* OK | LIMIT | NO_MEMORY; *ret_scope NULL without a cap. */
static vestry_err enter_scope(hash_store *store, const vestry_scoped_key *key, vsi_scope_record **ret_scope) {
  *ret_scope = NULL;
  if (store->max_per_scope_count == SIZE_MAX) return VESTRY_OK;
  pthread_mutex_lock(&store->scopes_lock);
  vsi_scope_record *scope = vsi_scopes_find(&store->scopes, key);
  bool full = scope && scope->count >= store->max_per_scope_count;
  if (!full) *ret_scope = vsi_scopes_enter(&store->scopes, key);
  pthread_mutex_unlock(&store->scopes_lock);
  return full ? VESTRY_LIMIT : *ret_scope ? VESTRY_OK : VESTRY_NO_MEMORY;
}

static void leave_scope(hash_store *store, vsi_scope_record *scope) {
  if (!scope) return;
  pthread_mutex_lock(&store->scopes_lock);
  vsi_scopes_leave(&store->scopes, scope);
  pthread_mutex_unlock(&store->scopes_lock);
}

/* Room in the store and in the scope for one more value. OK | FULL | LIMIT | NO_MEMORY. */
static vestry_err reserve_both(hash_store *store, const vestry_scoped_key *key, vsi_scope_record **ret_scope) {
  if (!reserve(store)) return VESTRY_FULL;
  vestry_err error = enter_scope(store, key, ret_scope);
  if (error) release(store, 1);
  return error;
}

/* -------------------------------------------------------------------------------------------------- operations ---- */

/* The caller releases the room. */
static void take_locked(hash_store *store, shard *s, vsi_entry *entry, vestry_cause cause, vsi_leaving *leaving) {
  leave_scope(store, ((hash_entry *)entry)->scope);
  vsi_table_take(&s->table, entry, cause, leaving);
}

/* A value that displaces others takes over the room of the first, so that neither count ever shows one too many, at
 * which another thread's put would be refused. */
static vestry_err add_locked(hash_store *store, shard *s, vsi_node *node, uint64_t hash, const vestry_scoped_key *key,
                             void *value, bool grows, vsi_entry **ret_entry) {
  vsi_scope_record *scope = grows ? NULL : ((hash_entry *)node->oldest)->scope;
  vestry_err error = grows ? reserve_both(store, key, &scope) : VESTRY_OK;
  if (error) return error;
  error = vsi_table_add(&s->table, node, hash, key, value, ret_entry);
  if (error && grows) {
    leave_scope(store, scope);
    release(store, 1);
  }
  if (error) return error;
  ((hash_entry *)*ret_entry)->scope = scope;
  if (!grows) ((hash_entry *)node->oldest)->scope = NULL;
  return VESTRY_OK;
}

static vestry_err put_locked(hash_store *store, shard *s, uint64_t hash, const vestry_scoped_key *key, void *value,
                             vestry_put_policy policy, size_t many_count, vsi_leaving *leaving,
                             vestry_put_result *ret_result) {
  if (s->closed) return VESTRY_CLOSED;
  vsi_node *node = vsi_table_find(&s->table, hash, key);
  vsi_entry *entry;
  vestry_err error = vsi_node_admit(node, value, policy, &entry);
  if (error) return error;
  bool refreshed = entry != NULL, grows = vsi_node_grows(node, policy, many_count);
  if (!refreshed) error = add_locked(store, s, node, hash, key, value, grows, &entry);
  if (error) return error;
  for (vsi_entry *old; (old = vsi_node_displaced(entry->node, entry, policy, refreshed ? SIZE_MAX : many_count));)
    take_locked(store, s, old, VESTRY_CAUSE_REPLACED, leaving);
  release(store, leaving->count - (!refreshed && !grows));
  *ret_result = (vestry_put_result){entry->handle, leaving->count, refreshed};
  return VESTRY_OK;
}

static vestry_err hash_put(void *self, const vestry_scoped_key *key, void *value, vestry_put_policy policy,
                           size_t many_count, vestry_put_result *ret_result) {
  hash_store *store = self;
  uint64_t hash = vsi_table_hash(store->hash_key, key);
  vsi_leaving leaving = {0};
  shard *s = lock_shard_of(store, hash);
  vestry_err error = put_locked(store, s, hash, key, value, policy, many_count, &leaving, ret_result);
  unlock_and_run(store, s, &leaving);
  return error;
}

static vestry_err hash_get(void *self, const vestry_scoped_key *key, void **values, size_t *count) {
  hash_store *store = self;
  uint64_t hash = vsi_table_hash(store->hash_key, key);
  shard *s = lock_shard_of(store, hash);
  vsi_node *node = vsi_table_find(&s->table, hash, key);
  if (node) vsi_node_get(node, store->exit, values, count);
  pthread_mutex_unlock(&s->lock);
  return node ? VESTRY_OK : VESTRY_NOT_FOUND;
}

static size_t hash_remove(void *self, const vestry_scoped_key *key, vestry_cause cause) {
  hash_store *store = self;
  uint64_t hash = vsi_table_hash(store->hash_key, key);
  vsi_leaving leaving = {0};
  shard *s = lock_shard_of(store, hash);
  vsi_node *node = vsi_table_find(&s->table, hash, key);
  for (size_t left = node ? node->count : 0; left; left--) take_locked(store, s, node->oldest, cause, &leaving);
  size_t count = leaving.count;
  release(store, count);
  unlock_and_run(store, s, &leaving);
  return count;
}

static bool hash_remove_if(void *self, vestry_handle handle, vestry_cause cause) {
  hash_store *store = self;
  vsi_leaving leaving = {0};
  shard *s = &store->shards[handle % SHARDS];
  pthread_mutex_lock(&s->lock);
  vsi_entry *entry = vsi_table_entry(&s->table, handle);
  if (entry) {
    take_locked(store, s, entry, cause, &leaving);
    release(store, 1);
  }
  unlock_and_run(store, s, &leaving);
  return entry != NULL;
}

/* Once a shard is closed nothing comes into it, so one walk over its handles meets all that is there. */
static void clear_shard(hash_store *store, shard *s, vestry_cause cause) {
  uint32_t slot = 0, used;
  do {
    vsi_leaving leaving = {0};
    pthread_mutex_lock(&s->lock);
    used = s->table.handles.used;
    for (; slot < used && leaving.count < BATCH; slot++) {
      vsi_entry *entry = vsi_slots_at(&s->table.handles, slot);
      if (entry) take_locked(store, s, entry, cause, &leaving);
    }
    release(store, leaving.count);
    unlock_and_run(store, s, &leaving);
  } while (slot < used);
}

/* All shards are closed before the first callback runs: none of them can put anything any more. */
static void hash_clear(void *self, vestry_cause cause) {
  hash_store *store = self;
  for (size_t i = 0; i < SHARDS; i++) {
    pthread_mutex_lock(&store->shards[i].lock);
    store->shards[i].closed = true;
    pthread_mutex_unlock(&store->shards[i].lock);
  }
  for (size_t i = 0; i < SHARDS; i++) clear_shard(store, &store->shards[i], cause);
}

static vestry_err hash_list(void *self, const vestry_scope *only_scope, size_t page_count, vestry_list_cursor *cursor,
                            vestry_list_fn fn, void *ctx) {
  hash_store *store = self;
  vsi_page page;
  vestry_err error = vsi_page_init(&page, store->host, page_count);
  if (error) return error;
  while (page.count < page.capacity && vsi_cursor_shard(cursor) < SHARDS) {
    shard *s = &store->shards[vsi_cursor_shard(cursor)];
    pthread_mutex_lock(&s->lock);
    vsi_page_fill(&page, &s->table, only_scope, cursor);
    pthread_mutex_unlock(&s->lock);
  }
  cursor->done = vsi_cursor_shard(cursor) >= SHARDS;
  vsi_page_hand_out(&page, fn, ctx);
  return VESTRY_OK;
}

/* ---------------------------------------------------------------------------------------------------- its life ---- */

static void hash_destroy(void *self) {
  hash_store *store = self;
  for (size_t i = 0; i < SHARDS; i++) {
    vsi_table_finish(&store->shards[i].table);
    pthread_mutex_destroy(&store->shards[i].lock);
  }
  vsi_scopes_finish(&store->scopes);
  pthread_mutex_destroy(&store->scopes_lock);
  vsi_free(store->host, store);
}

static vestry_err hash_create(const vestry_store_options *options, vestry_store_exit *exit, void *type_ctx,
                              void **ret_self) {
  (void)type_ctx;
  vsi_siphash_key hash_key;
  vestry_err error = vsi_table_hash_key(options->host, &hash_key);
  if (error) return error;
  hash_store *store = vsi_calloc(options->host, 1, sizeof *store);
  if (!store) return VESTRY_NO_MEMORY;
  store->host = options->host;
  store->exit = exit;
  store->hash_key = hash_key;
  store->max_count = options->max_count ? options->max_count : SIZE_MAX;
  store->max_per_scope_count = options->max_per_scope_count ? options->max_per_scope_count : SIZE_MAX;
  atomic_init(&store->count, 0);
  pthread_mutex_init(&store->scopes_lock, NULL); /* cannot fail with default attributes on Linux, as those below */
  error = vsi_scopes_init(&store->scopes, store->host, hash_key);
  for (uint32_t i = 0; i < SHARDS; i++) {
    pthread_mutex_init(&store->shards[i].lock, NULL);
    if (!error)
      error = vsi_table_init(&store->shards[i].table, store->host, hash_key, sizeof(hash_entry), i, SHARD_BITS);
  }
  if (error) {
    hash_destroy(store);
    return error;
  }
  *ret_self = store;
  return VESTRY_OK;
}

const vestry_store_ops vsi_hash_store_ops = {.version = VESTRY_STORE_OPS_VERSION,
                                             .type = "hash",
                                             .create = hash_create,
                                             .destroy = hash_destroy,
                                             .put = hash_put,
                                             .get = hash_get,
                                             .remove = hash_remove,
                                             .remove_if = hash_remove_if,
                                             .clear = hash_clear,
                                             .list = hash_list};
