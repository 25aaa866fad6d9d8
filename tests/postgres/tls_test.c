/* SPDX-License-Identifier: MIT */
/* A server that requires TLS and a password. All connections use both, the replication connection too. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "postgres/shown.h"
#include "vestry/data/postgres_topics.h"

#define PASSWORD "zq7xk:\\long" /* a password file escapes colons and backslashes by a backslash */

static const char schema[] =
    "CREATE TABLE note(id int PRIMARY KEY, text text); INSERT INTO note VALUES(1, 'a'); ANALYZE";
static const char rules[] = "local all all trust\n"
                            "local replication all trust\n"
                            "hostssl all chat 127.0.0.1/32 scram-sha-256\n"
                            "hostssl replication chat 127.0.0.1/32 scram-sha-256\n";

static char passfile[120], settings[4][160];

/* Write a file to the server's folder, readable only by the server's user. */
static void put(const char *name, const char *text, char *ret_path, size_t capacity) {
  snprintf(ret_path, capacity, "%s/%s", shop_server()->folder, name);
  const int file = open(ret_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(file >= 0);
  assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
  if (shop_server()->user) assert_int_equal(fchown(file, shop_server()->user, shop_server()->group), 0);
  close(file);
}

/* Make name.crt and name.key, self-signed. */
static void make_certificate(const char *name) {
  const postgres_server *server = shop_server();
  char command[600], path[160];
  snprintf(command, sizeof command,
           "openssl req -new -x509 -nodes -newkey rsa:2048 -days 2 -subj /CN=localhost -addext "
           "subjectAltName=DNS:localhost -out %s/%s.crt -keyout %s/%s.key 2>/dev/null",
           server->folder, name, server->folder, name);
  assert_int_equal(system(command), 0);
  snprintf(path, sizeof path, "%s/%s.key", server->folder, name);
  assert_int_equal(chmod(path, 0600), 0);
  if (server->user) assert_int_equal(chown(path, server->user, server->group), 0);
}

static int start_secure(void **state) {
  char path[120];
  shop_open_server(NULL);
  postgres_server *server = shop_server();
  make_certificate("server");
  make_certificate("other");
  put("rules", rules, path, sizeof path);
  snprintf(settings[0], sizeof settings[0], "ssl=on");
  snprintf(settings[1], sizeof settings[1], "ssl_cert_file=%s/server.crt", server->folder);
  snprintf(settings[2], sizeof settings[2], "ssl_key_file=%s/server.key", server->folder);
  snprintf(settings[3], sizeof settings[3], "hba_file=%s", path);
  postgres_server_stop(server);
  postgres_server_start(server, (const char *const[]){settings[0], settings[1], settings[2], settings[3], NULL});
  postgres_server_run(server, "CREATE ROLE chat LOGIN REPLICATION SUPERUSER PASSWORD '" PASSWORD "'");
  snprintf(passfile, sizeof passfile, "%s/passwords", server->folder);
  const int file = open(passfile, O_WRONLY | O_CREAT, 0600); /* owned by this process */
  static const char line[] = "localhost:*:*:chat:zq7xk\\:\\\\long\n";
  assert_int_equal(write(file, line, sizeof line - 1), sizeof line - 1);
  close(file);
  setenv("PGPASSFILE", passfile, 1);
  return 0;
}

static void write_url(char *url, size_t capacity, const char *certificate, const char *more) {
  const postgres_server *server = shop_server();
  snprintf(url, capacity,
           "postgresql://chat@localhost:%d/postgres?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert=%s/%s.crt%s",
           server->port, server->folder, certificate, more);
}

/* capability: M2 */
TEST_CASE(all_connections_use_tls_and_the_password_file) {
  shown_site s;
  char url[300];
  vestry_postgres_topics *topics;
  write_url(url, sizeof url, "server", "");
  shown_open_with(&s, schema, (vestry_postgres_pool_options){.url = url}, NULL, NULL);
  assert_int_equal(vestry_postgres_topics_create(s.on.pages, s.pool, NULL, &topics), VESTRY_OK);
  const size_t at = shown_watch(&s, "SELECT text FROM note WHERE id = 1", NULL);
  shown_run(&s, "UPDATE note SET text = 'b' WHERE id = 1");
  assert_int_equal(shown_renders(&s, at), 1);
  assert_string_equal(s.all[at].text, "b ");
  /* At least one of the pool, two of the follower, one of the listener. */
  assert_true(postgres_server_number(shop_server(), "SELECT count(*) FROM pg_stat_activity WHERE usename = 'chat'") >=
              4);
  assert_int_equal(postgres_server_number(shop_server(), "SELECT count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING "
                                                         "(pid) WHERE usename = 'chat' AND NOT ssl"),
                   0);
  vestry_postgres_topics_destroy(topics);
  shown_close(&s);
}

static void assert_refused(const char *url, const char *expected_log) {
  test_host th;
  vestry_sql_pool *none = NULL;
  test_host_init(&th);
  const vestry_postgres_pool_options options = {.host = &th.host, .url = url};
  assert_int_equal(vestry_postgres_pool_create(&options, &none), VESTRY_LIMIT);
  assert_null(none);
  if (!strstr(th.last_log, expected_log)) fail_msg("\"%s\" is not in: %s", expected_log, th.last_log);
  if (strstr(th.last_log, "zq7xk")) fail_msg("a password is logged: %s", th.last_log);
  test_host_assert_clean(&th);
}

/* capability: M2 */
TEST_CASE(unverified_server_gets_no_password) {
  char url[300];
  write_url(url, sizeof url, "other", "");
  assert_refused(url, "certificate verify failed");
  write_url(url, sizeof url, "server", "&password=zq7xkwrong");
  assert_refused(url, "password authentication failed for user \"chat\"");
  snprintf(url, sizeof url, "postgresql://chat@localhost:%d/postgres?hostaddr=127.0.0.1&sslmode=disable",
           shop_server()->port);
  assert_refused(url, "no encryption");
  snprintf(url, sizeof url, "postgresql://chat@127.0.0.1:%d/postgres?sslmode=verify-full&sslrootcert=%s/server.crt",
           shop_server()->port, shop_server()->folder);
  assert_refused(url, "does not match host name \"127.0.0.1\"");
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/tls", start_secure, shop_close_server);
}
