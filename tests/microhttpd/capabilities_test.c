/* SPDX-License-Identifier: MIT */
/* Whichever libmicrohttpd is loaded: ambiguous heads are refused, by it or by vestry. */
#include "adapter/microhttpd/head.h"

#include <sys/resource.h>
#include <unistd.h>

#include "microhttpd/server.h"
#include "support/descriptors.h"
#include "support/test.h"
#include "testing/contract/client.h"

static vsi_server s;

static vsi_microhttpd_capabilities find(void) {
  static const vestry_host host = {.log = NULL};
  vsi_microhttpd_capabilities capabilities = {.refuses_odd = false};
  assert_int_equal(vsi_microhttpd_capabilities_find(&host, &capabilities), VESTRY_OK);
  return capabilities;
}

TEST_CASE(probe_finds_a_way_to_refuse_ambiguous_heads) {
  const unsigned descriptors = server_descriptors();
  const vsi_microhttpd_capabilities capabilities = find();
  assert_true(capabilities.refuses_odd || capabilities.finds_odd);
  /* otherwise an attached daemon could not distinguish encoded slashes from others */
  assert_true(capabilities.keeps_targets);
  assert_int_equal(server_descriptors(), descriptors);
}

/* 0: closed without an answer. */
static int status_of_head(const char *lines) {
  vsi_client c;
  vsi_client_connect(&c, s.port, false);
  vsi_client_sendf(&c, "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s", lines);
  vsi_client_shut(&c);
  vsi_client_read_all(&c);
  const int status = c.len ? vsi_client_status(&c) : 0;
  vsi_client_close(&c);
  return status;
}

static void assert_one_reading(void) {
  static const char *const odd[] = {"X: 1\nY: 2\r\n\r\n", "X: 1 \nY: 2\r\n\r\n", "X: 1\n\r\n",
                                    "X: 1\r\n\n",         "X: 1\r\n 2\r\n\r\n",  "X:\r\n 2\r\n\r\n",
                                    "X: 1\r\n \r\n\r\n",  "X: 1\n 2\r\n\r\n"};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    const int status = status_of_head(odd[i]);
    if (status && status != 400) fail_msg("\"%s\" was answered %d", odd[i], status);
  }
  assert_int_equal(status_of_head("X: one  two\r\nY:  \r\n\r\n"), 200);
  assert_int_equal(status_of_head("\r\n"), 200);
}

TEST_CASE(own_server_refuses_ambiguous_heads) {
  server_start(&s, NULL);
  assert_one_reading();
  vsi_server_stop(&s);
}

TEST_CASE(strict_daemon_refuses_ambiguous_heads) {
  attached_start(&s, &(attached_settings){.threads = 2});
  assert_int_equal(atomic_load(&s.th.log_lines), 0);
  assert_one_reading();
  vsi_server_stop(&s);
}

/* A line that a lenient daemon has joined may have been folded. */
TEST_CASE(lenient_daemon_is_logged_and_refuses_folds) {
  const bool finds_all = find().finds_odd;
  attached_start(&s, &(attached_settings){.threads = 2, .lenient = true});
  assert_int_equal(atomic_load(&s.th.log_lines), finds_all ? 0 : 1);
  if (!finds_all) assert_non_null(strstr(s.th.last_log, "MHD_OPTION_STRICT_FOR_CLIENT"));
  static const char *const odd[] = {"X: 1\r\n 2\r\n\r\n", "X:\r\n 2\r\n\r\n", "X: 1\r\n \r\n\r\n",
                                    "X: 1\nY: 2\r\n\r\n", "X: 1\n\r\n",       "X: 1\n 2\r\n\r\n"};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) assert_int_equal(status_of_head(odd[i]), 400);
  assert_int_equal(status_of_head("X: one  two\r\n\r\n"), finds_all ? 200 : 400);
  assert_int_equal(status_of_head("X: one two\r\nY:\r\nZ: 1 \r\n\r\n"), 200);
  vsi_server_stop(&s);
}

TEST_CASE(probe_without_descriptors_returns_io) {
  struct rlimit before;
  vsi_server_begin(&s, NULL);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int free_one = descriptors_lowest_free();
  const struct rlimit none = {(rlim_t)free_one, before.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  vestry_server *web = NULL;
  const vestry_err error = vestry_microhttpd_attach(s.v, NULL, NULL, &web);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  assert_int_equal(error, VESTRY_IO);
  assert_null(web);
  assert_non_null(strstr(s.th.last_log, "ulimit -n"));
  vsi_server_finish(&s);
}
