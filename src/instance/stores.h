/* SPDX-License-Identifier: MIT */
/* The stores of an instance: its own, which vestry_create has made or its creator, and those that the creator has named
 * (vestry_options.stores). */
#ifndef VSI_INSTANCE_STORES_H
#define VSI_INSTANCE_STORES_H

#include <stdatomic.h>

#include "instance/instance.h"

typedef struct vsi_instance_store {
  vestry *v;
  char *name; /* owned; NULL: the instance's own store */
  vestry_store *store;
  bool is_borrowed;      /* the creator owns it */
  atomic_bool is_driven; /* by the instance's runtime */
  atomic_bool was_full;  /* the warning about max_count was logged */
  vestry_purge_fn purge; /* of the application; NULL: none */
  void *purge_ctx;
  vestry_scope_fn scope; /* NULL: the scope of the request */
  void *scope_ctx;
} vsi_instance_store;

/* Create the instance's own store, unless it is given, and take over the given ones. On failure the reason is logged,
 * and vsi_stores_destroy must be called. OK | INVALID | NOT_FOUND (the type) | NO_MEMORY | IO | CLOSED (the runtime) */
vestry_err vsi_stores_create(vestry *v, const vestry_options *options);
/* Close all stores. */
void vsi_stores_close(vestry *v);
/* Let the instance's runtime drive them no more, and wait for its running purge hooks. */
void vsi_stores_rest(vestry *v);
/* Destroy the instance's own store, and give the others back. */
void vsi_stores_destroy(vestry *v);

/* Return the store of this name; NULL: the instance's own. Returns NULL if there is none. Any thread. */
const vsi_instance_store *vsi_stores_find(const vestry *v, const char *name);

#endif
