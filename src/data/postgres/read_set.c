/* SPDX-License-Identifier: MIT */
/* essay: the read set of a PostgreSQL transaction, from its locks */
/* The read set of a transaction, derived from its locks in the server.
 *
 * A serializable transaction holds locks of everything that it has read, so that the server can detect conflicts: of
 * rows, of leaves of indexes, of whole relations. No transaction waits for these locks. In addition, every transaction
 * holds a lock of each relation that it has used. Both are rows of pg_locks, which the query joins with the data of
 * their relations.
 *
 * The server may exempt a read-only transaction from this, which then loses its locks. Therefore, the transaction is
 * READ WRITE. It is rolled back, because after a commit its locks would stay as long as transactions run that began
 * before.
 *
 * If a transaction has too many locks of rows of a table, the server replaces them by one lock of the whole table. A
 * scan of the table takes the same lock. The difference matters: an insert concerns the scan, but not the rows. The
 * server counts the scans of a transaction, and the rows that scans found; rows that came through an index are not in
 * these counts. A sample does not count as a scan. Therefore, a lock of the whole table counts as a scan, unless the
 * entries and rows that came through indexes are numerous enough for their locks to have become this lock. A row id, or
 * a range of row ids, that finds nothing leaves no lock and no count; therefore, a statement that contains row ids
 * counts as a scan of its tables.
 *
 * A subtransaction that is rolled back (of a savepoint, or of a PL/pgSQL block with EXCEPTION) releases its locks of
 * relations that were not used before. Its locks of rows stay, and so do its counts. Therefore, at level TABLES, and
 * for a materialized view, which has no locks of rows, relations that were scanned count as used, also if only their
 * indexes were; and so does every view. The check examines each relation of the database. Therefore, it is only made if
 * there may have been such a subtransaction: if a function is in a language that catches errors, or a statement has a
 * savepoint.
 *
 * An index that is not a B-tree may be written without a record in the WAL. A transaction that has read it depends on
 * new versions of the table's rows. A materialized view is read without locks of rows.
 *
 * Prepared plans for parallel workers run without workers here, because the scans of a worker are not counted. The mark
 * vestry.render shows at the end that the transaction is still the one that was begun. */
#include "data/postgres/read_set.h"

#include <stdio.h>
#include <stdlib.h>

#include "data/postgres/wal.h"

/* One SELECT makes all settings, because a server takes about as long for each SET as for a small query. */
#define SETTING(name, value) "pg_catalog.set_config('" name "', '" value "', true)"
const char *const vsi_postgres_begin_reads[] = {
    "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE",
    "SELECT " SETTING("vestry.render", "reads") "," SETTING("jit", "off") "," SETTING(
        "max_parallel_workers_per_gather", "0") "," SETTING("max_parallel_workers", "0"),
    NULL};
const char *const vsi_postgres_begin_tables[] = {
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    "SELECT " SETTING("vestry.render", "tables") "," SETTING("parallel_leader_participation", "on"), NULL};

/* The query has a row for each relation, and its reads in an array: the block of a row or leaf, times 65,536, plus the
 * offset of the row, which is not 0; -1 is the whole relation. So the server looks each relation up once, and not for
 * each of its rows. OFFSET 0 makes the server use an index for this. Otherwise it would not, because it overestimates
 * the number of relations.
 *
 * The check for subtransactions that were rolled back is only in the query if there may be one, because a server sets
 * up all parts of a plan for each run. The rows of the query without it show whether it was needed.
 *
 * The file of a relation is the current one, whatever the snapshot is, because the lock of the relation prevents a
 * change. */
#define LOCKS                                                                                                          \
  "SELECT relation, pg_catalog.array_agg(coalesce(page::int8 << 16 | coalesce(tuple, 0)::int8, -1)) FILTER (WHERE "    \
  "mode = 'SIReadLock') AS reads, bool_or(mode = 'SIReadLock' AND page IS NULL) AS is_whole FROM pg_lock_status() "    \
  "WHERE pid = pg_backend_pid() AND relation >= 16384::oid GROUP BY relation"
#define CAN_CATCH                                                                                                      \
  "SELECT $2::bool OR EXISTS(SELECT 1 FROM pg_proc WHERE oid >= 16384::oid AND prolang NOT IN (12::oid, 13::oid, "     \
  "14::oid)) AS can_catch OFFSET 0"
#define CAUGHT                                                                                                         \
  "SELECT t.oid, NULL, false FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_class t ON t.oid = " \
  "coalesce(i.indrelid, c.oid) WHERE one.can_catch AND c.oid >= 16384::oid AND CASE WHEN t.relkind = 'm' OR "          \
  "($1::bool AND c.relkind IN ('r', 't', 'i')) THEN pg_stat_get_xact_numscans(c.oid) + "                               \
  "pg_stat_get_xact_tuples_returned(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid) > 0 ELSE false END"
/* The number of locks of rows and pages of a table before they are replaced by a lock of the table; entries of its
 * indexes, and rows that came through them. */
#define ROW_LOCKS                                                                                                      \
  "(SELECT CASE WHEN r < 0 THEN current_setting('max_pred_locks_per_transaction')::int / -r - 1 ELSE r END FROM "      \
  "(SELECT current_setting('max_pred_locks_per_relation')::int) s(r))"
#define BY_INDEX                                                                                                       \
  "pg_stat_get_xact_tuples_fetched(l.relation) + (SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(indexrelid)), " \
  "0)::int8 FROM pg_index WHERE indrelid = l.relation)"
#define MAY_BE_SCANNED                                                                                                 \
  "CASE WHEN pg_stat_get_xact_numscans(l.relation) + pg_stat_get_xact_tuples_returned(l.relation) > 0 THEN true WHEN " \
  "l.is_whole AND c.relkind <> 'i' THEN " BY_INDEX " <= " ROW_LOCKS " ELSE false END"
#define READ_SET(flush, more)                                                                                          \
  "SELECT l.relation, l.reads, pg_relation_filenode(l.relation::regclass), c.relkind, c.relpersistence, "              \
  "c.relam = 403::oid, pg_relation_filenode(i.indrelid::regclass), coalesce(i.indrelid, l.relation), " MAY_BE_SCANNED  \
  ", pg_current_snapshot(), pg_current_xact_id_if_assigned() IS NOT NULL, "                                            \
  "current_setting('track_counts') = 'off' OR current_setting('max_parallel_workers_per_gather') <> '0', "             \
  "coalesce(current_setting('vestry.render', true), '') = CASE WHEN $1 THEN 'tables' ELSE 'reads' END AND "            \
  "current_setting('transaction_isolation') = CASE WHEN $1 THEN 'repeatable read' ELSE 'serializable' END AND "        \
  "($1 OR current_setting('transaction_read_only') = 'off') AND "                                                      \
  "(current_setting('track_counts') = 'on' OR NOT one.can_catch), one.can_catch, "                                     \
  "current_setting('server_version_num')" flush " FROM (" CAN_CATCH ") one LEFT JOIN LATERAL (" LOCKS more             \
  ") l ON true "                                                                                                       \
  "LEFT JOIN LATERAL (SELECT relkind, relpersistence, relam FROM pg_class WHERE oid = l.relation OFFSET 0) c ON "      \
  "true LEFT JOIN pg_index i ON i.indexrelid = l.relation"

enum column {
  OID,
  READS,
  FILE_NUMBER,
  KIND,
  PERSISTENCE,
  IS_BTREE,
  HEAP,
  TABLE,
  SCANS,
  SNAPSHOT,
  HAS_WRITTEN,
  IS_UNCOUNTED,
  IS_OWN,
  CAN_BE_CAUGHT,
  VERSION
};

/* Counts of earlier work of the connection are flushed first, so that the counts belong to the transaction. Before
 * version 15 they may include earlier work: then more relations count as scanned. */
const char *vsi_postgres_read_set_sql(unsigned major, bool is_caught) {
  static const char flush[] = READ_SET(", pg_stat_force_next_flush()", ""), plain[] = READ_SET("", "");
  static const char caught_flush[] = READ_SET(", pg_stat_force_next_flush()", " UNION ALL " CAUGHT),
                    caught[] = READ_SET("", " UNION ALL " CAUGHT);
  if (is_caught) return major >= 15 ? caught_flush : caught;
  return major >= 15 ? flush : plain;
}

typedef struct used {
  char is, persistence;
  bool is_btree, is_scanned;
  uint32_t oid, file, heap;
} used;

static uint32_t number_of(const vestry_sql_row *row, enum column at) {
  return (uint32_t)vestry_sql_integer(row, at);
}

static char char_of(const vestry_sql_row *row, enum column at) {
  const char *text = vestry_sql_text(row, at);
  return text ? *text : '\0';
}

static void add(vsi_postgres_read_set *f, vsi_postgres_keys *keys, vsi_postgres_kind kind, uint32_t relation,
                uint32_t block, uint16_t offset) {
  const vsi_postgres_key key = {.relation = relation, .block = block, .offset = offset, .kind = (uint16_t)kind};
  if (vsi_postgres_keys_add(keys, f->host, key) == VESTRY_NO_MEMORY) f->error = VESTRY_NO_MEMORY;
}

static void add_read(vsi_postgres_read_set *f, const used *r, int64_t read) {
  vsi_postgres_keys *keys = &f->keys;
  const bool is_whole = read < 0;
  const uint32_t block = is_whole ? 0 : (uint32_t)(read >> 16);
  const uint16_t offset = is_whole ? 0 : (uint16_t)read;
  if (r->is == 'i' && !r->is_btree) {
    add(f, keys, VSI_POSTGRES_VERSIONS, r->heap, 0, 0);
  } else if (r->is == 'i') {
    add(f, keys, is_whole ? VSI_POSTGRES_INDEX : VSI_POSTGRES_LEAF, r->file, block, 0);
    if (f->skips_rows) add(f, keys, VSI_POSTGRES_CHANGES, r->heap, 0, 0);
  } else if (is_whole) {
    if (r->is_scanned) return; /* add_used counts it, also without locks */
    add(f, keys, VSI_POSTGRES_CHANGES, r->file, 0, 0);
    f->promoted_count++;
  } else {
    add(f, keys, offset ? VSI_POSTGRES_ROW : VSI_POSTGRES_ROWS, r->file, block, offset);
  }
}

/* Parse an array in the server's format: {1,2} */
static void add_reads(vsi_postgres_read_set *f, const used *r, const char *array) {
  for (const char *at = array; at && *at;) {
    char *end;
    const int64_t read = strtoll(at + 1, &end, 10);
    if (end == at + 1) return;
    add_read(f, r, read);
    at = end;
  }
}

static void add_used(vsi_postgres_read_set *f, const used *r) {
  bool is_table = r->is == 'r' || r->is == 'm' || r->is == 't';
  if (r->persistence != 'p' || r->is == 'S' || r->is == 'f') f->uncovered = r->oid;
  add(f, &f->keys, VSI_POSTGRES_DEFINITION, r->oid, 0, 0);
  add(f, &f->tables, VSI_POSTGRES_DEFINITION, r->oid, 0, 0);
  if (is_table) add(f, &f->tables, VSI_POSTGRES_TABLE, r->file, 0, 0);
  if (r->is == 'm' || (is_table && r->is_scanned)) add(f, &f->keys, VSI_POSTGRES_TABLE, r->file, 0, 0);
}

/* Add all views, because no lock shows a view that was used in a subtransaction that was rolled back. */
static void add_views(vsi_postgres_read_set *f) {
  const vsi_postgres_key key = vsi_postgres_views_key;
  add(f, &f->keys, key.kind, key.relation, 0, 0);
  add(f, &f->tables, key.kind, key.relation, 0, 0);
}

void vsi_postgres_read_set_row(const vestry_sql_row *row, void *ctx) {
  vsi_postgres_read_set *f = ctx;
  if (f->error) return;
  if (!f->snapshot.to) {
    const char *text = vestry_sql_text(row, SNAPSHOT);
    f->error = vsi_postgres_snapshot_read(&f->snapshot, f->host, text ? text : "");
    if (vestry_sql_integer(row, HAS_WRITTEN)) f->by_tables = true; /* there are no locks of rows that it wrote */
    if (!f->error && !vestry_sql_integer(row, IS_OWN)) f->error = VESTRY_UNSUPPORTED;
    f->is_short = vestry_sql_integer(row, CAN_BE_CAUGHT) && !f->is_caught;
    if (!f->error && f->is_caught) add_views(f);
    f->skips_rows = !vsi_postgres_format_locks_all(number_of(row, VERSION));
  }
  if (f->error || !vestry_sql_text(row, OID)) return;
  if (f->left_out && number_of(row, TABLE) == f->left_out) return;
  const used r = {.is = char_of(row, KIND),
                  .persistence = char_of(row, PERSISTENCE),
                  .is_btree = vestry_sql_integer(row, IS_BTREE),
                  .is_scanned =
                      vestry_sql_integer(row, SCANS) || vestry_sql_integer(row, IS_UNCOUNTED) || f->names_places,
                  .oid = number_of(row, OID),
                  .file = number_of(row, FILE_NUMBER),
                  .heap = number_of(row, HEAP)};
  if (!r.is) {
    f->error = VESTRY_BUSY;
    return;
  }
  add_used(f, &r);
  if (r.file) add_reads(f, &r, vestry_sql_text(row, READS));
}

vestry_err vsi_postgres_read_set_end(vsi_postgres_read_set *f) {
  if (!f->error && !f->snapshot.to) f->error = VESTRY_MALFORMED;
  f->is_over = !f->by_tables && f->keys.count > f->max_keys;
  f->by_tables |= f->is_over;
  if (f->error || !f->by_tables) return f->error;
  vsi_postgres_keys_clear(&f->keys, f->host);
  for (size_t i = 0; i < f->tables.count && !f->error; i++)
    f->error = vsi_postgres_keys_add(&f->keys, f->host, f->tables.keys[i]);
  return f->error;
}

void vsi_postgres_read_set_finish(vsi_postgres_read_set *f) {
  vsi_postgres_keys_clear(&f->keys, f->host);
  vsi_postgres_keys_clear(&f->tables, f->host);
  vsi_postgres_snapshot_finish(&f->snapshot, f->host);
}
