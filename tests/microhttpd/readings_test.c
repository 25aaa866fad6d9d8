/* SPDX-License-Identifier: MIT */
/* What handlers see of odd requests, through libmicrohttpd. */
#include "web/readings_contract.h"

#include "microhttpd/server.h"

int main(void) {
  return readings_contract_run(&microhttpd_seam) + readings_contract_run(&microhttpd_attached_seam);
}
