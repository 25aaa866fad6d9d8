/* SPDX-License-Identifier: MIT */
#include "event/expect.h"

#include <sys/mman.h>
#include <unistd.h>

#include "support/test.h"

static char nowhere;
vestry_event *const expect_untouched = (vestry_event *)(void *)&nowhere;

void expect_event(vestry_err error, vestry_event **event, const char *bytes) {
  assert_int_equal(error, VESTRY_OK);
  vestry_slice got = vestry_event_bytes(*event);
  char *text = test_malloc(got.len + 1); /* terminated, so that a failure prints both texts */
  memcpy(text, got.data, got.len);
  text[got.len] = '\0';
  assert_string_equal(text, bytes);
  assert_int_equal(got.len, strlen(bytes));
  test_free(text);
  vestry_event_unref(*event);
}

void expect_error(vestry_err error, vestry_event **event, vestry_err expected) {
  assert_int_equal(error, expected);
  assert_ptr_equal(*event, expect_untouched);
}

/* Whole pages for the data, followed by an unreadable one. */
static size_t readable_len(size_t len) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return (len + page - 1) / page * page;
}

char *guarded_copy(const char *data, size_t len) {
  size_t readable = readable_len(len), page = (size_t)sysconf(_SC_PAGESIZE);
  char *pages = mmap(NULL, readable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(pages != MAP_FAILED);
  assert_int_equal(mprotect(pages + readable, page, PROT_NONE), 0);
  if (len) memcpy(pages + readable - len, data, len);
  return pages + readable - len;
}

void guarded_free(char *copy, size_t len) {
  size_t readable = readable_len(len), page = (size_t)sysconf(_SC_PAGESIZE);
  assert_int_equal(munmap(copy + len - readable, readable + page), 0);
}
