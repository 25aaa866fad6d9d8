/* SPDX-License-Identifier: MIT */
/* The contract of adapters for civetweb, over real sockets. */
#include "testing/contract.h"

#include <stdlib.h>

#include "civetweb/server.h"
#include "support/test.h"
#include "web/exchange.h"

static void *start(const vestry_options *options, unsigned room) {
  server *s = calloc(1, sizeof *s);
  /* No test here waits for the stall time-out; under valgrind a slow client reads for longer than the time-out of other
   * tests. */
  server_start(s, &(server_settings){
                      .threads = room + 4, .reserve = 4, .bare = true, .timeout_ms = 300000, .options = *options});
  return s;
}

int main(void) {
  const contract_seam seam = web_contract_seam("civetweb", start);
  return contract_run(&seam);
}
