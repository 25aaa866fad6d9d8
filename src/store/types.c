/* SPDX-License-Identifier: MIT */
#include "store/types.h"

#include <string.h>

#include "base/memory.h"
#include "base/options.h"
#include "store/builtin.h"

typedef struct type {
  struct type *next;
  const vestry_store_ops *ops;
  void *ctx;
} type;

struct vestry_store_types {
  const vestry_host *host;
  type *first;
};

static const vestry_store_ops *const builtin[] = {&vsi_hash_store_ops, &vsi_lru_store_ops};

const vestry_store_ops *vsi_store_types_find(const vestry_store_types *types, const char *name, void **ret_type_ctx) {
  for (size_t i = 0; i < sizeof builtin / sizeof *builtin; i++)
    if (strcmp(builtin[i]->type, name) == 0) return builtin[i];
  for (const type *at = types ? types->first : NULL; at; at = at->next) {
    if (strcmp(at->ops->type, name) != 0) continue;
    *ret_type_ctx = at->ctx;
    return at->ops;
  }
  return NULL;
}

vestry_err vestry_store_types_create(const vestry_host *host, vestry_store_types **ret_types) {
  if (!ret_types) return VESTRY_INVALID;
  host = vsi_host(host);
  vestry_store_types *types = vsi_calloc(host, 1, sizeof *types);
  if (!types) return VESTRY_NO_MEMORY;
  types->host = host;
  *ret_types = types;
  return VESTRY_OK;
}

static bool is_complete(const vestry_store_ops *ops) {
  return VSI_OPS_ARE_KNOWN(ops) && ops->type && *ops->type && ops->create && ops->destroy && ops->put && ops->get &&
         ops->remove && ops->remove_if && ops->clear && ops->list && !ops->tick == !ops->next_deadline_ns;
}

vestry_err vestry_store_types_add(vestry_store_types *types, const vestry_store_ops *ops, void *type_ctx) {
  if (!types || !ops || !is_complete(ops)) return VESTRY_INVALID;
  void *taken_ctx;
  if (vsi_store_types_find(types, ops->type, &taken_ctx)) return VESTRY_EXISTS;
  type *added = vsi_alloc(types->host, sizeof *added);
  if (!added) return VESTRY_NO_MEMORY;
  *added = (type){types->first, ops, type_ctx};
  types->first = added;
  return VESTRY_OK;
}

void vestry_store_types_destroy(vestry_store_types *types) {
  if (!types) return;
  for (type *at = types->first, *next; at; at = next) {
    next = at->next;
    vsi_free(types->host, at);
  }
  vsi_free(types->host, types);
}
