/* SPDX-License-Identifier: MIT */
#include "adapter/civetweb/request.h"

#include "support/test.h"

static void heads_of_answers_are_formatted(void **state) {
  const vestry_header headers[] = {{"X-One", "1"}, {"X-Two", "zwei"}};
  const vestry_response response = {404, headers, 2, "abc", 3};
  char head[512];
  size_t len = vsi_civetweb_head_format(head, sizeof head, &response, "Content-Length: 3\r\n", true, 784111777);
  assert_string_equal(head, "HTTP/1.1 404 Not Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-One: 1\r\n"
                            "X-Two: zwei\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n");
  assert_int_equal(len, strlen(head));
  /* Like snprintf: bytes that do not fit are counted, not written. */
  for (size_t room = 0; room <= len + 1; room++) {
    char cut[512];
    memset(cut, '#', sizeof cut);
    assert_int_equal(vsi_civetweb_head_format(cut, room, &response, "Content-Length: 3\r\n", true, 784111777), len);
    for (size_t i = room; i < sizeof cut; i++) assert_int_equal(cut[i], '#');
    if (room == len + 1) assert_string_equal(cut, head);
  }
  const vestry_response stream = {.status = 200};
  vsi_civetweb_head_format(head, sizeof head, &stream, "Transfer-Encoding: chunked\r\n", false, 0);
  assert_string_equal(head, "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: close\r\n"
                            "Transfer-Encoding: chunked\r\n\r\n");
  vsi_civetweb_head_format(head, sizeof head, &stream, "", false, 951782400);
  assert_string_equal(head, "HTTP/1.1 200 OK\r\nDate: Tue, 29 Feb 2000 00:00:00 GMT\r\nConnection: close\r\n\r\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(heads_of_answers_are_formatted)};
  return cmocka_run_group_tests_name("heads", tests, NULL, NULL);
}
