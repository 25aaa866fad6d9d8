/* What every store must do, whoever wrote it: run once for each kind. */
#ifndef TESTS_STORE_CONTRACT_H
#define TESTS_STORE_CONTRACT_H

#include "store/world.h"

/* Returns the number of failed tests. */
int store_contract_run(const store_kind *kind);

#endif
