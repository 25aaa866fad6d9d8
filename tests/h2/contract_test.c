/* SPDX-License-Identifier: MIT */
/* The contract of adapters over HTTP/2, without the suites about the text of HTTP/1.1: contract [SUITE]; and over
 * HTTP/1.1 on the same port, plain and with TLS, whose clients have no ALPN, or one without "h2": contract http1 SUITE.
 * Its suite heads: the heads of today's clients, at the limit of a server and above. */
#include <string.h>

#include "h2/client.h"
#include "h2/server.h"
#include "microhttpd/tls.h"
#include "web/far.h"
#include "web/heads.h"

static int run_http1(const char *suite) {
  const vestry_contract_adapter contract = h2_http1_contract();
  const char *key, *certificate;
  vsi_client_tls_ops_offered = &tls_client_ops;
  if (strcmp(suite, "far") == 0) return far_run(&contract);
  if (strcmp(suite, "heads") != 0) return (int)vestry_contract_run(&contract, suite);
  tls_key_pair(&key, &certificate);
  return heads_run_tls(&vestry_server_h2, &(vestry_server_options){.threads_count = 2}, key, certificate);
}

int main(int argc, char **argv) {
  const vestry_contract_adapter contract = h2_contract();
  if (argc > 2) return run_http1(argv[2]);
  vsi_client_tls_ops_used = &h2_plain_ops;
  vsi_client_tls_ops_offered = &h2_tls_ops;
  if (argc > 1 && strcmp(argv[1], "far") == 0) return far_run(&contract);
  return (int)vestry_contract_run(&contract,
                                  argc > 1 ? argv[1] : "requests,lifecycle,peers,watches,answers,uploads,resumed");
}
