/* SPDX-License-Identifier: MIT */
/* Whatever libmicrohttpd is there at run time: heads with two readings are refused, by it or by vestry. */
#include "adapter/microhttpd/habits.h"

#include <sys/resource.h>
#include <unistd.h>

#include "microhttpd/server.h"
#include "support/descriptors.h"
#include "support/test.h"
#include "web/client.h"

static server s;

static vsi_microhttpd_habits find(void) {
  static const vestry_host host = {.log = NULL};
  vsi_microhttpd_habits habits = {.refuses_odd = false};
  assert_int_equal(vsi_microhttpd_habits_find(&host, &habits), VESTRY_OK);
  return habits;
}

static void it_has_one_way_or_the_other(void **state) {
  (void)state;
  const unsigned descriptors = server_descriptors();
  const vsi_microhttpd_habits habits = find();
  assert_true(habits.refuses_odd || habits.finds_odd);
  assert_true(habits.keeps_targets); /* or encoded slashes could not be told from others in an attached daemon */
  assert_int_equal(server_descriptors(), descriptors);
}

/* 0: it was closed without an answer. */
static int status_of_head(const char *lines) {
  client c;
  client_connect(&c, s.port, false);
  client_say(&c, "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s", lines);
  client_shut(&c);
  client_read_all(&c);
  const int status = c.len ? client_status(&c) : 0;
  client_close(&c);
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

static void a_server_of_vestrys_has_one_reading(void **state) {
  (void)state;
  server_start(&s, NULL);
  assert_one_reading();
  server_stop(&s);
}

static void a_strict_daemon_has_one_reading(void **state) {
  (void)state;
  attached_start(&s, &(attached_settings){.threads = 2});
  assert_int_equal(atomic_load(&s.th.log_lines), 0);
  assert_one_reading();
  server_stop(&s);
}

/* What a daemon that is not strict has joined may have been a fold. */
static void a_daemon_that_is_not_strict_is_told_of(void **state) {
  (void)state;
  const bool finds_all = find().finds_odd;
  attached_start(&s, &(attached_settings){.threads = 2, .lenient = true});
  assert_int_equal(atomic_load(&s.th.log_lines), finds_all ? 0 : 1);
  if (!finds_all) assert_non_null(strstr(s.th.last_log, "MHD_OPTION_STRICT_FOR_CLIENT"));
  static const char *const odd[] = {"X: 1\r\n 2\r\n\r\n", "X:\r\n 2\r\n\r\n", "X: 1\r\n \r\n\r\n",
                                    "X: 1\nY: 2\r\n\r\n", "X: 1\n\r\n",       "X: 1\n 2\r\n\r\n"};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) assert_int_equal(status_of_head(odd[i]), 400);
  assert_int_equal(status_of_head("X: one  two\r\n\r\n"), finds_all ? 200 : 400);
  assert_int_equal(status_of_head("X: one two\r\nY:\r\nZ: 1 \r\n\r\n"), 200);
  server_stop(&s);
}

static void without_descriptors_it_says_so(void **state) {
  (void)state;
  struct rlimit before;
  server_begin(&s, &microhttpd_attached_seam, &(vestry_options){0});
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
  server_finish(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_has_one_way_or_the_other),     cmocka_unit_test(a_server_of_vestrys_has_one_reading),
      cmocka_unit_test(a_strict_daemon_has_one_reading), cmocka_unit_test(a_daemon_that_is_not_strict_is_told_of),
      cmocka_unit_test(without_descriptors_it_says_so),
  };
  return cmocka_run_group_tests_name("libmicrohttpd's habits", tests, NULL, NULL);
}
