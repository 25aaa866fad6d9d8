/* The LRU store: holds no more than its bound, and nothing longer than its time. One table under one lock, with every
 * value in up to three rings, so that what has to go next is always the first of one:
 *
 *   uses      by last use: the first is the least recently used, and the first to be idle too long
 *   births    by first put: the first to be past its lifetime, as all have the same one
 *   a scope's uses: by last use, one ring a scope, when scopes have a cap
 *
 * Whatever takes the lock to change or to list the store first takes out what is due, so a late tick shows nowhere but
 * in when callbacks run; get does so for its own key only, to stay cheap. */
#include <pthread.h>

#include "base/memory.h"
#include "store/builtin.h"
#include "store/page.h"
#include "store/scopes.h"

enum { MAX_COUNT_DEFAULT = 10000, IDLE_DEFAULT_MS = 10 * 60 * 1000, BATCH = 256 };

/* Lock order: lock is a leaf; only ref and the host's allocator are called under it. */
typedef struct lru_store {
  const vestry_host *host;
  vestry_store_exit *exit;
  size_t max_count, max_per_scope_count; /* SIZE_MAX: no cap a scope */
  uint64_t idle_ns, lifetime_ns;         /* UINT64_MAX: never */
  pthread_mutex_t lock;
  vsi_table table;       /* guarded by lock, as all below but deadline_ns */
  vsi_scopes scopes;     /* empty unless scopes have a cap */
  vsi_ring uses, births; /* births: empty without a lifetime */
  size_t count;
  uint64_t now_ns; /* the latest time seen: the rings stay in order if a clock jumps back */
  bool closed;
  _Atomic(uint64_t) deadline_ns; /* when the next value is due; written under lock, read without */
} lru_store;

typedef struct lru_entry {
  vsi_entry entry;
  vsi_ring uses, births, scope_uses;
  vsi_scope_record *scope; /* NULL: scopes have no cap */
  uint64_t used_ns, born_ns;
} lru_entry;

/* --------------------------------------------------------------------------------------------------- the rings ---- */

static uint64_t idle_at(const lru_store *store, const lru_entry *entry) {
  return vsi_add_saturating(entry->used_ns, store->idle_ns);
}

static uint64_t expires_at(const lru_store *store, const lru_entry *entry) {
  return vsi_add_saturating(entry->born_ns, store->lifetime_ns);
}

static lru_entry *first_used(const vsi_ring *uses) {
  vsi_ring *link = vsi_ring_first(uses);
  return link ? VSI_RING_OBJECT(link, lru_entry, uses) : NULL;
}

static lru_entry *first_used_of_scope(const vsi_scope_record *scope) {
  return VSI_RING_OBJECT(vsi_ring_first(&scope->uses), lru_entry, scope_uses);
}

static lru_entry *first_born(const lru_store *store) {
  vsi_ring *link = vsi_ring_first(&store->births);
  return link ? VSI_RING_OBJECT(link, lru_entry, births) : NULL;
}

static void touch_locked(lru_store *store, lru_entry *entry) {
  entry->used_ns = store->now_ns;
  vsi_ring_remove(&entry->uses);
  vsi_ring_append(&store->uses, &entry->uses);
  if (!entry->scope) return;
  vsi_ring_remove(&entry->scope_uses);
  vsi_ring_append(&entry->scope->uses, &entry->scope_uses);
}

static void file_locked(lru_store *store, lru_entry *entry, vsi_scope_record *scope) {
  entry->used_ns = entry->born_ns = store->now_ns;
  vsi_ring_append(&store->uses, &entry->uses);
  if (store->lifetime_ns != UINT64_MAX) vsi_ring_append(&store->births, &entry->births);
  entry->scope = scope;
  if (scope) vsi_ring_append(&scope->uses, &entry->scope_uses);
  store->count++;
}

static void take_locked(lru_store *store, lru_entry *entry, vestry_cause cause, vsi_leaving *leaving) {
  vsi_ring_remove(&entry->uses);
  if (store->lifetime_ns != UINT64_MAX) vsi_ring_remove(&entry->births);
  if (entry->scope) {
    vsi_ring_remove(&entry->scope_uses);
    vsi_scopes_leave(&store->scopes, entry->scope);
  }
  store->count--;
  vsi_table_take(&store->table, &entry->entry, cause, leaving);
}

/* ------------------------------------------------------------------------------------------------ what is due ---- */

/* The cause for which an entry is due, NONE when it is not: of its two ends the one that comes first, EXPIRED when they
 * fall together. *ret_at: when it is. */
static vestry_cause due_for(const lru_store *store, const lru_entry *entry, uint64_t *ret_at) {
  uint64_t idle = idle_at(store, entry), expires = expires_at(store, entry);
  *ret_at = idle < expires ? idle : expires;
  if (*ret_at > store->now_ns || *ret_at == UINT64_MAX) return VESTRY_CAUSE_NONE;
  return idle < expires ? VESTRY_CAUSE_IDLE : VESTRY_CAUSE_EXPIRED;
}

/* The entry that is due next of all: the earlier of the two rings' first ones. NULL: the store is empty. */
static lru_entry *next_locked(const lru_store *store) {
  lru_entry *used = first_used(&store->uses), *born = first_born(store);
  return born && expires_at(store, born) <= idle_at(store, used) ? born : used;
}

/* Take out what is due, a batch at most. Returns whether there may be more. */
static bool sweep_locked(lru_store *store, vsi_leaving *leaving) {
  uint64_t at;
  lru_entry *entry;
  vestry_cause cause;
  while (leaving->count < BATCH && (entry = next_locked(store)) && (cause = due_for(store, entry, &at)))
    take_locked(store, entry, cause, leaving);
  return leaving->count == BATCH;
}

static void lock_store(lru_store *store) {
  pthread_mutex_lock(&store->lock);
  uint64_t now_ns = vsi_now_ns(store->host);
  if (now_ns > store->now_ns) store->now_ns = now_ns;
}

static void unlock_and_run(lru_store *store, vsi_leaving *leaving) {
  uint64_t deadline_ns = UINT64_MAX;
  lru_entry *next = next_locked(store);
  if (next) due_for(store, next, &deadline_ns);
  /* relaxed: who asks after an operation of its own, or after a tick, has been ordered behind it by the lock */
  atomic_store_explicit(&store->deadline_ns, deadline_ns, memory_order_relaxed);
  pthread_mutex_unlock(&store->lock);
  vsi_leaving_run(leaving, store->host, store->exit);
}

/* Lock, with nothing due left in the store. A long backlog leaves in batches, so that nobody waits for the lock behind
 * all of it; the last batch is the caller's to run. */
static void lock_swept(lru_store *store, vsi_leaving *leaving) {
  lock_store(store);
  while (sweep_locked(store, leaving)) {
    unlock_and_run(store, leaving);
    lock_store(store);
  }
}

/* -------------------------------------------------------------------------------------------------- operations ---- */

static vestry_err add_locked(lru_store *store, vsi_node *node, uint64_t hash, const vestry_scoped_key *key, void *value,
                             vsi_entry **ret_entry) {
  vsi_scope_record *scope = NULL;
  if (store->max_per_scope_count != SIZE_MAX) {
    scope = vsi_scopes_enter(&store->scopes, key);
    if (!scope) return VESTRY_NO_MEMORY;
  }
  vestry_err error = vsi_table_add(&store->table, node, hash, key, value, ret_entry);
  if (error) {
    if (scope) vsi_scopes_leave(&store->scopes, scope);
    return error;
  }
  file_locked(store, (lru_entry *)*ret_entry, scope);
  return VESTRY_OK;
}

/* The new entry is the last of every ring, and what has to go is taken from their beginnings: as bounds are at least
 * one, it is never the new one. */
static void trim_locked(lru_store *store, const lru_entry *put, vsi_leaving *leaving) {
  while (put->scope && put->scope->count > store->max_per_scope_count)
    take_locked(store, first_used_of_scope(put->scope), VESTRY_CAUSE_SIZE, leaving);
  while (store->count > store->max_count) take_locked(store, first_used(&store->uses), VESTRY_CAUSE_SIZE, leaving);
}

static vestry_err put_locked(lru_store *store, const vestry_scoped_key *key, void *value, vestry_put_policy policy,
                             size_t many_count, vsi_leaving *leaving, vestry_put_result *ret_result) {
  if (store->closed) return VESTRY_CLOSED;
  size_t left_before = leaving->count;
  uint64_t hash = vsi_table_hash(store->table.hash_key, key);
  vsi_node *node = vsi_table_find(&store->table, hash, key);
  vsi_entry *entry;
  vestry_err error = vsi_node_admit(node, value, policy, &entry);
  if (error) return error;
  bool refreshed = entry != NULL;
  if (refreshed)
    touch_locked(store, (lru_entry *)entry);
  else
    error = add_locked(store, node, hash, key, value, &entry);
  if (error) return error;
  for (vsi_entry *old; (old = vsi_node_displaced(entry->node, entry, policy, refreshed ? SIZE_MAX : many_count));)
    take_locked(store, (lru_entry *)old, VESTRY_CAUSE_REPLACED, leaving);
  trim_locked(store, (lru_entry *)entry, leaving);
  *ret_result = (vestry_put_result){entry->handle, leaving->count - left_before, refreshed};
  return VESTRY_OK;
}

static vestry_err lru_put(void *self, const vestry_scoped_key *key, void *value, vestry_put_policy policy,
                          size_t many_count, vestry_put_result *ret_result) {
  lru_store *store = self;
  vsi_leaving leaving = {0};
  lock_swept(store, &leaving);
  vestry_err error = put_locked(store, key, value, policy, many_count, &leaving, ret_result);
  unlock_and_run(store, &leaving);
  return error;
}

/* Take out what is due of one key, count the rest as used. Returns whether there is a rest. */
static bool use_locked(lru_store *store, vsi_node *node, vsi_leaving *leaving) {
  for (vsi_entry *entry = node->oldest, *next; entry; entry = next) {
    next = entry->newer;
    uint64_t at;
    vestry_cause cause = due_for(store, (lru_entry *)entry, &at);
    if (cause)
      take_locked(store, (lru_entry *)entry, cause, leaving);
    else
      touch_locked(store, (lru_entry *)entry);
  }
  return node->count > 0; /* a node without entries is out of the table, but there until what leaves has left */
}

static vestry_err lru_get(void *self, const vestry_scoped_key *key, void **values, size_t *count) {
  lru_store *store = self;
  uint64_t hash = vsi_table_hash(store->table.hash_key, key);
  vsi_leaving leaving = {0};
  lock_store(store);
  vsi_node *node = vsi_table_find(&store->table, hash, key);
  bool found = node && use_locked(store, node, &leaving);
  if (found) vsi_node_get(node, store->exit, values, count);
  unlock_and_run(store, &leaving);
  return found ? VESTRY_OK : VESTRY_NOT_FOUND;
}

static size_t lru_remove(void *self, const vestry_scoped_key *key, vestry_cause cause) {
  lru_store *store = self;
  uint64_t hash = vsi_table_hash(store->table.hash_key, key);
  vsi_leaving leaving = {0};
  lock_swept(store, &leaving);
  vsi_node *node = vsi_table_find(&store->table, hash, key);
  size_t count = node ? node->count : 0;
  for (size_t left = count; left; left--) take_locked(store, (lru_entry *)node->oldest, cause, &leaving);
  unlock_and_run(store, &leaving);
  return count;
}

static bool lru_remove_if(void *self, vestry_handle handle, vestry_cause cause) {
  lru_store *store = self;
  vsi_leaving leaving = {0};
  lock_swept(store, &leaving);
  vsi_entry *entry = vsi_table_entry(&store->table, handle);
  if (entry) take_locked(store, (lru_entry *)entry, cause, &leaving);
  unlock_and_run(store, &leaving);
  return entry != NULL;
}

static void lru_clear(void *self, vestry_cause cause) {
  lru_store *store = self;
  bool more;
  do {
    vsi_leaving leaving = {0};
    lock_store(store);
    store->closed = true;
    for (lru_entry *entry; leaving.count < BATCH && (entry = first_used(&store->uses));)
      take_locked(store, entry, cause, &leaving);
    more = leaving.count == BATCH;
    unlock_and_run(store, &leaving);
  } while (more);
}

static vestry_err lru_list(void *self, const vestry_scope *only_scope, size_t page_count, vestry_list_cursor *cursor,
                           vestry_list_fn fn, void *ctx) {
  lru_store *store = self;
  vsi_page page;
  vestry_err error = vsi_page_init(&page, store->host, page_count);
  if (error) return error;
  while (page.count < page.capacity && vsi_cursor_shard(cursor) == 0) {
    vsi_leaving leaving = {0};
    lock_swept(store, &leaving);
    vsi_page_fill(&page, &store->table, only_scope, cursor);
    unlock_and_run(store, &leaving);
  }
  cursor->done = vsi_cursor_shard(cursor) > 0;
  vsi_page_hand_out(&page, fn, ctx);
  return VESTRY_OK;
}

static void lru_tick(void *self) {
  lru_store *store = self;
  vsi_leaving leaving = {0};
  lock_swept(store, &leaving);
  unlock_and_run(store, &leaving);
}

static uint64_t lru_next_deadline_ns(void *self) {
  return atomic_load_explicit(&((lru_store *)self)->deadline_ns, memory_order_relaxed);
}

/* ---------------------------------------------------------------------------------------------------- its life ---- */

static void lru_destroy(void *self) {
  lru_store *store = self;
  vsi_table_finish(&store->table);
  vsi_scopes_finish(&store->scopes);
  pthread_mutex_destroy(&store->lock);
  vsi_free(store->host, store);
}

static vestry_err lru_create(const vestry_store_options *options, vestry_store_exit *exit, void *type_ctx,
                             void **ret_self) {
  (void)type_ctx;
  vsi_siphash_key hash_key;
  vestry_err error = vsi_table_hash_key(options->host, &hash_key);
  if (error) return error;
  lru_store *store = vsi_calloc(options->host, 1, sizeof *store);
  if (!store) return VESTRY_NO_MEMORY;
  store->host = options->host;
  store->exit = exit;
  store->max_count = options->max_count ? options->max_count : MAX_COUNT_DEFAULT;
  store->max_per_scope_count = options->max_per_scope_count ? options->max_per_scope_count : SIZE_MAX;
  store->idle_ns = vsi_ms_to_ns(options->idle_ms ? options->idle_ms : IDLE_DEFAULT_MS);
  store->lifetime_ns = options->lifetime_ms ? vsi_ms_to_ns(options->lifetime_ms) : UINT64_MAX;
  pthread_mutex_init(&store->lock, NULL); /* cannot fail with default attributes on Linux */
  vsi_ring_init(&store->uses);
  vsi_ring_init(&store->births);
  atomic_init(&store->deadline_ns, UINT64_MAX);
  error = vsi_table_init(&store->table, store->host, hash_key, sizeof(lru_entry), 0, 0);
  if (!error) error = vsi_scopes_init(&store->scopes, store->host, hash_key);
  if (error) {
    lru_destroy(store);
    return error;
  }
  *ret_self = store;
  return VESTRY_OK;
}

const vestry_store_ops vsi_lru_store_ops = {.version = VESTRY_STORE_OPS_VERSION,
                                            .type = "lru",
                                            .create = lru_create,
                                            .destroy = lru_destroy,
                                            .put = lru_put,
                                            .get = lru_get,
                                            .remove = lru_remove,
                                            .remove_if = lru_remove_if,
                                            .clear = lru_clear,
                                            .list = lru_list,
                                            .tick = lru_tick,
                                            .next_deadline_ns = lru_next_deadline_ns};
