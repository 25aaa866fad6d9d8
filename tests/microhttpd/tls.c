/* SPDX-License-Identifier: MIT */
#include "microhttpd/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "support/patience.h"
#include "support/test.h"
#include "vestry/h2.h"

enum { TICKETS_MOST = 4 };

static char pair[VESTRY_H2_CERTIFICATE_BYTES];
static gnutls_certificate_credentials_t trusted; /* only this certificate */

static void make_pair(void) {
  assert_int_equal(vestry_h2_certificate(NULL, pair), VESTRY_OK);
  const gnutls_datum_t certificate = {(unsigned char *)pair, (unsigned)strlen(pair)};
  assert_int_equal(gnutls_certificate_allocate_credentials(&trusted), 0);
  assert_int_equal(gnutls_certificate_set_x509_trust_mem(trusted, &certificate, GNUTLS_X509_FMT_PEM), 1);
}

static void forget_pair(void) {
  gnutls_certificate_free_credentials(trusted);
}

void tls_key_pair(const char **ret_key, const char **ret_certificate) {
  if (!*pair) {
    make_pair();
    atexit(forget_pair);
  }
  *ret_key = pair;
  *ret_certificate = pair;
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

/* ---- a client that trusts every certificate ---------------------------------------------------------------------- */

static gnutls_certificate_credentials_t any;

static void forget_any(void) {
  gnutls_certificate_free_credentials(any);
}

static size_t hello_bytes; /* of the next record's parts; 0: it stays whole */

/* Implements gnutls_push_func: the first record is cut into several. */
static ssize_t push_cut(gnutls_transport_ptr_t to, const void *data, size_t len) {
  enum { HEAD_BYTES = 5 };
  const int fd = (int)(intptr_t)to;
  const uint8_t *bytes = data;
  if (!hello_bytes) return send(fd, data, len, MSG_NOSIGNAL);
  for (size_t at = HEAD_BYTES, part; at < len; at += part) {
    part = len - at < hello_bytes ? len - at : hello_bytes;
    const uint8_t head[HEAD_BYTES] = {bytes[0], bytes[1], bytes[2], (uint8_t)(part >> 8), (uint8_t)part};
    if (send(fd, head, sizeof head, MSG_NOSIGNAL) < 0 || send(fd, bytes + at, part, MSG_NOSIGNAL) < 0) return -1;
  }
  hello_bytes = 0;
  return (ssize_t)len;
}

int tls_shake(int fd, const tls_hello *hello, gnutls_session_t *ret_session) {
  enum { PROTOCOLS_MOST = 4 };
  gnutls_datum_t protocols[PROTOCOLS_MOST];
  gnutls_session_t session;
  unsigned count = 0;
  if (!any) {
    assert_int_equal(gnutls_certificate_allocate_credentials(&any), 0);
    atexit(forget_any);
  }
  assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL | GNUTLS_KEY_SHARE_TOP), 0);
  assert_int_equal(gnutls_priority_set_direct(session, hello->priorities ? hello->priorities : "NORMAL", NULL), 0);
  gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, any);
  if (hello->name) gnutls_server_name_set(session, GNUTLS_NAME_DNS, hello->name, strlen(hello->name));
  for (; hello->protocols && hello->protocols[count]; count++)
    protocols[count] = (gnutls_datum_t){(unsigned char *)(uintptr_t)hello->protocols[count],
                                        (unsigned)strlen(hello->protocols[count])};
  if (count) gnutls_alpn_set_protocols(session, protocols, count, 0);
  if (hello->ticket && hello->ticket->data)
    assert_int_equal(gnutls_session_set_data(session, hello->ticket->data, hello->ticket->size), 0);
  if (hello->hook)
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_POST, hello->hook);
  gnutls_transport_set_int(session, fd);
  if (hello->record_bytes) assert_true(gnutls_record_set_max_recv_size(session, hello->record_bytes) >= 0);
  hello_bytes = hello->hello_bytes;
  if (hello_bytes) gnutls_transport_set_push_function(session, push_cut);
  int error;
  do error = gnutls_handshake(session);
  while (error < 0 && !gnutls_error_is_fatal(error));
  *ret_session = session;
  return error;
}

int tls_reach(uint16_t port, const tls_hello *hello, gnutls_session_t *ret_session) {
  const struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const struct timeval patience = {.tv_sec = PATIENCE_S};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
  return tls_shake(fd, hello, ret_session);
}

void tls_end(gnutls_session_t session) {
  const int fd = gnutls_transport_get_int(session);
  gnutls_deinit(session);
  close(fd);
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

const vsi_client_tls_ops tls_client_ops = {.begin = begin, .send = give, .receive = receive, .end = end};
