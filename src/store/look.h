/* SPDX-License-Identifier: MIT */
/* Lookups in a table, as the members of vestry_store_ops. */
#ifndef VSI_STORE_LOOK_H
#define VSI_STORE_LOOK_H

#include "vestry/store.h"

vestry_err vsi_table_get(void *self, const vestry_scoped_key *key, void **values, size_t *count);
vestry_err vsi_table_with(void *self, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx);

bool vsi_table_key_of(void *self, vestry_handle handle, vestry_key_of_fn fn, void *ctx);

#endif
