/* SPDX-License-Identifier: MIT */
/* Putting into a table, as the member of vestry_store_ops. */
#ifndef VSI_STORE_PUT_H
#define VSI_STORE_PUT_H

#include "vestry/store.h"

vestry_err vsi_table_put(void *self, const vestry_scoped_key *key, void *value, vestry_keep_policy policy,
                         size_t many_count, vestry_put_result *ret_result);

#endif
