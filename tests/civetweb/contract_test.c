/* SPDX-License-Identifier: MIT */
/* The contract of adapters for civetweb, over real sockets: contract [SUITE]. Other suites run the rest of it. */
#include <string.h>

#include "civetweb/server.h"
#include "web/far.h"
#include "web/heads.h"

int main(int argc, char **argv) {
  const char *const suites = argc > 1 ? argv[1] : "requests,readings,answers,uploads,resumed";
  if (strcmp(suites, "heads") == 0)
    return heads_run(&vestry_server_civetweb, &(vestry_server_options){.threads_count = 16});
  if (strcmp(suites, "far") == 0) return far_run(&civetweb_contract);
  const bool is_raw = strstr(suites, "readings") && vestry_contract_run(&civetweb_raw_contract, "readings");
  return vestry_contract_run(&civetweb_contract, suites) || is_raw;
}
