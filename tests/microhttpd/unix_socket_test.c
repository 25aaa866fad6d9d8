/* SPDX-License-Identifier: MIT */
/* All contracts on a UNIX socket; then its file: which files it replaces, its permissions, and its removal. */
#include "adapter/microhttpd/adapter.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "microhttpd/server.h"
#include "microhttpd/tls.h"
#include "support/descriptors.h"
#include "support/test.h"
#include "support/test_host.h"
#include "testing/contract/client.h"

enum { MOST_DESCRIPTORS = 256 };

static vsi_server s;

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static bool is_there(const char *path) {
  struct stat found;
  return lstat(path, &found) == 0;
}

static vestry_err create_at(const char *path, uint32_t mode, vestry_server **ret_adapter) {
  vestry_microhttpd_options options = {.unix_path = path, .unix_mode = mode, .threads_count = 2};
  return vestry_microhttpd_create(s.v, &options, ret_adapter);
}

/* Creation is refused with a logged reason, and the existing file is unchanged. */
static void assert_refused(const char *path, const char *why) {
  struct stat before = {0}, after = {0};
  lstat(path, &before);
  vestry_server *adapter = NULL;
  assert_int_equal(create_at(path, 0, &adapter), VESTRY_IO);
  assert_null(adapter);
  assert_non_null(strstr(s.th.last_log, path));
  assert_non_null(strstr(s.th.last_log, why));
  lstat(path, &after);
  assert_true(before.st_ino == after.st_ino && before.st_mode == after.st_mode);
}

/* Create the file that a killed server leaves. type: SOCK_STREAM, SOCK_DGRAM */
static void leave_stale(const char *path, int type) {
  int fd = socket(AF_UNIX, type, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  if (type == SOCK_STREAM) assert_int_equal(listen(fd, 1), 0);
  close(fd);
}

/* capability: C18 */
TEST_CASE(stale_socket_file_is_replaced) {
  server_start(&s, NULL);
  const int types[] = {SOCK_STREAM, SOCK_DGRAM};
  for (size_t i = 0; i < 2; i++) {
    const char *path = server_free_path();
    leave_stale(path, types[i]);
    vestry_server *adapter = NULL;
    assert_int_equal(create_at(path, 0, &adapter), VESTRY_OK);
    vsi_client_path_used = path;
    vsi_client c;
    vsi_client_ask(&c, 0, "GET", "/none", NULL);
    assert_int_equal(vsi_client_status(&c), 404);
    vsi_client_close(&c);
    vestry_server_destroy(adapter);
    assert_false(is_there(path));
  }
  vsi_client_path_used = NULL;
  vsi_server_stop(&s);
}

/* capability: C18 */
TEST_CASE(socket_of_a_listening_server_is_kept) {
  server_start(&s, &(server_settings){.unix_socket = true});
  char path[108];
  snprintf(path, sizeof path, "%s", vsi_client_path_used);
  vsi_client c;
  vestry_connection *connection = vsi_server_open(&s, &c);
  assert_refused(path, "another server listens there");
  vsi_server_assert_serves(&s);
  vsi_server_patch(connection, "{\"still\":1}");
  vsi_client_expect(&c, "still");
  vsi_client_close(&c);
  vsi_server_stop(&s);
  assert_false(is_there(path));
}

/* Its backlog is full, so connecting fails, but the server is alive. */
TEST_CASE(socket_of_an_overloaded_server_is_kept) {
  server_start(&s, NULL);
  const char *path = server_free_path();
  int fd = socket(AF_UNIX, SOCK_STREAM, 0), waiting = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(fd, 0), 0);
  assert_int_equal(connect(waiting, (struct sockaddr *)&address, sizeof address), 0);
  assert_refused(path, "another server listens there");
  close(waiting);
  close(fd);
  unlink(path);
  vsi_server_stop(&s);
}

/* capability: C18 */
TEST_CASE(other_files_are_not_replaced) {
  server_start(&s, NULL);
  char path[108], link[112];
  snprintf(path, sizeof path, "%s", server_free_path());
  snprintf(link, sizeof link, "%sl", path);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fclose(file);
  assert_refused(path, "not a socket");
  assert_int_equal(symlink("nowhere", link), 0);
  assert_refused(link, "not a socket");
  unlink(path);
  unlink(link);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_refused(path, "not a socket");
  rmdir(path);
  assert_refused("/tmp/vestry-no-such-folder/web", "No such file");
  vsi_server_stop(&s);
}

/* capability: C18 */
TEST_CASE(socket_file_has_the_requested_mode) {
  server_start(&s, NULL);
  static const uint32_t modes[][2] = {{0, 0660}, {0600, 0600}, {0666, 0666}, {0777, 0777}};
  mode_t before = umask(0777);
  for (size_t i = 0; i < 4; i++) {
    const char *path = server_free_path();
    vestry_server *adapter = NULL;
    struct stat made;
    assert_int_equal(create_at(path, modes[i][0], &adapter), VESTRY_OK);
    assert_int_equal(lstat(path, &made), 0);
    assert_int_equal(made.st_mode & 07777, modes[i][1]);
    vestry_server_destroy(adapter);
  }
  umask(before);
  vsi_server_stop(&s);
}

/* The file that exists at the end belongs to another server. */
TEST_CASE(server_removes_only_its_own_socket_file) {
  server_start(&s, NULL);
  const char *path = server_free_path();
  vestry_server *adapter = NULL;
  assert_int_equal(create_at(path, 0, &adapter), VESTRY_OK);
  unlink(path);
  leave_stale(path, SOCK_STREAM);
  vestry_server_destroy(adapter);
  assert_true(is_there(path));
  unlink(path);
  vsi_server_stop(&s);
}

/* A start that fails after it has begun to listen leaves neither a file nor a descriptor. */
TEST_CASE(failed_start_leaves_no_file_or_descriptor) {
  server_start(&s, NULL);
  const char *path = server_free_path();
  vestry_server *adapter = NULL;
  const vestry_microhttpd_options options = {.unix_path = path, .threads_count = 2, .max_streams = 1};
  const int free_before = descriptors_lowest_free();
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const struct rlimit low = {.rlim_cur = MOST_DESCRIPTORS, .rlim_max = limit.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
  vestry_err error = VESTRY_IO;
  bool has_listened = false;
  for (int left = 0; error; left++) { /* each descriptor of the start fails once */
    int taken[MOST_DESCRIPTORS], count = 0;
    while ((taken[count] = dup(0)) >= 0) count++;
    for (int i = 0; i < left; i++) close(taken[--count]);
    error = vestry_microhttpd_create(s.v, &options, &adapter);
    while (count) close(taken[--count]);
    assert_true(!error || error == VESTRY_IO);
    assert_int_equal(is_there(path), !error);
    has_listened |= error && !strstr(s.th.last_log, "cannot listen") && !strstr(s.th.last_log, "cannot probe");
  }
  assert_true(has_listened);
  vestry_server_destroy(adapter);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  assert_false(is_there(path));
  assert_true(descriptors_lowest_free() <= free_before);
  vsi_server_stop(&s);
}

/* A process that holds the folder's lock for ever does not block the start for ever. */
TEST_CASE(locked_folder_fails_the_start) {
  server_start(&s, NULL);
  const char *path = server_free_path();
  char folder[108];
  snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
  int held = open(folder, O_RDONLY | O_DIRECTORY);
  assert_int_equal(flock(held, LOCK_EX), 0);
  assert_refused(path, "another server is starting in this folder");
  close(held);
  vsi_server_stop(&s);
}

/* One instance with two adapters: an event reaches the streams of both. */
/* capability: C18 */
TEST_CASE(one_instance_serves_tcp_and_unix_socket) {
  server_start(&s, NULL);
  const char *path = server_free_path();
  vestry_server *second = NULL;
  assert_int_equal(create_at(path, 0, &second), VESTRY_OK);
  vsi_client by_port, by_path;
  vestry_connection *first = vsi_server_open(&s, &by_port);
  vsi_client_path_used = path;
  vestry_connection *other = vsi_server_open(&s, &by_path);
  vsi_client_path_used = NULL;
  vsi_server_patch(first, "{\"a\":1}");
  vsi_server_patch(other, "{\"a\":1}");
  vsi_client_expect(&by_port, "{\"a\":1}");
  vsi_client_expect(&by_path, "{\"a\":1}");
  vestry_server_destroy(second);
  assert_int_equal(vsi_server_cause(&s, other), VESTRY_CAUSE_SHUTDOWN);
  assert_true(vestry_connection_is_open(first));
  vsi_client_close(&by_path);
  vsi_client_close(&by_port);
  vsi_server_stop(&s);
}

static vestry_err answer_with_peer(const vestry_request *req, vestry_reply *reply, void *app) {
  char text[64];
  int len = snprintf(text, sizeof text, "peer \"%s\"", vestry_request_peer(req));
  return vestry_reply_body(reply, "text/plain", text, (size_t)len);
}

TEST_CASE(peer_of_a_unix_socket_has_no_address) {
  server_start(&s, &(server_settings){.unix_socket = true});
  assert_int_equal(vestry_route(s.v, "GET", "/peer", answer_with_peer, NULL), VESTRY_OK);
  vsi_client c;
  vsi_client_ask(&c, s.port, "GET", "/peer", NULL);
  vsi_client_expect(&c, "peer \"\"");
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static vestry_err listen_once(test_host *th, void *ctx) {
  vsi_microhttpd_unix_socket made;
  int fd = -1;
  vestry_err error = vsi_microhttpd_unix_listen(&made, &th->host, "test", ctx, 0600, 1, &fd);
  assert_int_equal(is_there(ctx), error == VESTRY_OK);
  vsi_microhttpd_unix_finish(&made);
  if (!error) close(fd);
  assert_false(is_there(ctx));
  return error;
}

TEST_CASE(listen_survives_every_allocation_failure) {
  test_host_fail_each(listen_once, (void *)(uintptr_t)server_free_path(), false);
}

int main(void) {
  const vestry_contract_adapter contract = microhttpd_unix_contract();
  int failed = (int)vestry_contract_run(&contract, "requests");
  vsi_client_tls_ops_offered = &tls_client_ops;
  return failed + (int)vestry_contract_run(&contract, "wire,lifecycle,peers") +
         cases_run("the socket's file", NULL, NULL);
}
