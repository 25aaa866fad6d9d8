/* SPDX-License-Identifier: MIT */
/* The two built-in store types: tables of functions, and the options that distinguish the types. Both types use one
 * implementation (table.h). */
#include "store/builtin.h"

#include "store/expiry.h"
#include "store/listing.h"
#include "store/look.h"
#include "store/put.h"
#include "store/remove.h"
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
    .size = sizeof(vestry_store_ops), .type = name, .create = create_fn, .destroy = vsi_table_destroy,                 \
    .put = vsi_table_put, .get = vsi_table_get, .with = vsi_table_with, .remove = vsi_table_remove,                    \
    .remove_if = vsi_table_remove_if, .clear = vsi_table_clear, .list = vsi_table_list, .tick = vsi_table_tick,        \
    .next_deadline_ns = vsi_table_next_deadline_ns, .stats = vsi_table_stats, .key_of = vsi_table_key_of               \
  }
const vestry_store_ops vsi_hash_store_ops = OPS("hash", create_hash);
const vestry_store_ops vsi_lru_store_ops = OPS("lru", create_lru);
