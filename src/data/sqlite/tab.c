/* SPDX-License-Identifier: MIT */
/* States of tabs (data/sql/tabs.c), if pages follow the database: which file pages contain states that renders have
 * read, and recording that a state was read. The database's own thread does the latter, with a separate connection. It
 * does not wait; if it cannot write, the next read requests it again. */
#include "base/memory.h"
#include "data/sqlite/sqlite.h"

enum { TOUCHES_MAX = 256 /* states that wait for being recorded as read */ };

#define EXPIRES VSI_SQL_SQLITE_NOW_S("0") " + ?3"
static const char touch_sql[] =
    "UPDATE vestry_tab SET expires = " EXPIRES " WHERE scope = ?1 AND tab = ?2 AND expires < " EXPIRES;

void vsi_sqlite_tab_touch(vestry_sqlite *database, const vsi_tab_owner *whose) {
  vsi_mutex_lock(&database->lock);
  bool is_new = database->touches_count < TOUCHES_MAX;
  for (vsi_sqlite_touch *at = database->touches; is_new && at; at = at->next)
    is_new = memcmp(at->whose.tab, whose->tab, sizeof whose->tab) != 0;
  vsi_sqlite_touch *touch =
      is_new ? vsi_calloc(database->host, 1, sizeof *touch + whose->scope.len) : NULL; /* else: the next read */
  if (touch) {
    touch->whose = *whose;
    touch->whose.scope.data = touch->scope;
    if (whose->scope.len) memcpy(touch->scope, whose->scope.data, whose->scope.len);
    touch->next = database->touches;
    database->touches = touch;
    database->touches_count++;
  }
  vsi_mutex_unlock(&database->lock);
}

static vsi_sqlite_touch *take_touches(vestry_sqlite *database) {
  vsi_mutex_lock(&database->lock);
  vsi_sqlite_touch *first = database->touches;
  database->touches = NULL;
  database->touches_count = 0;
  vsi_mutex_unlock(&database->lock);
  return first;
}

void vsi_sqlite_tab_forget_touches(vestry_sqlite *database) {
  vsi_sqlite_touch *all = take_touches(database);
  VSI_LIST_FREE(database->host, all);
}

static int touch_one(vestry_sqlite *database, const vsi_tab_owner *whose) {
  int result = SQLITE_OK;
  if (!database->touch)
    result = sqlite3_prepare_v3(database->writer_db, touch_sql, -1, SQLITE_PREPARE_PERSISTENT, &database->touch, NULL);
  sqlite3_stmt *statement = database->touch;
  const void *scope = whose->scope.len ? whose->scope.data : ""; /* NULL would not be a blob */
  if (!result) result = sqlite3_bind_blob(statement, 1, scope, (int)whose->scope.len, SQLITE_STATIC);
  if (!result) result = sqlite3_bind_blob(statement, 2, whose->tab, sizeof whose->tab, SQLITE_STATIC);
  if (!result) result = sqlite3_bind_int64(statement, 3, whose->ttl_s);
  if (!result) result = sqlite3_step(statement);
  sqlite3_reset(statement);
  return result == SQLITE_DONE ? SQLITE_OK : result;
}

void vsi_sqlite_tab_touch_all(vestry_sqlite *database) {
  vsi_mutex_lock(&database->writer_lock);
  bool is_over = false;
  for (vsi_sqlite_touch *next, *touch = take_touches(database); touch; touch = next) {
    next = touch->next;
    is_over = is_over || touch_one(database, &touch->whose); /* others would fail, too */
    vsi_free(database->host, touch);
  }
  vsi_mutex_unlock(&database->writer_lock);
}

/* --------------------------------------------------------------------------------------------------- reading ------ */

void vsi_sqlite_tab_begins(vestry_sqlite *database, const vsi_sqlite_reader *reader) {
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(database);
  if (!recording || !database->records_pages || !vsi_sqlite_reader_knows_pages(reader)) {
    atomic_store_explicit(&database->tabs_are_anywhere, true, memory_order_seq_cst);
    return;
  }
  recording->tab_pages = &database->tab_pages;
  recording->has_new_tab_pages = false;
}

/* A thread that follows a commit of another connection first counts it and then checks whether a state is on its file
 * pages. A thread that reads a state first adds its file pages and then checks the count. So at least one of the
 * threads sees the other. */
bool vsi_sqlite_tab_ends(vestry_sqlite *database, const vsi_sqlite_reader *reader) {
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(database);
  if (!recording || !recording->tab_pages) return false;
  bool is_lost = !vsi_sqlite_reader_knows_pages(reader);
  if (is_lost) atomic_store_explicit(&database->tabs_are_anywhere, true, memory_order_seq_cst);
  recording->tab_pages = NULL;
  return (recording->has_new_tab_pages || is_lost) &&
         atomic_load_explicit(&database->others, memory_order_seq_cst) != recording->others;
}
