/* SPDX-License-Identifier: MIT */
/* essay: changed columns, as far as a statement reads them */
/* An inserted or deleted row changes all columns. An update changes the columns whose values differ. Because comparing
 * costs time, only columns that some statement reads are compared; all others count as changed. Therefore, a statement
 * that begins to read one of them meanwhile misses nothing. After VSI_SQLITE_CHANGES_MAX rows of a transaction, no more
 * rows are compared.
 *
 * For the rowid, and for columns by which statements look rows up, all values before and after a change are noted, so
 * that lookups of other values are not refreshed. A lookup that begins meanwhile by a column without noted values is
 * refreshed. Values that follow each other become one key, so a transaction that inserts rows, or changes all rows in
 * their order, has a single key. After VSI_SQLITE_CHANGES_MAX keys of a transaction, the values are unknown.
 *
 * The known columns of a table belong to one generation of the schema. If that has passed, all columns count as
 * changed; and if the schema changes before the commit, everything is refreshed anyway. */
#include "data/sqlite/changes.h"

#include <string.h>

#include "base/array.h"

enum { KEPT_KEYS = 1024 /* keys whose memory is kept */ };

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

/* Return whether a column has changed. If a row is older than the column, its value is the column's default, but SQLite
 * reports NULL. */
static bool has_changed(sqlite3 *db, uint32_t column, bool is_filled) {
  sqlite3_value *before, *after;
  return sqlite3_preupdate_old(db, (int)column, &before) || sqlite3_preupdate_new(db, (int)column, &after) ||
         (is_filled && sqlite3_value_type(before) == SQLITE_NULL) || !are_equal(before, after);
}

/* Return the changed columns among those given. */
static uint64_t compare(sqlite3 *db, uint64_t columns, uint64_t filled, uint32_t columns_count) {
  uint64_t changed = 0;
  for (uint32_t i = 0; i < columns_count && columns & ~changed; i++) {
    uint64_t bit = vsi_sqlite_column(i);
    if (columns & bit & ~changed && has_changed(db, i, filled & bit)) changed |= bit;
  }
  return changed;
}

/* Find or add the entry of a table, and what is known of the table. For rows changed earlier, values of columns without
 * lookups were not noted. Most changes concern the same table as the one before, also those of the next transaction.
 * NULL: no memory */
static vsi_sqlite_use *find(vsi_sqlite_changes *changes, vsi_sqlite_tables *tables, uint32_t generation,
                            const char *name) {
  const uint32_t version = atomic_load_explicit(&tables->version, memory_order_acquire);
  bool is_known = changes->generation == generation && changes->version == version;
  size_t at = 0;
  if (!*changes->name || strcmp(changes->name, name) != 0) {
    const size_t len = strlen(name);
    changes->name[0] = '\0';
    if (vsi_sqlite_tables_find(tables, name, &changes->table)) return NULL;
    if (len <= VSI_SQLITE_NAME_MOST) memcpy(changes->name, name, len + 1);
    is_known = false;
  }
  if (!is_known) (void)vsi_sqlite_tables_ask(tables, changes->table, generation, &changes->known);
  changes->generation = generation;
  changes->version = version;
  while (at < changes->uses.count && changes->uses.uses[at].table != changes->table) at++;
  if (at == changes->uses.count) {
    if (VSI_ARRAY_RESERVE(tables->host, changes->uses.uses, changes->uses.count, changes->uses.room, 1)) return NULL;
    changes->uses.uses[changes->uses.count++] =
        (vsi_sqlite_use){.table = changes->table, .column = VSI_SQLITE_ANY_ROW, .known_columns = UINT64_MAX};
  }
  changes->uses.uses[at].known_columns &= changes->known.keyed;
  return &changes->uses.uses[at];
}

/* Add a value to a run that contains it, or that it extends. */
static bool extend(vsi_sqlite_key *run, const vsi_sqlite_key *added) {
  if (run->table != added->table || run->column != added->column) return false;
  if (run->last < INT64_MAX && run->last + 1 == added->key)
    run->last++;
  else if (added->key < INT64_MAX && added->key + 1 == run->key)
    run->key--;
  return run->key <= added->key && added->key <= run->last;
}

static bool add_key(vsi_sqlite_tables *tables, vsi_sqlite_changes *changes, int32_t column, int64_t key) {
  const vsi_sqlite_key added = {key, key, changes->table, column};
  vsi_sqlite_key *last = changes->keys_count ? &changes->keys[changes->keys_count - 1] : NULL;
  for (size_t i = changes->keys_count; i-- && changes->keys_count - i <= 4;) {
    vsi_sqlite_key *at = &changes->keys[i], former;
    if (!extend(at, &added)) continue;
    former = *last; /* it becomes the last one, so that it is found again after values of other columns */
    *last = *at;
    *at = former;
    return true;
  }
  if (changes->keys_count >= tables->max_changes_count) {
    changes->are_many = true;
    return false;
  }
  if (VSI_ARRAY_RESERVE(tables->host, changes->keys, changes->keys_count, changes->keys_room, 1)) return false;
  changes->keys[changes->keys_count++] = added;
  return true;
}

/* Note a value by which rows are looked up. Returns false if that is not possible: a value that is neither an integer
 * nor NULL may compare as equal to an integer, and a NULL may be an unreported default. */
static bool note_value(vsi_sqlite_tables *tables, vsi_sqlite_changes *changes, sqlite3_value *value, uint32_t column) {
  int type = sqlite3_value_type(value);
  if (type == SQLITE_INTEGER) return add_key(tables, changes, (int32_t)column, sqlite3_value_int64(value));
  return type == SQLITE_NULL && !(changes->known.filled & vsi_sqlite_column(column));
}

static bool note_column(vsi_sqlite_tables *tables, vsi_sqlite_changes *changes, sqlite3 *db, int operation,
                        uint32_t column) {
  sqlite3_value *value;
  if (operation != SQLITE_INSERT &&
      (sqlite3_preupdate_old(db, (int)column, &value) || !note_value(tables, changes, value, column)))
    return false;
  return operation == SQLITE_DELETE ||
         (!sqlite3_preupdate_new(db, (int)column, &value) && note_value(tables, changes, value, column));
}

static void note_keys(vsi_sqlite_tables *tables, vsi_sqlite_changes *changes, vsi_sqlite_use *use,
                      const vsi_sqlite_row *row) {
  uint64_t wanted = use->known_columns & ~VSI_SQLITE_ROWS;
  if (use->known_columns & VSI_SQLITE_ROWS &&
      ((row->operation != SQLITE_INSERT && !add_key(tables, changes, VSI_SQLITE_ROWID, row->old_rowid)) ||
       (row->operation != SQLITE_DELETE && !add_key(tables, changes, VSI_SQLITE_ROWID, row->new_rowid))))
    use->known_columns &= ~VSI_SQLITE_ROWS;
  for (uint32_t i = 0; wanted; i++, wanted >>= 1)
    if (wanted & 1 && !note_column(tables, changes, row->db, row->operation, i))
      use->known_columns &= ~vsi_sqlite_column(i);
}

/* Note the changed columns of a row whose rowid stays. */
static void compare_row(const vsi_sqlite_tables *tables, vsi_sqlite_changes *changes, vsi_sqlite_use *use,
                        const vsi_sqlite_row *row) {
  const vsi_sqlite_known *known = &changes->known;
  if (use->columns == VSI_SQLITE_ALL_COLUMNS) return;
  if (changes->compared_count++ >= tables->max_changes_count) {
    changes->are_many = true;
    use->columns = VSI_SQLITE_ALL_COLUMNS;
    return;
  }
  const uint64_t columns = known->read & ~VSI_SQLITE_ROWS;
  const uint64_t changed = compare(row->db, columns & ~use->columns, known->filled, known->columns_count);
  use->columns |= ~((columns & ~changed) | VSI_SQLITE_ROWS);
}

void vsi_sqlite_changes_row(vsi_sqlite_changes *changes, vsi_sqlite_tables *tables, const vsi_sqlite_row *row) {
  const uint32_t generation = atomic_load_explicit(&tables->generation, memory_order_acquire);
  if (changes->uses.count && changes->generation != generation) changes->are_unknown = true;
  vsi_sqlite_use *use = changes->are_unknown ? NULL : find(changes, tables, generation, row->table);
  changes->are_unknown = !use;
  if (!use) return;
  if (use->known_columns) note_keys(tables, changes, use, row);
  if (row->operation == SQLITE_UPDATE && row->old_rowid == row->new_rowid && changes->known.read)
    compare_row(tables, changes, use, row);
  else
    use->columns = VSI_SQLITE_ALL_COLUMNS;
}

void vsi_sqlite_changes_clear(const vestry_host *host, vsi_sqlite_changes *changes) {
  if (changes->keys_room > KEPT_KEYS) {
    vsi_free(host, changes->keys);
    changes->keys = NULL;
    changes->keys_room = 0;
  }
  changes->uses.count = changes->keys_count = 0;
  changes->are_unknown = changes->are_many = false;
  changes->compared_count = 0;
}

void vsi_sqlite_changes_finish(const vestry_host *host, vsi_sqlite_changes *changes) {
  vsi_sqlite_uses_finish(host, &changes->uses);
  vsi_free(host, changes->keys);
}
