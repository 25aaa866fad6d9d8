/* SPDX-License-Identifier: MIT */
#include "web/heads.h"

#include "support/patience.h"
#include "support/test.h"
#include "testing/contract/client.h"
#include "vestry/testing/contract.h"

static const vestry_server_adapter *adapter;
static vestry_server_options defaults;
static const char *tls_key, *tls_certificate;

static vestry_err start(vestry *v, const vestry_contract_settings *settings, void **ret_server, uint16_t *ret_port) {
  vestry_server_options options = defaults;
  vestry_server *server = NULL;
  options.max_head_bytes = settings->max_head_bytes;
  if (vsi_client_tls_ops_used) options.tls_key = tls_key, options.tls_certificate = tls_certificate;
  vestry_err error = vestry_server_create(v, adapter, &options, &server);
  if (error) return error;
  *ret_server = server;
  *ret_port = server->port;
  return VESTRY_OK;
}

static vestry_err stop(void *server, uint64_t timeout_ms) {
  return vestry_server_stop(server, timeout_ms);
}

static void destroy(void *server) {
  vestry_server_destroy(server);
}

TEST_CASE(invalid_max_head_bytes_is_refused) {
  vestry *v;
  vestry_server *server = NULL;
  vestry_server_options options = defaults;
  assert_int_equal(vestry_create(NULL, &v), VESTRY_OK);
  static const size_t wrong[] = {1, 1023, (4 << 20) + 1, SIZE_MAX};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    options.max_head_bytes = wrong[i];
    assert_int_equal(vestry_server_create(v, adapter, &options, &server), VESTRY_INVALID);
    assert_null(server);
  }
  vestry_destroy(v);
}

/* RFC 9112, 3.2.2: a server must accept a target with a host, of any name by which clients reach it. */
TEST_CASE(targets_with_any_host_are_answered) {
  static const char *const hosts[] = {"127.0.0.1", "localhost", "web.example"};
  vestry *v;
  vestry_server *server = NULL;
  assert_int_equal(vestry_create(NULL, &v), VESTRY_OK);
  assert_int_equal(vestry_server_create(v, adapter, &defaults, &server), VESTRY_OK);
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
    vsi_client c;
    char target[64];
    snprintf(target, sizeof target, "http://%s:%u/none", hosts[i], (unsigned)server->port);
    vsi_client_ask(&c, server->port, "GET", target, NULL);
    assert_int_equal(vsi_client_status(&c), 404);
    vsi_client_close(&c);
  }
  vestry_server_destroy(server);
  vestry_destroy(v);
}

int heads_run(const vestry_server_adapter *of, const vestry_server_options *options) {
  adapter = of;
  defaults = *options;
  const vestry_contract_adapter made = {
      .name = of->name, .start = start, .stop = stop, .destroy = destroy, .patience_s = PATIENCE_S};
  return (int)vestry_contract_run(&made, "heads") + cases_run("limits", NULL, NULL);
}

int heads_run_tls(const vestry_server_adapter *of, const vestry_server_options *options, const char *key,
                  const char *certificate) {
  tls_key = key;
  tls_certificate = certificate;
  return heads_run(of, options);
}
