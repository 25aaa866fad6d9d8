/* SPDX-License-Identifier: MIT */
/* Uploads whose server is killed. */
#include "microhttpd/server.h"

int main(void) {
  const vestry_contract_adapter contract = microhttpd_contract();
  return (int)vestry_contract_run(&contract, "resumed");
}
