/* SPDX-License-Identifier: MIT */
/* TLS: HTTP/1.1 and HTTP/2 on one port, old versions, renewed certificates, tickets; and names that are not served. */
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "h2/client.h"
#include "h2/frames.h"
#include "h2/server.h"
#include "microhttpd/tls.h"
#include "support/test.h"

static vsi_server s;
static unsigned hellos_count; /* ClientHellos of the last handshake; two if the server wanted another key share */

static int count_hello(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                       const gnutls_datum_t *message) {
  (void)session, (void)type, (void)when, (void)message;
  hellos_count += !incoming;
  return 0;
}

/* Shake hands with these priorities, and a session to resume (may be empty). Returns the error; ret_resumed: whether
 * the session was resumed; data: replaced by that of the new session. */
static int shake(const char *priorities, gnutls_datum_t *data, bool *ret_resumed) {
  gnutls_session_t session;
  gnutls_certificate_credentials_t any;
  const gnutls_datum_t protocol = {(unsigned char *)(uintptr_t) "h2", 2};
  const int fd = server_connect(&s);
  uint8_t byte[64];
  assert_int_equal(gnutls_certificate_allocate_credentials(&any), 0);
  assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL | GNUTLS_KEY_SHARE_TOP), 0);
  assert_int_equal(gnutls_priority_set_direct(session, priorities, NULL), 0);
  gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, any);
  gnutls_alpn_set_protocols(session, &protocol, 1, 0);
  if (data->data) assert_int_equal(gnutls_session_set_data(session, data->data, data->size), 0);
  gnutls_transport_set_int(session, fd);
  gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_POST, count_hello);
  hellos_count = 0;
  int error;
  do error = gnutls_handshake(session);
  while (error < 0 && !gnutls_error_is_fatal(error));
  if (!error) {
    *ret_resumed = gnutls_session_is_resumed(session);
    (void)gnutls_record_recv(session, byte, sizeof byte); /* the tickets come before the server's SETTINGS */
    gnutls_free(data->data);
    data->data = NULL;
    assert_int_equal(gnutls_session_get_data2(session, data), 0);
  }
  gnutls_deinit(session);
  gnutls_certificate_free_credentials(any);
  close(fd);
  return error;
}

static void one_port_serves_both_versions(void **state) {
  (void)state;
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

static void versions_before_1_2_are_refused(void **state) {
  (void)state;
  gnutls_datum_t data = {NULL, 0};
  bool is_resumed;
  server_start(&s, &(server_settings){.is_tls = true});
  assert_int_equal(shake("NORMAL:-VERS-ALL:+VERS-TLS1.3", &data, &is_resumed), 0);
  gnutls_free(data.data);
  data.data = NULL;
  assert_int_equal(shake("NORMAL:-VERS-ALL:+VERS-TLS1.2", &data, &is_resumed), 0);
  assert_int_not_equal(shake("LEGACY:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0", &data, &is_resumed), 0);
  gnutls_free(data.data);
  vsi_server_stop(&s);
}

/* As browsers do: a key share for X25519 only, and P-256 among the groups. */
static void key_share_of_browsers_is_taken(void **state) {
  (void)state;
  gnutls_datum_t data = {NULL, 0};
  bool is_resumed;
  server_start(&s, &(server_settings){.is_tls = true});
  assert_int_equal(shake("NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1", &data, &is_resumed),
                   0);
  assert_int_equal(hellos_count, 1);
  gnutls_free(data.data);
  vsi_server_stop(&s);
}

static void tickets_resume_sessions(void **state) {
  (void)state;
  gnutls_datum_t data = {NULL, 0};
  bool is_resumed = true;
  server_start(&s, &(server_settings){.is_tls = true});
  assert_int_equal(shake("NORMAL:-VERS-ALL:+VERS-TLS1.3", &data, &is_resumed), 0);
  assert_false(is_resumed);
  assert_int_equal(shake("NORMAL:-VERS-ALL:+VERS-TLS1.3", &data, &is_resumed), 0);
  assert_true(is_resumed);
  gnutls_free(data.data);
  vsi_server_stop(&s);
}

/* The clients trust one certificate only. The server begins without it, and gets it while it runs. */
static void certificates_are_renewed(void **state) {
  (void)state;
  const char *key, *certificate;
  gnutls_x509_privkey_t other;
  static char other_key[8192];
  size_t len = sizeof other_key - 1;
  tls_key_pair(&key, &certificate);
  assert_int_equal(gnutls_x509_privkey_init(&other), 0);
  assert_int_equal(
      gnutls_x509_privkey_generate(other, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
  assert_int_equal(gnutls_x509_privkey_export(other, GNUTLS_X509_FMT_PEM, other_key, &len), 0);
  gnutls_x509_privkey_deinit(other);
  const char *const bad[] = {other_key, certificate, NULL}, *const good[] = {key, certificate, NULL};
  server_start(&s, &(server_settings){.is_tls = true});
  assert_int_equal(vestry_h2_renew(s.running, bad), VESTRY_IO);
  assert_non_null(strstr(s.th.last_log, "pair 1"));
  vsi_server_assert_serves(&s); /* the former certificate stays */
  assert_int_equal(vestry_h2_renew(s.running, good), VESTRY_OK);
  vsi_server_assert_serves(&s);
  vsi_client_tls_ops_used = &tls_client_ops; /* also for HTTP/1.1 */
  vsi_server_assert_serves(&s);
  const char *const none[] = {NULL};
  assert_int_equal(vestry_h2_renew(s.running, none), VESTRY_INVALID);
  vsi_server_stop(&s);
}

static int status_for(const char *authority) {
  const char *const fields[] = {":method", "GET", ":scheme", "http", ":authority", authority, ":path", "/echo", NULL};
  frames_client c;
  frames_connect(&c, s.port, 0);
  frames_ask(&c, 1, FLAG_END_STREAM, fields);
  const int status = frames_status(&c, 1);
  frames_close(&c);
  return status;
}

static void names_that_are_not_served_get_421(void **state) {
  (void)state;
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_port_serves_both_versions),  cmocka_unit_test(versions_before_1_2_are_refused),
      cmocka_unit_test(key_share_of_browsers_is_taken), cmocka_unit_test(tickets_resume_sessions),
      cmocka_unit_test(certificates_are_renewed),       cmocka_unit_test(names_that_are_not_served_get_421),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
