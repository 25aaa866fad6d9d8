/* SPDX-License-Identifier: MIT */
/* The contract of adapters for libmicrohttpd, over real sockets, plain and with TLS. */
#include "microhttpd/server.h"
#include "microhttpd/tls.h"
#include "testing/contract/client.h"

int main(void) {
  const vestry_contract_adapter contract = microhttpd_contract();
  vsi_client_tls_ops_offered = &tls_client_ops;
  return (int)vestry_contract_run(&contract, "requests");
}
