/* SPDX-License-Identifier: MIT */
/* Uploads whose server is killed. */
#include "web/resumed_contract.h"

#include "civetweb/server.h"

int main(void) {
  return resumed_contract_run(&civetweb_seam);
}
