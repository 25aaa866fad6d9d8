/* SPDX-License-Identifier: MIT */
/* The contract of adapters for civetweb, over real sockets. */
#include "civetweb/server.h"

int main(void) {
  return (int)vestry_contract_run(&civetweb_contract, "requests");
}
