/* SPDX-License-Identifier: MIT */
/* Removing values from a table, as the members of vestry_store_ops. */
#ifndef VSI_STORE_REMOVE_H
#define VSI_STORE_REMOVE_H

#include "vestry/store.h"

size_t vsi_table_remove(void *self, const vestry_scoped_key *key, vestry_cause cause);
bool vsi_table_remove_if(void *self, vestry_handle handle, vestry_cause cause);
void vsi_table_clear(void *self, vestry_cause cause);

#endif
