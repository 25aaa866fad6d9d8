/* SPDX-License-Identifier: MIT */
/* Expiry: which entries of a table are due, and the time of the next tick. */
#ifndef VSI_STORE_EXPIRY_H
#define VSI_STORE_EXPIRY_H

#include "store/table.h"

/* As the members of vestry_store_ops. */
void vsi_table_tick(void *self);
uint64_t vsi_table_next_deadline_ns(void *self);
/* Set the deadline after a put in the tick `now`, if there was none. */
void vsi_table_expect(vsi_table *table, uint32_t now);

#endif
