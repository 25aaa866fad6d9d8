/* SPDX-License-Identifier: MIT */
/* essay: the reads of a statement, and a schema that changes during them */
/* The reads of a render: pages of the file, and the tables and columns that its statements name.
 *
 * The cache of SQLite and its file (cache.c) report file pages. Tables are determined for each statement text
 * that begins while a render runs. The first time, the statement is prepared again as EXPLAIN. Its program lists the
 * trees that it opens: these are all its tables. Meanwhile an authorizer receives the columns. The result is kept as
 * long as the schema is unchanged.
 *
 * The authorizer does not receive columns joined by USING or NATURAL, nor a table from which nothing else is read.
 * Therefore, all columns count as read in these cases:
 * - the text contains USING or NATURAL, or a view is read, which may contain them;
 * - a table is opened that was not named;
 * - the connection has views of TEMP, because their definitions are not examined.
 *
 * Why a change of the schema causes no miss. Kept data have the number of schema changes that were followed before the
 * data were determined. Before that, the connection reads, so that it has the current schema. If the statement itself
 * runs under another schema, that was committed later, and will be followed after this render began; and when a change
 * of the schema is followed, everything that has read before runs again (index.c). Views of TEMP, and databases
 * attached by SQL, change the meaning of a name without any commit. Therefore, connections that have these keep
 * the data of a statement only until the next one.
 *
 * A statement that reads something other than an ordinary table is marked as untracked, so that every change concerns
 * it. A PRAGMA is not prepared, because preparing may run it. A statement that cannot be prepared has read the schema.
 *
 * A module of virtual tables may have data in memory that it read from the file before this render, and not read them
 * again, as FTS5 does. Therefore, a statement that reads a virtual table is untracked, and not followed by file pages:
 * every commit concerns it. json_each and json_tree only look at their arguments. */
#include "data/sqlite/reader.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/memory.h"
#include "data/sqlite/program.h"
#include "data/sqlite/recording.h"
#include "data/sqlite/schema.h"
#include "data/sqlite/statements.h"

/* ------------------------------------------------------------------------------------------------- statements ----- */

enum { STATEMENTS_MAX = 1024 };

/* The known data of one statement. */
typedef struct known_statement {
  vsi_map_link in; /* first */
  uint64_t render; /* number of the last render to which its reads were added */
  size_t len;
  uint32_t uses_count;
  bool is_untracked, lacks_pages;
  bool is_keyed; /* some of its uses are rows whose key is bound */
  vsi_sqlite_promotion promotion;
  const char *text; /* after the uses, in its allocation */
  vsi_sqlite_use uses[];
} known_statement;

/* A name that a statement reads. */
typedef struct name {
  struct name *next;
  const char *column; /* in the same allocation */
  char table[];
} name;

/* The result of analysing a statement. */
typedef struct vsi_sqlite_analysis {
  name *names;     /* as received by the authorizer; not all tables, nor all columns */
  uint32_t *roots; /* of all trees of the main database that it opens */
  size_t roots_count, roots_room;
  vsi_sqlite_program program;
  bool opens_virtual;
  bool is_rough; /* the names are not reliable */
  bool has_failed, is_untracked;
  bool lacks_pages; /* it depends on data outside of the file pages that it fetches */
} analysis;

static void forget_statements(vsi_sqlite_reader *reader) {
  vsi_map_free_all(&reader->statements, reader->host, 0);
}

/* Hash a text. Texts come from the application, not from its users. */
static uint64_t hash_of(const char *text, size_t *ret_len) {
  *ret_len = strlen(text);
  return vsi_hash_bytes(0, text, *ret_len);
}

static known_statement *find(const vsi_sqlite_reader *reader, const char *text, size_t len, uint64_t hash) {
  vsi_map_link *at = vsi_map_first(&reader->statements, hash);
  while (at && (((known_statement *)at)->len != len || memcmp(((known_statement *)at)->text, text, len) != 0))
    at = vsi_map_further(at);
  return (known_statement *)at;
}

bool vsi_sqlite_reader_pause(vsi_sqlite_reader *reader, bool is_own) {
  bool was = reader->is_own;
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(reader->owner);
  reader->is_own = is_own;
  if (recording) recording->is_paused = is_own;
  return was;
}

/* -------------------------------------------------------------------------------- the reads of a statement -------- */

static void note(vsi_sqlite_reader *reader, const char *table, const char *column, const char *schema) {
  analysis *a = reader->analysis;
  if (schema && sqlite3_stricmp(schema, "main") != 0) return; /* temporary, or of another database */
  for (const name *at = a->names; at; at = at->next)
    if (strcmp(at->table, table) == 0 && strcmp(at->column, column) == 0) return;
  size_t table_len = strlen(table) + 1, column_len = strlen(column) + 1;
  name *made = vsi_calloc(reader->host, 1, sizeof *made + table_len + column_len);
  if (!made) {
    a->has_failed = true;
    return;
  }
  memcpy(made->table, table, table_len);
  made->column = memcpy(made->table + table_len, column, column_len);
  made->next = a->names;
  a->names = made;
}

int vsi_sqlite_reader_authorize(vsi_sqlite_reader *reader, int action, const char *first, const char *second,
                                const char *schema) {
  if (vsi_sqlite_is_odd_action(action, schema)) reader->is_odd = true;
  if (!reader->analysis) {
    /* A statement that cannot be prepared does not run, but it may under another schema. */
    vsi_sqlite_recording *recording = reader->is_own ? NULL : vsi_sqlite_reads_of(reader->owner);
    if (recording) recording->has_read = true;
    return SQLITE_OK;
  }
  switch (action) {
  case SQLITE_READ:
  case SQLITE_UPDATE: note(reader, first, second, schema); break;
  case SQLITE_INSERT:
  case SQLITE_DELETE: note(reader, first, "", schema); break;
  case SQLITE_PRAGMA: return SQLITE_DENY; /* preparing it would run it */
  default: break;
  }
  return SQLITE_OK;
}

/* Receives a row of a query of the library. Returns whether to continue. */
typedef bool (*row_fn)(sqlite3_stmt *row, void *ctx);

/* OK also if there is no row. */
static int query(sqlite3 *db, const char *sql, const char *argument, row_fn fn, void *ctx) {
  sqlite3_stmt *statement;
  int result = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  if (result) return result;
  if (argument) sqlite3_bind_text(statement, 1, argument, -1, SQLITE_STATIC);
  while ((result = sqlite3_step(statement)) == SQLITE_ROW)
    if (!fn(statement, ctx)) break;
  sqlite3_finalize(statement);
  return result == SQLITE_ROW || result == SQLITE_DONE ? SQLITE_OK : result;
}

/* The columns of a table while they are collected. */
typedef struct columns {
  vsi_sqlite_columns are;
  const vestry_host *host;
  size_t len, room; /* of the names */
  bool has_failed;
} columns;

/* Columns: name, hidden, position in the key, whether it has a default. */
static bool take_column(sqlite3_stmt *row, void *ctx) {
  columns *all = ctx;
  const char *text = (const char *)sqlite3_column_text(row, 0);
  size_t len = text ? strlen(text) + 1 : 0;
  if (!len || VSI_ARRAY_RESERVE(all->host, all->are.names, all->len, all->room, len)) return !(all->has_failed = true);
  memcpy(all->are.names + all->len, text, len);
  all->len += len;
  const uint64_t bit = vsi_sqlite_column(all->are.count++);
  const bool is_generated = sqlite3_column_int(row, 1) >= 2;
  all->are.is_made |= is_generated;
  if (is_generated) all->are.always = VSI_SQLITE_ALL_COLUMNS;
  if (sqlite3_column_int(row, 2)) all->are.always |= bit;
  if (sqlite3_column_int(row, 3)) all->are.filled |= bit;
  return true;
}

static bool take_indexed(sqlite3_stmt *row, void *ctx) {
  vsi_sqlite_columns *are = &((columns *)ctx)->are;
  int column = sqlite3_column_int(row, 0);
  bool is_partial = sqlite3_column_int(row, 1);
  if (!sqlite3_column_int(row, 2) && column >= 0 && column < VSI_SQLITE_KEYED_COLUMNS)
    are->first |= vsi_sqlite_column((size_t)column);
  if (is_partial || column < -1)
    are->always = VSI_SQLITE_ALL_COLUMNS; /* an expression of any columns */
  else if (column >= 0)
    are->always |= vsi_sqlite_column((size_t)column);
  return true;
}

vestry_err vsi_sqlite_reader_load(sqlite3 *db, vsi_sqlite_tables *tables, uint32_t number, uint32_t generation) {
  const char *table = vsi_sqlite_tables_name(tables, number);
  columns all = {.host = tables->host};
  int result =
      query(db, "SELECT name, hidden, pk, dflt_value IS NOT NULL FROM pragma_table_xinfo(?1, 'main') ORDER BY cid",
            table, take_column, &all);
  if (!result)
    result = query(db,
                   "SELECT x.cid, l.partial, x.seqno FROM pragma_index_list(?1, 'main') l, "
                   "pragma_index_xinfo(l.name, 'main') x WHERE x.key",
                   table, take_indexed, &all);
  if (result || all.has_failed || !all.are.count) {
    vsi_free(tables->host, all.are.names);
    return VESTRY_IO;
  }
  vsi_sqlite_tables_set(tables, number, generation, &all.are);
  return VESTRY_OK;
}

/* Add the trees that the program opens. */
static bool take_operation(sqlite3_stmt *row, void *ctx) {
  enum { OPERATION = 1, P1, ROOT, DATABASE, P4, FLAGS, IS_REGISTER = 16 };
  analysis *a = ((vsi_sqlite_reader *)ctx)->analysis;
  const vestry_host *host = ((vsi_sqlite_reader *)ctx)->host;
  const char *operation = (const char *)sqlite3_column_text(row, OPERATION);
  if (!operation) return !(a->has_failed = true);
  vsi_sqlite_program_add(&a->program, operation, sqlite3_column_int(row, P1), sqlite3_column_int(row, ROOT),
                         sqlite3_column_int(row, DATABASE), (const char *)sqlite3_column_text(row, P4));
  if (strcmp(operation, "VOpen") == 0 || strcmp(operation, "VUpdate") == 0) a->opens_virtual = true;
  bool opens =
      strcmp(operation, "OpenRead") == 0 || strcmp(operation, "OpenWrite") == 0 || strcmp(operation, "ReopenIdx") == 0;
  if (!opens || sqlite3_column_int(row, DATABASE) != 0) return true;
  uint32_t root = (uint32_t)sqlite3_column_int64(row, ROOT);
  if (sqlite3_column_int(row, FLAGS) & IS_REGISTER || root <= 1) {
    a->is_untracked = true; /* the schema, or a table that does not exist yet */
    return true;
  }
  for (uint32_t i = 0; i < a->roots_count; i++)
    if (a->roots[i] == root) return true;
  if (VSI_ARRAY_RESERVE(host, a->roots, a->roots_count, a->roots_room, 1)) return !(a->has_failed = true);
  a->roots[a->roots_count++] = root;
  return true;
}

/* Prepare the text as EXPLAIN: it does not run, and the authorizer receives the same calls. OK | NO_MEMORY | IO */
static vestry_err explain(vsi_sqlite_reader *reader, const char *text, analysis *a) {
  sqlite3_stmt *statement = NULL;
  char *sql = sqlite3_mprintf("EXPLAIN %s", text);
  if (!sql) return VESTRY_NO_MEMORY;
  reader->analysis = a;
  int result = sqlite3_prepare_v2(reader->db, sql, -1, &statement, NULL);
  while (!result && (result = sqlite3_step(statement)) == SQLITE_ROW) result = !take_operation(statement, reader);
  reader->analysis = NULL;
  sqlite3_finalize(statement);
  sqlite3_free(sql);
  return result == SQLITE_DONE && !a->has_failed ? VESTRY_OK : VESTRY_IO;
}

/* Examine the virtual tables: all others than json_each and json_tree, and views, which may read one, are untracked. */
static vestry_err take_virtual(vsi_sqlite_reader *reader, analysis *a) {
  static const char are_others[] =
      "SELECT (SELECT count(*) FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE AND rootpage = 0) + (SELECT"
      " count(*) FROM pragma_module_list WHERE name = ?1 COLLATE NOCASE AND name NOT IN ('json_each', 'json_tree'))";
  bool has_json = false;
  int others = 0;
  for (const name *n = a->names; n && !others; n = n->next) {
    has_json |= sqlite3_stricmp(n->table, "json_each") == 0 || sqlite3_stricmp(n->table, "json_tree") == 0;
    if (vsi_sqlite_ask(reader->db, are_others, n->table, &others)) return VESTRY_IO;
  }
  if (!has_json || others || a->is_rough) a->is_untracked = a->lacks_pages = true; /* some may not have been named */
  return VESTRY_OK;
}

/* The table to which a tree belongs. */
typedef struct tree_owner {
  vsi_sqlite_tables *tables;
  vestry_err error;
  bool is_of_system, is_index;
  uint32_t table;
} tree_owner;

static bool take_owner(sqlite3_stmt *row, void *ctx) {
  tree_owner *of = ctx;
  const char *text = (const char *)sqlite3_column_text(row, 0);
  of->is_of_system = text && sqlite3_strnicmp(text, "sqlite_", 7) == 0;
  of->is_index = sqlite3_column_int(row, 1);
  if (!of->is_of_system) of->error = text ? vsi_sqlite_tables_find(of->tables, text, &of->table) : VESTRY_NO_MEMORY;
  return false;
}

/* Find the first column of the key by which a tree is sorted, in the table's numbering. ANY_ROW: not a column */
static int find_key_column(vsi_sqlite_reader *reader, const char *root, const tree_owner *of) {
  static const char of_index[] = "SELECT x.cid FROM main.sqlite_schema s, pragma_index_xinfo(s.name, 'main') x WHERE "
                                 "s.rootpage = CAST(?1 AS INTEGER) AND x.seqno = 0";
  static const char of_table[] = "SELECT cid FROM pragma_table_xinfo(?1, 'main') WHERE pk = 1"; /* WITHOUT ROWID */
  int column = VSI_SQLITE_ANY_ROW;
  int result = vsi_sqlite_ask(reader->db, of->is_index ? of_index : of_table,
                              of->is_index ? root : vsi_sqlite_tables_name(of->tables, of->table), &column);
  return result || column < VSI_SQLITE_ROWID ? VSI_SQLITE_ANY_ROW : column;
}

/* Add the rows that are read from a tree, if they are looked up by key. Returns whether they are. */
static bool add_keyed(vsi_sqlite_reader *reader, const char *root_text, uint32_t root, const tree_owner *of,
                      uint32_t generation, const vsi_sqlite_use *use, const analysis *a, vsi_sqlite_uses *uses) {
  vsi_sqlite_source sources[VSI_SQLITE_SOURCES_MAX];
  vsi_sqlite_use keyed[VSI_SQLITE_SOURCES_MAX];
  int count = vsi_sqlite_program_sources(&a->program, root, sources);
  if (count > VSI_SQLITE_SOURCES_MAX || a->program.is_large) {
    vsi_sqlite_promote(&uses->promotion, use->table);
    return false;
  }
  int column = count > 0 ? find_key_column(reader, root_text, of) : VSI_SQLITE_ANY_ROW;
  for (int i = 0; i < count; i++) {
    keyed[i] = *use;
    keyed[i].column = (int16_t)(sources[i].is_rowid ? VSI_SQLITE_ROWID : column);
    keyed[i].is_bound = sources[i].parameter;
    keyed[i].key = keyed[i].is_bound ? sources[i].parameter : sources[i].value;
    if (vsi_sqlite_tables_key(reader->tables, use->table, generation, keyed[i].column)) continue;
    if (keyed[i].column >= VSI_SQLITE_KEYED_COLUMNS) vsi_sqlite_promote(&uses->promotion, use->table);
    return false;
  }
  for (int i = 0; i < count; i++)
    if (vsi_sqlite_uses_add(reader->host, uses, &keyed[i])) return false;
  return count >= 0;
}

/* Add the reads of the table to which a tree belongs. OK | any error */
static vestry_err take_root(vsi_sqlite_reader *reader, uint32_t root, uint32_t generation, vsi_sqlite_uses *uses,
                            analysis *a) {
  tree_owner of = {.tables = reader->tables, .error = VESTRY_IO};
  char text[16];
  snprintf(text, sizeof text, "%u", root);
  if (query(reader->db, "SELECT tbl_name, type = 'index' FROM main.sqlite_schema WHERE rootpage = CAST(?1 AS INTEGER)",
            text, take_owner, &of))
    return VESTRY_IO;
  if (of.is_of_system) {
    a->is_untracked = true;
    return VESTRY_OK;
  }
  if (of.error) return of.error;
  uint64_t bits = 0;
  vsi_sqlite_known known;
  if (!vsi_sqlite_tables_ask(reader->tables, of.table, generation, &known) &&
      vsi_sqlite_reader_load(reader->db, reader->tables, of.table, generation))
    return VESTRY_IO;
  const char *table = vsi_sqlite_tables_name(reader->tables, of.table);
  for (const name *n = a->names; n && !a->is_rough; n = n->next)
    if (sqlite3_stricmp(n->table, table) == 0)
      bits |= vsi_sqlite_tables_read(reader->tables, of.table, generation, n->column);
  const vsi_sqlite_use use = {
      .columns = bits ? bits : VSI_SQLITE_ALL_COLUMNS, .table = of.table, .column = VSI_SQLITE_ANY_ROW};
  if (add_keyed(reader, text, root, &of, generation, &use, a, uses)) return VESTRY_OK;
  return vsi_sqlite_uses_add(reader->host, uses, &use);
}

/* Return whether it reads views. */
static bool has_view(vsi_sqlite_reader *reader, const analysis *a) {
  static const char sql[] = "SELECT count(*) FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type = 'view'";
  int count = 0;
  for (const name *n = a->names; n && !count; n = n->next)
    if (vsi_sqlite_ask(reader->db, sql, n->table, &count)) return true;
  return count;
}

/* Determine the reads of a statement. a: initialized; the caller frees its members, also after an error */
static vestry_err analyse(vsi_sqlite_reader *reader, const char *text, uint32_t generation, vsi_sqlite_uses *uses,
                          analysis *a) {
  a->is_rough = reader->is_odd || strcasestr(text, "using") || strcasestr(text, "natural");
  /* A read first, so that the connection notices a change of the schema. */
  if (vsi_sqlite_exec(reader->db, "SELECT 1 FROM main.sqlite_schema LIMIT 1")) return VESTRY_IO;
  vestry_err error = explain(reader, text, a);
  a->is_rough = a->is_rough || has_view(reader, a);
  if (!error && a->opens_virtual) error = take_virtual(reader, a);
  for (uint32_t i = 0; i < a->roots_count && !error; i++) error = take_root(reader, a->roots[i], generation, uses, a);
  return error;
}

/* Keep the result for a statement. NULL: no memory */
static known_statement *keep(vsi_sqlite_reader *reader, const char *text, size_t len, uint64_t hash,
                             const vsi_sqlite_uses *uses, const analysis *found) {
  if (reader->statements.count == STATEMENTS_MAX) forget_statements(reader);
  if (vsi_map_reserve(&reader->statements, reader->host, reader->statements.count + 1)) return NULL;
  size_t uses_bytes = uses->count * sizeof *uses->uses;
  known_statement *made = vsi_calloc(reader->host, 1, sizeof *made + uses_bytes + len + 1);
  if (!made) return NULL;
  made->len = len;
  made->uses_count = uses->count;
  made->is_untracked = found->is_untracked;
  made->lacks_pages = found->lacks_pages;
  made->promotion = uses->promotion;
  for (uint32_t i = 0; i < uses->count; i++) made->is_keyed |= uses->uses[i].is_bound;
  if (uses_bytes) memcpy(made->uses, uses->uses, uses_bytes);
  made->text = memcpy((char *)made->uses + uses_bytes, text, len + 1);
  vsi_map_add(&reader->statements, &made->in, hash);
  return made;
}

/* Analyse a statement that is not kept, and keep it. NULL: its reads cannot be determined */
static known_statement *learn(vsi_sqlite_reader *reader, const char *text, size_t len, uint64_t hash,
                              uint32_t generation) {
  vsi_sqlite_uses uses = {.uses = NULL};
  analysis a = {.program = {.host = reader->host}};
  const bool was_own = vsi_sqlite_reader_pause(reader, true);
  vestry_err error = analyse(reader, text, generation, &uses, &a);
  vsi_sqlite_reader_pause(reader, was_own);
  known_statement *made = error ? NULL : keep(reader, text, len, hash, &uses, &a);
  VSI_LIST_FREE(reader->host, a.names);
  vsi_free(reader->host, a.roots);
  vsi_sqlite_program_finish(&a.program);
  vsi_sqlite_uses_finish(reader->host, &uses);
  return made;
}

static uint32_t find_parameter(const uint32_t *wanted, uint32_t count, int64_t parameter) {
  uint32_t at = 0;
  while (at < count && wanted[at] != parameter) at++;
  return at;
}

/* Add the uses of a statement, with the values that are bound to their keys. */
static void add_bound(vsi_sqlite_recording *recording, sqlite3_stmt *statement, const known_statement *known) {
  uint32_t wanted[VSI_SQLITE_KEYS_MAX], count = 0;
  int64_t values[VSI_SQLITE_KEYS_MAX];
  for (uint32_t i = 0; i < known->uses_count && count < VSI_SQLITE_KEYS_MAX; i++) {
    const vsi_sqlite_use *use = &known->uses[i];
    if (use->is_bound && find_parameter(wanted, count, use->key) == count) wanted[count++] = (uint32_t)use->key;
  }
  const uint64_t are_known = count ? vsi_sqlite_bound(statement, wanted, count, values) : 0;
  for (uint32_t i = 0; i < known->uses_count; i++) {
    vsi_sqlite_use use = known->uses[i];
    if (use.is_bound) {
      const uint32_t at = find_parameter(wanted, count, use.key);
      const bool is_known = at < count && are_known >> at & 1;
      if (at == count) vsi_sqlite_promote(&recording->uses.promotion, use.table);
      use.column = is_known ? use.column : VSI_SQLITE_ANY_ROW;
      use.key = is_known ? values[at] : 0;
      use.is_bound = false;
    }
    if (vsi_sqlite_uses_add(recording->host, &recording->uses, &use)) recording->reads_all = true;
  }
}

/* Add the reads of a statement to the recording. Only bound keys differ from those of its last run in the render. */
static void unite(vsi_sqlite_recording *recording, sqlite3_stmt *statement, known_statement *known) {
  const bool is_again = known->render == recording->number;
  if (!is_again || known->is_keyed) add_bound(recording, statement, known);
  if (is_again) return;
  known->render = recording->number;
  recording->is_untracked |= known->is_untracked;
  recording->lacks_pages |= known->lacks_pages;
  if (known->promotion.is) vsi_sqlite_promote(&recording->uses.promotion, known->promotion.table);
}

bool vsi_sqlite_reader_knows_pages(const vsi_sqlite_reader *reader) {
  return reader->cache.cache && reader->file && vsi_sqlite_file_is_watched(&reader->watch);
}

static void learn_again(vsi_sqlite_reader *reader) {
  bool was_own = vsi_sqlite_reader_pause(reader, true);
  (void)vsi_sqlite_cache_learn(&reader->cache, reader->db, reader->owner);
  vsi_sqlite_reader_pause(reader, was_own);
}

void vsi_sqlite_reader_begins(vsi_sqlite_reader *reader, sqlite3_stmt *statement) {
  vsi_sqlite_recording *recording = reader->is_own ? NULL : vsi_sqlite_reads_of(reader->owner);
  if (!recording || recording->reads_all) return;
  const char *text = sqlite3_sql(statement);
  recording->has_read = true;
  if (!text || sqlite3_stmt_isexplain(statement)) {
    recording->reads_all = true;
    return;
  }
  uint32_t generation = atomic_load_explicit(&reader->tables->generation, memory_order_acquire);
  if (reader->known_generation != generation || reader->is_odd) {
    forget_statements(reader);
    reader->known_generation = generation;
  }
  if (reader->wants_pages && reader->cache.is_lost) learn_again(reader);
  if (reader->wants_pages && !vsi_sqlite_reader_knows_pages(reader)) recording->lacks_pages = true;
  size_t len;
  uint64_t hash = hash_of(text, &len);
  known_statement *known = find(reader, text, len, hash);
  if (!known) known = learn(reader, text, len, hash, generation);
  if (known)
    unite(recording, statement, known);
  else
    recording->reads_all = true;
}

void vsi_sqlite_reader_init(vsi_sqlite_reader *reader, sqlite3 *db, void *owner, vsi_sqlite_tables *tables,
                            bool wants_pages) {
  int odd = 0, databases = 0;
  *reader =
      (vsi_sqlite_reader){.host = tables->host, .db = db, .owner = owner, .tables = tables, .wants_pages = wants_pages};
  if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &reader->file)) reader->file = NULL;
  reader->known_generation = atomic_load_explicit(&tables->generation, memory_order_acquire);
  reader->is_odd =
      vsi_sqlite_ask(db, "SELECT count(*) FROM sqlite_temp_schema WHERE type IN ('table', 'view')", NULL, &odd) ||
      odd || vsi_sqlite_ask(db, "SELECT count(*) FROM pragma_database_list", NULL, &databases) || databases > 2;
  if (wants_pages) (void)vsi_sqlite_cache_learn(&reader->cache, db, owner);
  if (reader->cache.cache && reader->file) (void)vsi_sqlite_file_watch(&reader->watch, reader->file, &reader->cache);
}

void vsi_sqlite_reader_finish(vsi_sqlite_reader *reader) {
  vsi_sqlite_file_forget(&reader->watch);
  vsi_sqlite_cache_forget(&reader->cache);
  forget_statements(reader);
}
