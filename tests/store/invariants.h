/* SPDX-License-Identifier: MIT */
/* Invariants of a built-in store between operations: index, order of uses, births, scopes and counts agree. */
#ifndef TESTS_STORE_INVARIANTS_H
#define TESTS_STORE_INVARIANTS_H

#include "store/store.h"

/* Check them with cmocka assertions. A store of the application always passes. */
void invariants_check(vestry_store *store);

/* Return the table of a built-in store; NULL for any other store. */
struct vsi_table *invariants_table(vestry_store *store);

#endif
