/* SPDX-License-Identifier: MIT */
#include "microhttpd/tls_contract.h"

#include <arpa/inet.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/folder.h"
#include "support/patience.h"
#include "support/test.h"
#include "support/until.h"
#include "testing/contract/check.h"
#include "testing/contract/client.h"

enum { PEM_BYTES = TLS_PEM_BYTES, DAY_S = 86400, PATH_BYTES = FOLDER_BYTES + 32 };

typedef tls_pair pair;

static const tls_contract_adapter *adapter;
static vsi_server s;

/* ---- certificates ------------------------------------------------------------------------------------------------ */

static void make_pair_of(pair *made, gnutls_pk_algorithm_t algorithm, gnutls_ecc_curve_t curve, uint8_t number,
                         const char *const *names, int from_days, int until_days) {
  gnutls_x509_privkey_t key;
  gnutls_x509_crt_t crt;
  size_t key_len = PEM_BYTES - 1, chain_len = PEM_BYTES - 1;
  assert_int_equal(gnutls_x509_privkey_init(&key), 0);
  assert_int_equal(gnutls_x509_privkey_generate(key, algorithm, GNUTLS_CURVE_TO_BITS(curve), 0), 0);
  assert_int_equal(gnutls_x509_crt_init(&crt), 0);
  for (size_t i = 0; names[i]; i++)
    assert_int_equal(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, names[i], (unsigned)strlen(names[i]),
                                                          i ? GNUTLS_FSAN_APPEND : GNUTLS_FSAN_SET),
                     0);
  gnutls_x509_crt_set_version(crt, 3);
  gnutls_x509_crt_set_serial(crt, &number, 1);
  gnutls_x509_crt_set_activation_time(crt, time(NULL) + from_days * DAY_S);
  gnutls_x509_crt_set_expiration_time(crt, time(NULL) + until_days * DAY_S);
  gnutls_x509_crt_set_key(crt, key);
  const gnutls_digest_algorithm_t digest = algorithm == GNUTLS_PK_ECDSA ? GNUTLS_DIG_SHA256 : GNUTLS_DIG_SHA512;
  assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, digest, 0), 0);
  assert_int_equal(
      gnutls_x509_privkey_export_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, made->key, &key_len), 0);
  assert_int_equal(gnutls_x509_crt_export(crt, GNUTLS_X509_FMT_PEM, made->chain, &chain_len), 0);
  gnutls_x509_crt_deinit(crt);
  gnutls_x509_privkey_deinit(key);
}

void tls_pair_make(pair *made, uint8_t number, const char *const *names, int from_days, int until_days) {
  make_pair_of(made, GNUTLS_PK_ECDSA, GNUTLS_ECC_CURVE_SECP256R1, number, names, from_days, until_days);
}

static void make_valid(pair *made, uint8_t number, const char *name) {
  const char *const names[] = {name, NULL};
  tls_pair_make(made, number, names, -1, 30);
}

static int number_of(gnutls_session_t tls) {
  unsigned count;
  uint8_t number = 0;
  size_t len = 1;
  gnutls_x509_crt_t crt;
  const gnutls_datum_t *chain = gnutls_certificate_get_peers(tls, &count);
  assert_non_null(chain);
  assert_int_equal(gnutls_x509_crt_init(&crt), 0);
  assert_int_equal(gnutls_x509_crt_import(crt, chain, GNUTLS_X509_FMT_DER), 0);
  assert_int_equal(gnutls_x509_crt_get_serial(crt, &number, &len), 0);
  gnutls_x509_crt_deinit(crt);
  return number;
}

/* ---- servers and handshakes -------------------------------------------------------------------------------------- */

/* options NULL: the pair that clients trust */
static void start(const tls_contract_options *options) {
  tls_contract_options trusted = {.key = NULL};
  vestry_server *web = NULL;
  if (!options) tls_key_pair(&trusted.key, &trusted.certificate);
  vsi_adapter = adapter->contract();
  vsi_patience_s = PATIENCE_S;
  vsi_client_tls_ops_used = adapter->ops;
  vsi_server_begin(&s, NULL);
  vsi_server_mount(&s);
  assert_int_equal(adapter->start(s.v, options ? options : &trusted, &web), VESTRY_OK);
  s.running = web;
  s.port = web->port;
}

static const char *const *first_protocols(void) {
  return adapter->protocols[0];
}

/* Return the number of the certificate that a client gets. name: SNI; NULL: none */
static int served_over(const char *name, const char *const *protocols) {
  gnutls_session_t tls;
  assert_int_equal(tls_reach(s.port, &(tls_hello){.name = name, .protocols = protocols}, &tls), 0);
  const int number = number_of(tls);
  tls_end(tls);
  return number;
}

/* The same with each ALPN. */
static int served(const char *name) {
  const int number = served_over(name, NULL);
  for (size_t i = 0; adapter->protocols[i]; i++) assert_int_equal(served_over(name, adapter->protocols[i]), number);
  return number;
}

static unsigned hellos_count; /* ClientHellos of the last handshake; two if the server wanted another key share */
static uint8_t key_name[16];  /* of the last ticket's key: its first bytes */

static int count_hello(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                       const gnutls_datum_t *message) {
  hellos_count += !incoming;
  return 0;
}

/* RFC 8446, 4.6.1: lifetime (4), age (4), nonce <1>, ticket <2>. */
static int see_ticket(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                      const gnutls_datum_t *message) {
  const size_t at = 9 + message->data[8] + 2;
  if (message->size >= at + sizeof key_name) memcpy(key_name, message->data + at, sizeof key_name);
  return 0;
}

/* Shake hands with these priorities, and a session to resume (may be empty). Returns the error; ret_resumed: whether
 * the session was resumed; data: replaced by that of the new session. */
static int shake(const char *priorities, gnutls_datum_t *data, bool *ret_resumed) {
  static const char request[] = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
  gnutls_session_t tls;
  uint8_t byte[64];
  const tls_hello hello = {.protocols = first_protocols(), .priorities = priorities, .ticket = data};
  const int error = tls_reach(s.port, &hello, &tls);
  if (!error) {
    *ret_resumed = gnutls_session_is_resumed(tls);
    gnutls_handshake_set_hook_function(tls, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET, GNUTLS_HOOK_PRE, see_ticket);
    if (!adapter->sends_first) assert_true(gnutls_record_send(tls, request, sizeof request - 1) > 0);
    (void)gnutls_record_recv(tls, byte, sizeof byte); /* the tickets come before other bytes of the server */
    gnutls_free(data->data);
    data->data = NULL;
    assert_int_equal(gnutls_session_get_data2(tls, data), 0);
  } else {
    /* The server's alert is in a record of TLS 1.2, which GnuTLS does not read as a client of an older version. */
    assert_true(error == GNUTLS_E_UNSUPPORTED_VERSION_PACKET ||
                (error == GNUTLS_E_FATAL_ALERT_RECEIVED && gnutls_alert_get(tls) == GNUTLS_A_PROTOCOL_VERSION));
  }
  tls_end(tls);
  return error;
}

TEST_CASE(versions_before_1_2_are_refused) {
  gnutls_datum_t data = {NULL, 0};
  bool is_resumed;
  start(NULL);
  assert_int_equal(shake("NORMAL:-VERS-ALL:+VERS-TLS1.3", &data, &is_resumed), 0);
  gnutls_free(data.data);
  data.data = NULL;
  assert_int_equal(shake("NORMAL:-VERS-ALL:+VERS-TLS1.2", &data, &is_resumed), 0);
  assert_int_not_equal(shake("LEGACY:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0", &data, &is_resumed), 0);
  gnutls_free(data.data);
  vsi_server_stop(&s);
}

/* RFC 8446, 6.2: the client learns that it has nothing in common with the server. */
TEST_CASE(refused_handshakes_end_with_an_alert) {
  static const char *const others[] = {"imap", NULL}, *const http1[] = {"http/1.1", NULL};
  const struct {
    const char *const *protocols;
    const char *priorities;
    gnutls_alert_description_t alert;
  } rows[] = {
      {others, NULL, GNUTLS_A_NO_APPLICATION_PROTOCOL},
      {http1, "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC", GNUTLS_A_HANDSHAKE_FAILURE},
      {first_protocols(), "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC", GNUTLS_A_HANDSHAKE_FAILURE},
      {NULL, "NORMAL:-VERS-ALL:+VERS-TLS1.2:-GROUP-ALL:+GROUP-X448", GNUTLS_A_HANDSHAKE_FAILURE},
  };
  start(NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    gnutls_session_t tls;
    const tls_hello hello = {.protocols = rows[i].protocols, .priorities = rows[i].priorities};
    assert_int_equal(tls_reach(s.port, &hello, &tls), GNUTLS_E_FATAL_ALERT_RECEIVED);
    assert_int_equal(gnutls_alert_get(tls), rows[i].alert);
    tls_end(tls);
  }
  vsi_server_stop(&s);
}

/* ---- HTTP/1.1 ---------------------------------------------------------------------------------------------------- */

static vestry_err answer_large(const vestry_request *req, vestry_reply *reply, void *app) {
  char *body = malloc(TLS_LARGE_BYTES);
  assert_non_null(body);
  memset(body, 'l', TLS_LARGE_BYTES);
  const vestry_err error = vestry_reply_body(reply, "text/plain", body, TLS_LARGE_BYTES);
  free(body);
  return error;
}

void tls_contract_mount_large(const vsi_server *of) {
  assert_int_equal(vestry_route(of->v, "GET", "/large", answer_large, NULL), VESTRY_OK);
}

static void ask(gnutls_session_t tls, const char *request) {
  assert_int_equal(gnutls_record_send(tls, request, strlen(request)), strlen(request));
}

/* Read until the end, and return the number of bytes. */
static size_t read_to_end(gnutls_session_t tls) {
  static char piece[16384];
  size_t sum = 0;
  for (ssize_t got; (got = gnutls_record_recv(tls, piece, sizeof piece)) != 0;) {
    if (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED) continue;
    assert_true(got > 0);
    sum += (size_t)got;
  }
  return sum;
}

/* A client may end its side first (RFC 8446, 6.1), and send bytes that are not read any more (RFC 9112, 9.6). Nothing
 * is read until a part of the response has come. */
TEST_CASE(response_arrives_whole_whatever_its_client_sends_meanwhile) {
  static const char request[] = "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  static const size_t sizes[] = {0, 512};
  enum { WAITING_BYTES = 32 << 10 };
  start(NULL);
  tls_contract_mount_large(&s);
  for (size_t i = 0; i < 4; i++) {
    gnutls_session_t tls;
    int waiting = 0;
    assert_int_equal(tls_reach(s.port, &(tls_hello){.record_bytes = sizes[i / 2]}, &tls), 0);
    ask(tls, request);
    if (i % 2) assert_int_equal(gnutls_bye(tls, GNUTLS_SHUT_WR), 0);
    while (waiting < WAITING_BYTES) assert_int_equal(ioctl(gnutls_transport_get_int(tls), FIONREAD, &waiting), 0);
    if (!(i % 2)) ask(tls, request);
    assert_true(read_to_end(tls) > TLS_LARGE_BYTES);
    tls_end(tls);
  }
  vsi_server_stop(&s);
}

/* Events of a stream are longer than its client's records. */
TEST_CASE(events_arrive_in_small_records) {
  enum { COUNT = 20, LONG = 3000 };
  static char signals[LONG + 16], seen[COUNT * (LONG + 100)];
  size_t len = 0;
  gnutls_session_t tls;
  start(NULL);
  assert_int_equal(tls_reach(s.port, &(tls_hello){.record_bytes = 512}, &tls), 0);
  ask(tls, "GET /stream HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n");
  assert_true(vsi_recorder_wait_opened(&s.recorder, 1));
  for (int i = 0; i < COUNT; i++) {
    snprintf(signals, sizeof signals, "{\"a%d\":\"%0*d\"}", i, i * LONG / COUNT, 0);
    vsi_server_patch(vsi_recorder_connection(&s.recorder, 0), signals);
  }
  while (!memmem(seen, len, signals, strlen(signals) / 2)) {
    const ssize_t got = gnutls_record_recv(tls, seen + len, sizeof seen - len);
    if (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED) continue;
    assert_true(got > 0);
    len += (size_t)got;
  }
  for (int i = 0; i < COUNT; i++) {
    snprintf(signals, sizeof signals, "\"a%d\":", i);
    assert_non_null(memmem(seen, len, signals, strlen(signals)));
  }
  tls_end(tls);
  vsi_server_stop(&s);
}

/* As browsers do: a key share for X25519 only, and P-256 among the groups. */
TEST_CASE(key_share_of_browsers_is_taken) {
  gnutls_session_t tls;
  const tls_hello hello = {.protocols = first_protocols(),
                           .priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1",
                           .hook = count_hello};
  start(NULL);
  hellos_count = 0;
  assert_int_equal(tls_reach(s.port, &hello, &tls), 0);
  assert_int_equal(hellos_count, 1);
  tls_end(tls);
  vsi_server_stop(&s);
}

static bool is_resumed(gnutls_datum_t *ticket) {
  bool resumed = false;
  assert_int_equal(shake("NORMAL:-VERS-ALL:+VERS-TLS1.3", ticket, &resumed), 0);
  return resumed;
}

static _Atomic(int64_t) ahead_s; /* of GnuTLS's clock */

static time_t shifted(time_t *ret_time) {
  const time_t now = time(NULL) + (time_t)atomic_load(&ahead_s);
  if (ret_time) *ret_time = now;
  return now;
}

/* GnuTLS changes the key for tickets at fixed times, every third of which a ticket is valid. */
/* capability: C17 */
TEST_CASE(tickets_outlive_one_change_of_keys) {
  enum { CHANGE_S = 3 * 21600, MINUTE_S = 60 };
  gnutls_datum_t ticket = {NULL, 0};
  uint8_t former[sizeof key_name];
  start(NULL);
  gnutls_global_set_time_function(shifted);
  atomic_store(&ahead_s, CHANGE_S - time(NULL) % CHANGE_S - 10 * MINUTE_S);
  assert_false(is_resumed(&ticket));
  assert_true(is_resumed(&ticket));
  memcpy(former, key_name, sizeof former);
  atomic_fetch_add(&ahead_s, 20 * MINUTE_S); /* beyond the change */
  assert_true(is_resumed(&ticket));
  assert_memory_not_equal(key_name, former, sizeof former);
  atomic_fetch_add(&ahead_s, 2 * CHANGE_S);
  assert_false(is_resumed(&ticket));
  assert_true(is_resumed(&ticket));
  gnutls_global_set_time_function(time);
  gnutls_free(ticket.data);
  vsi_server_stop(&s);
}

/* Each day the secret of all these keys is replaced: a full handshake, once. */
TEST_CASE(secret_of_tickets_is_replaced_daily) {
  gnutls_datum_t ticket = {NULL, 0};
  start(NULL);
  assert_false(is_resumed(&ticket));
  assert_true(is_resumed(&ticket));
  atomic_fetch_add(&vsi_server_clock_ahead_ns, DAY_S * UINT64_C(1000000000));
  assert_false(is_resumed(&ticket));
  assert_true(is_resumed(&ticket));
  gnutls_free(ticket.data);
  vsi_server_stop(&s);
  atomic_store(&vsi_server_clock_ahead_ns, 0);
}

/* ---- several and renewed certificates ---------------------------------------------------------------------------- */

/* capability: C17 */
TEST_CASE(name_selects_the_certificate) {
  static const char *const names_a[] = {"a.example", "www.a.example", NULL};
  static const struct {
    const char *name;
    int number;
  } cases[] = {{"a.example", 1}, {"www.a.example", 1}, {"b.example", 2},     {"B.Example", 2}, {"x.c.example", 3},
               {"d.example", 1}, {"c.example", 1},     {"own.c.example", 4}, {NULL, 1}};
  static pair a, b, c, own;
  tls_pair_make(&a, 1, names_a, -1, 30);
  make_valid(&b, 2, "b.example");
  make_valid(&c, 3, "*.c.example");
  make_valid(&own, 4, "own.c.example"); /* an exact name is preferred */
  const char *const pairs[] = {a.key, a.chain, b.key, b.chain, c.key, c.chain, own.key, own.chain, NULL};
  start(&(tls_contract_options){.pairs = pairs});
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_int_equal(served(cases[i].name), cases[i].number);
  vsi_server_stop(&s);
}

/* Two keys for one name: a client gets the one whose algorithm it has. */
TEST_CASE(client_gets_the_key_that_it_can_check) {
  static const char *const names[] = {"*.b.example", NULL};
  static const char only_eddsa[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-SIGN-ALL:+SIGN-EDDSA-ED25519";
  static pair a, ecdsa, eddsa;
  gnutls_session_t tls;
  make_valid(&a, 1, "a.example");
  tls_pair_make(&ecdsa, 2, names, -1, 30);
  make_pair_of(&eddsa, GNUTLS_PK_EDDSA_ED25519, GNUTLS_ECC_CURVE_ED25519, 3, names, -1, 30);
  const char *const pairs[] = {a.key, a.chain, ecdsa.key, ecdsa.chain, eddsa.key, eddsa.chain, NULL};
  start(&(tls_contract_options){.pairs = pairs});
  assert_int_equal(served("x.b.example"), 2);
  assert_int_equal(tls_reach(s.port, &(tls_hello){.name = "x.b.example", .priorities = only_eddsa}, &tls), 0);
  assert_int_equal(number_of(tls), 3);
  tls_end(tls);
  vsi_server_stop(&s);
}

/* The clients trust one certificate only. The server begins without it, and gets it while it runs. */
TEST_CASE(certificates_are_renewed) {
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
  start(NULL);
  assert_int_equal(adapter->renew(s.running, bad), VESTRY_IO);
  assert_non_null(strstr(s.th.last_log, "pair 1"));
  vsi_server_assert_serves(&s); /* the former certificate stays */
  assert_int_equal(adapter->renew(s.running, good), VESTRY_OK);
  vsi_server_assert_serves(&s);
  vsi_client_tls_ops_used = &tls_client_ops; /* also for HTTP/1.1 */
  vsi_server_assert_serves(&s);
  const char *const none[] = {NULL};
  assert_int_equal(adapter->renew(s.running, none), VESTRY_INVALID);
  vsi_server_stop(&s);
}

/* The files of a server, in a folder. */
typedef struct files {
  char folder[FOLDER_BYTES], key[PATH_BYTES], chain[PATH_BYTES];
  const char *names[3];
} files;

static void put_file(const char *path, const char *text, size_t len) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, len, file), len);
  assert_int_equal(fclose(file), 0);
}

static void put_pair(const files *to, const pair *from) {
  put_file(to->key, from->key, strlen(from->key));
  put_file(to->chain, from->chain, strlen(from->chain));
}

static void make_files(files *made, const pair *from) {
  folder_make(made->folder, "tls");
  snprintf(made->key, sizeof made->key, "%s/key.pem", made->folder);
  snprintf(made->chain, sizeof made->chain, "%s/chain.pem", made->folder);
  made->names[0] = made->key;
  made->names[1] = made->chain;
  made->names[2] = NULL;
  put_pair(made, from);
}

/* A connection and its stream go on with the former certificate; later ones have the new one. */
/* capability: C17 */
TEST_CASE(renewed_files_are_for_new_connections) {
  static pair former, later;
  const char *key, *chain;
  files at;
  vsi_client c;
  tls_key_pair(&key, &chain);
  snprintf(former.key, sizeof former.key, "%s", key);
  snprintf(former.chain, sizeof former.chain, "%s", chain);
  make_valid(&later, 2, "a.example");
  make_files(&at, &former);
  start(&(tls_contract_options){.files = at.names});
  vestry_connection *connection = vsi_server_open(&s, &c);
  put_pair(&at, &later);
  assert_int_equal(adapter->renew(s.running, NULL), VESTRY_OK);
  assert_int_equal(served("a.example"), 2);
  vsi_server_patch(connection, "{\"a\":1}");
  vsi_client_expect(&c, "{\"a\":1}");
  vsi_client_close(&c);
  assert_int_equal(vsi_server_cause(&s, connection), VESTRY_CAUSE_HANGUP);
  vsi_server_stop(&s);
  folder_remove(at.folder);
}

static _Atomic(bool) renewals_end;

/* Returns NULL if all renewals succeed. */
static void *renew_again(void *server) {
  while (!atomic_load(&renewals_end))
    if (adapter->renew(server, NULL)) return server;
  return NULL;
}

TEST_CASE(renewals_during_handshakes_disturb_none) {
  enum { HANDSHAKES = 30, THREADS = 2 };
  static pair one;
  pthread_t threads[THREADS];
  files at;
  make_valid(&one, 1, "a.example");
  make_files(&at, &one);
  start(&(tls_contract_options){.files = at.names});
  atomic_store(&renewals_end, false);
  for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, renew_again, s.running), 0);
  for (int i = 0; i < HANDSHAKES; i++) assert_int_equal(served("a.example"), 1);
  atomic_store(&renewals_end, true);
  for (size_t i = 0; i < THREADS; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  vsi_server_stop(&s);
  folder_remove(at.folder);
}

/* Renew with these files; the former certificate stays, and the log has the file and the reason. key, chain NULL: no
 * file */
static void refuse(const files *at, const char *key, const char *chain, const char *file, const char *reason) {
  (void)unlink(at->key);
  (void)unlink(at->chain);
  if (key) put_file(at->key, key, strlen(key));
  if (chain) put_file(at->chain, chain, strlen(chain));
  assert_int_equal(adapter->renew(s.running, NULL), VESTRY_IO);
  if (!strstr(s.th.last_log, file) || !strstr(s.th.last_log, reason)) fail_msg("%s, not %s", s.th.last_log, reason);
  assert_non_null(strstr(s.th.last_log, "the former certificates stay"));
  assert_int_equal(served("a.example"), 1);
}

/* capability: C17 */
TEST_CASE(unusable_files_keep_the_former_certificate) {
  static const char *const names[] = {"a.example", NULL};
  static pair former, other, expired, early;
  static char cut[2 * PEM_BYTES];
  files at;
  make_valid(&former, 1, "a.example");
  make_valid(&other, 2, "a.example");
  tls_pair_make(&expired, 3, names, -30, -1);
  tls_pair_make(&early, 4, names, 2, 30);
  make_files(&at, &former);
  start(&(tls_contract_options){.files = at.names});
  refuse(&at, NULL, other.chain, at.key, "No such file");
  refuse(&at, other.key, NULL, at.chain, "No such file");
  refuse(&at, other.key, former.chain, at.chain, "do not match");
  refuse(&at, "", other.chain, at.key, "cannot be used");
  refuse(&at, other.key, "", at.chain, "cannot be used");
  refuse(&at, "none", other.chain, at.key, "cannot be used");
  refuse(&at, expired.key, expired.chain, at.chain, "the certificate is valid from");
  refuse(&at, early.key, early.chain, at.chain, "the certificate is valid from");
  /* Files that are being written: each beginning of a chain of two. */
  const size_t leaf = strlen(other.chain);
  snprintf(cut, sizeof cut, "%s%s", other.chain, former.chain);
  const size_t lengths[] = {1, leaf / 2, leaf - 3, leaf + 1, leaf + 9, leaf + 20, leaf + 100, strlen(cut) - 3};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    char part[sizeof cut];
    snprintf(part, sizeof part, "%.*s", (int)lengths[i], cut);
    refuse(&at, other.key, part, at.chain, "cannot be used");
  }
  snprintf(cut, sizeof cut, "%.*s", (int)strlen(other.key) - 8, other.key);
  refuse(&at, cut, other.chain, at.key, "being written");
  (void)unlink(at.key);
  assert_int_equal(mkdir(at.key, 0700), 0);
  assert_int_equal(adapter->renew(s.running, NULL), VESTRY_IO);
  assert_non_null(strstr(s.th.last_log, "Is a directory"));
  assert_int_equal(rmdir(at.key), 0);
  char *large = calloc(1, 1 << 20);
  memset(large, '\n', (1 << 20) - 1);
  refuse(&at, large, other.chain, at.key, "File too large");
  free(large);
  put_pair(&at, &other);
  assert_int_equal(adapter->renew(s.running, NULL), VESTRY_OK);
  assert_int_equal(served("a.example"), 2);
  vsi_server_stop(&s);
  folder_remove(at.folder);
}

/* A server with an expired certificate starts, and a renewal of its other certificates is not prevented. */
TEST_CASE(expired_certificate_is_used_if_the_former_is_too) {
  static const char *const names[] = {"a.example", NULL};
  static pair expired, former, later;
  tls_pair_make(&expired, 1, names, -30, -1);
  make_valid(&former, 2, "b.example");
  make_valid(&later, 3, "b.example");
  const char *const first[] = {expired.key, expired.chain, former.key, former.chain, NULL},
                    *const second[] = {expired.key, expired.chain, later.key, later.chain, NULL},
                    *const third[] = {expired.key, expired.chain, expired.key, expired.chain, NULL};
  start(&(tls_contract_options){.pairs = first});
  assert_non_null(strstr(s.th.last_log, "pair 1 are not valid today"));
  assert_int_equal(served("a.example"), 1);
  assert_int_equal(served("b.example"), 2);
  assert_int_equal(adapter->renew(s.running, second), VESTRY_OK);
  assert_non_null(strstr(s.th.last_log, "pair 1 are not valid today"));
  assert_int_equal(served("b.example"), 3);
  assert_int_equal(adapter->renew(s.running, third), VESTRY_IO);
  assert_non_null(strstr(s.th.last_log, "pair 2"));
  assert_int_equal(served("b.example"), 3);
  vsi_server_stop(&s);
}

TEST_CASE(invalid_options_of_tls_are_refused) {
  static pair one;
  make_valid(&one, 1, "a.example");
  const char *const odd[] = {one.key, NULL}, *const both[] = {one.key, one.chain, NULL}, *const none[] = {NULL},
                    *const missing[] = {"/nowhere/key.pem", "/nowhere/chain.pem", NULL};
  const struct {
    tls_contract_options options;
    vestry_err error;
    const char *reason;
  } cases[] = {
      {{.pairs = odd}, VESTRY_INVALID, "a key without a certificate"},
      {{.files = odd}, VESTRY_INVALID, "a key without a certificate"},
      {{.pairs = none}, VESTRY_INVALID, "is empty"},
      {{.files = none}, VESTRY_INVALID, "is empty"},
      {{.pairs = both, .files = missing}, VESTRY_INVALID, "not beside"},
      {{.key = one.key, .certificate = one.chain, .files = missing}, VESTRY_INVALID, "not beside"},
      {{.key = one.key}, VESTRY_INVALID, "must be set together"},
      {{.files = missing}, VESTRY_IO, "cannot read /nowhere/key.pem"},
  };
  vsi_server_begin(&s, NULL);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    vestry_server *server = NULL;
    assert_int_equal(adapter->start(s.v, &cases[i].options, &server), cases[i].error);
    assert_null(server);
    assert_ptr_equal(strstr(s.th.last_log, adapter->create), s.th.last_log);
    if (!strstr(s.th.last_log, cases[i].reason)) fail_msg("%s, not %s", s.th.last_log, cases[i].reason);
  }
  vsi_server_finish(&s);
  start(NULL);
  assert_int_equal(adapter->renew(s.running, NULL), VESTRY_INVALID);
  assert_int_equal(adapter->renew(s.running, odd), VESTRY_INVALID);
  assert_int_equal(adapter->renew(s.running, none), VESTRY_INVALID);
  assert_int_equal(adapter->renew(NULL, both), VESTRY_INVALID);
  vsi_server_stop(&s);
  start(&(tls_contract_options){.key = NULL});
  assert_int_equal(adapter->renew(s.running, both), VESTRY_INVALID);
  vsi_server_stop(&s);
}

/* Each allocation fails once, at the start and at a renewal: nothing leaks, and the former certificates stay. */
TEST_CASE(start_and_renewal_without_memory_fail) {
  static pair a, b;
  files at, at_b;
  vestry_server *server = NULL;
  make_valid(&a, 1, "a.example");
  make_valid(&b, 2, "b.example");
  make_files(&at, &a);
  make_files(&at_b, &b);
  const char *const names[] = {at.key, at.chain, at_b.key, at_b.chain, NULL};
  const tls_contract_options options = {.files = names};
  vsi_server_begin(&s, NULL);
  vestry_err error = VESTRY_NO_MEMORY;
  const long live = atomic_load(&s.th.live);
  for (long number = 0; error; number++) {
    atomic_store(&s.th.fail_in, number);
    error = adapter->start(s.v, &options, &server);
    atomic_store(&s.th.fail_in, -1);
    assert_true(!error || error == VESTRY_NO_MEMORY);
    if (error) UNTIL(atomic_load(&s.th.live) == live);
  }
  s.port = server->port;
  s.running = server;
  error = VESTRY_NO_MEMORY;
  for (long number = 0; error; number++) {
    atomic_store(&s.th.fail_in, number);
    error = adapter->renew(server, NULL);
    atomic_store(&s.th.fail_in, -1);
    assert_true(!error || error == VESTRY_NO_MEMORY);
    assert_int_equal(served("b.example"), 2);
  }
  vsi_adapter = adapter->contract();
  vsi_server_stop(&s);
  folder_remove(at.folder);
  folder_remove(at_b.folder);
}

int tls_contract_run(const tls_contract_adapter *of) {
  adapter = of;
  return cases_run("certificates", NULL, NULL);
}
