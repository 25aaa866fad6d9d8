/* SPDX-License-Identifier: MIT */
#include "data/sqlite/tables.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/log.h"

/* ------------------------------------------------------------------------------------------------------ uses ------ */

static bool are_of_same_rows(const vsi_sqlite_use *one, const vsi_sqlite_use *other) {
  return one->table == other->table && one->column == other->column && one->is_bound == other->is_bound &&
         (one->column == VSI_SQLITE_ANY_ROW || one->key == other->key);
}

/* Replace the uses of keys of a table by a use of any row. */
static void unite(vsi_sqlite_uses *uses, vsi_sqlite_use *ret_use) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < uses->count; i++) {
    if (uses->uses[i].table == ret_use->table)
      ret_use->columns |= uses->uses[i].columns;
    else
      uses->uses[count++] = uses->uses[i];
  }
  uses->count = count;
  vsi_sqlite_promote(&uses->promotion, ret_use->table);
  ret_use->column = VSI_SQLITE_ANY_ROW;
  ret_use->is_bound = false;
  ret_use->key = 0;
}

vestry_err vsi_sqlite_uses_add(const vestry_host *host, vsi_sqlite_uses *uses, const vsi_sqlite_use *use) {
  vsi_sqlite_use added = *use;
  uint32_t keys = 0;
  for (uint32_t i = 0; i < uses->count; i++) {
    vsi_sqlite_use *at = &uses->uses[i];
    if (are_of_same_rows(at, &added)) {
      at->columns |= added.columns;
      return VESTRY_OK;
    }
    keys += at->table == added.table;
  }
  if (keys >= VSI_SQLITE_KEYS_MAX) unite(uses, &added);
  if (VSI_ARRAY_RESERVE(host, uses->uses, uses->count, uses->room, 1)) return VESTRY_NO_MEMORY;
  uses->uses[uses->count++] = added;
  return VESTRY_OK;
}

static int compare(const void *a, const void *b) {
  const vsi_sqlite_use *first = a, *second = b;
  if (first->table != second->table) return first->table > second->table ? 1 : -1;
  if (first->column != second->column) return first->column > second->column ? 1 : -1;
  if (first->is_bound != second->is_bound) return first->is_bound ? 1 : -1;
  return first->column == VSI_SQLITE_ANY_ROW ? 0 : (first->key > second->key) - (first->key < second->key);
}

void vsi_sqlite_uses_sort(vsi_sqlite_uses *uses) {
  if (uses->count > 1) qsort(uses->uses, uses->count, sizeof *uses->uses, compare);
}

void vsi_sqlite_uses_finish(const vestry_host *host, vsi_sqlite_uses *uses) {
  vsi_free(host, uses->uses);
  *uses = (vsi_sqlite_uses){.uses = NULL};
}

static int compare_keys(const void *a, const void *b) {
  const vsi_sqlite_key *first = a, *second = b;
  if (first->table != second->table) return first->table > second->table ? 1 : -1;
  if (first->column != second->column) return first->column > second->column ? 1 : -1;
  return (first->key > second->key) - (first->key < second->key);
}

size_t vsi_sqlite_keys_sort(vsi_sqlite_key *keys, size_t count) {
  size_t left = 0;
  if (count > 1) qsort(keys, count, sizeof *keys, compare_keys);
  for (size_t i = 0; i < count; i++) {
    vsi_sqlite_key *before = left ? &keys[left - 1] : NULL;
    if (!before || before->table != keys[i].table || before->column != keys[i].column ||
        (before->last < INT64_MAX && before->last + 1 < keys[i].key))
      keys[left++] = keys[i];
    else if (keys[i].last > before->last)
      before->last = keys[i].last;
  }
  return left;
}

/* Return where the keys after another one begin among sorted keys. */
static size_t find_after(const vsi_sqlite_key *keys, size_t count, const vsi_sqlite_key *one) {
  size_t low = 0, high = count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (compare_keys(&keys[middle], one) <= 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

size_t vsi_sqlite_keys_begin(const vsi_sqlite_key *keys, size_t count, uint32_t table) {
  return find_after(keys, count, &(vsi_sqlite_key){.table = table, .column = INT32_MIN});
}

static bool contain(const vsi_sqlite_key *keys, size_t count, const vsi_sqlite_key *wanted) {
  const size_t after = find_after(keys, count, wanted);
  const vsi_sqlite_key *at = after ? &keys[after - 1] : NULL; /* the last one that does not begin later */
  return at && at->table == wanted->table && at->column == wanted->column && at->last >= wanted->key;
}

/* Return whether a row that is read may be a row that is changed. */
static bool matches_rows(const vsi_sqlite_use *read, const vsi_sqlite_use *changed, const vsi_sqlite_key *keys,
                         size_t keys_count) {
  if (read->column == VSI_SQLITE_ANY_ROW) return true;
  const vsi_sqlite_key wanted = {read->key, read->key, read->table, read->column};
  return !(changed->known_columns & vsi_sqlite_key_column(read->column)) || contain(keys, keys_count, &wanted);
}

bool vsi_sqlite_uses_meet(const vsi_sqlite_use *read, size_t read_count, const vsi_sqlite_use *changed,
                          const vsi_sqlite_key *keys, size_t keys_count) {
  for (size_t i = 0; i < read_count && read[i].table <= changed->table; i++)
    if (read[i].table == changed->table && read[i].columns & changed->columns &&
        matches_rows(&read[i], changed, keys, keys_count))
      return true;
  return false;
}

/* ---------------------------------------------------------------------------------------------------- tables ------ */

void vsi_sqlite_tables_init(vsi_sqlite_tables *tables, const vestry_host *host) {
  memset(tables, 0, sizeof *tables);
  tables->host = host;
  tables->max_changes_count = VSI_SQLITE_CHANGES_MAX;
  vsi_mutex_init(&tables->lock, VSI_LOCK_SQLITE_TABLES);
}

void vsi_sqlite_tables_finish(vsi_sqlite_tables *tables) {
  for (size_t i = 0; i < tables->count; i++) {
    vsi_free(tables->host, tables->tables[i]->columns.names);
    vsi_free(tables->host, tables->tables[i]);
  }
  vsi_free(tables->host, tables->tables);
  vsi_map_finish(&tables->by_name, tables->host);
  vsi_mutex_finish(&tables->lock);
}

const char *vsi_sqlite_tables_name(vsi_sqlite_tables *tables, uint32_t table) {
  vsi_mutex_lock(&tables->lock);
  const char *name = tables->tables[table]->name;
  vsi_mutex_unlock(&tables->lock);
  return name;
}

/* Hash a name in any letter case. Names come from the author of the schema, not from users, so they are not chosen to
 * collide. */
static uint64_t hash_of(const char *name) {
  uint64_t hash = 0;
  for (; *name; name++) hash = vsi_hash_mix(hash, (unsigned char)(*name >= 'A' && *name <= 'Z' ? *name + 32 : *name));
  return hash;
}

static vestry_err find_locked(vsi_sqlite_tables *tables, const char *name, uint32_t *ret_table) {
  uint64_t hash = hash_of(name);
  vsi_map_link *at = vsi_map_first(&tables->by_name, hash);
  while (at && sqlite3_stricmp(((vsi_sqlite_table *)at)->name, name) != 0) at = vsi_map_further(at);
  if (at) {
    *ret_table = ((vsi_sqlite_table *)at)->number;
    return VESTRY_OK;
  }
  if (tables->count == VSI_SQLITE_TABLES_MAX) return VESTRY_LIMIT;
  if (VSI_ARRAY_RESERVE(tables->host, tables->tables, tables->count, tables->room, 1) ||
      vsi_map_reserve(&tables->by_name, tables->host, tables->count + 1))
    return VESTRY_NO_MEMORY;
  size_t len = strlen(name) + 1;
  vsi_sqlite_table *table = vsi_calloc(tables->host, 1, sizeof *table + len);
  if (!table) return VESTRY_NO_MEMORY;
  memcpy(table->name, name, len);
  *ret_table = table->number = (uint32_t)tables->count;
  tables->tables[tables->count++] = table;
  vsi_map_add(&tables->by_name, &table->by_name, hash);
  return VESTRY_OK;
}

vestry_err vsi_sqlite_tables_find(vsi_sqlite_tables *tables, const char *name, uint32_t *ret_table) {
  vsi_mutex_lock(&tables->lock);
  const vestry_err error = find_locked(tables, name, ret_table);
  const bool becomes_full = error == VESTRY_LIMIT && !tables->is_full;
  tables->is_full |= becomes_full;
  vsi_mutex_unlock(&tables->lock);
  if (becomes_full)
    vsi_log(tables->host, VESTRY_LOG_WARN,
            "SQLite, %s: since the start, pages have read or commits have changed tables with more than %d names, so "
            "every commit renders pages that read further tables (everything_count); restart the program, and create "
            "tables under names that were used before",
            tables->path, (int)VSI_SQLITE_TABLES_MAX);
  return error;
}

static bool is_known(const vsi_sqlite_table *table, uint32_t generation) {
  return table->columns.names && table->generation == generation;
}

/* Let each connection read the data of its table again. */
static void change(vsi_sqlite_tables *tables) {
  atomic_fetch_add_explicit(&tables->version, 1, memory_order_release);
}

void vsi_sqlite_tables_set_peers(vsi_sqlite_tables *tables, bool has_peers) {
  if (atomic_exchange_explicit(&tables->has_peers, has_peers, memory_order_relaxed) != has_peers) change(tables);
}

void vsi_sqlite_tables_set(vsi_sqlite_tables *tables, uint32_t number, uint32_t generation,
                           const vsi_sqlite_columns *columns) {
  vsi_mutex_lock(&tables->lock);
  vsi_sqlite_table *table = tables->tables[number];
  if (!is_known(table, generation)) { /* otherwise another thread has done this at the same time */
    table->read = columns->always;
    table->keyed = 0;
  }
  vsi_free(tables->host, table->columns.names);
  table->generation = generation;
  table->columns = *columns;
  table->columns.always |= VSI_SQLITE_ROWS;
  change(tables);
  vsi_mutex_unlock(&tables->lock);
}

static uint64_t bits_of(const vsi_sqlite_columns *columns, const char *column) {
  const char *name = columns->names;
  for (uint32_t i = 0; *column && i < columns->count; i++, name += strlen(name) + 1)
    if (sqlite3_stricmp(name, column) == 0) return vsi_sqlite_column(i);
  /* Another name of the rowid, which changes if rows are inserted or deleted. */
  return 0;
}

uint64_t vsi_sqlite_tables_read(vsi_sqlite_tables *tables, uint32_t number, uint32_t generation, const char *column) {
  vsi_mutex_lock(&tables->lock);
  vsi_sqlite_table *table = tables->tables[number];
  uint64_t bits = VSI_SQLITE_ALL_COLUMNS;
  if (is_known(table, generation)) {
    bits = table->columns.always | bits_of(&table->columns, column);
    if (bits & ~table->read) change(tables);
    table->read |= bits;
  }
  vsi_mutex_unlock(&tables->lock);
  return bits;
}

bool vsi_sqlite_tables_key(vsi_sqlite_tables *tables, uint32_t number, uint32_t generation, int column) {
  vsi_mutex_lock(&tables->lock);
  vsi_sqlite_table *table = tables->tables[number];
  const bool is_reported = is_known(table, generation) && column >= VSI_SQLITE_ROWID &&
                           column < VSI_SQLITE_KEYED_COLUMNS && (column == VSI_SQLITE_ROWID || !table->columns.is_made);
  const uint64_t bit = is_reported ? vsi_sqlite_key_column(column) : 0;
  if (bit & ~table->keyed) change(tables);
  table->keyed |= bit;
  vsi_mutex_unlock(&tables->lock);
  return is_reported;
}

bool vsi_sqlite_tables_ask(vsi_sqlite_tables *tables, uint32_t number, uint32_t generation,
                           vsi_sqlite_known *ret_known) {
  vsi_mutex_lock(&tables->lock);
  const vsi_sqlite_table *table = tables->tables[number];
  const bool is = is_known(table, generation);
  *ret_known = (vsi_sqlite_known){.columns_count = 0};
  if (is) *ret_known = (vsi_sqlite_known){table->read, table->columns.filled, table->keyed, table->columns.count};
  if (is && vsi_sqlite_tables_have_peers(tables)) {
    ret_known->read = VSI_SQLITE_ALL_COLUMNS;
    ret_known->keyed |= VSI_SQLITE_ROWS | (table->columns.is_made ? 0 : table->columns.first);
  }
  vsi_mutex_unlock(&tables->lock);
  return is;
}
