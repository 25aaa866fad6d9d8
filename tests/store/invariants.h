/* SPDX-License-Identifier: MIT */
/* What is true of a built-in store whenever no operation is under way: index, order of uses, births, scopes and counts
 * agree. */
#ifndef TESTS_STORE_INVARIANTS_H
#define TESTS_STORE_INVARIANTS_H

#include "store/store.h"

/* cmocka assertions. A store of the application's passes. */
void invariants_check(vestry_store *store);

/* A built-in store's inside; NULL: it is none. */
struct vsi_table *invariants_table(vestry_store *store);

#endif
