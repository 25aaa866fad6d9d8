/* SPDX-License-Identifier: MIT */
/* The budget of answers is kept, and their memory is released. */
#include "civetweb/server.h"

int main(void) {
  return (int)vestry_contract_run(&civetweb_contract, "answers");
}
