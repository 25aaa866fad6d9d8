/* The store type "hash": keeps what it is given; bounds refuse. */
#include "store/builtin.h"
#include "store/table.h"

static vestry_err create_hash(const vestry_store_options *options, vestry_store_exit *exit, void *type_ctx,
                              void **ret_self) {
  (void)type_ctx;
  vsi_table_rules rules = {.max_count = options->max_count,
                           .max_per_scope = options->max_per_scope_count,
                           .idle_ns = UINT64_MAX,
                           .lifetime_ns = UINT64_MAX};
  return vsi_table_create(options, &rules, exit, ret_self);
}

const vestry_store_ops vsi_hash_store_ops = VSI_TABLE_OPS("hash", create_hash);
