/* SPDX-License-Identifier: MIT */
/* essay: what a transaction of PostgreSQL has read, by its locks */
/* A serializable transaction holds locks of what it has read, so that the server finds conflicts: of rows, of leaves of
 * indexes, of whole relations. No transaction waits for these. And every transaction holds a lock of each relation that
 * it has used. Both are rows of pg_locks, each with what is known of its relation.
 *
 * A read-only transaction may be taken out of it, and loses its locks: so it is READ WRITE, and rolled back: when it
 * commits, its locks stay as long as others run that began before.
 *
 * When a transaction has too many locks of rows of a table, the server takes one of the whole table instead, as a scan
 * of the table does. They differ: an insert concerns the scan, and not the rows. The server counts the scans of a
 * transaction, and the rows that scans found; of what came by an index it counts none there. A sample is no scan by
 * that count: a lock of the whole table counts as one unless so many entries and rows came by indexes that their locks
 * can have become it. A row id, or a range of them, has no lock at all where it finds nothing, and no count: a
 * statement that names row ids has read its tables.
 *
 * A subtransaction that is rolled back (a savepoint's, or that of a block of PL/pgSQL with EXCEPTION) gives up the
 * locks of the relations that it was the first to use. Its locks of rows stay, and so do its counts. By tables, and for
 * a materialized view, which has no locks of rows, relations that were scanned count as used, therefore; and any view
 * does. But only where a subtransaction can have been there: a function is written in a language that catches errors,
 * or a statement has a savepoint. For that is a look at each relation of the database.
 *
 * An index that is no B-tree may be written without a word in the WAL: what has read it depends on new versions of rows
 * of its table. A materialized view is read without such locks.
 *
 * A plan that was made before for several workers runs without them here: a worker's scans are not counted. The mark,
 * vestry.render, says at the end that the transaction is still the one that was begun. */
#include "data/postgres/footprint.h"

#include <stdio.h>
#include <stdlib.h>

#include "data/postgres/format.h"

const char vsi_postgres_begin_reads[] =
    "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE; SET LOCAL vestry.render = reads;"
    "SET LOCAL max_parallel_workers_per_gather = 0;"
    "SET LOCAL max_parallel_workers = 0; SET LOCAL jit = off";
const char vsi_postgres_begin_tables[] =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL vestry.render = tables;"
    "SET LOCAL parallel_leader_participation = on";

/* A row for each relation, and what was read of it in an array: the block of a row or a leaf, times 65,536, and the
 * row's offset, which is not 0; -1 is the whole relation. So the server looks each relation up once, and not for each
 * of its rows; and by an index (OFFSET 0), since it takes them for more than they are.
 *
 * The file of a relation is what it is now, whatever the snapshot says: the lock of the relation holds it. */
#define LOCKS                                                                                                          \
  "SELECT relation, array_agg(coalesce(page::int8 << 16 | coalesce(tuple, 0), -1)) FILTER (WHERE mode = "              \
  "'SIReadLock') AS reads, bool_or(mode = 'SIReadLock' AND page IS NULL) AS is_whole FROM pg_lock_status() WHERE pid " \
  "= pg_backend_pid() AND relation >= 16384 GROUP BY relation"
#define CAN_CATCH                                                                                                      \
  "SELECT $2::bool OR EXISTS(SELECT 1 FROM pg_proc WHERE oid >= 16384 AND prolang NOT IN (12, 13, 14)) AS can_catch "  \
  "OFFSET 0"
#define CAUGHT                                                                                                         \
  "SELECT coalesce(i.indrelid, c.oid), NULL, false FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid "      \
  "WHERE one.can_catch AND c.oid >= 16384 AND CASE WHEN c.relkind = 'm' OR ($1::bool AND c.relkind IN ('r', 't', "     \
  "'i')) THEN pg_stat_get_xact_numscans(c.oid) + pg_stat_get_xact_tuples_returned(c.oid) + "                           \
  "pg_stat_get_xact_tuples_fetched(c.oid) > 0 ELSE false END"
/* As many locks as a table has of its rows and pages before they become one of all of it; entries of its indexes, and
 * rows that came by them. */
#define ROW_LOCKS                                                                                                      \
  "(SELECT CASE WHEN r < 0 THEN current_setting('max_pred_locks_per_transaction')::int / -r - 1 ELSE r END FROM "      \
  "(SELECT current_setting('max_pred_locks_per_relation')::int) s(r))"
#define BY_INDEX                                                                                                       \
  "pg_stat_get_xact_tuples_fetched(l.relation) + (SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(indexrelid)), " \
  "0) FROM pg_index WHERE indrelid = l.relation)"
#define FOOTPRINT(flush)                                                                                               \
  "SELECT l.relation, l.reads, pg_relation_filenode(l.relation), c.relkind, c.relpersistence, c.relam = 403, "         \
  "pg_relation_filenode(i.indrelid), coalesce(i.indrelid, l.relation), "                                               \
  "CASE WHEN pg_stat_get_xact_numscans(l.relation) + pg_stat_get_xact_tuples_returned(l.relation) > 0 THEN true "      \
  "WHEN l.is_whole AND c.relkind <> 'i' THEN " BY_INDEX " <= " ROW_LOCKS                                               \
  " ELSE false END, pg_current_snapshot(), pg_current_xact_id_if_assigned() IS NOT NULL, "                             \
  "current_setting('track_counts') = 'off' OR current_setting('max_parallel_workers_per_gather') <> '0', "             \
  "coalesce(current_setting('vestry.render', true), '') = CASE WHEN $1 THEN 'tables' ELSE 'reads' END AND "            \
  "current_setting('transaction_isolation') = CASE WHEN $1 THEN 'repeatable read' ELSE 'serializable' END AND "        \
  "($1 OR current_setting('transaction_read_only') = 'off') AND "                                                      \
  "(current_setting('track_counts') = 'on' OR NOT one.can_catch), one.can_catch, "                                     \
  "current_setting('server_version_num')" flush " FROM (" CAN_CATCH ") one LEFT JOIN LATERAL (" LOCKS                  \
  " UNION ALL " CAUGHT ") l ON true "                                                                                  \
  "LEFT JOIN LATERAL (SELECT relkind, relpersistence, relam FROM pg_class WHERE oid = l.relation OFFSET 0) c ON true " \
  "LEFT JOIN pg_index i ON i.indexrelid = l.relation"

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
  IS_CAUGHT,
  VERSION
};

/* Counts of what the connection did before are flushed, so that they are the transaction's own. Before 15 they may be
 * those of more: then more counts as scanned. */
const char *vsi_postgres_footprint_sql(unsigned major) {
  return major >= 15 ? FOOTPRINT(", pg_stat_force_next_flush()") : FOOTPRINT("");
}

typedef struct used {
  char is, persistence;
  bool is_btree, is_scanned;
  uint32_t oid, file, heap;
} used;

static uint32_t number_of(const vestry_sql_row *row, enum column at) {
  return (uint32_t)vestry_sql_integer(row, at);
}

static char letter_of(const vestry_sql_row *row, enum column at) {
  const char *text = vestry_sql_text(row, at);
  return text ? *text : '\0';
}

static void add(vsi_postgres_footprint *f, vsi_postgres_keys *keys, vsi_postgres_kind kind, uint32_t relation,
                uint32_t block, uint16_t offset) {
  const vsi_postgres_key key = {.relation = relation, .block = block, .offset = offset, .kind = (uint16_t)kind};
  if (vsi_postgres_keys_add(keys, f->host, key) == VESTRY_NO_MEMORY) f->error = VESTRY_NO_MEMORY;
  /* What has written too much for more says which files. */
  const vsi_postgres_key file = {.relation = relation, .kind = VSI_POSTGRES_FILE};
  if (kind != VSI_POSTGRES_DEFINITION && vsi_postgres_keys_add(keys, f->host, file) == VESTRY_NO_MEMORY)
    f->error = VESTRY_NO_MEMORY;
}

static void add_read(vsi_postgres_footprint *f, const used *r, int64_t read) {
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
    if (r->is_scanned) return; /* add_used: that counts without locks, too */
    add(f, keys, VSI_POSTGRES_CHANGES, r->file, 0, 0);
    f->promoted_count++;
  } else {
    add(f, keys, offset ? VSI_POSTGRES_ROW : VSI_POSTGRES_ROWS, r->file, block, offset);
  }
}

/* An array as the server writes it: {1,2} */
static void add_reads(vsi_postgres_footprint *f, const used *r, const char *array) {
  for (const char *at = array; at && *at;) {
    char *end;
    const int64_t read = strtoll(at + 1, &end, 10);
    if (end == at + 1) return;
    add_read(f, r, read);
    at = end;
  }
}

static void add_used(vsi_postgres_footprint *f, const used *r) {
  bool is_table = r->is == 'r' || r->is == 'm' || r->is == 't';
  if (r->persistence != 'p' || r->is == 'S' || r->is == 'f') f->uncovered = r->oid;
  add(f, &f->keys, VSI_POSTGRES_DEFINITION, r->oid, 0, 0);
  add(f, &f->tables, VSI_POSTGRES_DEFINITION, r->oid, 0, 0);
  if (is_table) add(f, &f->tables, VSI_POSTGRES_TABLE, r->file, 0, 0);
  if (r->is == 'm' || (is_table && r->is_scanned)) add(f, &f->keys, VSI_POSTGRES_TABLE, r->file, 0, 0);
}

/* Nothing says of a view that it was used in a subtransaction that was rolled back. */
static void add_views(vsi_postgres_footprint *f) {
  const vsi_postgres_key key = vsi_postgres_views_key;
  add(f, &f->keys, key.kind, key.relation, 0, 0);
  add(f, &f->tables, key.kind, key.relation, 0, 0);
}

void vsi_postgres_footprint_row(const vestry_sql_row *row, void *ctx) {
  vsi_postgres_footprint *f = ctx;
  if (f->error) return;
  if (!f->snapshot.to) {
    const char *text = vestry_sql_text(row, SNAPSHOT);
    f->error = vsi_postgres_snapshot_read(&f->snapshot, f->host, text ? text : "");
    if (vestry_sql_integer(row, HAS_WRITTEN)) f->by_tables = true; /* it has no locks of rows that it wrote */
    if (!f->error && !vestry_sql_integer(row, IS_OWN)) f->error = VESTRY_UNSUPPORTED;
    if (!f->error && vestry_sql_integer(row, IS_CAUGHT)) add_views(f);
    f->skips_rows = !vsi_postgres_format_locks_all(number_of(row, VERSION));
  }
  if (f->error || !vestry_sql_text(row, OID)) return;
  if (f->left_out && number_of(row, TABLE) == f->left_out) return;
  const used r = {.is = letter_of(row, KIND),
                  .persistence = letter_of(row, PERSISTENCE),
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

vestry_err vsi_postgres_footprint_end(vsi_postgres_footprint *f) {
  if (!f->error && !f->snapshot.to) f->error = VESTRY_MALFORMED;
  if (f->keys.count > f->max_keys) f->by_tables = true;
  if (f->error || !f->by_tables) return f->error;
  vsi_postgres_keys_clear(&f->keys, f->host);
  for (size_t i = 0; i < f->tables.count && !f->error; i++)
    f->error = vsi_postgres_keys_add(&f->keys, f->host, f->tables.keys[i]);
  return f->error;
}

void vsi_postgres_footprint_finish(vsi_postgres_footprint *f) {
  vsi_postgres_keys_clear(&f->keys, f->host);
  vsi_postgres_keys_clear(&f->tables, f->host);
  vsi_postgres_snapshot_finish(&f->snapshot, f->host);
}
