/* SPDX-License-Identifier: MIT */
/* Bodies that arrive in pieces. */
#include "web/uploads_contract.h"

#include "microhttpd/server.h"

static void start_in_loop(server *s, const web_settings *settings) {
  attached_start(s, &(attached_settings){.adapter = {.request_timeout_ms = settings->silent_s * UINT64_C(1000)},
                                         .silent_s = settings->silent_s,
                                         .flags = MHD_USE_ITC,
                                         .external = true,
                                         .tls = settings->tls,
                                         .options = settings->options});
}

int main(void) {
  server_seam in_loop = microhttpd_attached_seam;
  in_loop.name = "libmicrohttpd, attached to a loop of the program's";
  in_loop.start = start_in_loop;
  in_loop.waits_for_writers = true;
  return uploads_contract_run(&microhttpd_seam) + uploads_contract_run(&microhttpd_attached_seam) +
         uploads_contract_run(&in_loop);
}
