/* SPDX-License-Identifier: MIT */
/* The state of a tab, a JSON object: its channel, its drafts. With PostgreSQL it is in transactions of separate
 * connections, because two requests of a tab may arrive at two nodes: the second one waits for a lock, and then reads
 * the state that the first one has written. */
#include <stdlib.h>
#include <string.h>

#include "chat.h"
#include "vestry/app/tab.h"
#ifdef EXAMPLES_POSTGRES
#include "vestry/data/postgres.h"
#endif

enum { TAB_MAX_BYTES = 64 * 1024, CONNECTIONS = 3, LOCK_TAB = 2 };

vestry_err tabs_begin(struct app *app) {
#ifdef EXAMPLES_POSTGRES
  const vestry_postgres_pool_options pool = {.url = app->db.postgres_url, .connections_count = CONNECTIONS};
  vestry_err err = app->db.postgres_url ? vestry_postgres_pool_create(&pool, &app->tabs_pool) : VESTRY_OK;
  if (err) return err;
#endif
  return vestry_sql_tabs_create(app->pages, app->tabs_pool ? app->tabs_pool : app->db.pool, NULL, &app->tabs);
}

void tabs_end(struct app *app) {
  vestry_sql_tabs_destroy(app->tabs);
  vestry_sql_pool_destroy(app->tabs_pool);
}

json_t *tabs_get(struct app *app, const vestry_request *req, vestry_render *render) {
  size_t len = 0;
  char *bytes = malloc(TAB_MAX_BYTES);
  if (!bytes) return NULL;
  vestry_err err = vestry_sql_tab_get(app->tabs, req, render, bytes, TAB_MAX_BYTES, &len);
  json_t *state = len > 0 && !err ? json_loadb(bytes, len, 0, NULL) : NULL;
  free(bytes);
  return state || (err && err != VESTRY_NOT_FOUND) ? state : json_object();
}

struct changing {
  struct app *app;
  const vestry_request *req;
  vestry_sql_act_fn fn;
  tabs_fn tab;
  void *ctx;
};

static vestry_err lock_tab(vestry_sql_transaction *transaction, const vestry_request *req) {
  char tab[VESTRY_TAB_ID_BYTES];
  vestry_err err = vestry_tab_id(req, tab);
  if (err) return err;
  return vestry_sql_run(transaction, "SELECT pg_advisory_xact_lock($1, hashtext($2))",
                        VESTRY_LIST((int)LOCK_TAB, (const char *)tab), NULL, NULL);
}

static vestry_err change_state(vestry_sql_transaction *transaction, void *ctx) {
  const struct changing *of = ctx;
  vestry_err err = of->fn ? of->fn(transaction, of->ctx) : VESTRY_OK;
  if (!err && of->app->tabs_pool) err = lock_tab(transaction, of->req);
  if (err) return err;
  json_t *state = tabs_get(of->app, of->req, NULL);
  err = state ? of->tab(state, of->ctx) : VESTRY_LIMIT;
  char *text = err ? NULL : json_dumps(state, JSON_COMPACT);
  json_decref(state);
  if (!err) err = text ? vestry_sql_tab_set(of->app->tabs, of->req, text, strlen(text)) : VESTRY_NO_MEMORY;
  free(text);
  return err;
}

vestry_err tabs_change(struct app *app, const vestry_request *req, vestry_sql_act_fn fn, tabs_fn tab, void *ctx) {
  struct changing of = {.app = app, .req = req, .fn = fn, .tab = tab, .ctx = ctx};
  vestry_err err = fn && app->tabs_pool ? database_act(&app->db, fn, ctx) : VESTRY_OK;
  if (app->tabs_pool) of.fn = NULL; /* it has run */
  return err ? err : database_act(&app->db, change_state, &of);
}
