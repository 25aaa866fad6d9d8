/* The contract suite over every store there is: the built-in ones and two of an application's (A2). */
#include "store/contract.h"

int main(void) {
  return store_contract_run(&world_hash) + store_contract_run(&world_lru) + store_contract_run(&world_naive_hash) +
         store_contract_run(&world_naive_lru);
}
