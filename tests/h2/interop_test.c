/* SPDX-License-Identifier: MIT */
/* Clients that are no browsers, with liberties that they take. */
#include "h2/frames.h"
#include "h2/server.h"
#include "support/test.h"

static vsi_server s;

/* HAProxy 2.6 confirms the SETTINGS, and then sends heads without the size of a table. */
static void head_without_table_size_is_served(void **state) {
  static const char *const fields[] = {":method",   "GET",   ":scheme", "http", ":authority",
                                       "localhost", ":path", "/echo",   NULL};
  uint8_t bytes[FRAME_MOST_BYTES];
  frames_client c;
  server_start(&s, NULL);
  frames_connect(&c, s.port, 0);
  assert_true(frames_wait(&c, FRAME_SETTINGS, 0)); /* which confirms them */
  for (uint32_t stream = 1; stream < 5; stream += 2) {
    assert_true(frames_send(&c, FRAME_HEADERS, FLAG_END_STREAM | FLAG_END_HEADERS, stream, bytes,
                            frames_encode(bytes, sizeof bytes, fields)));
    assert_int_equal(frames_status(&c, stream), 200);
  }
  frames_close(&c);
  vsi_server_stop(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(head_without_table_size_is_served),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
