/* SPDX-License-Identifier: MIT */
/* Listing a table, as the member of vestry_store_ops. */
#ifndef VSI_STORE_LISTING_H
#define VSI_STORE_LISTING_H

#include "vestry/store.h"

vestry_err vsi_table_list(void *self, const vestry_scope *only_scope, size_t page_count, vestry_list_cursor *cursor,
                          vestry_list_fn fn, void *ctx);

#endif
