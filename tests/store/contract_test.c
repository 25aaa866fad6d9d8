/* SPDX-License-Identifier: MIT */
/* The contract suite for each store: the built-in ones and two of an application (A2). */
#include "store/contract.h"

int main(void) {
  const store_kind *const kinds[] = {&world_hash, &world_lru, &world_naive_hash, &world_naive_lru};
  int failed = 0;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    failed += store_contract_run(kinds[i]) + store_contract_run_listing(kinds[i]) +
              store_contract_run_removals(kinds[i]) + store_contract_run_faults(kinds[i]);
  return failed;
}
