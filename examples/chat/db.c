/* SPDX-License-Identifier: MIT */
#include "db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTIONS = 6, TAB_MAX_BYTES = 64 * 1024, VERSION = 2 };

vestry_err db_open(struct db *db, const char *path) {
  /* FULL: what was acknowledged is on the disk, whatever becomes of the machine. */
  const vestry_sqlite_pool_options options = {.path = path,
                                              .schema = (const char *)schema_sql,
                                              .schema_version = VERSION,
                                              .setup = "PRAGMA synchronous = FULL",
                                              .connections_count = CONNECTIONS};
  vestry_err err = vestry_sqlite_pool_create(&options, &db->pool);
  return err ? err : vestry_sqlite_sessions_create(db->pool, NULL, &db->sessions);
}

vestry_err db_welcome(struct db *db) {
  static const char said[] =
      "[\"Welcome! Open this page in a second window, and come in with another name: what one says is in both at "
      "once.\","
      "\"Then end the server with Ctrl-C, and go on writing. What you send stands below in grey, and goes out once, in "
      "this order, when the server is back.\","
      "\"Each channel has an address. Send somebody the one of #random; Back leads here again.\"]";
  return vestry_sqlite_run_alone(db->pool,
                                 "INSERT INTO message(channel, id, author, text) SELECT c.id, j.key + 1, 'Guide', "
                                 "j.value FROM json_each(?) j, (SELECT min(id) AS id FROM channel) c "
                                 "WHERE NOT EXISTS (SELECT 1 FROM message)",
                                 VESTRY_LIST(said), NULL, NULL);
}

void db_close(struct db *db) {
  vestry_sqlite_sessions_destroy(db->sessions);
  vestry_sqlite_pool_destroy(db->pool);
}

/* With each message somebody has read more, in a table of everybody's: a page that read it would be rendered for what
 * stands next to its rows in the file. So it is read aside, and refreshes whose it is. What is gone is counted with it,
 * and refreshes all. */
static void say_topics(vestry_sqlite_change *change, const char *table, int64_t rowid, void *app) {
  char topic[VESTRY_PAGE_TOPIC_MAX_BYTES];
  (void)rowid, (void)app;
  if (strcmp(table, "gone") == 0) vestry_sqlite_topic(change, "gone");
  if (strcmp(table, "seen") != 0) return;
  sqlite3_value *user = vestry_sqlite_change_value(change, VESTRY_SQLITE_NEW, 0);
  if (!user) user = vestry_sqlite_change_value(change, VESTRY_SQLITE_OLD, 0);
  const char *name = user ? (const char *)sqlite3_value_text(user) : NULL;
  snprintf(topic, sizeof topic, "seen/%s", name ? name : "");
  vestry_sqlite_topic(change, topic);
}

vestry_err db_attach(struct db *db, const char *path, vestry_pages *pages) {
  vestry_sqlite_options options = {.path = path, .topics = say_topics, .level = VESTRY_SQLITE_FILE_PAGES};
  vestry_err err = vestry_sqlite_create(pages, &options, &db->followed);
  if (err == VESTRY_UNSUPPORTED) { /* why is in the log: a commit renders more then, and no page is wrong */
    options.level = VESTRY_SQLITE_TABLES;
    err = vestry_sqlite_create(pages, &options, &db->followed);
  }
  db->level = options.level;
  return err ? err : vestry_sqlite_pool_follow(db->pool, db->followed);
}

void db_detach(struct db *db) {
  vestry_sqlite_pool_follow(db->pool, NULL);
  vestry_sqlite_destroy(db->followed);
}

/* ------------------------------------------------------------------------------------ state of tabs --------------- */

json_t *db_tab(vestry_sqlite_loan *loan, const vestry_request *req, vestry_render *render) {
  size_t len = 0;
  char *bytes = malloc(TAB_MAX_BYTES);
  if (!bytes) return NULL;
  vestry_err err = vestry_sqlite_tab_get(loan->connection, req, render, bytes, TAB_MAX_BYTES, &len);
  json_t *state = len > 0 && !err ? json_loadb(bytes, len, 0, NULL) : NULL;
  free(bytes);
  return state || (err && err != VESTRY_NOT_FOUND) ? state : json_object();
}

vestry_err db_tab_set(vestry_sqlite_loan *loan, const vestry_request *req, const json_t *state) {
  char *text = json_dumps(state, JSON_COMPACT);
  if (!text) return VESTRY_NO_MEMORY;
  vestry_err err = vestry_sqlite_tab_set(loan->connection, req, text, strlen(text));
  if (err == VESTRY_BUSY || err == VESTRY_IO) err = VESTRY_LIMIT; /* not now: as database_error has it */
  free(text);
  return err;
}
