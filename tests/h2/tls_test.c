/* SPDX-License-Identifier: MIT */
/* TLS: HTTP/1.1 and HTTP/2 on one port, protocols, certificates; and names that are not served. */
#include <gnutls/x509.h>
#include <string.h>
#include <sys/ioctl.h>

#include "h2/client.h"
#include "h2/frames.h"
#include "h2/server.h"
#include "microhttpd/tls_contract.h"
#include "support/test.h"

static vsi_server s;

TEST_CASE(one_port_serves_both_versions) {
  static const vsi_client_tls_ops *const ops[] = {&h2_tls_ops, &tls_client_ops};
  server_start(&s, &(server_settings){.is_tls = true});
  for (size_t i = 0; i < 2; i++) {
    vsi_client c;
    vsi_client_tls_ops_used = ops[i];
    vestry_connection *connection = vsi_server_open(&s, &c);
    vsi_server_patch(connection, "{\"a\":1}");
    vsi_client_expect(&c, "{\"a\":1}");
    vsi_client_close(&c);
    assert_int_equal(vsi_server_cause(&s, connection), VESTRY_CAUSE_HANGUP);
  }
  vsi_server_stop(&s);
}

/* ---- protocols --------------------------------------------------------------------------------------------------- */

TEST_CASE(alpn_selects_the_protocol_or_refuses) {
  static const struct {
    const char *const protocols[4];
    const char *selected; /* NULL: the handshake fails */
  } cases[] = {
      {{"h2", NULL}, "h2"},
      {{"h2", "http/1.1", NULL}, "h2"},
      {{"http/1.1", "h2", NULL}, "h2"},
      {{"http/1.1", NULL}, "http/1.1"},
      {{"http/1.0", NULL}, "http/1.0"},
      {{"imap", "http/1.1", NULL}, "http/1.1"},
      {{NULL}, ""},
      {{"imap", NULL}, NULL},
      {{"h2c", NULL}, NULL},
  };
  server_start(&s, &(server_settings){.is_tls = true});
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    frames_client c;
    gnutls_datum_t selected = {NULL, 0};
    const int error = frames_reach_tls(&c, s.port, &(tls_hello){.protocols = cases[i].protocols});
    assert_int_equal(error == 0, cases[i].selected != NULL);
    if (error) assert_int_equal(gnutls_alert_get(c.tls), GNUTLS_A_NO_APPLICATION_PROTOCOL);
    (void)gnutls_alpn_get_selected_protocol(c.tls, &selected);
    if (!error) {
      assert_int_equal(selected.size, strlen(cases[i].selected));
      if (selected.size) assert_memory_equal(selected.data, cases[i].selected, selected.size);
    }
    frames_close(&c);
  }
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}

/* RFC 8446, 5.1: a message of the handshake may be in several records. */
TEST_CASE(client_hello_in_several_records_selects_the_same_protocol) {
  static const char *const h2[] = {"h2", "http/1.1", NULL}, *const http1[] = {"http/1.1", NULL};
  static const size_t sizes[] = {1, 20, 64, 200, 500};
  server_start(&s, &(server_settings){.is_tls = true});
  for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
    frames_client c;
    gnutls_datum_t selected = {NULL, 0};
    const tls_hello hello = {.protocols = i % 2 ? h2 : http1, .hello_bytes = sizes[i / 2]};
    assert_int_equal(frames_reach_tls(&c, s.port, &hello), 0);
    assert_int_equal(gnutls_alpn_get_selected_protocol(c.tls, &selected), 0);
    assert_int_equal(selected.size, strlen(*hello.protocols));
    frames_close(&c);
  }
  vsi_server_stop(&s);
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static const char *const h2_only[] = {"h2", NULL};

/* Begin HTTP/2 with windows without a limit, and records of the server of this size (0: any). */
static void begin(frames_client *c, size_t record_bytes) {
  const tls_hello hello = {.protocols = h2_only, .record_bytes = record_bytes};
  assert_int_equal(frames_reach_tls(c, s.port, &hello), 0);
  frames_begin(c, INT32_MAX);
  frames_send_number(c, FRAME_WINDOW_UPDATE, 0, INT32_MAX - 65535);
  assert_true(frames_wait(c, FRAME_SETTINGS, 0));
}

/* The response is larger than the buffers of the sockets, and nothing is read until the server waits for room. */
static void get_large_response(size_t record_bytes, unsigned updates) {
  enum { WAITING_BYTES = 32 << 10 };
  frames_client c;
  size_t got = 0;
  int waiting = 0;
  begin(&c, record_bytes);
  frames_get(&c, 1, "/large");
  while (waiting < WAITING_BYTES) assert_int_equal(ioctl(c.fd, FIONREAD, &waiting), 0);
  for (; updates; updates--) {
    assert_int_equal(gnutls_session_key_update(c.tls, GNUTLS_KU_PEER), 0);
    assert_true(frames_send(&c, FRAME_PING, 0, 0, "12345678", 8));
  }
  assert_int_equal(frames_status(&c, 1), 200);
  do {
    assert_true(frames_wait(&c, FRAME_DATA, 1));
    for (uint32_t i = 0; i < c.last.len; i++) assert_int_equal(c.last.bytes[i], 'l');
    got += c.last.len;
  } while (!(c.last.flags & FLAG_END_STREAM));
  assert_int_equal(got, TLS_LARGE_BYTES);
  frames_close(&c);
}

/* GnuTLS takes one record at a time, and its state changes when the client updates its keys (RFC 8446, 4.6.3). */
TEST_CASE(slow_clients_get_all_bytes_in_records_of_any_size) {
  server_start(&s, &(server_settings){.is_tls = true});
  tls_contract_mount_large(&s);
  get_large_response(0, 0);
  get_large_response(512, 0);
  get_large_response(0, 3);
  get_large_response(512, 3);
  vsi_server_stop(&s);
}

TEST_CASE(events_larger_than_a_record_arrive) {
  static const size_t sizes[] = {100, 500, 700, 1500, 1900, 3000, 20000};
  static char signals[20010];
  frames_client c;
  server_start(&s, &(server_settings){.is_tls = true});
  begin(&c, 512);
  frames_open(&c, 1);
  assert_true(vsi_recorder_wait_opened(&s.recorder, 1));
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    snprintf(signals, sizeof signals, "{\"a\":\"%0*zu\"}", (int)sizes[i], i);
    vsi_server_patch(vsi_recorder_connection(&s.recorder, 0), signals);
    for (size_t seen = 0; seen < sizes[i]; seen += c.last.len) assert_true(frames_wait(&c, FRAME_DATA, 1));
    vsi_server_patch(vsi_recorder_connection(&s.recorder, 0), "{\"end\":1}");
    do assert_true(frames_wait(&c, FRAME_DATA, 1));
    while (!memmem(c.last.bytes, c.last.len, "end", 3));
  }
  frames_close(&c);
  vsi_server_stop(&s);
}

/* ---- names that are not served ----------------------------------------------------------------------------------- */

static int status_on(frames_client *c, uint32_t id, const char *authority) {
  const char *const fields[] = {":method", "GET",   ":scheme", c->tls ? "https" : "http", ":authority", authority,
                                ":path",   "/echo", NULL};
  frames_ask(c, id, FLAG_END_STREAM, fields);
  return frames_status(c, id);
}

static int status_for(const char *authority) {
  frames_client c;
  frames_connect(&c, s.port, 0);
  const int status = status_on(&c, 1, authority);
  frames_close(&c);
  return status;
}

/* The certificate is for both names, so a browser sends requests for both over one connection. */
TEST_CASE(name_of_the_certificate_that_is_not_served_gets_421) {
  static const char *const names[] = {"a.example", NULL}, *const covered[] = {"a.example", "b.example", NULL};
  static tls_pair made;
  frames_client c;
  tls_pair_make(&made, 1, covered, -1, 30);
  const char *const pairs[] = {made.key, made.chain, NULL};
  server_start(&s, &(server_settings){.adapter = {.tls_pairs = pairs, .names = names}, .is_tls = true});
  frames_connect_tls(&c, s.port, "a.example");
  assert_int_equal(status_on(&c, 1, "a.example:8443"), 200);
  assert_int_equal(status_on(&c, 3, "b.example:8443"), 421);
  assert_int_equal(status_on(&c, 5, "a.example:8443"), 200); /* the connection goes on */
  frames_close(&c);
  assert_int_equal(vsi_server_stats(&s).refused_by_reason[VESTRY_REFUSAL_MISDIRECTED], 1);
  vsi_server_stop(&s);
}

TEST_CASE(names_that_are_not_served_get_421) {
  static const char *const names[] = {"example.org", "[::1]", NULL};
  server_start(&s, &(server_settings){.adapter.names = names});
  assert_int_equal(status_for("example.org"), 200);
  assert_int_equal(status_for("EXAMPLE.org:8443"), 200);
  assert_int_equal(status_for("[::1]:8443"), 200);
  assert_int_equal(status_for("example.or"), 421);
  assert_int_equal(status_for("www.example.org"), 421);
  assert_int_equal(vsi_server_stats(&s).refused_by_reason[VESTRY_REFUSAL_MISDIRECTED], 2);
  vsi_server_stop(&s);
}

/* HTTP/1.1 is served by another adapter inside, of which the program knows nothing. */
TEST_CASE(failed_starts_are_logged_by_their_function) {
  server_start(&s, NULL);
  const struct {
    vestry_h2_options options;
    vestry_err error;
    const char *why;
  } rows[] = {
      {{.address = "127.0.0.1", .port = s.port}, VESTRY_IO, "Address already in use"},
      {{.address = "localhost"}, VESTRY_INVALID, "is not numeric"},
      {{.unix_path = "/nonexistent/socket"}, VESTRY_IO, "cannot listen at /nonexistent/socket"},
      {{.unix_path = "socket", .port = 1}, VESTRY_INVALID, "unix_path excludes address and port"},
      {{.max_streams = 1000001}, VESTRY_INVALID, "max_streams"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vestry_server *web = NULL;
    assert_int_equal(vestry_h2_create(s.v, &rows[i].options, &web), rows[i].error);
    assert_ptr_equal(strstr(s.th.last_log, "vestry_h2_create: "), s.th.last_log);
    assert_non_null(strstr(s.th.last_log, rows[i].why));
  }
  vsi_server_stop(&s);
}

TEST_CASE(certificates_for_this_machine_are_made) {
  static char first[VESTRY_H2_CERTIFICATE_BYTES], second[VESTRY_H2_CERTIFICATE_BYTES];
  static const char *const names[] = {"localhost", "127.0.0.1", "192.0.2.7"};
  assert_int_equal(vestry_h2_certificate(NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_h2_certificate("no address", first), VESTRY_OK);
  assert_int_equal(vestry_h2_certificate("192.0.2.7", second), VESTRY_OK);
  assert_string_not_equal(first, second);
  gnutls_x509_crt_t made;
  const gnutls_datum_t text = {(unsigned char *)second, (unsigned)strlen(second)};
  assert_int_equal(gnutls_x509_crt_init(&made), 0);
  assert_int_equal(gnutls_x509_crt_import(made, &text, GNUTLS_X509_FMT_PEM), 0);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) assert_true(gnutls_x509_crt_check_hostname(made, names[i]));
  assert_false(gnutls_x509_crt_check_hostname(made, "192.0.2.8"));
  gnutls_x509_crt_deinit(made);
}

static vestry_err start(vestry *v, const tls_contract_options *given, vestry_server **ret_server) {
  return vestry_h2_create(v,
                          &(vestry_h2_options){.address = "127.0.0.1",
                                               .threads_count = 1,
                                               .tls_key = given->key,
                                               .tls_certificate = given->certificate,
                                               .tls_pairs = given->pairs,
                                               .tls_files = given->files},
                          ret_server);
}

int main(void) {
  static const char *const h2[] = {"h2", NULL}, *const http1[] = {"http/1.1", NULL},
                           *const *const all[] = {h2, http1, NULL};
  static const tls_contract_adapter adapter = {"vestry_h2_create", h2_contract, start, vestry_server_renew,
                                               &h2_tls_ops,        all,         true};
  return tls_contract_run(&adapter) + cases_run("h2/tls", NULL, NULL);
}
