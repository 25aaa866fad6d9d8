/* SPDX-License-Identifier: MIT */
/* The contract of adapters over HTTP/1.1 on the port of HTTP/2, plain and with TLS: a client whose ALPN is absent, or
 * without "h2", gets the same server. */
#include "h2/server.h"
#include "microhttpd/tls.h"
#include "testing/contract/client.h"

int main(int argc, char **argv) {
  const vestry_contract_adapter contract = h2_http1_contract();
  vsi_client_tls_ops_used = NULL;
  vsi_client_tls_ops_offered = &tls_client_ops;
  return vestry_contract_run(
             &contract, argc > 1 ? argv[1] : "requests,wire,hostile,readings,lifecycle,peers,watches,answers,uploads")
             ? 1
             : 0;
}
