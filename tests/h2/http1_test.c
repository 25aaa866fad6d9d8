/* SPDX-License-Identifier: MIT */
/* The contract of adapters over HTTP/1.1 on the port of HTTP/2, plain and with TLS: a client whose ALPN is absent, or
 * without "h2", gets the same server. */
#include <string.h>

#include "h2/server.h"
#include "microhttpd/tls.h"
#include "testing/contract/client.h"
#include "web/heads.h"

/* The heads of today's clients, at the limit of a server and above. */
static int run_heads(void) {
  const char *key, *certificate;
  tls_key_pair(&key, &certificate);
  return heads_run_tls(&vestry_server_h2, &(vestry_server_options){.threads_count = 2}, key, certificate);
}

int main(int argc, char **argv) {
  const vestry_contract_adapter contract = h2_http1_contract();
  vsi_client_tls_ops_used = NULL;
  vsi_client_tls_ops_offered = &tls_client_ops;
  if (argc > 1 && strcmp(argv[1], "heads") == 0) return run_heads();
  static const char all[] = "requests,wire,hostile,readings,lifecycle,peers,watches,answers,uploads";
  return (int)vestry_contract_run(&contract, argc > 1 ? argv[1] : all);
}
