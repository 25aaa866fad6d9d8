/* SPDX-License-Identifier: MIT */
/* The wire format: the contract, and the specifics of libmicrohttpd: QUERY, settings, and allocation failures. */
#include "adapter/microhttpd/adapter.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "microhttpd/server.h"
#include "microhttpd/tls.h"
#include "support/test.h"
#include "support/test_host.h"
#include "testing/contract/client.h"

static vsi_server s;

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static vestry_err say_signals(const vestry_request *req, vestry_reply *reply, void *app) {
  assert_string_equal(req->method, "QUERY");
  json_t *signals = req->signals;
  return signals ? vestry_reply_json(reply, signals) : vsi_server_echo(req, reply, app);
}

/* RFC 10008: QUERY has a body like POST, which contains the signals, with the usual limits. */
TEST_CASE(query_reads_body_and_signals) {
  server_start(&s, &(server_settings){.options.bounds = &(vestry_bounds){.max_body_bytes = 1000}});
  assert_int_equal(vestry_route(s.v, "QUERY", "/ask", say_signals, NULL), VESTRY_OK);
  static const char *const heads[] = {
      "Datastar-Request: true\r\nContent-Type: application/json\r\nContent-Length: 7\r\n",
      "Datastar-Request: true\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 7\r\n"};
  for (size_t i = 0; i < 3; i++) {
    vsi_client c;
    vsi_client_ask(&c, s.port, "QUERY", "/ask", heads[i]);
    vsi_client_sendf(&c, i == 1 ? "3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n" : "{\"a\":1}");
    assert_int_equal(vsi_client_status(&c), 200);
    vsi_client_expect(&c, "{\"a\":1}");
    vsi_client_close(&c);
  }
  vsi_client c;
  vsi_client_ask(&c, s.port, "OPTIONS", "/ask", NULL);
  assert_string_equal(vsi_client_header(&c, "Allow"), "QUERY, OPTIONS");
  vsi_client_close(&c);
  assert_int_equal(vsi_server_status_of(&s, "GET /ask HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
  assert_int_equal(vsi_server_status_of(
                       &s, "QUERY /ask HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n"),
                   413);
  assert_int_equal(vsi_server_status_of(&s, "QUERY /ask HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n"
                                            "Content-Length: 1\r\n\r\n{"),
                   400);
  vsi_server_stop(&s);
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

TEST_CASE(invalid_settings_are_refused) {
  server_start(&s, NULL);
  const char *key, *certificate;
  tls_key_pair(&key, &certificate);
  char too_long[109] = "/tmp/";
  memset(too_long + 5, 'a', sizeof too_long - 6);
  const struct {
    vestry_microhttpd_options options;
    const char *why;
  } invalid[] = {
      {{.address = "localhost"}, "the address localhost is not numeric"},
      {{.address = "300.0.0.1"}, "the address 300.0.0.1 is not numeric"},
      {{.threads_count = 257}, "threads_count is 257, but must be from 1 to 256"},
      {{.max_streams = 1000001}, "max_streams is 1000001, but must be from 1 to 1000000"},
      {{.max_streams = UINT32_MAX}, "max_streams is 4294967295, but must be from 1 to 1000000"},
      {{.max_streams = 10, .max_connections = 10, .threads_count = 2},
       "max_connections is 10, but must be from 11 to 2000000"},
      {{.max_streams = 1, .max_connections = 2, .threads_count = 3},
       "max_connections is 2, but must be from 3 to 2000000"},
      {{.max_connections = 2000001}, "max_connections is 2000001, but must be from 10001 to 2000000"},
      {{.memory_bytes = 100}, "memory_bytes is 100, but must be from 1024 to 16777216"},
      {{.memory_bytes = 64 << 20}, "memory_bytes is 67108864, but must be from 1024 to 16777216"},
      {{.max_head_bytes = 10}, "max_head_bytes is 10, but must be from 256 to 4194304"},
      {{.max_head_bytes = (4 << 20) + 1}, "max_head_bytes is 4194305, but must be from 256 to 4194304"},
      {{.max_head_bytes = 16384, .memory_bytes = 4 * 16384 - 1},
       "max_head_bytes is 16384, but must be from 1 to 16383"},
      {{.tls_key = key}, "tls_key and tls_certificate must be set together"},
      {{.tls_certificate = certificate}, "tls_key and tls_certificate must be set together"},
      {{.send_buffer_bytes = 4095}, "send_buffer_bytes is 4095, but must be from 4096 to 67108864"},
      {{.send_buffer_bytes = (64 << 20) + 1}, "send_buffer_bytes is 67108865, but must be from 4096 to 67108864"},
      {{.unix_path = ""}, "unix_path must have from 1 to 107 bytes"},
      {{.unix_path = too_long}, "unix_path must have from 1 to 107 bytes"},
      {{.unix_path = "/tmp/vestry-none", .address = "127.0.0.1"}, "unix_path excludes address and port"},
      {{.unix_path = "/tmp/vestry-none", .port = 1}, "unix_path excludes address and port"},
      {{.unix_path = "/tmp/vestry-none", .unix_mode = 01777}, "unix_mode must be 0 (the default), or at most 0777"},
      {{.unix_mode = 0600}, "unix_mode is set without unix_path"},
  };
  vestry_server *adapter = NULL;
  for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
    assert_int_equal(vestry_microhttpd_create(s.v, &invalid[i].options, &adapter), VESTRY_INVALID);
    if (!strstr(s.th.last_log, invalid[i].why)) fail_msg("not \"%s\": %s", invalid[i].why, s.th.last_log);
  }
  assert_int_equal(vestry_microhttpd_create(NULL, NULL, &adapter), VESTRY_INVALID);
  assert_int_equal(vestry_microhttpd_create(s.v, NULL, NULL), VESTRY_INVALID);
  const vestry_microhttpd_options failing[] = {{.address = "127.0.0.1", .port = s.port},
                                               {.address = "203.0.113.7"},
                                               {.tls_key = "none", .tls_certificate = certificate}};
  for (size_t i = 0; i < sizeof failing / sizeof *failing; i++) {
    long before = atomic_load(&s.th.log_lines);
    assert_int_equal(vestry_microhttpd_create(s.v, &failing[i], &adapter), VESTRY_IO);
    assert_true(atomic_load(&s.th.log_lines) > before); /* which logs the reason */
    assert_non_null(strstr(s.th.last_log, "vestry_microhttpd_create: "));
  }
  assert_null(adapter);
  vestry_server_destroy(NULL);
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}

/* Without max_connections, each thread still has a connection. */
TEST_CASE(many_threads_need_no_other_option) {
  vestry *v;
  vestry_server *adapter;
  const vestry_microhttpd_options options = {.address = "127.0.0.1", .max_streams = 1, .threads_count = 80};
  assert_int_equal(vestry_create(NULL, &v), VESTRY_OK);
  assert_int_equal(vestry_microhttpd_create(v, &options, &adapter), VESTRY_OK);
  vestry_server_destroy(adapter);
  vestry_destroy(v);
}

TEST_CASE(server_listens_on_ipv6) {
  vestry *v;
  vestry_server *adapter;
  assert_int_equal(vestry_create(NULL, &v), VESTRY_OK);
  vestry_err error = vestry_microhttpd_create(v, &(vestry_microhttpd_options){.address = "::1"}, &adapter);
  if (error == VESTRY_OK) {
    assert_true(adapter->port);
    vestry_server_destroy(adapter);
  } else {
    assert_int_equal(error, VESTRY_IO); /* a machine without IPv6 */
  }
  vestry_destroy(v);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static vestry_err create(test_host *th, void *ctx) {
  vestry *v = NULL;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  vestry_server *adapter = NULL;
  if (!error) error = vestry_microhttpd_create(v, &(vestry_microhttpd_options){.address = "127.0.0.1"}, &adapter);
  if (!error) error = vestry_route(v, "GET", "/a", vsi_server_echo, NULL);
  if (!error) error = vestry_route(v, "PUT", "/a", vsi_server_echo, NULL);
  vestry_server_destroy(adapter);
  vestry_destroy(v);
  return error;
}

TEST_CASE(creation_survives_every_allocation_failure) {
  test_host_fail_each(create, NULL, false);
}

int main(void) {
  const vestry_contract_adapter contract = microhttpd_contract();
  vsi_client_tls_ops_offered = &tls_client_ops;
  return (int)vestry_contract_run(&contract, "wire") + cases_run("libmicrohttpd, on its wire", NULL, NULL);
}
