/* SPDX-License-Identifier: MIT */
/* A self-signed certificate for a server on a developer's machine. */
#include "vestry/h2.h"

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <time.h>

enum { DAY_S = 86400, VALID_DAYS = 7 };

static int name(gnutls_x509_crt_t made, const char *address) {
  static const char host[] = "localhost";
  const struct in6_addr six = IN6ADDR_LOOPBACK_INIT;
  struct in_addr four = {.s_addr = htonl(INADDR_LOOPBACK)};
  int error = gnutls_x509_crt_set_dn_by_oid(made, GNUTLS_OID_X520_COMMON_NAME, 0, host, sizeof host - 1);
  if (!error)
    error = gnutls_x509_crt_set_subject_alt_name(made, GNUTLS_SAN_DNSNAME, host, sizeof host - 1, GNUTLS_FSAN_SET);
  if (!error)
    error = gnutls_x509_crt_set_subject_alt_name(made, GNUTLS_SAN_IPADDRESS, &four, sizeof four, GNUTLS_FSAN_APPEND);
  if (!error)
    error = gnutls_x509_crt_set_subject_alt_name(made, GNUTLS_SAN_IPADDRESS, &six, sizeof six, GNUTLS_FSAN_APPEND);
  if (!error && address && inet_pton(AF_INET, address, &four) == 1)
    error = gnutls_x509_crt_set_subject_alt_name(made, GNUTLS_SAN_IPADDRESS, &four, sizeof four, GNUTLS_FSAN_APPEND);
  return error;
}

static int sign(gnutls_x509_crt_t made, gnutls_x509_privkey_t key) {
  const time_t now = time(NULL);
  unsigned char serial[16]; /* Firefox refuses two certificates of one issuer with the same number */
  int error = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
  if (!error) error = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);
  *serial = 1; /* so that it is positive */
  if (!error) error = gnutls_x509_crt_set_version(made, 3);
  if (!error) error = gnutls_x509_crt_set_serial(made, serial, sizeof serial);
  if (!error) error = gnutls_x509_crt_set_activation_time(made, now - DAY_S);
  if (!error) error = gnutls_x509_crt_set_expiration_time(made, now + VALID_DAYS * DAY_S);
  if (!error) error = gnutls_x509_crt_set_basic_constraints(made, 1, -1); /* so that a client can trust it */
  if (!error) error = gnutls_x509_crt_set_key(made, key);
  return error ? error : gnutls_x509_crt_sign2(made, made, key, GNUTLS_DIG_SHA256, 0);
}

vestry_err vestry_h2_certificate(const char *address, char pem[VESTRY_H2_CERTIFICATE_BYTES]) {
  gnutls_x509_privkey_t key = NULL;
  gnutls_x509_crt_t made = NULL;
  size_t key_len = VESTRY_H2_CERTIFICATE_BYTES, len;
  if (!pem) return VESTRY_INVALID;
  int error = gnutls_x509_privkey_init(&key);
  if (!error) error = gnutls_x509_crt_init(&made);
  if (!error) error = name(made, address);
  if (!error) error = sign(made, key);
  if (!error) error = gnutls_x509_privkey_export(key, GNUTLS_X509_FMT_PEM, pem, &key_len); /* and a zero */
  len = error ? 0 : VESTRY_H2_CERTIFICATE_BYTES - key_len;
  if (!error) error = gnutls_x509_crt_export(made, GNUTLS_X509_FMT_PEM, pem + key_len, &len);
  gnutls_x509_crt_deinit(made);
  gnutls_x509_privkey_deinit(key);
  return !error ? VESTRY_OK : error == GNUTLS_E_MEMORY_ERROR ? VESTRY_NO_MEMORY : VESTRY_IO;
}
