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

TEST_CASE(each_descriptor_is_counted_once) {
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

TEST_CASE(sweep_removes_closed_descriptors) {
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

TEST_CASE(without_memory_no_descriptor_is_counted) {
  begin();
  th.fail_at = 0;
  th.fail_after = true;
  assert_int_equal(vsi_microhttpd_arrivals_enter(&a, 3), VESTRY_NO_MEMORY);
  assert_int_equal(vsi_microhttpd_arrivals_count(&a), 0);
  vsi_microhttpd_arrivals_leave(&a, 3);
  end();
}
