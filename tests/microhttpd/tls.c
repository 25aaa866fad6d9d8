/* SPDX-License-Identifier: MIT */
#include "microhttpd/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "support/test.h"

enum { PEM_BYTES = 8192, DAY_S = 86400, TICKETS_MOST = 4 };

static char key_text[PEM_BYTES], certificate_text[PEM_BYTES];
static gnutls_certificate_credentials_t trusted; /* only this certificate */

static void make_pair(void) {
  gnutls_x509_privkey_t key;
  gnutls_x509_crt_t certificate;
  const time_t now = time(NULL);
  struct in_addr loopback = {.s_addr = htonl(INADDR_LOOPBACK)};
  assert_int_equal(gnutls_x509_privkey_init(&key), 0);
  assert_int_equal(
      gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
  assert_int_equal(gnutls_x509_crt_init(&certificate), 0);
  gnutls_x509_crt_set_version(certificate, 3);
  gnutls_x509_crt_set_serial(certificate, "\1", 1);
  gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, "localhost", 9);
  gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, "localhost", 9, GNUTLS_FSAN_SET);
  gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, &loopback, sizeof loopback,
                                       GNUTLS_FSAN_APPEND);
  gnutls_x509_crt_set_activation_time(certificate, now - DAY_S);
  gnutls_x509_crt_set_expiration_time(certificate, now + DAY_S);
  gnutls_x509_crt_set_basic_constraints(certificate, 1, -1);
  gnutls_x509_crt_set_key(certificate, key);
  assert_int_equal(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0), 0);
  size_t len = sizeof key_text - 1;
  assert_int_equal(gnutls_x509_privkey_export(key, GNUTLS_X509_FMT_PEM, key_text, &len), 0);
  len = sizeof certificate_text - 1;
  assert_int_equal(gnutls_x509_crt_export(certificate, GNUTLS_X509_FMT_PEM, certificate_text, &len), 0);
  assert_int_equal(gnutls_certificate_allocate_credentials(&trusted), 0);
  assert_int_equal(gnutls_certificate_set_x509_trust(trusted, &certificate, 1), 1);
  gnutls_x509_crt_deinit(certificate);
  gnutls_x509_privkey_deinit(key);
}

static void forget_pair(void) {
  gnutls_certificate_free_credentials(trusted);
}

void tls_key_pair(const char **ret_key, const char **ret_certificate) {
  if (!*key_text) {
    make_pair();
    atexit(forget_pair);
  }
  *ret_key = key_text;
  *ret_certificate = certificate_text;
}

gnutls_session_t tls_connect_as(int fd, const char *protocol) {
  gnutls_session_t session;
  assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL), 0);
  gnutls_set_default_priority(session);
  gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, trusted);
  gnutls_session_set_verify_cert(session, "127.0.0.1", 0);
  gnutls_transport_set_int(session, fd);
  gnutls_datum_t name = {(unsigned char *)(uintptr_t)protocol, protocol ? (unsigned)strlen(protocol) : 0}, selected;
  if (protocol) assert_int_equal(gnutls_alpn_set_protocols(session, &name, 1, 0), 0);
  int error;
  do error = gnutls_handshake(session);
  while (error < 0 && !gnutls_error_is_fatal(error));
  if (!error && protocol && gnutls_alpn_get_selected_protocol(session, &selected))
    error = GNUTLS_E_NO_APPLICATION_PROTOCOL;
  if (!error) return session;
  print_message("TLS: %s\n", gnutls_strerror(error));
  gnutls_deinit(session);
  return NULL;
}

gnutls_session_t tls_connect(int fd) {
  return tls_connect_as(fd, NULL);
}

/* ---- like send and recv ------------------------------------------------------------------------------------------ */

static struct vsi_client_tls *begin(int fd) {
  gnutls_session_t session = tls_connect(fd);
  assert_non_null(session);
  return (struct vsi_client_tls *)session;
}

static ssize_t give(struct vsi_client_tls *tls, const void *data, size_t len) {
  ssize_t sent;
  do sent = gnutls_record_send((gnutls_session_t)tls, data, len);
  while (sent == GNUTLS_E_AGAIN || sent == GNUTLS_E_INTERRUPTED);
  if (sent >= 0) return sent;
  const bool is_closed = /* by the server, whose answer can still be read */
      sent == GNUTLS_E_PUSH_ERROR || sent == GNUTLS_E_INVALID_SESSION || sent == GNUTLS_E_PREMATURE_TERMINATION;
  errno = is_closed ? EPIPE : EPROTO;
  return -1;
}

static ssize_t receive(struct vsi_client_tls *tls, void *data, size_t len) {
  ssize_t got;
  do got = gnutls_record_recv((gnutls_session_t)tls, data, len);
  while (got == GNUTLS_E_INTERRUPTED || got == GNUTLS_E_REHANDSHAKE);
  for (int i = 0; got == GNUTLS_E_AGAIN && i < TICKETS_MOST; i++) /* after a session ticket */
    got = gnutls_record_recv((gnutls_session_t)tls, data, len);
  if (got >= 0) return got;
  errno = got == GNUTLS_E_AGAIN ? EAGAIN : ECONNRESET; /* PREMATURE_TERMINATION, PULL_ERROR */
  return -1;
}

static void end(struct vsi_client_tls *tls) {
  gnutls_deinit((gnutls_session_t)tls);
}

const vsi_client_tls_ops tls_client_ops = {begin, give, receive, end};
