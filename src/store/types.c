/* SPDX-License-Identifier: MIT */
/* Store types: the two built-in ones, which differ in their rules and use one implementation (table.h), and finding a
 * type by its name. */
#include "store/types.h"

#include <string.h>

#include "store/table.h"

enum { MAX_COUNT_DEFAULT = 10000, IDLE_DEFAULT_MS = 10 * 60 * 1000 };

static vestry_err create_hash(const vestry_store_options *options, vestry_store_exit *exit, void *type_ctx,
                              void **ret_self) {
  (void)type_ctx;
  vsi_table_rules rules = {false, options->max_count, options->max_per_scope_count, UINT64_MAX, UINT64_MAX};
  return vsi_table_create(options->host, &rules, exit, ret_self);
}

static vestry_err create_lru(const vestry_store_options *options, vestry_store_exit *exit, void *type_ctx,
                             void **ret_self) {
  (void)type_ctx;
  size_t max_count = options->max_count ? options->max_count : MAX_COUNT_DEFAULT;
  uint64_t idle_ns = vsi_ms_to_ns(options->idle_ms ? options->idle_ms : IDLE_DEFAULT_MS);
  uint64_t lifetime_ns = options->lifetime_ms ? vsi_ms_to_ns(options->lifetime_ms) : UINT64_MAX;
  vsi_table_rules rules = {true, max_count, options->max_per_scope_count, idle_ns, lifetime_ns};
  return vsi_table_create(options->host, &rules, exit, ret_self);
}

#define OPS(name, create_fn)                                                                                           \
  {                                                                                                                    \
    .type = name, .create = create_fn, .destroy = vsi_table_destroy, .put = vsi_table_put, .get = vsi_table_get,       \
    .with = vsi_table_with, .remove = vsi_table_remove, .remove_if = vsi_table_remove_if, .clear = vsi_table_clear,    \
    .list = vsi_table_list, .tick = vsi_table_tick, .next_deadline_ns = vsi_table_next_deadline_ns,                    \
    .stats = vsi_table_stats, .key_of = vsi_table_key_of, .remove_value = vsi_table_remove_value,                      \
    .remove_scope = vsi_table_remove_scope                                                                             \
  }
const vestry_store_ops vsi_hash_store_ops = OPS("hash", create_hash);
const vestry_store_ops vsi_lru_store_ops = OPS("lru", create_lru);

/* -------------------------------------------------------------------------------------------- finding a type ---- */

static const vestry_store_type builtin[] = {{&vsi_hash_store_ops, NULL}, {&vsi_lru_store_ops, NULL}};

static const vestry_store_type *find(const vestry_store_type *types, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(types[i].ops->type, name) == 0) return &types[i];
  return NULL;
}

static const vestry_store_type *find_builtin(const char *name) {
  return find(builtin, sizeof builtin / sizeof *builtin, name);
}

static bool is_complete(const vestry_store_ops *ops) {
  return ops && ops->type && *ops->type && ops->create && ops->destroy && ops->put && ops->get && ops->remove &&
         ops->remove_if && ops->clear && ops->list && !ops->tick == !ops->next_deadline_ns;
}

vestry_err vsi_store_type_find(const vestry_store_options *options, const char *name, vestry_store_type *ret_type) {
  const vestry_store_type *own = options->types;
  if (options->types_count && !own) return VESTRY_INVALID;
  for (size_t i = 0; i < options->types_count; i++) {
    if (!is_complete(own[i].ops)) return VESTRY_INVALID;
    if (find_builtin(own[i].ops->type) || find(own, i, own[i].ops->type)) return VESTRY_EXISTS;
  }
  const vestry_store_type *found = find_builtin(name);
  if (!found) found = find(own, options->types_count, name);
  if (!found) return VESTRY_NOT_FOUND;
  *ret_type = *found;
  return VESTRY_OK;
}
