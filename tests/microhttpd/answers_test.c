/* SPDX-License-Identifier: MIT */
/* The budget of answers is kept, and their memory is released. */
#include "microhttpd/server.h"

int main(void) {
  const vestry_contract_adapter contract = microhttpd_contract();
  return (int)vestry_contract_run(&contract, "answers") +
         (int)attached_contract_run("libmicrohttpd, attached", &(attached_settings){.flags = 0}, "answers");
}
