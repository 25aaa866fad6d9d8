/* SPDX-License-Identifier: MIT */
#include "adapter/microhttpd/socket.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "support/test.h"
#include "support/test_host.h"

static test_host th;
static vsi_microhttpd_arrivals a;

static void begin(void) {
  test_host_init(&th);
  a = (vsi_microhttpd_arrivals){.host = NULL};
  vsi_microhttpd_arrivals_init(&a, &th.host);
}

static void end(void) {
  vsi_microhttpd_arrivals_finish(&a);
  test_host_assert_clean(&th);
}

static void each_descriptor_is_counted_once(void **state) {
  begin();
  assert_int_equal(vsi_microhttpd_arrivals_enter(&a, 7), VESTRY_OK);
  assert_int_equal(vsi_microhttpd_arrivals_enter(&a, 7), VESTRY_OK); /* the first was closed without a notification */
  assert_int_equal(vsi_microhttpd_arrivals_enter(&a, 70000), VESTRY_OK);
  assert_int_equal(vsi_microhttpd_arrivals_count(&a), 2);
  vsi_microhttpd_arrivals_leave(&a, 7);
  vsi_microhttpd_arrivals_leave(&a, 7);
  vsi_microhttpd_arrivals_leave(&a, 9);
  vsi_microhttpd_arrivals_leave(&a, 1000000);
  assert_int_equal(vsi_microhttpd_arrivals_count(&a), 1);
  vsi_microhttpd_arrivals_leave(&a, 70000);
  assert_int_equal(vsi_microhttpd_arrivals_count(&a), 0);
  end();
}

static void sweep_removes_closed_descriptors(void **state) {
  begin();
  int open = eventfd(0, EFD_CLOEXEC), closed = eventfd(0, EFD_CLOEXEC);
  assert_int_equal(vsi_microhttpd_arrivals_enter(&a, open), VESTRY_OK);
  assert_int_equal(vsi_microhttpd_arrivals_enter(&a, closed), VESTRY_OK);
  vsi_microhttpd_arrivals_sweep(&a);
  assert_int_equal(vsi_microhttpd_arrivals_count(&a), 2);
  close(closed);
  vsi_microhttpd_arrivals_sweep(&a);
  assert_int_equal(vsi_microhttpd_arrivals_count(&a), 1);
  vsi_microhttpd_arrivals_leave(&a, open);
  assert_int_equal(vsi_microhttpd_arrivals_count(&a), 0);
  close(open);
  end();
}

static void without_memory_no_descriptor_is_counted(void **state) {
  begin();
  th.fail_at = 0;
  th.fail_after = true;
  assert_int_equal(vsi_microhttpd_arrivals_enter(&a, 3), VESTRY_NO_MEMORY);
  assert_int_equal(vsi_microhttpd_arrivals_count(&a), 0);
  vsi_microhttpd_arrivals_leave(&a, 3);
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_descriptor_is_counted_once),
      cmocka_unit_test(sweep_removes_closed_descriptors),
      cmocka_unit_test(without_memory_no_descriptor_is_counted),
  };
  return cmocka_run_group_tests_name("arrivals", tests, NULL, NULL);
}
