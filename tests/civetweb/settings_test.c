/* SPDX-License-Identifier: MIT */
#include "adapter/civetweb/adapter.h"

#include <civetweb.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "civetweb/server.h"
#include "runtime/runtime.h"
#include "support/folder.h"
#include "support/test.h"
#include "support/test_host.h"

static vestry_err check(const char *ports, const char *threads, const char *nodelay, char why[128]) {
  const char *list[9] = {NULL};
  size_t count = 0;
  const char *const pairs[][2] = {{"listening_ports", ports}, {"num_threads", threads}, {"tcp_nodelay", nodelay}};
  for (size_t i = 0; i < 3; i++)
    if (pairs[i][1]) {
      list[count++] = pairs[i][0];
      list[count++] = pairs[i][1];
    }
  why[0] = '\0';
  return vestry_civetweb_check(list, why, 128);
}

TEST_CASE(threads_and_nodelay_are_checked) {
  char why[128];
  assert_int_equal(check(NULL, NULL, "1", why), VESTRY_OK); /* civetweb's default is 50 threads */
  assert_string_equal(why, "");
  assert_int_equal(check("8080", "3", "1", why), VESTRY_OK);
  assert_int_equal(check("8080", "2", "1", why), VESTRY_INVALID);
  assert_non_null(strstr(why, "num_threads"));
  assert_int_equal(check("8080", "many", "1", why), VESTRY_INVALID);
  assert_int_equal(check("8080", "-3", "1", why), VESTRY_INVALID);
  assert_int_equal(check("8080", "10", NULL, why), VESTRY_INVALID);
  assert_non_null(strstr(why, "tcp_nodelay"));
  assert_int_equal(check("8080", "10", "0", why), VESTRY_INVALID);
  assert_int_equal(vestry_civetweb_check(NULL, why, sizeof why), VESTRY_INVALID);
  assert_int_equal(vestry_civetweb_check((const char *const[]){"tcp_nodelay", "1", "num_threads", "2", NULL}, NULL, 0),
                   VESTRY_INVALID);
  char cut[8] = "#######";
  vestry_civetweb_check(NULL, cut, 4);
  assert_string_equal(cut, "tcp");
}

TEST_CASE(ports_with_tls_are_recognized) {
  static const char *const tls[] = {"8443s", "80,8443s", "80r,8443s", "[::]:8443s", "10.0.0.1:8443s , 80", "80r"};
  static const char *const plain[] = {"8080", "+8080", "127.0.0.1:80,[::1]:80", "servers:80", "localhost:80,s", ""};
  for (size_t i = 0; i < 6; i++) assert_true(vsi_civetweb_names_tls_port(tls[i]));
  for (size_t i = 0; i < 6; i++) assert_false(vsi_civetweb_names_tls_port(plain[i]));
}

TEST_CASE(unix_sockets_are_recognized) {
  static const char *const sockets[] = {"x/run/web.sock", "8080,x/run/web.sock", "8080 , x/run/a"};
  static const char *const ports[] = {"8080", "127.0.0.1:80,[::1]:80", "", "max:80"};
  for (size_t i = 0; i < 3; i++) assert_true(vsi_civetweb_names_unix_socket(sockets[i]));
  for (size_t i = 0; i < 4; i++) assert_false(vsi_civetweb_names_unix_socket(ports[i]));
}

/* The check predicts what civetweb does. */
/* capability: C18 */
TEST_CASE(missing_unix_socket_support_is_reported) {
  char why[128], folder[FOLDER_BYTES], port[FOLDER_BYTES + 16];
  folder_make(folder, "civetweb"); /* of this run: another run may have the same test, or have been killed in it */
  snprintf(port, sizeof port, "x%s/socket", folder);
  const char *list[] = {"listening_ports", port, "num_threads", "10", NULL};
  struct mg_context *started = mg_start(NULL, NULL, list);
  vestry_err error = check(list[1], "10", "1", why);
  if (started) {
    assert_int_equal(error, VESTRY_OK);
    vestry_civetweb_stop_server(started);
  } else {
    assert_int_equal(error, VESTRY_UNSUPPORTED);
    assert_non_null(strstr(why, "UNIX socket"));
  }
  folder_remove(folder);
}

/* Only once in this process, because civetweb reports missing TLS only once. On a machine where civetweb has TLS, the
 * check succeeds, and mg_start does not crash. */
TEST_CASE(tls_without_support_is_refused) {
  char why[128];
  vestry_err error = check("8443s", "10", "1", why);
  if (error) {
    assert_int_equal(error, VESTRY_UNSUPPORTED);
    assert_non_null(strstr(why, "TLS"));
  } else {
    const char *list[] = {"listening_ports", "127.0.0.1:0s", "ssl_certificate", "none.pem", NULL};
    assert_null(mg_start(NULL, NULL, list)); /* because there is no certificate */
  }
}

/* Run a check in a child process, which may restrict its own resources. Returns its result; -1: the restriction
 * failed. */
typedef struct checked {
  int error;
  char why[160];
} checked;

static checked check_in_child(bool (*prepare)(void), const char *threads, const char *queue) {
  checked result = {-1, ""};
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (!child) {
    const char *list[] = {"num_threads", threads, "connection_queue", queue, "tcp_nodelay", "1", NULL};
    if (prepare()) result.error = vestry_civetweb_check(list, result.why, sizeof result.why);
    _exit(write(ends[1], &result, sizeof result) != sizeof result);
  }
  int status;
  close(ends[1]);
  assert_int_equal(read(ends[0], &result, sizeof result), sizeof result);
  assert_int_equal(waitpid(child, &status, 0), child);
  close(ends[0]);
  return result;
}

static bool allow_64_threads(void) {
  const struct rlimit few = {64, 64};
  const uid_t nobody_else = 61000 + (uid_t)getpid() % 4000; /* its threads are counted, unlike root's */
  return setrlimit(RLIMIT_NPROC, &few) == 0 && setuid(nobody_else) == 0;
}

TEST_CASE(thread_count_over_system_limit_is_refused) {
  if (geteuid() != 0) TEST_SKIP("a limit of the threads of a user takes root");
  checked result = check_in_child(allow_64_threads, "128", "20");
  assert_int_equal(result.error, VESTRY_LIMIT);
  assert_non_null(strstr(result.why, "num_threads is 128, but"));
  assert_int_equal(check_in_child(allow_64_threads, "40", "20").error, VESTRY_OK);
}

static bool allow_200_descriptors(void) {
  const struct rlimit few = {200, 200};
  return setrlimit(RLIMIT_NOFILE, &few) == 0;
}

TEST_CASE(settings_needing_all_descriptors_are_refused) {
  assert_int_equal(check_in_child(allow_200_descriptors, "35", "100").error, VESTRY_OK);
  checked result = check_in_child(allow_200_descriptors, "36", "100");
  assert_int_equal(result.error, VESTRY_LIMIT);
  assert_non_null(strstr(result.why, "need 201 descriptors, but RLIMIT_NOFILE is 200"));
  /* The same in vestry_civetweb_create, for settings that were not checked. */
  struct rlimit all;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
  vsi_server s;
  server_start(&s, NULL);
  const struct rlimit few = {200, all.rlim_max};
  vestry_server *adapter = NULL;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
  vestry_err error = vestry_civetweb_create(s.v, civetweb_of(&s)->context, NULL, &adapter);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
  assert_int_equal(error, VESTRY_LIMIT);
  assert_non_null(strstr(s.th.last_log, "RLIMIT_NOFILE"));
  vsi_server_stop(&s);
}

TEST_CASE(threads_are_chosen_by_the_descriptors) {
  static const struct {
    rlim_t descriptors;
    uint32_t threads;
  } cases[] = {{100, 128}, {1024, 479}, {2112, 1023}, {2113, 1024}};
  struct rlimit all;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct rlimit few = {cases[i].descriptors, all.rlim_max};
    if (few.rlim_cur > all.rlim_max) continue;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    const uint32_t threads = vsi_civetweb_threads_possible(128, 1024);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    assert_int_equal(threads, cases[i].threads);
  }
}

TEST_CASE(settings_of_a_running_server_are_read) {
  vsi_server s;
  server_start(&s, &(server_settings){.threads = 7, .reserve = 3, .timeout_ms = 1234, .keep_alive = true});
  vsi_civetweb_settings settings;
  vsi_civetweb_settings_read(civetweb_of(&s)->context, &settings);
  assert_int_equal(settings.threads_count, 7);
  assert_int_equal(settings.request_timeout_ms, 1234);
  assert_true(settings.keep_alive);
  assert_true(settings.nodelay);
  vestry_server *adapter = NULL;
  assert_int_equal(
      vestry_civetweb_create(s.v, civetweb_of(&s)->context, &(vestry_civetweb_options){.reserve_threads = 7}, &adapter),
      VESTRY_INVALID);
  assert_non_null(strstr(s.th.last_log, "num_threads is 7, and 7 threads are reserved"));
  assert_int_equal(vestry_civetweb_create(NULL, civetweb_of(&s)->context, NULL, &adapter), VESTRY_INVALID);
  assert_int_equal(vestry_civetweb_create(s.v, NULL, NULL, &adapter), VESTRY_INVALID);
  assert_null(adapter);
  vsi_server_stop(&s);
}

HOST_CASE(max_streams_out_of_range_is_named) {
  vestry *v = NULL;
  assert_int_equal(vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v),
                   VESTRY_OK);
  vestry_server *own = NULL;
  const vestry_server_options options = {.max_streams = 100001};
  assert_int_equal(vestry_server_create(v, &vestry_server_civetweb, &options, &own), VESTRY_INVALID);
  assert_null(own);
  assert_string_equal(th->last_log, "vestry_server_civetweb: max_streams is 100001, but must be from 1 to 100000");
  vestry_destroy(v);
}

/* One server for all runs, because it uses civetweb's memory. */
static struct mg_context *civetweb;

static vestry_err create(test_host *th, void *ctx) {
  vestry *v = NULL;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  vestry_server *adapter = NULL;
  if (!error) error = vestry_civetweb_create(v, civetweb, NULL, &adapter);
  vestry_server_destroy(adapter);
  vestry_destroy(v);
  return error;
}

TEST_CASE(creation_survives_every_allocation_failure) {
  const char *list[] = {"listening_ports", "127.0.0.1:0", "num_threads", "4", "tcp_nodelay", "1", NULL};
  civetweb = mg_start(NULL, NULL, list);
  assert_non_null(civetweb);
  test_host_fail_each(create, NULL, false);
  test_host th;
  test_host_init(&th);
  vestry *v = NULL;
  assert_int_equal(vestry_create(&(vestry_options){.host = &th.host, .threads_count = VESTRY_THREADS_NONE}, &v),
                   VESTRY_OK);
  vestry_server *adapter = NULL;
  atomic_store(&th.fail_random, true);
  assert_int_equal(vestry_civetweb_create(v, civetweb, &(vestry_civetweb_options){.max_per_address = 1}, &adapter),
                   VESTRY_IO);
  vsi_runtime_close(vestry_parts_of(v)->runtime);
  atomic_store(&th.fail_random, false);
  assert_int_equal(vestry_civetweb_create(v, civetweb, NULL, &adapter), VESTRY_CLOSED);
  assert_null(adapter);
  vestry_destroy(v);
  test_host_assert_clean(&th);
  vestry_civetweb_stop_server(civetweb);
  vestry_civetweb_stop_server(NULL);
}
