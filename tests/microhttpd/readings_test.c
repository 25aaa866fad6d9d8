/* SPDX-License-Identifier: MIT */
/* The values that handlers see of unusual requests, through libmicrohttpd. */
#include "microhttpd/server.h"

int main(void) {
  const vestry_contract_adapter contract = microhttpd_contract();
  return (int)vestry_contract_run(&contract, "readings") +
         (int)attached_contract_run("libmicrohttpd, attached", &(attached_settings){.flags = 0}, "readings");
}
