/* SPDX-License-Identifier: MIT */
/* Bodies that arrive in pieces. */
#include "civetweb/server.h"

int main(void) {
  return (int)vestry_contract_run(&civetweb_contract, "uploads");
}
