/* SPDX-License-Identifier: MIT */
/* Start and end of the program. */
#include "chat.h"

#include <stdio.h>
#include <stdlib.h>

/* Each message changes the tally of its channel, which all tabs show, and each deleted message reduces the unread
 * count. Therefore a separate thread updates the tallies periodically: two thousand tabs get an update at most twice
 * per second, whatever the number of messages and processes. */
static vestry_err bring_up_to_date(vestry_sql_transaction *transaction, void *ctx) {
  static const char *const updates[] = {
      ("INSERT INTO tally SELECT id, newest FROM (SELECT id, coalesce((SELECT max(m.id) FROM message m WHERE "
       "m.channel = c.id), 0) AS newest FROM channel c) n WHERE newest <> coalesce((SELECT t.last FROM tally t "
       "WHERE t.channel = n.id), -1) ON CONFLICT(channel) DO UPDATE SET last = excluded.last"),
      "INSERT INTO gone SELECT channel, id FROM dropped WHERE true ON CONFLICT DO NOTHING",
      ("DELETE FROM dropped WHERE EXISTS (SELECT 1 FROM gone g WHERE g.channel = dropped.channel AND "
       "g.id = dropped.id)")};
  vestry_err err = database_lock(ctx, transaction, 0); /* one process at a time */
  for (size_t i = 0; i < sizeof updates / sizeof *updates && !err; i++)
    err = vestry_sql_run(transaction, updates[i], NULL, NULL, NULL);
  return err;
}

static void count(vestry_timer *timer, void *ctx) {
  struct app *app = ctx;
  (void)timer;
  vestry_err err = vestry_sql_read(
      app->db.pool,
      "SELECT 1 FROM channel c LEFT JOIN tally t ON t.channel = c.id WHERE coalesce(t.last, -1) <> coalesce("
      "(SELECT max(m.id) FROM message m WHERE m.channel = c.id), 0) UNION ALL SELECT 1 FROM dropped LIMIT 1",
      NULL, NULL, NULL);
  if (!err) err = database_act(&app->db, bring_up_to_date, &app->db);
  if (!err) (void)vestry_refresh(app->pages, "gone", NULL);
}

/* Add a first conversation, if there is no message yet. */
static vestry_err welcome(vestry_sql_transaction *transaction, void *ctx) {
  static const char *const said[] = {
      "Welcome! Open this page in a second window, and log in with another name: each message appears in both at once.",
      ("Then cut the connection, and continue writing. Your messages appear below in grey, and are sent once, in this "
       "order, when it is back."),
      "Each channel has an address. Send the address of #random to someone; Back returns here."};
  (void)ctx;
  vestry_err err = vestry_sql_run(transaction, "SELECT 1 FROM message LIMIT 1", NULL, NULL, NULL);
  if (err != VESTRY_NOT_FOUND) return err;
  err = VESTRY_OK;
  for (int i = 0; i < (int)(sizeof said / sizeof *said) && !err; i++)
    err = vestry_sql_run(
        transaction,
        "INSERT INTO message(channel, id, author, text) SELECT min(id), CAST($1 AS integer), 'Guide', $2 FROM "
        "channel WHERE true ON CONFLICT DO NOTHING",
        VESTRY_LIST(i + 1, said[i]), NULL, NULL);
  return err;
}

/* Return whether a name is valid for a node: it is used in a page and as an element's id. */
static bool is_node(const char *name) {
  const size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
  return len && len <= NAME_MAX && !name[len];
}

static void create(struct app *app) {
  if (app->node && !is_node(app->node))
    program_refuse("chat", "node", app->node, "expected at most 40 letters, digits and -");
  if (!app->cluster_url != !app->node) {
    fprintf(stderr, "chat: --cluster and --node must be set together\n");
    exit(1);
  }
  database_create(&app->db, &app->program, app->program.application);
  app->pages = app->program.app->pages;
}

static vestry_err begin(struct app *app) {
  const vestry_page_options page = {.render = page_render, .allow = page_may_see, .layout = "chat", .app = app};
  const vestry_presence_options presence = {.name = "chat", .on_change = page_on_presence, .ctx = app};
  vestry_err err = app->welcomes ? database_act(&app->db, welcome, NULL) : VESTRY_OK;
  if (!err) err = tabs_begin(app);
  if (!err) err = vestry_page_create(app->pages, &page, &app->page);
  if (!err) err = vestry_presence_create(app->program.v, &presence, &app->presence);
  if (!err) err = cluster_begin(app);
  if (!err) err = vestry_runtime_create(&(vestry_runtime_options){.threads_count = 1}, &app->clerk);
  if (!err) err = vestry_timer_create(app->clerk, count, app, &app->timer);
  if (!err) err = vestry_timer_set(app->timer, 0, TALLY_MS);
  return err ? err : actions_mount(app);
}

/* Destroy all objects that use the application. */
static void end(struct app *app) {
  vestry_stop(app->program.v, VESTRY_NEVER_MS);
  vestry_timer_destroy(app->timer);
  vestry_runtime_destroy(app->clerk);
  cluster_leave(app);
  vestry_presence_destroy(app->presence);
  tabs_end(app);
  database_end(&app->db);
}

int main(int argc, char **argv) {
  static struct app app = {.rate = 1000,
                           .db = {.default_file = "chat.db",
                                  .sqlite_schema = (const char *)schema_sql,
                                  .sqlite_version = 3,
                                  .postgres_schema = (const char *)schema_postgres_sql}};
  const vestry_file script = {.path = "chat.js", .bytes = chat_js, .len = chat_js_len};
  const vestry_application_options application = {.acts_repeat = true, /* a repeated message is found by its nonce */
                                                  .database = &vestry_sqlite_application,
                                                  .pages = &(vestry_pages_options){.interval_ms = INTERVAL_MS},
                                                  .files =
                                                      &(vestry_files_options){.embedded = &script, .embedded_count = 1},
                                                  .own = &app};
  const vestry_program_option own[] = {
      {"postgres", "URL", "use a PostgreSQL database instead, for example\npostgresql://user@host/database",
       VESTRY_INTO(&app.db.postgres_url)},
      {"welcome", NULL, "begin with a conversation that suggests what to try", VESTRY_INTO(&app.welcomes)},
      {"rate", "N", "messages that a person may send within ten seconds [1000]",
       vestry_into_between(&app.rate, 1, 1000000)},
      {"cluster", "URL", "NATS server, nats://HOST:PORT, that connects several\nprocesses on one database [none]",
       VESTRY_INTO(&app.cluster_url)},
      {"node", "NAME", "name of this process in the cluster", VESTRY_INTO(&app.node)},
      {"secret-file", "FILE", "file with the secret of the cluster, at least 32 bytes", VESTRY_INTO(&app.secret_file)},
      {0}};
  app.program = (struct program){.own = own, .application = &application, .style = chat_css, .style_len = chat_css_len};
  program_read(&app.program, argc, argv, "chat", "Channels in which people write messages");
  create(&app);
  vestry_err err = begin(&app);
  cluster_show(&app);
  if (!err)
    program_wait(&app.program);
  else
    fprintf(stderr, "chat: cannot start (%s)\n", vestry_err_name(err));
  end(&app);
  int status = program_finish(&app.program);
  cluster_end(&app);
  return err ? 1 : status;
}
