/* SPDX-License-Identifier: MIT */
#include "h2/server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "h2/client.h"
#include "microhttpd/library.h"
#include "microhttpd/tls.h"
#include "support/test.h"

enum { LOOK_MS = 50 };

static vestry_server *launch(vestry *v, const server_settings *settings, uint16_t *ret_port) {
  vestry_h2_options options = settings->adapter;
  vestry_server *web = NULL;
  if (!options.address && !options.unix_path) options.address = "127.0.0.1";
  if (!options.threads_count) options.threads_count = 2;
  if (settings->is_tls && !options.tls_pairs && !options.tls_files)
    tls_key_pair(&options.tls_key, &options.tls_certificate);
  assert_int_equal(vestry_h2_create(v, &options, &web), VESTRY_OK);
  *ret_port = web->port;
  return web;
}

void server_start(vsi_server *s, const server_settings *settings) {
  static const server_settings defaults = {.is_tls = false};
  if (!settings) settings = &defaults;
  vsi_adapter = h2_contract();
  vsi_patience_s = PATIENCE_S;
  vsi_client_tls_ops_used = settings->is_tls ? &h2_tls_ops : &h2_plain_ops;
  vsi_server_begin(s, &settings->options);
  vsi_server_mount(s);
  s->running = launch(s->v, settings, &s->port);
}

int server_connect(const vsi_server *s) {
  const struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
  return fd;
}

void server_wait_late(int fd, uint64_t deadline_ms) {
  struct pollfd at = {.fd = fd, .events = POLLIN};
  for (int looks = 0; poll(&at, 1, LOOK_MS) == 0; looks++) {
    assert_true(looks < PATIENCE_S * 1000 / LOOK_MS);
    atomic_fetch_add(&vsi_server_clock_ahead_ns, (deadline_ms + 1) * UINT64_C(1000000));
  }
}

/* ---- its contract ------------------------------------------------------------------------------------------------ */

static vestry_err start_with(vestry *v, const vestry_contract_settings *settings, bool is_tls, void **ret_server,
                             uint16_t *ret_port) {
  const uint64_t silent_ms = settings->silent_ms ? settings->silent_ms : PATIENCE_S * UINT64_C(1000);
  *ret_server = launch(v,
                       &(server_settings){.adapter = {.max_streams = settings->max_streams,
                                                      .timeout_s = (unsigned)(silent_ms / 1000),
                                                      .request_timeout_ms = silent_ms,
                                                      .lost_ms = settings->lost_ms + settings->stalled_ms},
                                          .is_tls = is_tls},
                       ret_port);
  return VESTRY_OK;
}

static vestry_err start(vestry *v, const vestry_contract_settings *settings, void **ret_server, uint16_t *ret_port) {
  if (vsi_client_tls_ops_used != &h2_tls_ops) vsi_client_tls_ops_used = &h2_plain_ops;
  return start_with(v, settings, vsi_client_tls_ops_used == &h2_tls_ops, ret_server, ret_port);
}

static vestry_err start_http1(vestry *v, const vestry_contract_settings *settings, void **ret_server,
                              uint16_t *ret_port) {
  return start_with(v, settings, vsi_client_tls_ops_used != NULL, ret_server, ret_port);
}

static vestry_err stop(void *server, uint64_t timeout_ms) {
  return vestry_server_stop(server, timeout_ms);
}

static void room(void *server, uint32_t *ret_streams, uint32_t *ret_capacity) {
  vestry_server_room(server, ret_streams, ret_capacity);
}

static void destroy(void *server) {
  vestry_server_destroy(server);
}

vestry_contract_adapter h2_contract(void) {
  return (vestry_contract_adapter){
      .name = "h2",
      .start = start,
      .stop = stop,
      .destroy = destroy,
      .room = room,
      .patience_s = PATIENCE_S,
      .always_keeps = true,
      .closes_streams = true, /* the client shows the end of a stream as that of its connection */
      .waits_for_none = true,
      .closes_broken = true,
  };
}

vestry_contract_adapter h2_http1_contract(void) {
  vestry_contract_adapter contract = h2_contract();
  contract.name = "HTTP/1.1 on the port of h2";
  contract.start = start_http1;
  contract.refuses_itself = true;
  contract.refuses_most = server_library_refuses();
  contract.is_blind_to = server_is_blind_to;
  return contract;
}
