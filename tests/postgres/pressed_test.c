/* SPDX-License-Identifier: MIT */
/* A press renders what it has changed in the database, and not all that its page shows (app/page/sent.c). */
#include "postgres/shown.h"

static const char notes[] = "CREATE TABLE note(id int PRIMARY KEY, text text);"
                            "INSERT INTO note VALUES(1, 'a'), (2, 'b'); ANALYZE";
#define ADA "00000000000000ad"

static const char *statement; /* of the next press; NULL: it changes nothing */

static vestry_err act(const vestry_request *req, vestry_reply *reply, void *app) {
  shown_site *s = app;
  (void)req;
  if (statement) shown_run(s, statement);
  return vestry_reply_status(reply, 204);
}

/* A page that says of its presses what header says. */
static void begin(shown_site *s, const char *setup) {
  static const vestry_header header = {"Vestry-Sent", ADA};
  const vestry_memory_call call = {
      .path = "/page", .query = "0", .headers = &header, .headers_count = 1, .datastar = true};
  shown_open_with(s, notes, (vestry_postgres_pool_options){.setup = setup}, NULL, NULL);
  assert_int_equal(vestry_route(s->on.v, "POST", "/act", act, s), VESTRY_OK);
  s->all[s->count++] = (shown){.sql = "SELECT text FROM note WHERE id = 1"};
  s->all[0].stream = site_request(&s->on, &call);
  shown_settle(s);
}

/* How often the press has rendered the page. Nothing but the page waits for what was committed. */
static unsigned press(shown_site *s, const char *sent, const char *sql) {
  const vestry_header header = {"Vestry-Sent", sent};
  const vestry_memory_call call = {
      .method = "POST", .path = "/act", .headers = &header, .headers_count = 1, .datastar = true};
  statement = sql;
  s->all[0].renders = 0;
  vestry_memory_exchange *answer = site_request(&s->on, &call);
  assert_int_equal(vestry_memory_look(answer).status, 204);
  vestry_memory_destroy(answer);
  site_settle_pages(&s->on);
  return s->all[0].renders;
}

/* capability: L5 */
static void a_press_renders_what_it_has_committed(void **state) {
  (void)state;
  shown_site s;
  begin(&s, "SET enable_seqscan = off"); /* a row is found by its key */
  assert_int_equal(press(&s, ADA ".1", NULL), 0);
  assert_int_equal(press(&s, ADA ".2", "UPDATE note SET text = 'changed' WHERE id = 1"), 1);
  assert_string_equal(s.all[0].text, "changed ");
  assert_int_equal(press(&s, ADA ".3", "UPDATE note SET text = 'beside it' WHERE id = 2"), 0);
  shown_close(&s);
}

/* capability: L5 */
static void a_press_whose_commits_may_be_late_renders_its_page(void **state) {
  (void)state;
  shown_site s;
  begin(&s, "SET synchronous_commit = off");
  assert_int_equal(press(&s, ADA ".1", NULL), 1);
  shown_close(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_press_renders_what_it_has_committed),
                                     cmocka_unit_test(a_press_whose_commits_may_be_late_renders_its_page)};
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cmocka_run_group_tests(tests, shop_open_server, shop_close_server);
}
