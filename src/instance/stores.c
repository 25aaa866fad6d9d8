/* SPDX-License-Identifier: MIT */
#include "instance/stores.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "instance/stream_entries.h"
#include "store/store.h"

/* Log, once, that an open stream ends because the store is full. Its client only sees a broken stream. With a limit for
 * each scope, an eviction is usual. */
static void warn_if_full(vsi_instance_store *from, const vestry_purged *gone) {
  const vestry_store *store = from->store;
  if (gone->cause != VESTRY_CAUSE_SIZE || store->max_per_scope_count || !vestry_connection_is_open(gone->value)) return;
  /* Relaxed: it orders nothing. Read first, because every eviction comes here, and the exchange would write. */
  if (atomic_load_explicit(&from->was_full, memory_order_relaxed)) return;
  if (atomic_exchange_explicit(&from->was_full, true, memory_order_relaxed)) return;
  vsi_log(from->v->host, VESTRY_LOG_WARN,
          "store: it is full, so the least recently used stream ends (cause SIZE), and its browser reconnects; set "
          "vestry_bounds.max_count to the maximum number of streams, times the keys of a stream");
}

/* A purge hook that waited for the end of the instance would wait for its own thread (vsi_inside). */
static void purged(const vestry_purged *gone, void *ctx) {
  vsi_instance_store *from = ctx;
  vestry *v = from->v;
  vsi_inside inside;
  vsi_inside_begin(&inside, v);
  warn_if_full(from, gone);
  if (from->purge) from->purge(gone, from->purge_ctx);
  if (gone->cause != VESTRY_CAUSE_DETACHED)
    VSI_EXTENSIONS_EACH(at, &v->extensions, left) at->kind->left(at->state, gone);
  vsi_inside_end(&inside);
}

/* Create the store of an instance that is given none. A failure is logged. */
static vestry_err create_own(vestry *v, const vestry_options *options, vsi_instance_store *own) {
  const vestry_store_options store = {
      .host = v->host,
      .value = &vestry_connection_values,
      .purge = purged,
      .purge_ctx = own,
      .max_count = options->bounds->max_count,
      .idle_ms = options->idle_ms ? options->idle_ms : VESTRY_NEVER_MS,
      .lifetime_ms = options->lifetime_ms,
      .max_per_scope_count = options->bounds->max_per_scope_count,
      .types = options->store_type,
      .types_count = options->store_type != NULL,
  };
  const vestry_store_ops *ops = options->store_type ? options->store_type->ops : NULL;
  const char *type = options->store ? options->store : ops && ops->type ? ops->type : "lru";
  own->purge = options->purge;
  own->purge_ctx = options->purge_ctx;
  vestry_err error = vestry_store_create(type, &store, &own->store);
  if (error == VESTRY_NOT_FOUND)
    vsi_log(v->host, VESTRY_LOG_ERROR,
            "vestry_create: options.store: no store type has the name %s; use lru or hash, or set options.store_type",
            type);
  else if (error)
    vsi_log(v->host, VESTRY_LOG_ERROR, "vestry_create: %s: %s",
            options->store_type ? "options.store_type" : "options.host, the randomness or memory for the store",
            vestry_strerror(error));
  if (!error) own->store->owner = v;
  return error;
}

/* Return why a store cannot be used; NULL: it can be. */
static const char *find_mistake_in(const vestry *v, const vestry_named_store *given) {
  if (!given->store) return "its store is NULL";
  if (!given->name && given->scope) return "the store without a name has a scope function; set options.scope instead";
  if (given->store->host != v->host) return "its host is not the host of the instance";
  if (given->store->exit.value.entering != vestry_connection_values.entering)
    return "its values are not those of vestry_connection_values";
  for (size_t i = 0; i < v->stores_count; i++) {
    const vsi_instance_store *other = &v->stores[i];
    if (!given->name ? !other->name && other->store : other->name && strcmp(other->name, given->name) == 0)
      return "two stores have this name";
  }
  vestry_store_stats stats = {0};
  vestry_store_stats_get(given->store, &stats);
  if (stats.live_count) return "it is not empty";
  return given->store->owner ? "another instance has it, or another name of this one" : NULL;
}

static vestry_err refuse_store(const vestry *v, const char *name, const char *why) {
  vsi_log(v->host, VESTRY_LOG_ERROR, "vestry_create: options.stores: %s: %s", name ? name : "the store without a name",
          why);
  return VESTRY_INVALID;
}

/* Take over a store of the creator. */
static vestry_err take_over(vestry *v, const vestry_named_store *given) {
  const char *mistake = find_mistake_in(v, given);
  if (mistake) return refuse_store(v, given->name, mistake);
  vsi_instance_store *to = given->name ? &v->stores[v->stores_count] : &v->stores[0];
  *to = (vsi_instance_store){v, .scope = given->scope, .scope_ctx = given->scope_ctx, .purge = purged, .purge_ctx = to};
  if (given->name && !(to->name = vsi_strdup(v->host, given->name, strlen(given->name)))) return VESTRY_NO_MEMORY;
  if (given->name) v->stores_count++;
  vsi_store_adopt(given->store, v, &to->purge, &to->purge_ctx);
  to->store = given->store;
  to->is_borrowed = true;
  return VESTRY_OK;
}

/* Return whether an option for the instance's own store is set. */
static bool has_store_options(const vestry_options *options) {
  return options->store || options->store_type || options->idle_ms || options->lifetime_ms || options->purge ||
         options->bounds->max_count || options->bounds->max_per_scope_count;
}

vestry_err vsi_stores_create(vestry *v, const vestry_options *options) {
  if (options->stores_count && !options->stores) return refuse_store(v, NULL, "options.stores is NULL");
  v->stores = vsi_calloc(v->host, 1 + options->stores_count, sizeof *v->stores);
  if (!v->stores) return VESTRY_NO_MEMORY;
  vsi_instance_store *own = v->stores;
  own->v = v;
  v->stores_count = 1;
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < options->stores_count && !error; i++) error = take_over(v, &options->stores[i]);
  if (!error && own->store && has_store_options(options))
    error = refuse_store(v, NULL, "options of the store are set, too; set them when the store is created");
  if (!error && !own->store) error = create_own(v, options, own);
  v->store = own->store;
  for (size_t i = 0; i < v->stores_count && !error; i++) {
    error = vestry_store_drive(v->stores[i].store, v->runtime);
    atomic_store(&v->stores[i].is_driven, !error);
    if (error == VESTRY_EXISTS) error = VESTRY_OK; /* the creator drives it */
    if (error) vsi_log(v->host, VESTRY_LOG_ERROR, "vestry_create: options.runtime: %s", vestry_strerror(error));
  }
  return error;
}

void vsi_stores_close(vestry *v) {
  for (size_t i = 0; i < v->stores_count; i++) vsi_store_close(v->stores[i].store);
}

void vsi_stores_rest(vestry *v) {
  for (size_t i = 0; i < v->stores_count; i++)
    if (atomic_exchange(&v->stores[i].is_driven, false)) (void)vestry_store_drive(v->stores[i].store, NULL);
}

void vsi_stores_destroy(vestry *v) {
  vsi_stores_rest(v);
  for (size_t i = 0; i < v->stores_count; i++) {
    vsi_instance_store *at = &v->stores[i];
    if (!at->is_borrowed)
      vestry_store_destroy(at->store);
    else
      vsi_store_adopt(at->store, NULL, &at->purge, &at->purge_ctx);
    vsi_free(v->host, at->name);
  }
  vsi_free(v->host, v->stores);
}

const vsi_instance_store *vsi_stores_find(const vestry *v, const char *name) {
  for (size_t i = 0; i < v->stores_count; i++) {
    const char *own = v->stores[i].name;
    if (name ? own && strcmp(own, name) == 0 : !own) return &v->stores[i];
  }
  return NULL;
}
