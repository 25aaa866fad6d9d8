/* SPDX-License-Identifier: MIT */
/* Topics that transactions refresh at all nodes of a database. */

#include "data/postgres/topics.h"
#include "data/sql/sql.h"
#include "postgres/pooler.h"
#include "postgres/shop.h"
#include "support/folder.h"
#include "support/relay.h"
#include "support/site.h"
#include "support/until.h"

/* A node with two pages, each with its own topic and tab. */
typedef struct node {
  site on;
  shop shop;
  vestry_postgres_topics *topics;
  size_t renders[2]; /* since the last check */
  unsigned marks;    /* of other nodes, before it began */
  vestry_memory_exchange *tabs[2];
} node;

static const char *const names[] = {"room/7", "room/8"};

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  node *n = app;
  const size_t at = vestry_request_value(render->request, VESTRY_IN_QUERY, "eight") != NULL;
  n->renders[at]++;
  vestry_err error = vestry_render_topic(render, names[at]);
  if (error) return error;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%d</p>", (int)n->renders[at]);
  return vestry_render_end(render, html);
}

/* Notifications arrive in the order of their commits. A mark is one that every node refuses and counts. */
static unsigned marks_count;

static void settle(node *n) {
  shop_do(&n->shop, "SELECT pg_notify('vestry', repeat('x', 1025))");
  marks_count++;
  UNTIL(n->topics->refused_count == marks_count - n->marks);
  site_settle_pages(&n->on);
}

/* url: NULL: the server's. */
static void begin_at(node *n, const char *url, uint32_t silence_ms) {
  vestry_page *page;
  memset(n, 0, sizeof *n);
  n->marks = marks_count;
  site_begin_pages(&n->on, (vestry_options){.scope = site_by_cookie}, NULL);
  test_host_init(&n->shop.th);
  assert_int_equal(shop_open(&n->shop, (vestry_postgres_pool_options){.url = url, .connections_count = 1}), VESTRY_OK);
  assert_int_equal(vestry_postgres_topics_create(n->on.pages, n->shop.pool,
                                                 &(vestry_postgres_topics_options){.silence_ms = silence_ms},
                                                 &n->topics),
                   VESTRY_OK);
  assert_int_equal(vestry_page_create(n->on.pages, &(vestry_page_options){.render = render, .app = n}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(n->on.v, "GET", "/room", vestry_page_handler, page), VESTRY_OK);
  for (size_t i = 0; i < 2; i++)
    n->tabs[i] =
        site_request(&n->on, &(vestry_memory_call){.path = "/room", .query = i ? "eight=" : NULL, .datastar = true});
  settle(n);
  n->renders[0] = n->renders[1] = 0;
}

static void begin(node *n) {
  begin_at(n, NULL, 0);
}

static void end(node *n) {
  for (size_t i = 0; i < 2; i++) vestry_memory_destroy(n->tabs[i]);
  vestry_postgres_topics_destroy(n->topics);
  site_close(&n->on);
  shop_end(&n->shop);
  test_host_assert_clean(&n->on.th);
}

static void check_renders(node *n, size_t seven, size_t eight) {
  settle(n);
  assert_int_equal(n->renders[0], seven);
  assert_int_equal(n->renders[1], eight);
  n->renders[0] = n->renders[1] = 0;
}

/* Run a transaction that refreshes topics, and ends with `ends`. */
static vestry_err act(node *n, const char *const *topics, vestry_err ends) {
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(n->shop.pool, VESTRY_SQL_SERIALIZABLE, &transaction);
  assert_int_equal(error, VESTRY_OK);
  for (; *topics && !error; topics++) error = vestry_postgres_refresh(transaction, *topics);
  return vestry_sql_end(transaction, error ? error : ends);
}

#define TOPICS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* capability: M2 */
TEST_CASE(commit_refreshes_its_topics_at_each_node) {
  node here, there;
  begin(&here);
  begin(&there);
  assert_int_equal(act(&here, TOPICS("room/7"), VESTRY_OK), VESTRY_OK);
  check_renders(&here, 1, 0);
  check_renders(&there, 1, 0);
  assert_int_equal(act(&there, TOPICS("room/8", "room/8", "room/9"), VESTRY_OK), VESTRY_OK);
  check_renders(&here, 0, 1);
  check_renders(&there, 0, 1);
  assert_int_equal(act(&here, TOPICS("room/7"), VESTRY_FAILED), VESTRY_FAILED); /* rolled back */
  check_renders(&here, 0, 0);
  check_renders(&there, 0, 0);
  assert_int_equal(here.topics->starts_count, 1);
  assert_true(here.topics->is_listening);
  end(&there);
  end(&here);
}

#define NODE_CASE(name) TEST_CASE_WITH(name, node, n, begin(n), end(n))

/* For example psql, or a trigger. */
/* capability: M2 */
NODE_CASE(any_client_can_notify_and_invalid_payloads_are_rejected) {
  shop_do(&n->shop, "NOTIFY vestry, 'room/7'");
  check_renders(n, 1, 0);
  shop_do(&n->shop, "NOTIFY vestry"); /* every page */
  check_renders(n, 1, 1);
  shop_do(&n->shop, "SELECT pg_notify('vestry', repeat('x', 1026)), pg_notify('vestry', repeat('y', 7999))");
  marks_count += 2;
  shop_do(&n->shop, "NOTIFY other, 'room/7'");
  check_renders(n, 0, 0);
}

TEST_CASE(invalid_topics_are_rejected) {
  node n;
  char longest[VESTRY_PAGE_TOPIC_MAX_BYTES + 2];
  vestry_sql_transaction *transaction;
  vestry_postgres_topics *none;
  begin(&n);
  memset(longest, 'x', sizeof longest);
  longest[sizeof longest - 1] = '\0';
  assert_int_equal(vestry_sql_begin(n.shop.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  assert_int_equal(vestry_postgres_refresh(NULL, "room/7"), VESTRY_INVALID);
  assert_int_equal(vestry_postgres_refresh(transaction, ""), VESTRY_INVALID);
  assert_int_equal(vestry_postgres_refresh(transaction, longest), VESTRY_TOO_LARGE);
  longest[VESTRY_PAGE_TOPIC_MAX_BYTES] = '\0';
  assert_int_equal(vestry_postgres_refresh(transaction, longest), VESTRY_OK);
  assert_int_equal(vestry_postgres_refresh(transaction, NULL), VESTRY_OK); /* every page */
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  check_renders(&n, 1, 1);
  assert_int_equal(vestry_postgres_topics_create(NULL, n.shop.pool, NULL, &none), VESTRY_INVALID);
  end(&n);
}

/* Topics committed meanwhile are unknown, so every page renders once. */
/* capability: M2 */
NODE_CASE(pages_render_once_after_a_server_restart) {
  postgres_server_kill(shop_server());
  postgres_server_start(shop_server(), NULL);
  UNTIL(n->topics->starts_count == 2);
  check_renders(n, 1, 1);
  assert_int_equal(act(n, TOPICS("room/7"), VESTRY_OK), VESTRY_OK);
  check_renders(n, 1, 0);
}

/* A broken network: no byte arrives, and no error. */
TEST_CASE(silent_server_is_taken_for_dead) {
  node n;
  char url[200];
  relay *way = relay_open(shop_server()->port);
  snprintf(url, sizeof url, "postgresql://postgres@127.0.0.1:%d/postgres?sslmode=disable&gssencmode=disable",
           relay_port(way));
  begin_at(&n, url, 50);
  assert_int_equal(n.topics->starts_count, 1);
  relay_hold(way, true);
  UNTIL(!n.topics->is_listening);
  relay_hold(way, false);
  UNTIL(n.topics->starts_count == 2);
  check_renders(&n, 1, 1);
  end(&n);
  relay_close(way);
}

/* A pooler begins to share the server's connections, and LISTEN stays with one of them. */
TEST_CASE(transaction_mode_pooler_is_detected) {
  if (!postgres_pooler_is_installed()) TEST_SKIP("there is no PgBouncer here (apt-get install pgbouncer)");
  if (postgres_pooler_keeps_servers())
    TEST_SKIP("this PgBouncer keeps the connection to the server, and what listens there, when its mode changes");
  node n;
  postgres_pooler pooler;
  postgres_pooler_start(&pooler, shop_server(), "session");
  begin_at(&n, pooler.url, 50);
  assert_int_equal(act(&n, TOPICS("room/7"), VESTRY_OK), VESTRY_OK);
  check_renders(&n, 1, 0);
  postgres_pooler_change(&pooler, shop_server(), "transaction");
  UNTIL(!n.topics->is_listening);
  vestry_postgres_topics_destroy(n.topics); /* its thread stops logging */
  n.topics = NULL;
  assert_non_null(strstr(n.shop.th.last_log, "pooler in session mode"));
  for (size_t i = 0; i < 2; i++) vestry_memory_destroy(n.tabs[i]);
  site_close(&n.on);
  shop_end(&n.shop);
  test_host_assert_clean(&n.on.th);
  postgres_pooler_finish(&pooler);
}

/* A new connection of the pool comes to another server, whose topics would not arrive. The receiver begins anew when
 * the pool has given it up. */
TEST_CASE(receiver_resumes_without_connections_to_another_server) {
  static const char port_sql[] = "SELECT current_setting('port')::int",
                    notify_sql[] = "SELECT pg_notify('vestry', 'room/7')";
  node n;
  postgres_server other;
  int64_t port = 0;
  char folder[FOLDER_BYTES], url[160];
  postgres_server_init(&other, 0);
  postgres_server_start(&other, NULL);
  folder_make(folder, "name");
  snprintf(url, sizeof url, "host=%s port=1 user=postgres dbname=postgres", folder);
  postgres_server_lead(folder, shop_server());
  begin_at(&n, url, 0);
  vestry_sql_pool *pool = n.shop.pool;
  postgres_server_lead(folder, &other);
  assert_int_equal(pool->ops->run_by(pool, VSI_SQL_RUN_ASIDE, port_sql, NULL, vestry_sql_row_integer, &port),
                   VESTRY_OK);
  assert_int_equal(port, other.port);
  UNTIL(!n.topics->is_listening);
  postgres_server_lead(folder, shop_server());
  UNTIL(n.topics->starts_count == 2);
  check_renders(&n, 1, 1);
  assert_int_equal(pool->ops->run_by(pool, VSI_SQL_RUN_ASIDE, notify_sql, NULL, NULL, NULL), VESTRY_OK);
  check_renders(&n, 1, 0);
  end(&n);
  folder_remove(folder);
  postgres_server_finish(&other);
}

NODE_CASE(listener_starts_while_the_server_is_away) {
  vestry_postgres_topics *early;
  postgres_server_kill(shop_server());
  UNTIL(!n->topics->is_listening);
  assert_int_equal(vestry_postgres_topics_create(n->on.pages, n->shop.pool, NULL, &early), VESTRY_OK);
  assert_false(early->is_listening);
  postgres_server_start(shop_server(), NULL);
  UNTIL(early->is_listening);
  UNTIL(n->topics->starts_count == 2);
  vestry_postgres_topics_destroy(early);
}

NODE_CASE(allocation_failure_is_returned) {
  vestry_postgres_topics *none = NULL;
  test_host_fail_in(&n->shop.th, 0);
  assert_int_equal(vestry_postgres_topics_create(n->on.pages, n->shop.pool, NULL, &none), VESTRY_NO_MEMORY);
  assert_true(test_host_has_failed(&n->shop.th));
  test_host_fail_no_more(&n->shop.th);
  assert_null(none);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/topics", shop_open_server, shop_close_server);
}
