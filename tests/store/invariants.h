/* What is true of a built-in store whenever no operation is under way: index, ages, births, scopes, counts and slots
 * agree, and everything that is not in use is free. */
#ifndef TESTS_STORE_INVARIANTS_H
#define TESTS_STORE_INVARIANTS_H

#include "store/store.h"

/* cmocka assertions. A store of the application's passes. may_allocate: also check what takes allocations from the
 * host. */
void invariants_check(vestry_store *store, bool may_allocate);

#endif
