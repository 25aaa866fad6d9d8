/* SPDX-License-Identifier: MIT */
/* What falls due in a table, and when. */
#ifndef VSI_STORE_EXPIRY_H
#define VSI_STORE_EXPIRY_H

#include "store/table.h"

/* As the members of vestry_store_ops. */
void vsi_table_tick(void *self);
uint64_t vsi_table_next_deadline_ns(void *self);
/* A value was put at a tick: something will be due. */
void vsi_table_expect(vsi_table *table, uint32_t now);

#endif
