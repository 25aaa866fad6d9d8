/* SPDX-License-Identifier: MIT */
/* essay: a driver that never sleeps past a deadline */
/* The front of every store, whatever its type. A call passes a scope and a key, which the front packs into one run of
 * bytes; callers that have packed the key already call vsi_store_…. The front checks the arguments, counts, holds
 * references, and calls the operation of the store's type. All values leave through vestry_store_leave, which the
 * implementation calls: it counts the removal, calls the purge hook, and then closes and unreferences the value. */
#include "store/store.h"

#include <string.h>

#include "base/callback.h"
#include "base/processor.h"
#include "runtime/runtime.h"
#include "store/table.h"

enum { PAGE_DEFAULT = 256, PAGE_MOST = 4096 };

static const char bad_cause[] = "the cause is none of vestry_cause that a removal can have";

/* ---------------------------------------------------------------------------------------------------- types ---- */

#define OPS(name)                                                                                                      \
  {                                                                                                                    \
    .type = name, .create = vsi_table_create, .destroy = vsi_table_destroy, .put = vsi_table_put,                      \
    .with = vsi_table_with, .remove = vsi_table_remove, .remove_if = vsi_table_remove_if, .clear = vsi_table_clear,    \
    .list = vsi_table_list, .tick = vsi_table_tick, .next_deadline_ns = vsi_table_next_deadline_ns,                    \
    .stats = vsi_table_stats, .key_of = vsi_table_key_of                                                               \
  }
const vestry_store_ops vsi_hash_store_ops = OPS("hash"), vsi_lru_store_ops = OPS("lru");

/* The context of the built-in types: NULL, or, if they evict, not NULL. */
static char does_evict;
enum { BUILTIN_COUNT = 2 };
static const vestry_store_type builtin[BUILTIN_COUNT] = {{&vsi_hash_store_ops, NULL},
                                                         {&vsi_lru_store_ops, &does_evict}};

/* Find a type by its name among the built-in ones and the first `count` of the options. NULL: none has it. */
static const vestry_store_type *find_type(const vestry_store_options *options, size_t count, const char *name) {
  for (size_t i = 0; i < BUILTIN_COUNT + count; i++) {
    const vestry_store_type *type = i < BUILTIN_COUNT ? &builtin[i] : &options->types[i - BUILTIN_COUNT];
    if (strcmp(type->ops->type, name) == 0) return type;
  }
  return NULL;
}

static bool is_complete(const vestry_store_ops *ops) {
  return ops && ops->type && *ops->type && ops->create && ops->destroy && ops->put && ops->with && ops->remove &&
         ops->remove_if && ops->clear && ops->list && !ops->tick == !ops->next_deadline_ns;
}

static vestry_err check_types(const vestry_store_options *options) {
  if (options->types_count && !options->types) return VESTRY_INVALID;
  for (size_t i = 0; i < options->types_count; i++) {
    if (!is_complete(options->types[i].ops)) return VESTRY_INVALID;
    if (find_type(options, i, options->types[i].ops->type)) return VESTRY_EXISTS;
  }
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------ create and destroy ---- */

static uint64_t never_used(void *value) {
  (void)value;
  return 0;
}

static bool never_ended(void *value) {
  (void)value;
  return false;
}

vestry_err vestry_store_create(const char *type, const vestry_store_options *options, vestry_store **ret_store) {
  vestry_store_options own = options ? *options : (vestry_store_options){0};
  own.host = vsi_host(own.host);
  if (!type || !ret_store) return vsi_mistake(own.host, "vestry_store_create", "type or ret_store is NULL");
  vestry_value_ops value = own.value ? *own.value : (vestry_value_ops){0};
  if (!value.ref || !value.unref || !value.close || !value.entering != !value.entered || !value.entering != !value.left)
    return vsi_mistake(own.host, "vestry_store_create",
                       "options.value lacks ref, unref or close, or has only some of entering, entered and left");
  if (!value.used_ns) value.used_ns = never_used;
  if (!value.has_ended) value.has_ended = never_ended;
  vestry_err error = check_types(&own);
  if (error == VESTRY_INVALID)
    return vsi_mistake(own.host, "vestry_store_create", "options.types is NULL, or a type in it lacks a function");
  const vestry_store_type *found = error ? NULL : find_type(&own, own.types_count, type);
  if (!found) return error ? error : VESTRY_NOT_FOUND;
  vestry_store *store = vsi_calloc(own.host, 1, sizeof *store);
  if (!store) return VESTRY_NO_MEMORY;
  store->host = own.host;
  store->ops = found->ops;
  store->exit.store = store;
  store->exit.value = value;
  own.value = &store->exit.value;
  store->exit.purge = own.purge;
  store->exit.purge_ctx = own.purge_ctx;
  store->exit.counts = !found->ops->stats;
  store->max_count = own.max_count;
  store->max_per_scope_count = own.max_per_scope_count;
  error = vsi_keyed_hash_init(&store->exit.hash, own.host);
  if (!error) error = found->ops->create(&own, &store->exit, found->ctx, &store->self);
  if (error) {
    vsi_free(store->host, store);
    return error;
  }
  vsi_mutex_init(&store->driver_lock, VSI_LOCK_STORE_DRIVER); /* cannot fail with default attributes on Linux */
  *ret_store = store;
  return VESTRY_OK;
}

void vsi_store_adopt(vestry_store *store, const void *owner, vestry_purge_fn *purge, void **ctx) {
  const vestry_purge_fn former = store->exit.purge;
  void *former_ctx = store->exit.purge_ctx;
  store->exit.purge = *purge;
  store->exit.purge_ctx = *ctx;
  store->owner = owner;
  *purge = former;
  *ctx = former_ctx;
}

void vsi_store_close(vestry_store *store) {
  store->ops->clear(store->self, NULL, VESTRY_CAUSE_SHUTDOWN);
}

void vestry_store_destroy(vestry_store *store) {
  if (!store) return;
  vsi_store_close(store);
  store->ops->destroy(store->self);
  vsi_mutex_finish(&store->driver_lock);
  vsi_free(store->host, store);
}

/* ------------------------------------------------------------------------------------------------ the driver ---- */

/* The driver of a store: a timer that calls vsi_store_tick at the store's next deadline.
 *
 * A put can create an earlier deadline; in most stores this happens only when they were empty. armed_ns is the time
 * until which the driver sleeps. A put or a tick that finds an earlier deadline re-arms the timer. The driver never
 * sleeps past a deadline, because each side writes before it reads:
 *
 * - a thread that makes a deadline earlier writes the deadline first, and then reads armed_ns;
 * - the driver, when it is attached and after it has fired, writes armed_ns first, and then reads the deadline.
 *
 * All four accesses are sequentially consistent (in the built-in stores; a store of the application orders them by a
 * lock), so at least one side sees the write of the other. */

static uint64_t deadline_of(vestry_store *store) {
  return store->ops->next_deadline_ns ? store->ops->next_deadline_ns(store->self) : UINT64_MAX;
}

/* Make the driver, if there is one, tick at a deadline, unless it ticks earlier anyway. OK | CLOSED (the runtime).
 * Lock order: driver_lock, then the locks that vsi_timer_set_at takes. */
static vestry_err arm(vestry_store *store, uint64_t deadline_ns) {
  vestry_err error = VESTRY_OK;
  vsi_mutex_lock(&store->driver_lock);
  if (store->timer && deadline_ns < atomic_load_explicit(&store->armed_ns, memory_order_relaxed)) {
    error = vsi_timer_set_at(store->timer, deadline_ns);
    if (!error) atomic_store_explicit(&store->armed_ns, deadline_ns, memory_order_relaxed);
  }
  vsi_mutex_unlock(&store->driver_lock);
  return error;
}

/* Re-arm the driver, if there is one, after a put or a tick, if an entry is due earlier. No lock held. */
static inline void wake_driver(vestry_store *store) {
  uint64_t armed_ns = atomic_load_explicit(&store->armed_ns, memory_order_seq_cst);
  if (__builtin_expect(!armed_ns, 1)) return;
  uint64_t deadline_ns = deadline_of(store);
  /* The runtime may be closed. Then the timer cannot be set, and nothing expires on time any more, as documented. */
  if (deadline_ns < armed_ns) (void)arm(store, deadline_ns);
}

/* -------------------------------------------------------------------------------------------------- operations ---- */

/* Announce a put to the value and to the watch. If one refuses it, the other one knows that it has failed. */
static __attribute__((noinline)) vestry_err announce(vestry_store *store, const vsi_store_watch *watch,
                                                     const vestry_scoped_key *key, void *value,
                                                     vestry_keep_policy policy) {
  const vestry_value_ops *ops = &store->exit.value;
  vestry_err error = ops->entering ? ops->entering(value, store) : VESTRY_OK;
  if (error || !watch) return error;
  error = watch->coming(key, policy, watch->ctx);
  if (error && ops->entered) ops->entered(value, store, 0);
  return error;
}

vestry_err vsi_store_put(vestry_store *store, const vestry_scoped_key *key, void *value, vestry_keep_policy policy,
                         size_t many_count, vestry_put_result *ret_result) {
  if (!value || (unsigned)policy > VESTRY_KEEP_MANY)
    return vsi_mistake(store->host, "vestry_store_put", "the value is NULL, or policy is none of vestry_keep_policy");
  if (!many_count) many_count = VSI_MANY_DEFAULT;
  vestry_put_result result = {0};
  const vestry_value_ops *ops = &store->exit.value;
  const vsi_store_watch *watch = atomic_load_explicit(&store->exit.watch, memory_order_acquire);
  const bool is_recorded = __builtin_expect(watch || ops->entering, 0);
  vestry_err error = is_recorded ? announce(store, watch, key, value, policy) : VESTRY_OK;
  if (error) return error;
  ops->ref(value);
  /* Counted before the value can leave, so that no snapshot shows more values removed than put; undone if the put
   * fails. */
  if (store->exit.counts) atomic_fetch_add_explicit(&store->put, 1, memory_order_relaxed);
  error = store->ops->put(store->self, key, value, policy, many_count, &result);
  const bool is_new = __builtin_expect(!error && !result.refreshed, 1);
  if (!is_new && store->exit.counts) atomic_fetch_sub_explicit(&store->put, 1, memory_order_relaxed);
  if (!is_new) ops->unref(value);
  if (!error) wake_driver(store);
  if (is_recorded && watch) watch->came(key, policy, is_new ? result.handle : 0, watch->ctx);
  if (is_recorded && ops->entered) ops->entered(value, store, is_new ? result.handle : 0);
  if (!error && ret_result) *ret_result = result;
  return error;
}

/* flatten: a call of vsi_store_put would make a put about 3 % slower. */
__attribute__((flatten)) vestry_err vestry_store_put(vestry_store *store, vestry_scope scope, const vestry_key *key,
                                                     void *value, vestry_keep_policy policy, size_t many_count,
                                                     vestry_put_result *ret_result) {
  vsi_scoped_key scoped;
  vestry_err error = vsi_store_pack(store, &scoped, scope, key);
  if (error) return vsi_key_refuse(store->host, "vestry_store_put", error);
  error = vsi_store_put(store, scoped.key, value, policy, many_count, ret_result);
  vsi_scoped_key_finish(&scoped);
  return error;
}

vestry_err vsi_store_with(vestry_store *store, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx) {
  vestry_err error = store->ops->with(store->self, key, fn, ctx);
  if (store->exit.counts) atomic_fetch_add_explicit(error ? &store->misses : &store->hits, 1, memory_order_relaxed);
  return error;
}

vestry_err vestry_store_with(vestry_store *store, vestry_scope scope, const vestry_key *key, vestry_with_fn fn,
                             void *ctx) {
  if (!fn) return vsi_mistake(store->host, "vestry_store_with", "fn is NULL");
  vsi_scoped_key scoped;
  vestry_err error = vsi_store_pack(store, &scoped, scope, key);
  if (error) return vsi_key_refuse(store->host, "vestry_store_with", error);
  error = vsi_store_with(store, scoped.key, fn, ctx);
  vsi_scoped_key_finish(&scoped);
  return error;
}

vestry_err vestry_store_ready(vestry_store *store, vestry_scope scope, const vestry_key *key,
                              vestry_ready_key ret_ready) {
  vsi_scoped_key scoped;
  vestry_err error = vsi_store_pack(store, &scoped, scope, key);
  if (error) return vsi_key_refuse(store->host, "vestry_store_ready", error);
  vsi_ready_key *ready = (vsi_ready_key *)ret_ready;
  const bool fits = vsi_lens_words(vsi_scoped_key_lens(scoped.key)) <= sizeof ready->words / sizeof *ready->words;
  if (fits) {
    ready->type = VESTRY_KEY_READY;
    ready->secret = store->exit.hash.low;
    (void)vsi_scoped_key_keep(store->host, scoped.key, &ready->key, sizeof *ready - offsetof(vsi_ready_key, key));
  }
  vsi_scoped_key_finish(&scoped);
  return fits ? VESTRY_OK : VESTRY_TOO_LARGE;
}

/* References to values, the newest first. */
typedef struct held {
  void (*ref)(void *value);
  void **values;
  size_t room, *count;
} held;

static void hold_value(void *value, void *ctx) {
  held *h = ctx;
  if (*h->count == h->room) return;
  h->values[(*h->count)++] = value;
  h->ref(value);
}

vestry_err vestry_store_get(vestry_store *store, vestry_scope scope, const vestry_key *key, void **values,
                            size_t *count) {
  held h = {store->exit.value.ref, values, *count, count};
  *count = 0;
  vsi_scoped_key scoped;
  vestry_err error = vsi_store_pack(store, &scoped, scope, key);
  if (error) return vsi_key_refuse(store->host, "vestry_store_get", error);
  error = vsi_store_with(store, scoped.key, hold_value, &h);
  vsi_scoped_key_finish(&scoped);
  for (size_t i = 0; i < *count / 2; i++) { /* the newest last */
    void *other = values[*count - 1 - i];
    values[*count - 1 - i] = values[i];
    values[i] = other;
  }
  return error;
}

/* Remove a value of a key; NULL: all of them. */
static vestry_err remove_values(vestry_store *store, const char *function, vestry_scope scope, const vestry_key *key,
                                const void *value, vestry_cause cause, size_t *ret_count) {
  if (!vsi_store_is_cause(cause)) return vsi_mistake(store->host, function, bad_cause);
  size_t count;
  if (!value && key && key->type == VESTRY_KEY_EVERY) {
    if (!scope.data && scope.len) return vsi_key_refuse(store->host, function, VESTRY_INVALID);
    if (scope.len > VESTRY_SCOPE_MAX_BYTES) return VESTRY_TOO_LARGE;
    count = store->ops->clear(store->self, &scope, cause);
  } else {
    vsi_scoped_key scoped;
    vestry_err error = vsi_store_pack(store, &scoped, scope, key);
    if (error) return vsi_key_refuse(store->host, function, error);
    count = store->ops->remove(store->self, scoped.key, value, cause);
    vsi_scoped_key_finish(&scoped);
  }
  if (ret_count) *ret_count = count;
  return count ? VESTRY_OK : VESTRY_NOT_FOUND;
}

vestry_err vestry_store_remove(vestry_store *store, vestry_scope scope, const vestry_key *key, vestry_cause cause,
                               size_t *ret_count) {
  return remove_values(store, "vestry_store_remove", scope, key, NULL, cause, ret_count);
}

vestry_err vestry_store_remove_value(vestry_store *store, vestry_scope scope, const vestry_key *key, void *value,
                                     vestry_cause cause) {
  if (!value) return vsi_mistake(store->host, "vestry_store_remove_value", "the value is NULL");
  return remove_values(store, "vestry_store_remove_value", scope, key, value, cause, NULL);
}

bool vestry_store_remove_if(vestry_store *store, vestry_handle handle, vestry_cause cause) {
  return handle && vsi_store_is_cause(cause) && store->ops->remove_if(store->self, handle, cause);
}

vestry_err vestry_store_list(vestry_store *store, const vestry_scope *only_scope, size_t page_count,
                             vestry_list_cursor *cursor, vestry_list_fn fn, void *ctx) {
  if (cursor->done) return VESTRY_OK;
  if (page_count == 0) page_count = PAGE_DEFAULT;
  if (page_count > PAGE_MOST) page_count = PAGE_MOST;
  vsi_callback_begin();
  vestry_err error = store->ops->list(store->self, only_scope, page_count, cursor, fn, ctx);
  vsi_callback_end();
  return error;
}

uint64_t vsi_store_tick(vestry_store *store) {
  if (!store->ops->tick) return UINT64_MAX;
  store->ops->tick(store->self);
  wake_driver(store); /* a concurrent tick may have read the deadline while it was reset */
  return deadline_of(store);
}

static void fire(vestry_timer *timer, void *ctx) {
  (void)timer;
  vestry_store *store = ctx;
  vsi_mutex_lock(&store->driver_lock);
  /* A timer that is being destroyed is detached already, and its destruction waits for this call to end. */
  if (store->timer) atomic_store_explicit(&store->armed_ns, UINT64_MAX, memory_order_seq_cst);
  vsi_mutex_unlock(&store->driver_lock);
  (void)vsi_store_tick(store); /* re-arms the timer */
}

vestry_err vestry_store_drive(vestry_store *store, vestry_runtime *runtime) {
  vestry_timer *timer = NULL;
  if (!store) return VESTRY_INVALID;
  if (runtime && runtime->host != store->host)
    return vsi_mistake(store->host, "vestry_store_drive", "the runtime has another host than the store");
  vestry_err error = runtime ? vestry_timer_create(runtime, fire, store, &timer) : VESTRY_OK;
  if (error) return error;
  vsi_mutex_lock(&store->driver_lock);
  vestry_timer *former = store->timer;
  const bool is_driven = timer && former;
  if (!is_driven) {
    store->timer = timer;
    atomic_store_explicit(&store->armed_ns, timer ? UINT64_MAX : 0, memory_order_seq_cst);
  }
  vsi_mutex_unlock(&store->driver_lock);
  /* This waits for fire, which takes driver_lock, so it must not be held here. */
  vestry_timer_destroy(is_driven ? timer : former);
  if (timer) error = is_driven ? VESTRY_EXISTS : arm(store, deadline_of(store));
  if (error && !is_driven) (void)vestry_store_drive(store, NULL);
  return error;
}

void vsi_store_evictions(const vestry_store *store, vsi_histogram_counts *ret_counts) {
  vsi_histogram_get(&store->exit.evictions, &vsi_ages, ret_counts);
}

void vestry_store_stats_get(vestry_store *store, vestry_store_stats *ret_stats) {
  vestry_store_stats stats = {0};
  if (store->ops->stats) {
    store->ops->stats(store->self, &stats);
  } else {
    for (size_t cause = 0; cause < VESTRY_CAUSE_COUNT; cause++) {
      /* acquire: pairs with vestry_store_leave. Read before `put`, so that each counted removal has its put counted,
       * too */
      stats.removed_by_cause[cause] = atomic_load_explicit(&store->exit.removed_by_cause[cause], memory_order_acquire);
      stats.removed_count += stats.removed_by_cause[cause];
    }
    stats.put_count = atomic_load_explicit(&store->put, memory_order_relaxed);
    stats.live_count = stats.put_count - stats.removed_count;
    stats.hits_count = atomic_load_explicit(&store->hits, memory_order_relaxed);
    stats.misses_count = atomic_load_explicit(&store->misses, memory_order_relaxed);
  }
  if (ret_stats) *ret_stats = stats;
}
