/* SPDX-License-Identifier: MIT */
/* A libmicrohttpd server by vestry/server.h. */
#include "adapter/microhttpd/life.h"
#include "vestry/adapter.h"

static vestry_err start(vestry *v, const vestry_server_options *options, vestry_server **ret_server) {
  return vestry_microhttpd_create(v,
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
                                  ret_server);
}

const vestry_server_adapter vestry_server_microhttpd = {
    .size = sizeof(vestry_server_adapter),
    .name = "microhttpd",
    .start = start,
    .stop = vsi_microhttpd_life_stop,
    .destroy = vsi_microhttpd_life_destroy,
    .room = vsi_microhttpd_life_room,
};
