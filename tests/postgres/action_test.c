/* SPDX-License-Identifier: MIT */
/* A client action renders only pages that read its changes in the database, not all of its page (app/page/sent.c). */
#include "postgres/shown.h"

static const char notes[] = "CREATE TABLE note(id int PRIMARY KEY, text text);"
                            "INSERT INTO note VALUES(1, 'a'), (2, 'b'); ANALYZE";
#define ADA "00000000000000ad"

static const char *statement; /* of the next action; NULL: it changes nothing */

static vestry_err act(const vestry_request *req, vestry_reply *reply, void *app) {
  shown_site *s = app;
  if (statement) shown_run(s, statement);
  return vestry_reply_status(reply, 204);
}

/* Open a page that announces its actions by a header. */
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

/* Run an action, and return the number of renders of the page. Only the page waits for commits. */
static unsigned act_and_count(shown_site *s, const char *sent, const char *sql) {
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
TEST_CASE(action_renders_only_what_it_has_committed) {
  shown_site s;
  begin(&s, "SET enable_seqscan = off"); /* so that a row is found by its key */
  assert_int_equal(act_and_count(&s, ADA ".1", NULL), 0);
  assert_int_equal(act_and_count(&s, ADA ".2", "UPDATE note SET text = 'changed' WHERE id = 1"), 1);
  assert_string_equal(s.all[0].text, "changed ");
  assert_int_equal(act_and_count(&s, ADA ".3", "UPDATE note SET text = 'beside it' WHERE id = 2"), 0);
  shown_close(&s);
}

/* capability: L5 */
TEST_CASE(action_with_asynchronous_commits_renders_its_page) {
  shown_site s;
  begin(&s, "SET synchronous_commit = off");
  assert_int_equal(act_and_count(&s, ADA ".1", NULL), 1);
  shown_close(&s);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/action", shop_open_server, shop_close_server);
}
