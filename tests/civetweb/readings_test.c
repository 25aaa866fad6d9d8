/* SPDX-License-Identifier: MIT */
/* The values that handlers see of unusual requests, through civetweb. */
#include "civetweb/server.h"

int main(void) {
  return (int)vestry_contract_run(&civetweb_contract, "readings") +
         (int)vestry_contract_run(&civetweb_raw_contract, "readings");
}
