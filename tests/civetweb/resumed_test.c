/* SPDX-License-Identifier: MIT */
/* Uploads whose server is killed. */
#include "civetweb/server.h"

int main(void) {
  return (int)vestry_contract_run(&civetweb_contract, "resumed");
}
