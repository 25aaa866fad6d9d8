/* SPDX-License-Identifier: MIT */
#include "store/naive.h"

#include <pthread.h>
#include <string.h>

#include "base/memory.h"

/* One stay of a value in the store. */
typedef struct item {
  struct item *next;
  vestry_scoped_key key; /* its bytes follow the struct */
  void *value;
  vestry_handle handle;
  uint64_t key_number; /* identifies the key; a key that is put again has a new number */
  uint64_t use_number; /* increases with each use of any item */
  uint64_t used_ns, born_ns;
  vestry_cause cause; /* set when it leaves */
} item;

typedef struct naive {
  vestry_store_options options;
  vestry_store_exit *exit;
  bool evicts, closed;
  pthread_mutex_t lock;
  item *first; /* in the order of the puts */
  uint64_t handles, keys, uses;
} naive;

static bool same_key(const vestry_scoped_key *a, const vestry_scoped_key *b) {
  return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static bool same_scope(const vestry_scope *a, const vestry_scope *b) {
  return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static void set_key(item *it, const vestry_scoped_key *key) {
  unsigned char *bytes = (unsigned char *)(it + 1);
  memcpy(bytes, key->data, key->len);
  it->key = vestry_scoped_key_read(bytes, key->len);
}

/* ----------------------------------------------------------------------------------------------------- leaving ---- */

static void leave(naive *n, item *gone, vestry_cause cause, item **leaving) {
  item **link = &n->first;
  while (*link != gone) link = &(*link)->next;
  *link = gone->next;
  gone->next = NULL;
  gone->cause = cause;
  while (*leaving) leaving = &(*leaving)->next;
  *leaving = gone;
}

static void unlock_and_run(naive *n, item *leaving) {
  pthread_mutex_unlock(&n->lock);
  while (leaving) {
    item *next = leaving->next;
    vestry_store_leave(n->exit, &leaving->key, leaving->value, leaving->handle, leaving->cause);
    vsi_free(n->options.host, leaving);
    leaving = next;
  }
}

/* ----------------------------------------------------------------------------------------------------- looking ---- */

static size_t count(const naive *n, const vestry_scoped_key *key, const vestry_scope *scope) {
  size_t found = 0;
  for (item *it = n->first; it; it = it->next)
    found += (!key || same_key(&it->key, key)) && (!scope || same_scope(&it->key.scope, scope));
  return found;
}

static item *oldest(const naive *n, const vestry_scoped_key *key, const item *but) {
  for (item *it = n->first; it; it = it->next)
    if (it != but && same_key(&it->key, key)) return it;
  return NULL;
}

/* Return the value that a full key displaces: the oldest of the ended ones or, if there are none, of all. */
static item *first_of_key(const naive *n, const vestry_scoped_key *key, const item *but) {
  for (item *it = n->first; it; it = it->next)
    if (it != but && same_key(&it->key, key) && n->options.value->has_ended(it->value)) return it;
  return oldest(n, key, but);
}

static item *least_used(const naive *n) {
  item *least = NULL;
  for (item *it = n->first; it; it = it->next)
    if (!least || it->use_number < least->use_number) least = it;
  return least;
}

/* Return the item that a full scope evicts: the least recently used one among the ended items or, if there are none,
 * among all, except this value. NULL: there is no other. */
static item *first_of_scope(const naive *n, const vestry_scope *scope, const void *newcomer) {
  item *least = NULL, *ended = NULL;
  for (item *it = n->first; it; it = it->next) {
    if (it->value == newcomer || !same_scope(&it->key.scope, scope)) continue;
    if (!least || it->use_number < least->use_number) least = it;
    if (n->options.value->has_ended(it->value) && (!ended || it->use_number < ended->use_number)) ended = it;
  }
  return ended ? ended : least;
}

static uint64_t idle_at(const naive *n, const item *it) {
  if (!n->evicts) return UINT64_MAX;
  uint64_t value_used_ns = n->options.value->used_ns(it->value);
  uint64_t used_ns = it->used_ns > value_used_ns ? it->used_ns : value_used_ns;
  return vsi_add_saturating(used_ns, vsi_ms_to_ns(n->options.idle_ms));
}

static uint64_t expires_at(const naive *n, const item *it) {
  bool never = !n->evicts || n->options.lifetime_ms == 0;
  return never ? UINT64_MAX : vsi_add_saturating(it->born_ns, vsi_ms_to_ns(n->options.lifetime_ms));
}

/* The first item in the list expires first, because births are in the order of puts. */
static item *next_due(const naive *n, uint64_t *ret_at, vestry_cause *ret_cause) {
  *ret_at = UINT64_MAX;
  if (!n->first) return NULL;
  item *idle = least_used(n);
  for (item *it = n->first; it; it = it->next)
    if (idle_at(n, it) < idle_at(n, idle)) idle = it;
  bool expires = expires_at(n, n->first) <= idle_at(n, idle);
  *ret_cause = expires ? VESTRY_CAUSE_EXPIRED : VESTRY_CAUSE_IDLE;
  *ret_at = expires ? expires_at(n, n->first) : idle_at(n, idle);
  return *ret_at == UINT64_MAX ? NULL : expires ? n->first : idle;
}

static void sweep(naive *n, item **leaving) {
  uint64_t at;
  vestry_cause cause;
  for (item *due; (due = next_due(n, &at, &cause)) && at <= vsi_now_ns(n->options.host);) leave(n, due, cause, leaving);
}

static void use(naive *n, item *it) {
  it->use_number = ++n->uses;
  it->used_ns = vsi_now_ns(n->options.host);
}

/* -------------------------------------------------------------------------------------------------- operations ---- */

static vestry_err put_locked(naive *n, const vestry_scoped_key *key, void *value, vestry_keep_policy policy,
                             size_t many_count, item **leaving, vestry_put_result *ret_result) {
  if (n->closed) return VESTRY_CLOSED;
  size_t there = count(n, key, NULL);
  item *it = NULL;
  for (item *at = n->first; at; at = at->next)
    if (same_key(&at->key, key) && at->value == value) it = at;
  bool refreshed = it != NULL;
  if (!refreshed) {
    if (there && (policy == VESTRY_KEEP_REUSE || policy == VESTRY_KEEP_REJECT)) return VESTRY_EXISTS;
    bool displaces = there && (policy == VESTRY_KEEP_REPLACE || there >= many_count);
    if (!n->evicts && !displaces) {
      if (n->options.max_count && count(n, NULL, NULL) >= n->options.max_count) return VESTRY_FULL;
      if (n->options.max_per_scope_count && count(n, NULL, &key->scope) >= n->options.max_per_scope_count)
        return VESTRY_LIMIT;
    }
    bool scope_is_full =
        n->options.max_per_scope_count && count(n, NULL, &key->scope) >= n->options.max_per_scope_count;
    if (n->evicts && !displaces && scope_is_full && !first_of_scope(n, &key->scope, value)) return VESTRY_LIMIT;
    it = vsi_calloc(n->options.host, 1, sizeof *it + key->len);
    if (!it) return VESTRY_NO_MEMORY;
    set_key(it, key);
    it->value = value;
    it->handle = ++n->handles;
    it->born_ns = vsi_now_ns(n->options.host);
    it->key_number = there ? oldest(n, key, NULL)->key_number : ++n->keys;
    item **end = &n->first;
    while (*end) end = &(*end)->next;
    *end = it;
  }
  use(n, it);
  size_t displaced = 0;
  for (; policy == VESTRY_KEEP_REPLACE ? count(n, key, NULL) > 1 : !refreshed && count(n, key, NULL) > many_count;
       displaced++)
    leave(n, policy == VESTRY_KEEP_REPLACE || many_count == 1 ? oldest(n, key, it) : first_of_key(n, key, it),
          VESTRY_CAUSE_REPLACED, leaving);
  for (; n->evicts && n->options.max_per_scope_count && count(n, NULL, &key->scope) > n->options.max_per_scope_count;
       displaced++)
    leave(n, first_of_scope(n, &key->scope, value), VESTRY_CAUSE_SIZE, leaving);
  for (; n->evicts && count(n, NULL, NULL) > n->options.max_count; displaced++)
    leave(n, least_used(n), VESTRY_CAUSE_SIZE, leaving);
  ret_result->handle = it->handle;
  ret_result->displaced_count = displaced;
  ret_result->refreshed = refreshed;
  return VESTRY_OK;
}

static vestry_err naive_put(void *self, const vestry_scoped_key *key, void *value, vestry_keep_policy policy,
                            size_t many_count, vestry_put_result *ret_result) {
  naive *n = self;
  item *leaving = NULL;
  pthread_mutex_lock(&n->lock);
  sweep(n, &leaving);
  vestry_err error = put_locked(n, key, value, policy, many_count, &leaving, ret_result);
  unlock_and_run(n, leaving);
  return error;
}

static vestry_err naive_with(void *self, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx) {
  naive *n = self;
  item *leaving = NULL, *newest = NULL;
  pthread_mutex_lock(&n->lock);
  uint64_t now_ns = vsi_now_ns(n->options.host);
  for (item *it = n->first, *next; it; it = next) {
    next = it->next;
    uint64_t idle = idle_at(n, it), expires = expires_at(n, it);
    uint64_t end = idle < expires ? idle : expires;
    if (!same_key(&it->key, key)) continue;
    if (end <= now_ns && end != UINT64_MAX)
      leave(n, it, idle < expires ? VESTRY_CAUSE_IDLE : VESTRY_CAUSE_EXPIRED, &leaving);
    else
      use(n, newest = it);
  }
  const bool is_there = newest != NULL;
  for (item *older; newest; newest = older) {
    fn(newest->value, ctx);
    older = NULL;
    for (item *it = n->first; it != newest; it = it->next)
      if (same_key(&it->key, key)) older = it;
  }
  unlock_and_run(n, leaving);
  return is_there ? VESTRY_OK : VESTRY_NOT_FOUND;
}

static size_t naive_remove(void *self, const vestry_scoped_key *key, const void *value, vestry_cause cause) {
  naive *n = self;
  item *leaving = NULL;
  pthread_mutex_lock(&n->lock);
  sweep(n, &leaving);
  size_t removed = 0;
  for (item *it = n->first, *next; it; it = next) {
    next = it->next;
    if (!same_key(&it->key, key) || (value && it->value != value)) continue;
    leave(n, it, cause, &leaving);
    removed++;
  }
  unlock_and_run(n, leaving);
  return removed;
}

static bool naive_remove_if(void *self, vestry_handle handle, vestry_cause cause) {
  naive *n = self;
  item *leaving = NULL;
  pthread_mutex_lock(&n->lock);
  sweep(n, &leaving);
  item *it = n->first;
  while (it && it->handle != handle) it = it->next;
  if (it) leave(n, it, cause, &leaving);
  unlock_and_run(n, leaving);
  return it != NULL;
}

static size_t naive_clear(void *self, const vestry_scope *scope, vestry_cause cause) {
  naive *n = self;
  item *leaving = NULL;
  pthread_mutex_lock(&n->lock);
  if (scope) sweep(n, &leaving);
  n->closed |= !scope;
  size_t removed = 0;
  for (item *it = n->first, *next; it; it = next) {
    next = it->next;
    if (scope && !same_scope(&it->key.scope, scope)) continue;
    leave(n, it, cause, &leaving);
    removed++;
  }
  unlock_and_run(n, leaving);
  return removed;
}

/* The key with the lowest number from `number` on. */
static item *next_key(const naive *n, uint64_t number, uint64_t until, const vestry_scope *only_scope) {
  item *next = NULL;
  for (item *it = n->first; it; it = it->next) {
    if (it->key_number < number || it->key_number >= until) continue;
    if (only_scope && !same_scope(&it->key.scope, only_scope)) continue;
    if (!next || it->key_number < next->key_number) next = it;
  }
  return next;
}

typedef struct page_item {
  struct page_item *next;
  size_t values_count;
  vestry_scoped_key key;
} page_item;

static void free_page(naive *n, page_item *first) {
  for (page_item *next; first; first = next) {
    next = first->next;
    vsi_free(n->options.host, first);
  }
}

static vestry_err gather_locked(naive *n, const vestry_scope *only_scope, size_t page_count, vestry_list_cursor *cursor,
                                page_item **end) {
  if (cursor->until == 0) *cursor = (vestry_list_cursor){1, n->keys + 1, false};
  for (; page_count; page_count--) {
    item *it = next_key(n, cursor->position, cursor->until, only_scope);
    if (!it) break;
    page_item *listed = vsi_alloc(n->options.host, sizeof *listed + it->key.len);
    if (!listed) return VESTRY_NO_MEMORY;
    unsigned char *bytes = (unsigned char *)(listed + 1);
    memcpy(bytes, it->key.data, it->key.len);
    *listed = (page_item){NULL, count(n, &it->key, NULL), vestry_scoped_key_read(bytes, it->key.len)};
    *end = listed;
    end = &listed->next;
    cursor->position = it->key_number + 1;
  }
  cursor->done = !next_key(n, cursor->position, cursor->until, only_scope);
  return VESTRY_OK;
}

static vestry_err naive_list(void *self, const vestry_scope *only_scope, size_t page_count, vestry_list_cursor *cursor,
                             vestry_list_fn fn, void *ctx) {
  naive *n = self;
  item *leaving = NULL;
  page_item *page = NULL;
  vestry_list_cursor at = *cursor;
  pthread_mutex_lock(&n->lock);
  sweep(n, &leaving);
  vestry_err error = gather_locked(n, only_scope, page_count, &at, &page);
  unlock_and_run(n, leaving);
  if (!error) *cursor = at;
  for (page_item *it = page; !error && it; it = it->next)
    fn(&(vestry_listed){it->key.scope, it->key.data + it->key.key_offset, it->key.len - it->key.key_offset,
                        it->values_count},
       ctx);
  free_page(n, page);
  return error;
}

static void naive_tick(void *self) {
  naive *n = self;
  item *leaving = NULL;
  pthread_mutex_lock(&n->lock);
  sweep(n, &leaving);
  unlock_and_run(n, leaving);
}

static uint64_t naive_next_deadline_ns(void *self) {
  naive *n = self;
  uint64_t at;
  vestry_cause cause;
  pthread_mutex_lock(&n->lock);
  next_due(n, &at, &cause);
  pthread_mutex_unlock(&n->lock);
  return at;
}

/* ---------------------------------------------------------------------------------------------------- its life ---- */

static vestry_err create(const vestry_store_options *options, vestry_store_exit *exit, bool evicts, void **ret_self) {
  naive *n = vsi_calloc(options->host, 1, sizeof *n);
  if (!n) return VESTRY_NO_MEMORY;
  n->options = *options;
  if (evicts && !n->options.max_count) n->options.max_count = 10000;
  if (evicts && !n->options.idle_ms) n->options.idle_ms = 600000;
  n->exit = exit;
  n->evicts = evicts;
  pthread_mutex_init(&n->lock, NULL);
  *ret_self = n;
  return VESTRY_OK;
}

static vestry_err create_hash(const vestry_store_options *options, vestry_store_exit *exit, void *type_ctx,
                              void **ret_self) {
  return create(options, exit, false, ret_self);
}

static vestry_err create_lru(const vestry_store_options *options, vestry_store_exit *exit, void *type_ctx,
                             void **ret_self) {
  return create(options, exit, true, ret_self);
}

static void naive_destroy(void *self) {
  naive *n = self;
  pthread_mutex_destroy(&n->lock);
  vsi_free(n->options.host, n);
}

#define OPERATIONS                                                                                                     \
  .destroy = naive_destroy, .put = naive_put, .with = naive_with, .remove = naive_remove,                              \
  .remove_if = naive_remove_if, .clear = naive_clear, .list = naive_list

const vestry_store_ops naive_hash_ops = {.type = "naive-hash", .create = create_hash, OPERATIONS};

const vestry_store_ops naive_lru_ops = {.type = "naive-lru",
                                        .create = create_lru,
                                        .tick = naive_tick,
                                        .next_deadline_ns = naive_next_deadline_ns,
                                        OPERATIONS};
