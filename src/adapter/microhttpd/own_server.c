/* SPDX-License-Identifier: MIT */
/* A libmicrohttpd server by vestry/server.h. */
#include "vestry/microhttpd.h"

static vestry_err start(vestry *v, const vestry_server_options *options, void **ret_server) {
  vestry_microhttpd *made;
  vestry_err error = vestry_microhttpd_create(v,
                                              &(vestry_microhttpd_options){
                                                  .address = options->address,
                                                  .port = options->port,
                                                  .unix_path = options->unix_path,
                                                  .threads_count = options->threads_count,
                                                  .max_streams = options->max_streams,
                                                  .max_per_address = options->max_per_address,
                                                  .tls_key = options->tls_key,
                                                  .tls_certificate = options->tls_certificate,
                                              },
                                              &made);
  if (!error) *ret_server = made;
  return error;
}

static uint16_t port(void *server) {
  return vestry_microhttpd_port(server);
}

static vestry_err stop(void *server, uint64_t timeout_ms) {
  return vestry_microhttpd_stop(server, timeout_ms);
}

static void destroy(void *server) {
  vestry_microhttpd_destroy(server);
}

const vestry_server_adapter vestry_server_microhttpd = {
    .size = sizeof(vestry_server_adapter),
    .name = "microhttpd",
    .start = start,
    .port = port,
    .stop = stop,
    .destroy = destroy,
};
