/* SPDX-License-Identifier: MIT */
/* Bodies that arrive in pieces. */
#include "microhttpd/server.h"
#include "microhttpd/tls.h"
#include "testing/contract/client.h"

int main(void) {
  const vestry_contract_adapter contract = microhttpd_contract();
  vsi_client_tls_ops_offered = &tls_client_ops;
  return (int)vestry_contract_run(&contract, "uploads") +
         (int)attached_contract_run("libmicrohttpd, attached", &(attached_settings){.flags = 0}, "uploads") +
         (int)attached_contract_run("libmicrohttpd, attached to a loop of the program's",
                                    &(attached_settings){.flags = MHD_USE_ITC, .external = true}, "uploads");
}
