/* SPDX-License-Identifier: MIT */
/* TLS of HTTP/1.1: protocols, certificates by name and renewed ones, and tickets. */
#include <string.h>

#include "microhttpd/server.h"
#include "microhttpd/tls_contract.h"
#include "support/test.h"

static vsi_server s;

TEST_CASE(alpn_selects_http1_or_refuses) {
  static const struct {
    const char *const protocols[4];
    const char *selected; /* NULL: the handshake fails */
  } cases[] = {
      {{"http/1.1", NULL}, "http/1.1"},
      {{"h2", "http/1.1", NULL}, "http/1.1"},
      {{"http/1.0", NULL}, "http/1.0"},
      {{"imap", "http/1.1", NULL}, "http/1.1"},
      {{NULL}, ""},
      {{"h2", NULL}, NULL},
      {{"imap", NULL}, NULL},
  };
  server_start(&s, &(server_settings){.tls = true});
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gnutls_session_t tls;
    gnutls_datum_t selected = {NULL, 0};
    const int error = tls_reach(s.port, &(tls_hello){.protocols = cases[i].protocols}, &tls);
    assert_int_equal(error == 0, cases[i].selected != NULL);
    (void)gnutls_alpn_get_selected_protocol(tls, &selected);
    if (!error) {
      assert_int_equal(selected.size, strlen(cases[i].selected));
      if (selected.size) assert_memory_equal(selected.data, cases[i].selected, selected.size);
    }
    tls_end(tls);
  }
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}

TEST_CASE(certificates_of_a_daemon_of_the_application_are_not_renewed) {
  const char *key, *certificate;
  tls_key_pair(&key, &certificate);
  const char *const pairs[] = {key, certificate, NULL};
  vestry_server *attached;
  vsi_server_begin(&s, NULL);
  assert_int_equal(vestry_microhttpd_attach(s.v, NULL, NULL, &attached), VESTRY_OK);
  assert_int_equal(vestry_server_renew(attached, pairs), VESTRY_INVALID);
  assert_non_null(strstr(s.th.last_log, "vestry_server_renew: "));
  vestry_server_destroy(attached);
  vsi_server_finish(&s);
}

static vestry_err start(vestry *v, const tls_contract_options *given, vestry_server **ret_server) {
  return vestry_microhttpd_create(v,
                                  &(vestry_microhttpd_options){.address = "127.0.0.1",
                                                               .threads_count = 1,
                                                               .tls_key = given->key,
                                                               .tls_certificate = given->certificate,
                                                               .tls_pairs = given->pairs,
                                                               .tls_files = given->files},
                                  ret_server);
}

int main(void) {
  static const char *const http1[] = {"http/1.1", NULL}, *const *const all[] = {http1, NULL};
  static const tls_contract_adapter adapter = {
      "vestry_microhttpd_create", microhttpd_contract, start, vestry_server_renew, &tls_client_ops, all, false};
  return tls_contract_run(&adapter) + cases_run("microhttpd/tls", NULL, NULL);
}
