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
 * transaction, and the rows that scans found; of what came by an index it counts none there. Ranges of row ids count as
 * scans, and have no locks.
 *
 * An index that is no B-tree may be written without a word in the WAL: what has read it depends on new versions of rows
 * of its table. A materialized view is read without such locks. */
#include "postgres/footprint.h"

#include <stdio.h>
#include <stdlib.h>

const char vsi_postgres_begin_reads[] = "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE;"
                                        "SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off";
const char vsi_postgres_begin_tables[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/* The file of a relation is what it is now, whatever the snapshot says: the lock of the relation holds it. */
#define FOOTPRINT(flush)                                                                                               \
  "SELECT l.locktype, l.mode = 'SIReadLock', l.relation, l.page, l.tuple, pg_relation_filenode(l.relation), "          \
  "c.relkind, c.relpersistence, c.relam = 403, pg_relation_filenode(i.indrelid), "                                     \
  "coalesce(i.indrelid, l.relation), "                                                                                 \
  "pg_stat_get_xact_numscans(l.relation) + pg_stat_get_xact_tuples_returned(l.relation), pg_current_snapshot(), "      \
  "pg_current_xact_id_if_assigned() IS NOT NULL, current_setting('track_counts') = 'off' OR "                          \
  "current_setting('max_parallel_workers_per_gather') <> '0'" flush                                                    \
  " FROM (SELECT 1) one LEFT JOIN pg_lock_status() l ON l.pid = pg_backend_pid() AND l.relation >= 16384 "             \
  "LEFT JOIN pg_class c ON c.oid = l.relation LEFT JOIN pg_index i ON i.indexrelid = l.relation"

enum column {
  LOCK,
  IS_READ,
  OID,
  BLOCK,
  OFFSET,
  FILE_NUMBER,
  KIND,
  PERSISTENCE,
  IS_BTREE,
  HEAP,
  TABLE,
  SCANS,
  SNAPSHOT,
  HAS_WRITTEN,
  IS_UNCOUNTED
};

/* Counts of what the connection did before are flushed, so that they are the transaction's own. Before 15 they may be
 * those of more: then more counts as scanned. */
const char *vsi_postgres_footprint_sql(unsigned major) {
  return major >= 15 ? FOOTPRINT(", pg_stat_force_next_flush()") : FOOTPRINT("");
}

typedef struct lock {
  char kind, of, persistence;
  bool is_read, is_btree, is_scanned;
  uint32_t oid, block, file, heap;
  uint16_t offset;
} lock;

static uint32_t number_of(const vestry_postgres_row *row, enum column at) {
  return (uint32_t)vestry_postgres_integer(row, at);
}

static char letter_of(const vestry_postgres_row *row, enum column at) {
  const char *text = vestry_postgres_text(row, at);
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

static void add_read(vsi_postgres_footprint *f, const lock *l) {
  vsi_postgres_keys *keys = &f->keys;
  if (l->of == 'i' && !l->is_btree) {
    add(f, keys, VSI_POSTGRES_VERSIONS, l->heap, 0, 0);
  } else if (l->of == 'i') {
    bool is_leaf = l->kind != 'r';
    add(f, keys, is_leaf ? VSI_POSTGRES_LEAF : VSI_POSTGRES_INDEX, l->file, is_leaf ? l->block : 0, 0);
  } else if (l->kind == 'r') {
    if (l->is_scanned) return; /* add_lock: that counts without locks, too */
    add(f, keys, VSI_POSTGRES_CHANGES, l->file, 0, 0);
    f->promoted_count++;
  } else if (l->kind == 'p') {
    add(f, keys, VSI_POSTGRES_ROWS, l->file, l->block, 0);
  } else {
    add(f, keys, VSI_POSTGRES_ROW, l->file, l->block, l->offset);
  }
}

static void add_lock(vsi_postgres_footprint *f, const lock *l) {
  bool is_table = l->of == 'r' || l->of == 'm' || l->of == 't';
  if (l->persistence != 'p' || l->of == 'S' || l->of == 'f') f->uncovered = l->oid;
  add(f, &f->keys, VSI_POSTGRES_DEFINITION, l->oid, 0, 0);
  add(f, &f->tables, VSI_POSTGRES_DEFINITION, l->oid, 0, 0);
  if (is_table) add(f, &f->tables, VSI_POSTGRES_TABLE, l->file, 0, 0);
  if (l->of == 'm' || (is_table && l->is_scanned)) add(f, &f->keys, VSI_POSTGRES_TABLE, l->file, 0, 0);
  if (l->is_read && l->file) add_read(f, l);
}

void vsi_postgres_footprint_row(const vestry_postgres_row *row, void *ctx) {
  vsi_postgres_footprint *f = ctx;
  if (f->error) return;
  if (!f->snapshot.to) {
    const char *text = vestry_postgres_text(row, SNAPSHOT);
    f->error = vsi_postgres_snapshot_read(&f->snapshot, f->host, text ? text : "");
    if (vestry_postgres_integer(row, HAS_WRITTEN)) f->by_tables = true; /* it has no locks of rows that it wrote */
  }
  if (f->error || !vestry_postgres_text(row, LOCK)) return;
  if (f->left_out && number_of(row, TABLE) == f->left_out) return;
  const lock l = {.kind = letter_of(row, LOCK),
                  .of = letter_of(row, KIND),
                  .persistence = letter_of(row, PERSISTENCE),
                  .is_read = vestry_postgres_integer(row, IS_READ),
                  .is_btree = vestry_postgres_integer(row, IS_BTREE),
                  .is_scanned = vestry_postgres_integer(row, SCANS) || vestry_postgres_integer(row, IS_UNCOUNTED),
                  .oid = number_of(row, OID),
                  .block = number_of(row, BLOCK),
                  .file = number_of(row, FILE_NUMBER),
                  .heap = number_of(row, HEAP),
                  .offset = (uint16_t)number_of(row, OFFSET)};
  if (l.of)
    add_lock(f, &l);
  else
    f->error = VESTRY_BUSY;
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
