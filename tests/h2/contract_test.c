/* SPDX-License-Identifier: MIT */
/* The contract of adapters over HTTP/2: the suites that are not about the text of HTTP/1.1. contract [SUITES] */
#include "h2/client.h"
#include "h2/server.h"

int main(int argc, char **argv) {
  const vestry_contract_adapter contract = h2_contract();
  vsi_client_tls_ops_used = &h2_plain_ops;
  vsi_client_tls_ops_offered = &h2_tls_ops;
  return vestry_contract_run(&contract, argc > 1 ? argv[1] : "requests,lifecycle,peers,watches,answers,uploads,resumed")
             ? 1
             : 0;
}
