/* SPDX-License-Identifier: MIT */
/* The values that handlers see of unusual requests, through libmicrohttpd. */
#include "web/readings_contract.h"

#include "microhttpd/server.h"

int main(void) {
  return readings_contract_run(&microhttpd_seam) + readings_contract_run(&microhttpd_attached_seam);
}
