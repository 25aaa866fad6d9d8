/* SPDX-License-Identifier: MIT */
/* The values that handlers see of unusual requests, through civetweb. */
#include "web/readings_contract.h"

#include "civetweb/server.h"

int main(void) {
  return readings_contract_run(&civetweb_seam) + readings_contract_run(&civetweb_raw_seam);
}
