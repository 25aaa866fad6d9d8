/* SPDX-License-Identifier: MIT */
#include "microhttpd/server.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "adapter/microhttpd/head.h"
#include "microhttpd/tls.h"
#include "support/test.h"
#include "support/until.h"
#include "testing/contract/client.h"
#include "web/network.h"

/* Without the rings of the runtime's threads, which a thread opens when it first batches writes. */
unsigned server_descriptors(void) {
  unsigned count = 0;
  DIR *all = opendir("/proc/self/fd");
  assert_non_null(all);
  for (const struct dirent *at; (at = readdir(all)) != NULL;) {
    char target[64] = "";
    (void)!readlinkat(dirfd(all), at->d_name, target, sizeof target - 1);
    if (!strstr(target, "[io_uring]")) count++;
  }
  closedir(all);
  return count;
}

void server_wait_descriptors(unsigned count) {
  UNTIL(server_descriptors() <= count);
  assert_int_equal(server_descriptors(), count);
}

/* …and in a daemon of the application the query arrives decoded: a control byte replaces an encoded one. */
bool server_is_blind_to_attached(const char *text, size_t len) {
  const char *end = memchr(text, '\n', len), *query = memchr(text, '?', len);
  for (const char *at = query; end && at && at + 1 < end; at++)
    if ((unsigned char)*at < ' ' || *at == 0x7f) return true;
  return server_is_blind_to(text, len);
}

/* ---- UNIX sockets ------------------------------------------------------------------------------------------------ */

static char folder[64];

static void remove_folder(void) {
  if (rmdir(folder) != 0) fprintf(stderr, "%s is not empty\n", folder);
}

const char *server_free_path(void) {
  static char path[96];
  static unsigned number;
  if (!*folder) {
    snprintf(folder, sizeof folder, "/tmp/vestry-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    atexit(remove_folder);
  }
  snprintf(path, sizeof path, "%s/%u", folder, number++);
  return path;
}

/* ---- the server -------------------------------------------------------------------------------------------------- */

static vestry_server *launch(vestry *v, const server_settings *settings, uint16_t *ret_port) {
  vestry_microhttpd_options options = settings->adapter;
  static char path[96];
  vsi_client_path_used = NULL;
  if (settings->unix_socket) {
    snprintf(path, sizeof path, "%s", server_free_path());
    vsi_client_path_used = options.unix_path = path;
  } else if (!options.address) {
    options.address = "127.0.0.1";
  }
  if (!options.threads_count) options.threads_count = 2;
  vsi_client_tls_ops_used = settings->tls ? &tls_client_ops : NULL;
  if (settings->tls) tls_key_pair(&options.tls_key, &options.tls_certificate);
  vestry_server *web = NULL;
  assert_int_equal(vestry_microhttpd_create(v, &options, &web), VESTRY_OK);
  *ret_port = web->port;
  assert_true(settings->unix_socket ? !web->port : web->port);
  return web;
}

void server_start(vsi_server *s, const server_settings *settings) {
  static const server_settings defaults = {.bare = false};
  if (!settings) settings = &defaults;
  vsi_adapter = microhttpd_contract();
  vsi_patience_s = PATIENCE_S;
  vsi_server_begin(s, &settings->options);
  if (!settings->bare) vsi_server_mount(s);
  s->running = launch(s->v, settings, &s->port);
}

vestry_server *server_web(const vsi_server *s) {
  return s->running;
}

/* ---- its contract ------------------------------------------------------------------------------------------------ */

static vestry_err start_on(vestry *v, const vestry_contract_settings *settings, bool unix_socket, void **ret_server,
                           uint16_t *ret_port) {
  const uint64_t silent_ms = settings->silent_ms ? settings->silent_ms : PATIENCE_S * UINT64_C(1000);
  assert_false(settings->lost_ms && settings->stalled_ms); /* which are one setting here */
  *ret_server = launch(v,
                       &(server_settings){.unix_socket = unix_socket,
                                          .adapter = {.max_streams = settings->max_streams,
                                                      .address = network_address,
                                                      .timeout_s = (unsigned)(silent_ms / 1000),
                                                      .request_timeout_ms = silent_ms,
                                                      .lost_ms = settings->lost_ms + settings->stalled_ms},
                                          .tls = vsi_client_tls_ops_used != NULL},
                       ret_port);
  return VESTRY_OK;
}

static vestry_err start(vestry *v, const vestry_contract_settings *settings, void **ret_server, uint16_t *ret_port) {
  return start_on(v, settings, false, ret_server, ret_port);
}

static vestry_err start_unix(vestry *v, const vestry_contract_settings *settings, void **ret_server,
                             uint16_t *ret_port) {
  return start_on(v, settings, true, ret_server, ret_port);
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

vestry_contract_adapter microhttpd_contract(void) {
  return (vestry_contract_adapter){
      .name = "libmicrohttpd",
      .start = start,
      .stop = stop,
      .destroy = destroy,
      .room = room,
      .patience_s = PATIENCE_S,
      .always_keeps = true,
      .closes_streams = true,
      .waits_for_none = true,
      .closes_broken = true,
      .refuses_itself = true,
      .refuses_most = server_library_refuses(),
      .is_blind_to = server_is_blind_to,
  };
}

vestry_contract_adapter microhttpd_unix_contract(void) {
  static const vestry_contract_exception exceptions[] = {
      {"lifecycle/reader_over_stalled_ms_ends_with_cause_stalled",
       "a reader that stalls on a UNIX socket is detected by its full queue, not by time"},
      {NULL, NULL}};
  vestry_contract_adapter contract = microhttpd_contract();
  contract.name = "libmicrohttpd on a UNIX socket";
  contract.start = start_unix;
  contract.exceptions = exceptions;
  contract.closes_streams = false;
  contract.no_peer_address = true;
  return contract;
}
