/* SPDX-License-Identifier: MIT */
/* Settings of the broker: authentication of both sides, servers that refuse it, and failed allocations. */
#include <nats/nats.h>
#include <stdlib.h>

#include "cluster/nats/broker.h"
#include "cluster/receiver.h"
#include "nats/server.h"
#include "support/test.h"
#include "support/test_host.h"
#include "support/until.h"
#include "vestry/cluster/cluster.h"
#include "vestry/cluster/nats.h"
#include "vestry/ops/observe.h"
#include "vestry/vestry.h"

static struct scene {
  test_host th;
  nats_server server;
} the;

static int begin(void **state) {
  test_host_init(&the.th);
  nats_server_init(&the.server);
  return 0;
}

static int end(void **state) {
  test_host_assert_clean(&the.th);
  nats_server_finish(&the.server);
  return 0;
}

static vsi_nats_stats stats_of(receiver *e) {
  vsi_nats_stats stats = {0};
  vsi_nats_stats_get(&e->broker, &stats);
  return stats;
}

/* Start with the address of the server, unless the options have others, and with subscriptions of several kinds or
 * this one. */
static void start_on(receiver *e, vestry_nats_options options, const char *subject) {
  const char *servers[] = {the.server.url};
  options.host = &the.th.host;
  if (!options.servers) options.servers = servers, options.servers_count = 1;
  options.reconnect_max_ms = 20;
  vestry_broker broker;
  assert_int_equal(vestry_nats_create(&options, &broker), VESTRY_OK);
  receiver_init(e, broker);
  static const char *const subjects[] = {"in", "other.subject", "vestry.subject"};
  for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
    if (!subject || strcmp(subject, subjects[i]) == 0) receiver_subscribe(e, subjects[i]);
  receiver_start(e);
}

static void start_with(receiver *e, vestry_nats_options options) {
  start_on(e, options, NULL);
}

/* Return options whose address logs in. */
static vestry_nats_options log_in(const char *user) {
  static char url[96];
  static const char *const servers[] = {url};
  snprintf(url, sizeof url, "nats://%s@127.0.0.1:%d", user, the.server.port);
  return (vestry_nats_options){.servers = servers, .servers_count = 1};
}

static void assert_accepted(vestry_nats_options options) {
  receiver e;
  start_with(&e, options);
  UNTIL(receiver_states(&e, VESTRY_BROKER_UP) == 1);
  assert_int_equal(receiver_publish(&e, "in", "x"), VESTRY_OK);
  UNTIL(receiver_messages(&e, "in") == 1);
  receiver_finish(&e);
}

static void assert_refused(vestry_nats_options options) {
  receiver e;
  start_with(&e, options);
  UNTIL(stats_of(&e).attempts_count >= 5); /* it does not give up */
  assert_int_equal(stats_of(&e).connections_count, 0);
  assert_int_equal(receiver_states(&e, VESTRY_BROKER_UP), 0);
  receiver_finish(&e);
}

/* capability: H2 */
TEST_CASE(counters_of_the_broker_are_metrics) {
  static char text[65536];
  receiver e;
  vestry *v;
  vestry_observe *observe;
  nats_server_start(&the.server, "");
  start_with(&e, (vestry_nats_options){0});
  UNTIL(receiver_states(&e, VESTRY_BROKER_UP) == 1);
  assert_int_equal(receiver_publish(&e, "in", "x"), VESTRY_OK);
  UNTIL(receiver_messages(&e, "in") == 1);
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &v), VESTRY_OK);
  const vestry_observe_options options = {.more = vestry_nats_metrics, .more_ctx = &e.broker};
  assert_int_equal(vestry_observe_create(v, &options, &observe), VESTRY_OK);
  assert_int_equal(vestry_observe_metrics(observe, VESTRY_METRICS_OPEN, text, sizeof text, NULL), VESTRY_OK);
  assert_non_null(strstr(text, "\nvestry_nats_connects_total 1\n"));
  assert_non_null(strstr(text, "\nvestry_nats_published_total 1\n"));
  assert_non_null(strstr(text, "\nvestry_nats_received_total 1\n"));
  assert_non_null(strstr(text, "\nvestry_nats_send_queue_bytes 0\n"));
  assert_int_equal(vestry_nats_metrics(NULL, &e.broker), VESTRY_INVALID);
  vestry_observe_destroy(observe);
  vestry_destroy(v);
  receiver_finish(&e);
}

/* ------------------------------------------------------------------------------------------- authentication ------- */

/* capability: G1 */
TEST_CASE(user_and_password_are_required) {
  nats_server_start(&the.server, "authorization { user: \"u\", password: \"p\" }");
  assert_accepted(log_in("u:p"));
  assert_refused(log_in("u:q"));
  assert_refused((vestry_nats_options){0});
}

TEST_CASE(token_is_required) {
  nats_server_start(&the.server, "authorization { token: \"tok\" }");
  assert_accepted(log_in("tok"));
  assert_refused(log_in("other"));
}

/* Encode an NKey: base32 of a kind, 32 bytes and a CRC-16. */
static void encode_nkey(const unsigned char *bytes, size_t len, char *ret_text) {
  unsigned char whole[40];
  unsigned crc = 0, bits = 0, count = 0;
  memcpy(whole, bytes, len);
  for (size_t i = 0; i < len; i++) {
    crc ^= (unsigned)bytes[i] << 8;
    for (int bit = 0; bit < 8; bit++) crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  whole[len] = (unsigned char)crc;
  whole[len + 1] = (unsigned char)(crc >> 8);
  for (size_t i = 0; i < len + 2; i++)
    for (bits = (bits << 8 | whole[i]) & 0xffff, count += 8; count >= 5; count -= 5)
      *ret_text++ = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[bits >> (count - 5) & 31];
  if (count) *ret_text++ = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[bits << (5 - count) & 31];
  *ret_text = 0;
}

/* Read the last 32 bytes of a file: a key in DER. */
static void read_key(const char *name, unsigned char *ret_key) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", the.server.folder, name);
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  assert_int_equal(fseek(file, -32, SEEK_END), 0);
  assert_int_equal(fread(ret_key, 1, 32, file), 32);
  fclose(file);
}

/* Make a key: its public part, and a file in the server's folder with its seed. */
static void make_key(char public[80], const char *seed_name, char ret_seed_path[128]) {
  char command[512], seed[80];
  snprintf(command, sizeof command,
           "cd %s && openssl genpkey -algorithm ed25519 -outform DER -out k && "
           "openssl pkey -in k -inform DER -pubout -outform DER -out p",
           the.server.folder);
  assert_int_equal(system(command), 0);
  unsigned char key[34] = {20 << 3}; /* U: of a user */
  read_key("p", key + 1);
  encode_nkey(key, 33, public);
  key[0] = 18 << 3 | 20 >> 2; /* S: the seed of a user */
  key[1] = (20 & 3) << 6;
  read_key("k", key + 2);
  encode_nkey(key, 34, seed);
  snprintf(ret_seed_path, 128, "%s/%s", the.server.folder, seed_name);
  FILE *file = fopen(ret_seed_path, "w");
  assert_non_null(file);
  fprintf(file, "%s\n", seed);
  fclose(file);
}

TEST_CASE(nkey_needs_its_own_seed) {
  char public[2][80], path[2][128], config[256];
  for (int i = 0; i < 2; i++) make_key(public[i], i ? "seed" : "other", path[i]);
  snprintf(config, sizeof config, "authorization { users: [ { nkey: %s }, { nkey: %s } ] }", public[0], public[1]);
  nats_server_start(&the.server, config);
  assert_accepted((vestry_nats_options){.nkey = public[1], .nkey_seed_file = path[1]});
  assert_refused((vestry_nats_options){.nkey = public[0], .nkey_seed_file = path[1]}); /* the key of another user */
}

/* Assert that the broker connects, that it cannot subscribe to foreign subjects, and that it is down after it has
 * published to one. */
static void assert_only_own_subjects(vestry_nats_options options) {
  receiver e;
  start_on(&e, options, "vestry.subject");
  UNTIL(receiver_states(&e, VESTRY_BROKER_UP) == 1);
  assert_int_equal(receiver_publish(&e, "vestry.subject", "x"), VESTRY_OK);
  UNTIL(receiver_messages(&e, "vestry.subject") == 1);
  assert_int_equal(receiver_states(&e, VESTRY_BROKER_DOWN), 0);
  assert_int_equal(receiver_publish(&e, "other.subject", "x"), VESTRY_OK);
  UNTIL(receiver_states(&e, VESTRY_BROKER_DOWN) == 1);
  receiver_finish(&e);
  assert_refused(options);
}

#define RIGHTS_TO(publish, subscribe)                                                                                  \
  "authorization { users: [ { user: u, password: p, permissions: { publish: \"" publish "\", subscribe: \"" subscribe  \
  "\" } } ] }"
#define RIGHTS(subjects) RIGHTS_TO(">", subjects)

/* libnats keeps the connection, and would never subscribe again. */
/* capability: G1 */
TEST_CASE(broker_without_all_its_subscriptions_is_down) {
  receiver e;
  nats_server_start(&the.server, RIGHTS("other.>"));
  const vestry_nats_options options = log_in("u:p");
  assert_refused(options);
  long lines = the.th.log_lines;
  start_with(&e, options);
  UNTIL(stats_of(&e).attempts_count >= 10);
  assert_in_range(the.th.log_lines - lines, 1, 4); /* subscriptions and the attempt, not those that follow */
  for (size_t i = 1; i <= 3; i++) {
    nats_server_reload(&the.server, RIGHTS(">"));
    UNTIL(receiver_states(&e, VESTRY_BROKER_UP) == i);
    for (size_t k = 1; k <= 10; k++) {
      assert_int_equal(receiver_publish(&e, "in", "x"), VESTRY_OK);
      UNTIL(receiver_messages(&e, "in") == 10 * (i - 1) + k);
    }
    nats_server_reload(&the.server, RIGHTS("other.>"));
    UNTIL(receiver_states(&e, VESTRY_BROKER_DOWN) == i);
    assert_int_equal(receiver_publish(&e, "in", "x"), VESTRY_IO);
  }
  receiver_finish(&e);
}

/* libnats keeps the connection, and the server accepts and drops what is published. */
/* capability: G1 */
TEST_CASE(broker_whose_messages_are_refused_is_down) {
  receiver e;
  nats_server_start(&the.server, RIGHTS(">"));
  start_with(&e, log_in("u:p"));
  for (size_t i = 1; i <= 3; i++) {
    UNTIL(receiver_states(&e, VESTRY_BROKER_UP) == i);
    size_t messages = receiver_messages(&e, "in");
    assert_int_equal(receiver_publish(&e, "in", "x"), VESTRY_OK);
    UNTIL(receiver_messages(&e, "in") == messages + 1);
    nats_server_reload(&the.server, RIGHTS_TO("other.>", ">"));
    while (receiver_states(&e, VESTRY_BROKER_DOWN) < i) {
      (void)receiver_publish(&e, "in", "x");
      receiver_wait(&e);
    }
    assert_int_equal(receiver_publish(&e, "other.subject", "x"), VESTRY_IO);
    uint64_t attempts = stats_of(&e).attempts_count;
    UNTIL(stats_of(&e).attempts_count >= attempts + 3);
    const long lines = atomic_load(&the.th.log_lines);
    UNTIL(stats_of(&e).attempts_count >= attempts + 10);
    assert_int_equal(atomic_load(&the.th.log_lines), lines);
    assert_int_equal(receiver_states(&e, VESTRY_BROKER_UP), i); /* not for a moment after each attempt */
    nats_server_reload(&the.server, RIGHTS(">"));
  }
  UNTIL(receiver_states(&e, VESTRY_BROKER_UP) == 4);
  assert_int_equal(receiver_publish(&e, "in", "last"), VESTRY_OK);
  received last;
  do last = receiver_nth(&e, "in", receiver_messages(&e, "in") - 1);
  while (last.len != 4);
  for (size_t i = 0; i + 1 < receiver_messages(&e, "in"); i++)
    assert_int_equal(receiver_nth(&e, "in", i).len, 1); /* no probe */
  receiver_finish(&e);
}

/* capability: G10 */
TEST_CASE(credentials_restrict_the_subjects) {
  char command[256], path[128], config[8192];
  snprintf(command, sizeof command, "python3 -B " NATS_CREDENTIALS " %s", the.server.folder);
  FILE *made = popen(command, "r");
  assert_non_null(made);
  config[fread(config, 1, sizeof config - 1, made)] = '\0';
  assert_int_equal(pclose(made), 0);
  nats_server_start(&the.server, config);
  snprintf(path, sizeof path, "%s/user.creds", the.server.folder);
  assert_only_own_subjects((vestry_nats_options){.credentials_file = path});
  assert_refused((vestry_nats_options){0});
}

/* libnats gives up after two refusals. */
/* capability: G1 */
TEST_CASE(refused_broker_retries_until_it_is_accepted) {
  nats_server_start(&the.server, "authorization { user: \"u\", password: \"old\" }");
  receiver e;
  start_with(&e, log_in("u:new"));
  UNTIL(stats_of(&e).attempts_count >= 5);
  nats_server_kill(&the.server);
  nats_server_start(&the.server, "authorization { user: \"u\", password: \"new\" }");
  UNTIL(receiver_states(&e, VESTRY_BROKER_UP) == 1);
  nats_server_kill(&the.server); /* and again, after it was up */
  UNTIL(receiver_states(&e, VESTRY_BROKER_DOWN) == 1);
  nats_server_start(&the.server, "authorization { user: \"u\", password: \"old\" }");
  uint64_t before = stats_of(&e).attempts_count;
  UNTIL(stats_of(&e).attempts_count >= before + 5);
  nats_server_kill(&the.server);
  nats_server_start(&the.server, "authorization { user: \"u\", password: \"new\" }");
  UNTIL(receiver_states(&e, VESTRY_BROKER_UP) == 2);
  receiver_finish(&e);
}

TEST_CASE(one_reachable_server_of_several_suffices) {
  nats_server_start(&the.server, NULL);
  const char *servers[] = {"nats://127.0.0.1:1", the.server.url, "nats://127.0.0.1:2"};
  assert_accepted((vestry_nats_options){.servers = servers, .servers_count = 3});
}

/* ------------------------------------------------------------------------------------------------------ TLS ------- */

static char path_of[4][128], tls_url[64];
enum { CA, CERTIFICATE, KEY, OTHER };

static void make_certificates(void) {
  static const char *const names[] = {"ca.pem", "cert.pem", "key.pem", "other.pem"};
  for (int i = 0; i < 4; i++) snprintf(path_of[i], sizeof path_of[i], "%s/%s", the.server.folder, names[i]);
  char command[2048];
  snprintf(command, sizeof command,
           "cd %s && exec 2>/dev/null && new='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2' && "
           "openssl req -x509 $new -subj /CN=ca -keyout ca.key -out ca.pem && "
           "openssl req -x509 $new -subj /CN=other -keyout other.key -out other.pem && "
           "openssl req $new -subj /CN=server -keyout key.pem -out request.pem && "
           "printf 'subjectAltName=DNS:localhost\\n' >names && "
           "openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names "
           "-out cert.pem",
           the.server.folder);
  assert_int_equal(system(command), 0);
  snprintf(tls_url, sizeof tls_url, "tls://localhost:%d", the.server.port);
}

static void start_tls(bool verifies) {
  char config[1024];
  snprintf(config, sizeof config, "tls { cert_file: \"%s\", key_file: \"%s\", ca_file: \"%s\", verify: %s }",
           path_of[CERTIFICATE], path_of[KEY], path_of[CA], verifies ? "true" : "false");
  nats_server_start(&the.server, config);
}

/* capability: G1, G10 */
TEST_CASE(server_certificate_must_match_ca_and_host) {
  make_certificates();
  start_tls(false);
  const char *const url = tls_url;
  vestry_nats_options right = {.servers = &url, .servers_count = 1, .tls_ca_file = path_of[CA]}, wrong = right;
  assert_accepted(right);
  wrong.tls_ca_file = path_of[OTHER];
  assert_refused(wrong);
  wrong.tls_ca_file = NULL; /* the CAs of the system */
  assert_refused(wrong);
  /* The address has another name than the certificate. */
  char number[64];
  snprintf(number, sizeof number, "tls://127.0.0.1:%d", the.server.port);
  const char *const by_number = number;
  wrong = (vestry_nats_options){.servers = &by_number, .servers_count = 1, .tls_ca_file = path_of[CA]};
  assert_refused(wrong);
  nats_server_kill(&the.server); /* a server without TLS is refused */
  nats_server_start(&the.server, NULL);
  assert_refused(right);
}

/* capability: G1, G10 */
TEST_CASE(client_certificate_is_required_and_kept) {
  make_certificates();
  start_tls(true);
  const char *const url = tls_url;
  vestry_nats_options options = {.servers = &url, .servers_count = 1, .tls_ca_file = path_of[CA]};
  assert_refused(options);
  options.tls_certificate_file = path_of[CERTIFICATE];
  options.tls_key_file = path_of[KEY];
  assert_accepted(options);
  /* After several reconnects, the trust settings still apply. */
  receiver e;
  start_with(&e, options);
  for (size_t i = 1; i <= 3; i++) {
    UNTIL(receiver_states(&e, VESTRY_BROKER_UP) == i);
    nats_server_kill(&the.server);
    UNTIL(receiver_states(&e, VESTRY_BROKER_DOWN) == i);
    start_tls(true);
  }
  UNTIL(receiver_states(&e, VESTRY_BROKER_UP) == 4);
  receiver_finish(&e);
}

/* -------------------------------------------------------------------------------- the guide's configuration ------- */

/* examples/nats/nats-server.conf, with our paths and key, and the address of the server. */
static void start_as_in_the_guide(const char *public) {
  static const char *const files[2] = {"/etc/nats/server.pem", "/etc/nats/server.key"};
  char line[256], config[4096] = "";
  size_t found = 0;
  FILE *file = fopen(NATS_CONFIG, "r");
  assert_non_null(file);
  while (fgets(line, sizeof line, file)) {
    char *at = strstr(line, "PUBLIC_KEY_OF_THE_NODES"), rest[256], with[160];
    if (strncmp(line, "listen:", 7) == 0) continue;
    snprintf(with, sizeof with, "%s", public);
    size_t len = strlen("PUBLIC_KEY_OF_THE_NODES");
    for (size_t i = 0; i < 2 && !at; i++) {
      at = strstr(line, files[i]);
      len = strlen(files[i]);
      snprintf(with, sizeof with, i ? "%s/key.pem" : "%s/cert.pem", the.server.folder);
    }
    if (at) {
      found++;
      snprintf(rest, sizeof rest, "%s", at + len);
      snprintf(at, sizeof line - (size_t)(at - line), "%s%s", with, rest);
    }
    strncat(config, line, sizeof config - strlen(config) - 1);
  }
  fclose(file);
  assert_int_equal(found, 3);
  nats_server_start(&the.server, config);
}

/* capability: G10 */
TEST_CASE(guide_configuration_connects_nodes_and_restricts_them) {
  char public[80], others[80], seed[128], others_seed[128];
  make_certificates();
  make_key(public, "nodes.seed", seed);
  make_key(others, "others.seed", others_seed);
  start_as_in_the_guide(public);
  const char *const url = tls_url, *const plain = the.server.url;
  const vestry_nats_options right = {
      .servers = &url, .servers_count = 1, .tls_ca_file = path_of[CA], .nkey = public, .nkey_seed_file = seed};
  /* A client with another key, without a key, or without TLS is refused. */
  vestry_nats_options wrong = right;
  wrong.nkey = others, wrong.nkey_seed_file = others_seed;
  assert_refused(wrong);
  wrong.nkey = wrong.nkey_seed_file = NULL;
  assert_refused(wrong);
  wrong = right;
  wrong.servers = &plain, wrong.tls_ca_file = NULL;
  assert_refused(wrong);
  assert_only_own_subjects(right);
  /* Two nodes. */
  static const char secret[32] = "the same on all of our machines";
  vestry *v[2];
  vestry_broker brokers[2];
  vestry_cluster *clusters[2];
  for (int i = 0; i < 2; i++) {
    assert_int_equal(vestry_create(NULL, &v[i]), VESTRY_OK);
    assert_int_equal(vestry_nats_create(&right, &brokers[i]), VESTRY_OK);
    assert_int_equal(
        vestry_cluster_create(
            v[i], &brokers[i],
            &(vestry_cluster_options){.node = i ? "web-2" : "web-1", .secret = secret, .secret_len = sizeof secret},
            &clusters[i]),
        VESTRY_OK);
  }
  UNTIL(vestry_cluster_member(clusters[0], "web-2") == VESTRY_MEMBER_ALIVE &&
        vestry_cluster_member(clusters[1], "web-1") == VESTRY_MEMBER_ALIVE);
  for (int i = 0; i < 2; i++) {
    vestry_stop(v[i], VESTRY_NEVER_MS);
    vestry_cluster_destroy(clusters[i]);
    brokers[i].ops->destroy(brokers[i].broker);
    vestry_destroy(v[i]);
  }
}

/* ----------------------------------------------------------------------------------------- invalid settings ------- */

TEST_CASE(invalid_settings_are_refused_and_logged) {
  const char *bad_urls[] = {"http://x", "nats://a b", "nats://a,nats://b", "127.0.0.1:4222", "", NULL};
  const char *good = "nats://127.0.0.1:4222";
  vestry_broker broker = {NULL, NULL};
  for (size_t i = 0; i < sizeof bad_urls / sizeof *bad_urls; i++) {
    long lines = the.th.log_lines;
    assert_int_equal(
        vestry_nats_create(&(vestry_nats_options){.host = &the.th.host, .servers = &bad_urls[i], .servers_count = 1},
                           &broker),
        VESTRY_INVALID);
    assert_int_equal(the.th.log_lines, lines + 1);
    assert_non_null(strstr(the.th.last_log, "vestry_nats_create: options.servers[0] must be nats://HOST:PORT"));
  }
  const struct {
    vestry_nats_options options;
    const char *log;
  } bad[] = {
      {{.servers = &good}, "servers and servers_count"},
      {{.servers_count = 1}, "servers and servers_count"},
      {{.servers = &good, .servers_count = 1001}, "servers_count is 1001, but must be from 1 to 1000"},
      {{.credentials_file = "f", .nkey = "U"}, "at most one of credentials_file and nkey"},
      {{.nkey = "U"}, "nkey and nkey_seed_file"},
      {{.nkey_seed_file = "f"}, "nkey and nkey_seed_file"},
      {{.tls_key_file = "f"}, "tls_certificate_file and tls_key_file"},
      {{.tls_certificate_file = "f"}, "tls_certificate_file and tls_key_file"},
      {{.ping_ms = 600001}, "ping_ms is 600001, but must be from 1 to 600000"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    vestry_nats_options options = bad[i].options;
    long lines = the.th.log_lines;
    options.host = &the.th.host;
    assert_int_equal(vestry_nats_create(&options, &broker), VESTRY_INVALID);
    assert_int_equal(the.th.log_lines, lines + 1);
    if (!strstr(the.th.last_log, bad[i].log)) fail_msg("\"%s\" is not in: %s", bad[i].log, the.th.last_log);
  }
  assert_int_equal(vestry_nats_create(NULL, NULL), VESTRY_INVALID);
  const vestry_nats_options unreadable[] = {
      {.host = &the.th.host, .tls_ca_file = "/nowhere"},
      {.host = &the.th.host, .tls_certificate_file = "/nowhere", .tls_key_file = "/nowhere"},
  };
  for (size_t i = 0; i < sizeof unreadable / sizeof *unreadable; i++) {
    assert_int_equal(vestry_nats_create(&unreadable[i], &broker), VESTRY_IO);
    assert_non_null(strstr(the.th.last_log, "TLS"));
  }
  assert_null(broker.ops);
  vsi_nats_stats untouched = {.attempts_count = 7};
  vsi_nats_stats_get(&broker, &untouched); /* not a NATS broker */
  assert_int_equal(untouched.attempts_count, 7);
}

/* --------------------------------------------------------------------------------------------------- memory ------- */

/* Connect, publish and disconnect, while an allocation fails: the result is an error, or a reported loss. */
static vestry_err run_broker(test_host *th, void *ctx) {
  const char *servers[] = {the.server.url};
  vestry_broker broker;
  vestry_err error =
      vestry_nats_create(&(vestry_nats_options){.host = &th->host, .servers = servers, .servers_count = 1}, &broker);
  if (error) return error;
  receiver e;
  receiver_init(&e, broker);
  receiver_subscribe(&e, "memory");
  error = receiver_try_start(&e);
  if (error) {
    receiver_finish(&e);
    return error;
  }
  UNTIL(receiver_states(&e, VESTRY_BROKER_UP) >= 1);
  if (!error) error = receiver_publish(&e, "memory", "one");
  if (error == VESTRY_IO) error = VESTRY_OK; /* a connection that failed for lack of memory is made again */
  if (!error) UNTIL(receiver_messages(&e, "memory") + receiver_states(&e, VESTRY_BROKER_MAYBE_LOST) >= 1);
  receiver_finish(&e);
  return error;
}

/* capability: G1 */
TEST_CASE(failed_allocation_is_an_error_or_reported_loss) {
  nats_server_start(&the.server, NULL);
  test_host_fail_each(run_broker, NULL, true);
}

int main(void) {
  return cases_run_each("nats/settings", begin, end);
}
