/* SPDX-License-Identifier: MIT */
/* Uploads whose server is killed. */
#include "web/resumed_contract.h"

#include "microhttpd/server.h"

int main(void) {
  return resumed_contract_run(&microhttpd_seam);
}
