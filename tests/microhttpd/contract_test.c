/* SPDX-License-Identifier: MIT */
/* The contract of adapters for libmicrohttpd, over real sockets, plain and with TLS. */
#include "testing/contract.h"

#include <stdlib.h>

#include "microhttpd/server.h"
#include "support/test.h"
#include "web/exchange.h"

static void *start_with(const vestry_options *options, unsigned room, bool tls) {
  server *s = calloc(1, sizeof *s);
  /* libmicrohttpd may miss the end of a connection that comes with data: then a truncated request waits for the
   * time-out. */
  server_start(s,
               &(server_settings){
                   .adapter = {.max_streams = room, .timeout_s = 10}, .bare = true, .tls = tls, .options = *options});
  return s;
}

static void *start(const vestry_options *options, unsigned room) {
  return start_with(options, room, false);
}

static void *start_tls(const vestry_options *options, unsigned room) {
  return start_with(options, room, true);
}

int main(void) {
  contract_seam seam = web_contract_seam("libmicrohttpd", start);
  seam.closes_broken = microhttpd_seam.closes_broken;
  contract_seam with_tls = seam;
  with_tls.name = "libmicrohttpd with TLS";
  with_tls.start = start_tls;
  return contract_run(&seam) + contract_run(&with_tls);
}
