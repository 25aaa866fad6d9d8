/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"

#include "base/memory.h"
#include "support/test.h"
#include "support/test_host.h"

HOST_CASE(buffer_appends_and_is_taken) {
  vsi_buffer buffer;
  vsi_buffer_init(&buffer, &th->host);
  vsi_buffer_append_str(&buffer, "a");
  vsi_buffer_append(&buffer, "\0b", 2);
  vsi_buffer_printf(&buffer, "%d-%s", 12, "x");
  vsi_buffer_append_char(&buffer, '!');
  assert_int_equal(buffer.len, 8);
  assert_memory_equal(buffer.data, "a\0b12-x!", 8);
  size_t len;
  char *taken = vsi_buffer_take(&buffer, &len);
  assert_int_equal(len, 8);
  assert_int_equal(taken[8], 0);
  vsi_free(&th->host, taken);
  vsi_buffer_finish(&buffer);
}

/* A long-lived buffer is trimmed to its size; if it cannot be moved, it stays as it is. */
TEST_CASE(take_trimmed_shrinks_if_it_can) {
  for (long fails = 0; fails < 2; fails++) {
    test_host th;
    test_host_init(&th);
    vsi_buffer buffer;
    vsi_buffer_init(&buffer, &th.host);
    for (int i = 0; i < 100; i++) vsi_buffer_append_str(&buffer, "0123456789");
    assert_non_null(vsi_buffer_terminate(&buffer));
    if (fails) test_host_fail_in(&th, 0);
    size_t len = 0;
    long allocations = atomic_load(&th.allocations);
    char *taken = vsi_buffer_take_trimmed(&buffer, &len);
    assert_int_equal(atomic_load(&th.allocations), allocations + 1);
    test_host_fail_no_more(&th);
    assert_int_equal(len, 1000);
    assert_memory_equal(taken + 990, "0123456789", 10);
    assert_null(buffer.data);
    vsi_free(&th.host, taken);
    test_host_assert_clean(&th);
  }
}

static vestry_err grow(test_host *th, void *ctx) {
  vsi_buffer buffer;
  vsi_buffer_init(&buffer, &th->host);
  for (int i = 0; i < 1000; i++) vsi_buffer_append_str(&buffer, "0123456789");
  vestry_err error = buffer.error;
  if (!error) assert_int_equal(buffer.len, 10000);
  vsi_buffer_finish(&buffer);
  return error;
}

TEST_CASE(failed_append_fails_the_buffer) {
  test_host_fail_each(grow, NULL, false);
}

TEST_CASE(sizes_that_overflow_are_refused) {
  vsi_buffer buffer;
  vsi_buffer_init(&buffer, NULL);
  vsi_buffer_append_str(&buffer, "x");
  assert_null(vsi_buffer_reserve(&buffer, SIZE_MAX - 1));
  assert_int_equal(buffer.error, VESTRY_NO_MEMORY);
  vsi_buffer_finish(&buffer);
}
