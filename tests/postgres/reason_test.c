/* SPDX-License-Identifier: MIT */
/* An operator can see that a commit of the database made a page render, and the time from the commit to the pages. */
#include <stdlib.h>

#include "postgres/shown.h"
#include "support/listed.h"

static const char notes[] = "CREATE TABLE note(id int PRIMARY KEY, text text);"
                            "CREATE TABLE other(x int); INSERT INTO note VALUES(1, 'a'); ANALYZE";
static const char newest[] = "SELECT id, text FROM note ORDER BY id DESC LIMIT 1";

static void begin(shown_site *s, vestry_observe **ret_observe) {
  shown_open(s, notes, NULL);
  const vestry_observe_options options = {.trusts_loopback = true, .pages = s->on.pages};
  assert_int_equal(vestry_observe_create(s->on.v, &options, ret_observe), VESTRY_OK);
  shown_watch(s, newest, NULL);
}

static void end(shown_site *s, vestry_observe *observe) {
  vestry_observe_destroy(observe);
  shown_close(s);
}

/* Check the number of measured changes, and their total time. */
static void check_times(vestry_observe *observe, unsigned long long count, double sum_ms) {
  static char text[1 << 16];
  static const char sum[] = "\nvestry_page_change_seconds_sum ", number[] = "\nvestry_page_change_seconds_count ";
  assert_int_equal(vestry_observe_metrics(observe, VESTRY_METRICS_OPEN, text, sizeof text, NULL), VESTRY_OK);
  assert_int_equal(strtoull(strstr(text, number) + strlen(number), NULL, 10), count);
  const double is_ms = strtod(strstr(text, sum) + strlen(sum), NULL) * 1e3;
  assert_true(is_ms > sum_ms - .01 && is_ms < sum_ms + .01);
}

/* Follow the commit without rendering a page. */
static void commit(shown_site *s, const char *sql) {
  shown_run(s, sql);
  assert_int_equal(vestry_postgres_settle(s->database, SHOWN_WAIT_MS, NULL), VESTRY_OK);
}

/* capability: H2 */
TEST_CASE(commit_is_timed_from_the_read_of_its_record) {
  shown_site s;
  vestry_observe *observe;
  begin(&s, &observe);
  check_times(observe, 0, 0); /* the first render of a stream is not a change */
  shown_run(&s, "BEGIN; INSERT INTO note VALUES(2, 'b')");
  test_host_advance_ms(&s.on.th, 400); /* its rows may have been read by now, but not its commit */
  commit(&s, "COMMIT");
  test_host_advance_ms(&s.on.th, 25);
  assert_int_equal(shown_renders(&s, 0), 1);
  check_times(observe, 1, 25);
  commit(&s, "UPDATE note SET text = 'c' WHERE id = 2"); /* if one render covers two commits, the first one counts */
  test_host_advance_ms(&s.on.th, 10);
  commit(&s, "UPDATE note SET text = 'd' WHERE id = 2");
  test_host_advance_ms(&s.on.th, 20);
  assert_int_equal(shown_renders(&s, 0), 1);
  check_times(observe, 2, 25 + 30);
  end(&s, observe);
}

/* capability: H2 */
TEST_CASE(commit_that_changes_no_page_is_not_timed) {
  shown_site s;
  vestry_observe *observe;
  begin(&s, &observe);
  shown_run(&s, "INSERT INTO other VALUES(1)");
  assert_int_equal(shown_renders(&s, 0), 0);
  shown_run(&s, "BEGIN; INSERT INTO note VALUES(3, 'x'); ROLLBACK");
  assert_int_equal(shown_renders(&s, 0), 0);
  shown_run(&s, "UPDATE note SET text = text WHERE id = 1"); /* the page is unchanged */
  assert_int_equal(shown_renders(&s, 0), 1);
  check_times(observe, 0, 0);
  end(&s, observe);
}

/* capability: H8 */
TEST_CASE(render_after_a_commit_is_reported_as_database) {
  shown_site s;
  vestry_observe *observe;
  begin(&s, &observe);
  shown_run(&s, "INSERT INTO note VALUES(2, 'b')");
  assert_int_equal(shown_renders(&s, 0), 1);
  json_auto_t *all = listed(observe, vsi_list_pages, NULL);
  const json_t *pages = json_object_get(all, "pages");
  assert_int_equal(json_array_size(pages), 1);
  assert_string_equal(listed_text(json_array_get(pages, 0), "refreshed_by"), "database");
  end(&s, observe);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/reason", shop_open_server, shop_close_server);
}
