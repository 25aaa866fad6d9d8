/* A row that comes or goes changes all columns. One that is updated changes those whose values differ; but to compare
 * costs, so only columns that somebody reads are, and all others are taken to have changed: who begins to read one of
 * them meanwhile misses nothing. When many rows were compared, it is enough.
 *
 * What is known of a table's columns is of one schema. If that is not today's any more, all columns have changed; and
 * if the schema changes before the commit, everything is refreshed for that. */
#include "sqlite/changes.h"

enum { COMPARED_MOST = 1024 };

#pragma weak sqlite3_preupdate_old
#pragma weak sqlite3_preupdate_new

static bool are_equal(sqlite3_value *one, sqlite3_value *other) {
  int type = sqlite3_value_type(one);
  if (type != sqlite3_value_type(other)) return false;
  if (type == SQLITE_NULL) return true;
  if (type == SQLITE_INTEGER) return sqlite3_value_int64(one) == sqlite3_value_int64(other);
  if (type == SQLITE_FLOAT) {
    double first = sqlite3_value_double(one), second = sqlite3_value_double(other);
    return memcmp(&first, &second, sizeof first) == 0;
  }
  const void *first = sqlite3_value_blob(one), *second = sqlite3_value_blob(other);
  int len = sqlite3_value_bytes(one);
  return len == sqlite3_value_bytes(other) && (!len || (first && second && memcmp(first, second, (size_t)len) == 0));
}

/* What a row that is older than its column has there, the column's default, is said to be NULL. */
static bool has_changed(sqlite3 *db, uint32_t column, bool is_filled) {
  sqlite3_value *before, *after;
  return sqlite3_preupdate_old(db, (int)column, &before) || sqlite3_preupdate_new(db, (int)column, &after) ||
         (is_filled && sqlite3_value_type(before) == SQLITE_NULL) || !are_equal(before, after);
}

bool vsi_sqlite_change_is_told(sqlite3 *db, int column) {
  sqlite3_value *before, *after;
  return !sqlite3_preupdate_old(db, column, &before) && !sqlite3_preupdate_new(db, column, &after) &&
         sqlite3_value_type(before) != SQLITE_NULL && !are_equal(before, after);
}

/* Of these columns, the ones that have. */
static uint64_t compare(sqlite3 *db, uint64_t columns, uint64_t filled, uint32_t columns_count) {
  uint64_t changed = 0;
  for (uint32_t i = 0; i < columns_count && columns & ~changed; i++) {
    uint64_t bit = vsi_sqlite_column(i);
    if (columns & bit & ~changed && has_changed(db, i, filled & bit)) changed |= bit;
  }
  return changed;
}

static bool find(vsi_sqlite_changes *changes, vsi_sqlite_tables *tables, uint32_t generation, const char *name) {
  uint32_t table;
  size_t len = strlen(name);
  changes->name[0] = '\0';
  if (vsi_sqlite_tables_find(tables, name, &table) || vsi_sqlite_uses_add(tables->host, &changes->uses, table, 0))
    return false;
  if (!vsi_sqlite_tables_ask(tables, table, generation, &changes->read, &changes->filled, &changes->columns_count))
    changes->read = 0;
  changes->use = 0;
  while (changes->uses.uses[changes->use].table != table) changes->use++;
  changes->generation = generation;
  if (len <= VSI_SQLITE_NAME_MOST) memcpy(changes->name, name, len + 1);
  return true;
}

void vsi_sqlite_changes_row(vsi_sqlite_changes *changes, vsi_sqlite_tables *tables, uint32_t generation, sqlite3 *db,
                            int operation, const char *table, int64_t old_rowid, int64_t new_rowid) {
  if (changes->uses.count && changes->generation != generation) changes->are_unknown = true;
  if (changes->are_unknown) return;
  if ((!*changes->name || strcmp(changes->name, table) != 0) && !find(changes, tables, generation, table)) {
    changes->are_unknown = true;
    return;
  }
  vsi_sqlite_use *use = &changes->uses.uses[changes->use];
  if (use->columns == VSI_SQLITE_ALL_COLUMNS) return;
  bool is_compared = operation == SQLITE_UPDATE && old_rowid == new_rowid && changes->read &&
                     changes->compared_count++ < COMPARED_MOST;
  uint64_t columns = changes->read & ~VSI_SQLITE_ROWS;
  uint64_t changed = is_compared ? compare(db, columns & ~use->columns, changes->filled, changes->columns_count) : 0;
  uint64_t unchanged = is_compared ? (columns & ~changed) | VSI_SQLITE_ROWS : 0;
  use->columns |= ~unchanged;
}

void vsi_sqlite_changes_clear(vsi_sqlite_changes *changes) {
  changes->uses.count = 0;
  changes->are_unknown = false;
  changes->name[0] = '\0';
  changes->compared_count = 0;
}

void vsi_sqlite_changes_finish(const vestry_host *host, vsi_sqlite_changes *changes) {
  vsi_sqlite_uses_finish(host, &changes->uses);
}
