/* SPDX-License-Identifier: MIT */
/* Finding a store type by its name: one of the application's types, or a built-in one. */
#include "store/types.h"

#include <string.h>

#include "base/options.h"
#include "store/builtin.h"

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
  return ops && VSI_OPS_ARE_KNOWN_GROWN(ops, vestry_store_ops, key_of) && ops->type && *ops->type && ops->create &&
         ops->destroy && ops->put && ops->get && ops->remove && ops->remove_if && ops->clear && ops->list &&
         !ops->tick == !ops->next_deadline_ns;
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
