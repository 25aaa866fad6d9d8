/* SPDX-License-Identifier: MIT */
/* The contract of every store, built in or from an application. Each part runs for each kind, and returns the number of
 * failed tests. */
#ifndef TESTS_STORE_CONTRACT_H
#define TESTS_STORE_CONTRACT_H

#include "store/world.h"

int store_contract_run(const store_kind *kind);          /* contract.c */
int store_contract_run_listing(const store_kind *kind);  /* contract_list.c */
int store_contract_run_removals(const store_kind *kind); /* contract_removal.c */
int store_contract_run_faults(const store_kind *kind);   /* contract_faults.c: memory and threads */

#endif
