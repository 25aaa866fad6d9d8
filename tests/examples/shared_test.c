/* SPDX-License-Identifier: MIT */
/* The shared parts of the examples: e-mail addresses; and of the box office: the arguments of a node, addresses for
 * phones, and robots. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../examples/boxoffice/nodes.h"
#include "../../examples/boxoffice/qr.h"
#include "../../examples/boxoffice/robots.h"
#include "../../examples/shared/program.h"
#include "support/test.h"

TEST_CASE(only_valid_email_addresses_are_accepted) {
  static const char *const good[] = {"ada@example.org", "a+b@c.de", "ä@ö.example"};
  static const char *const bad[] = {"",         "ada",          "@example.org", "ada@",     "ada@example",
                                    "ada@.org", "ada@example.", "a@b@c.de",     "a b@c.de", "a@b..de",
                                    "a@b.de\n", "<a@b.de>",     "a,b@c.de"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(program_is_email(good[i]));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(program_is_email(bad[i]));
}

TEST_CASE(node_argument_is_parsed) {
  struct node node;
  assert_true(node_read("2/3/http://192.0.2.1:8080/", &node));
  assert_int_equal(node.number, 2);
  assert_int_equal(node.count, 3);
  assert_string_equal(node.door, "http://192.0.2.1:8080/");
  assert_true(node_read("1/1/", &node));
  assert_string_equal(node.door, "");
  static const char *const bad[] = {"", "1", "0/3/", "4/3/", "10/10/", "-1/3/", "1/-1/", "a/b/c"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(node_read(bad[i], &node));
}

TEST_CASE(phone_address_is_reachable_or_empty) {
  char door[QR_DOOR_BYTES];
  qr_door("http", NULL, 8080, door);
  assert_string_equal(door, "");
  qr_door("http", "127.0.0.1", 8080, door);
  assert_string_equal(door, "");
  qr_door("http", "127.1.2.3", 8080, door);
  assert_string_equal(door, "");
  qr_door("http", "192.0.2.1", 0, door);
  assert_string_equal(door, "");
  qr_door("http", "192.0.2.1", 65535, door);
  assert_string_equal(door, "http://192.0.2.1:65535/");
  qr_door("http", "0.0.0.0", 8080, door); /* an address of this machine, if it has a network */
  assert_true(!*door || strncmp(door, "http://", 7) == 0);
  assert_null(strstr(door, "0.0.0.0"));
}

TEST_CASE(qr_code_contains_no_markup_of_its_text) {
  vestry_html html;
  vestry_slice made;
  vestry_html_init(&html, NULL);
  assert_int_equal(qr_put(&html, "http://192.0.2.1/\"><script>"), VESTRY_OK);
  assert_int_equal(vestry_html_result(&html, &made), VESTRY_OK);
  if (made.len) { /* libqrencode is available */
    assert_non_null(strstr(made.data, "<svg class=\"qr\""));
    assert_non_null(strstr(made.data, "h1v1h-1z"));
    assert_null(strstr(made.data, "<script>"));
  }
  vestry_html_finish(&html);
  char *long_text = malloc(4001); /* a code has room for 2,331 bytes */
  assert_non_null(long_text);
  memset(long_text, 'x', 4000);
  long_text[4000] = '\0';
  vestry_html_init(&html, NULL);
  const vestry_err err = qr_put(&html, long_text);
  assert_true(made.len ? err != VESTRY_OK : err == VESTRY_OK);
  vestry_html_finish(&html);
  free(long_text);
}

static uint64_t never(struct robot *robot, const char *answer, void *ctx) {
  (void)robot, (void)answer, (void)ctx;
  return 1000;
}

TEST_CASE(robots_check_their_arguments) {
  assert_null(robots_start(0, 3, 10, never, NULL));
  assert_null(robots_start(1, 0, 10, never, NULL));
  robots_stop(NULL);
  struct robot robot = {.number = 1};
  bool was[4] = {false};
  for (int i = 0; i < 1000; i++) {
    const uint64_t any = robot_any(&robot, 4);
    assert_true(any < 4);
    was[any] = true;
  }
  for (int i = 0; i < 4; i++) assert_true(was[i]);
}

int main(void) {
  return cases_run("examples/shared", NULL, NULL);
}
