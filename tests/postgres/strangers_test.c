/* SPDX-License-Identifier: MIT */
/* Storages beside other clients of the server that hold, change or take something away. What was told as stored is
 * there once, what was refused is not there, each refusal is in the log, and the storage works again afterwards. */
#include "postgres/strangers.h"

#include <stdlib.h>

#include "app/page/form_storage.h"
#include "base/memory.h"
#include "guard/tab_acts.h"
#include "postgres/shop.h"
#include "support/until.h"
#include "vestry/app/session.h"
#include "vestry/data/sql.h"

enum { ITEMS = 2 };

static site on;
static vestry_sql_pool *pool;
static vestry_sql_sessions *sessions;
static vestry_sql_once *once;
static vestry_forms_storage *forms;
static vestry_sql_tabs *tabs;
static tab_node node;
static char tokens[ITEMS][TAB_TOKEN_BYTES];
static char digits[65];

static const char *name(int item, int len) {
  snprintf(digits, sizeof digits, "%0*d", len, item + 1);
  return digits;
}

/* ---- each storage: put stores an item, look finds it (OK) or not (NOT_FOUND) ---- */

static vestry_err put_session(int item) {
  return vestry_sql_sessions_ops.save(sessions, name(item, 32), &(vestry_session_record){.user = "ann"});
}

static vestry_err look_for_session(int item) {
  vestry_session_record is = {0};
  const vestry_err error = vestry_sql_sessions_ops.load(sessions, name(item, 32), &is);
  return !error && strcmp(is.user, "ann") != 0 ? VESTRY_NOT_FOUND : error;
}

/* Run the action of a submission if it is a new one. */
static vestry_err submit(int item, vestry_once_found *ret_found) {
  const vestry_once_submission is = {.hash = name(item, 64), .owner = "", .run = "0123456789abcdef0123456789abcdef"};
  char response[8];
  size_t len;
  const vestry_err error = vestry_sql_once_ops.begin(once, &is, ret_found, response, sizeof response, &len);
  if (error || *ret_found != VESTRY_ONCE_NEW) return error;
  return vestry_sql_once_ops.finish(once, &is, "made", 4);
}

static vestry_err put_submission(int item) {
  vestry_once_found found = VESTRY_ONCE_NEW;
  const vestry_err error = submit(item, &found);
  return !error && found != VESTRY_ONCE_NEW ? VESTRY_LIMIT : error;
}

static vestry_err look_for_submission(int item) {
  vestry_once_found found;
  const vestry_err error = submit(item, &found);
  return !error && found != VESTRY_ONCE_DONE ? VESTRY_NOT_FOUND : error;
}

static vsi_form_key form_of(int item) {
  return (vsi_form_key){{"ann", 3}, name(item, 32), "form", false, 0};
}

static vestry_err put_form(int item) {
  const vsi_form_key key = form_of(item);
  const vsi_form_state typed = {.generation = 1, .number = 1, .pairs = (char[]){"a\0b"}, .len = 4};
  vsi_form_state now;
  return forms->ops->put(forms, &key, &typed, &now);
}

static vestry_err look_for_form(int item) {
  const vsi_form_key key = form_of(item);
  vsi_form_state is = {0};
  const vestry_err error = forms->ops->find(forms, &key, &is);
  vsi_free(forms->host, is.pairs);
  return !error && is.len != 4 ? VESTRY_NOT_FOUND : error;
}

static vestry_err get_tab(void *ctx, const vestry_request *req, vestry_render *render, void *buffer, size_t capacity,
                          size_t *ret_len) {
  return vestry_sql_tab_get(tabs, req, render, buffer, capacity, ret_len);
}

static vestry_err set_tab(void *ctx, const vestry_request *req, const void *data, size_t len) {
  return vestry_sql_tab_set(tabs, req, data, len);
}

static vestry_err put_tab(int item) {
  return tab_write(&node, "u", tokens[item], "draft", 5);
}

static vestry_err look_for_tab(int item) {
  tab_act reads = {.node = &node, .capacity = 100};
  tab_ask(&reads, "u", tokens[item]);
  return !reads.error && reads.read_len != 5 ? VESTRY_NOT_FOUND : reads.error;
}

typedef struct storage {
  const char *table;
  vestry_err (*put)(int item), (*look)(int item);
} storage;

static const storage storages[] = {{"vestry_session", put_session, look_for_session},
                                   {"vestry_once", put_submission, look_for_submission},
                                   {"vestry_form", put_form, look_for_form},
                                   {"vestry_tab", put_tab, look_for_tab}};

static void open_all(void) {
  static const char secret[] = "a secret that all nodes have: 32 bytes";
  shop_clear();
  site_begin_with(&on, (vestry_options){.scope = site_by_cookie}, (site_has){.secret = secret});
  site_add_pages(&on, NULL);
  node = (tab_node){.on = &on, .get = get_tab, .set = set_tab};
  assert_int_equal(vestry_postgres_pool_create(
                       &(vestry_postgres_pool_options){
                           .host = &on.th.host, .url = shop_site_url(), .connections_count = 2, .retry_ms = 1},
                       &pool),
                   VESTRY_OK);
  assert_int_equal(vestry_sql_sessions_create(pool, NULL, &sessions), VESTRY_OK);
  assert_int_equal(vestry_sql_once_create(pool, NULL, &once), VESTRY_OK);
  assert_int_equal(vestry_sql_forms_create(pool, &forms), VESTRY_OK);
  forms->host = &on.th.host;
  forms->bounds = (vestry_forms_options){.ttl_ms = 10000000, .max_bytes = 20480, .max_per_scope_count = ITEMS + 1};
  assert_int_equal(vestry_sql_tabs_create(on.pages, pool, NULL, &tabs), VESTRY_OK);
  for (int i = 0; i < ITEMS; i++) tab_begin(&node, "u", tokens[i]);
}

static void close_all(void) {
  site_close(&on);
  vestry_sql_tabs_destroy(tabs);
  vestry_sql_forms_destroy(forms);
  vestry_sql_once_destroy(once);
  vestry_sql_sessions_destroy(sessions);
  vestry_sql_pool_destroy(pool);
  test_host_assert_clean(&on.th);
}

/* A line of the log names what to do, or what is in the way. */
static bool is_explained(void) {
  static const char *const words[] = {"; ", "FATAL", "theirs"};
  bool is_it = false;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) is_it = is_it || strstr(on.th.last_log, words[i]);
  return is_it;
}

static void meet(const storage *of, size_t at) {
  char sql[64];
  open_all();
  assert_int_equal(of->put(0), VESTRY_OK);
  const unsigned is = strangers_act(of->table, at * (strangers_count + 1), 0);
  const vestry_err put = of->put(1), found = of->look(0);
  if ((put || found) && !is_explained()) fail_msg("%s", on.th.last_log);
  assert_true(!put || is & STRANGER_WRITES);
  assert_true(!found || (found == VESTRY_NOT_FOUND ? is & STRANGER_HIDES : is & (STRANGER_READS | STRANGER_WRITES)));
  strangers_rest();
  if (put) UNTIL(!of->put(1));
  for (int i = 0; i < ITEMS; i++) assert_int_equal(of->look(i), VESTRY_OK);
  snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", of->table);
  assert_int_equal(postgres_server_number(shop_server(), sql), ITEMS);
  close_all();
}

TEST_CASE(storages_lose_nothing_to_other_clients) {
  for (size_t of = 0; of < sizeof storages / sizeof *storages; of++)
    for (size_t at = 0; at < strangers_count; at++) {
      if (strangers[at].is & STRANGER_ORACLE) continue;
      print_message("%s: %s\n", storages[of].table, strangers[at].begin ? strangers[at].begin : "a setting");
      meet(&storages[of], at);
    }
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  shop_open_server(NULL);
  postgres_server_run(shop_server(), "ALTER ROLE site SET lock_timeout = 1000; ALTER ROLE site PASSWORD '" //
                      STRANGERS_PASSWORD "'");
  setenv("PGPASSWORD", STRANGERS_PASSWORD, 1);
  const int failed = cases_run("postgres/strangers", NULL, NULL);
  shop_close_server(NULL);
  return failed;
}
