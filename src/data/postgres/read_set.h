/* SPDX-License-Identifier: MIT */
/* The read set of a transaction, according to its locks in the server. One thread at a time. */
#ifndef VSI_POSTGRES_READ_SET_H
#define VSI_POSTGRES_READ_SET_H

#include "data/postgres/keys.h"
#include "vestry/data/postgres.h"

/* The statements that begin a transaction. */
extern const char *const vsi_postgres_begin_reads[], *const vsi_postgres_begin_tables[];
/* Return the query for the read set, to be run at the end of the transaction. Its parameters: whether the transaction
 * was begun at level TABLES; whether one of its statements may have rolled back a subtransaction, apart from functions.
 *  major      the server's version
 *  is_caught  it finds what subtransactions have read that were rolled back. Necessary if a statement of the
 *             transaction may have rolled one back, or the database has functions that can do so */
const char *vsi_postgres_read_set_sql(unsigned major, bool is_caught);

typedef struct vsi_postgres_read_set {
  const vestry_host *host;
  bool by_tables;    /* the keys are whole tables, whatever was read of them */
  bool names_places; /* a statement contains row ids, or a sample */
  uint32_t left_out; /* oid of a table on which it does not depend; 0: none */
  size_t max_keys;   /* of a render; beyond it the render is followed at level TABLES */
  bool is_caught;    /* that of the query */
  bool is_short;     /* a query with is_caught is necessary */
  vsi_postgres_keys keys, tables;
  vsi_postgres_snapshot snapshot;
  bool is_over;          /* there were more keys than max_keys */
  bool skips_rows;       /* not all rows found by an index are locked (wal.h) */
  size_t promoted_count; /* tables that are locked as a whole because of many locked rows */
  uint32_t uncovered;    /* oid of a relation whose writes are not in the WAL; 0: none */
  /* BUSY: a relation is newer than the snapshot, so the render must run again; UNSUPPORTED: this is another transaction
   * than the one that was begun */
  vestry_err error;
} vsi_postgres_read_set;

/* Process a row of the query. ctx is a vsi_postgres_read_set: host, by_tables, names_places, left_out, max_keys and
 * is_caught are set, the rest is zero. */
void vsi_postgres_read_set_row(const vestry_sql_row *row, void *ctx);
/* Finish after all rows. OK | BUSY | MALFORMED | UNSUPPORTED | NO_MEMORY: call only vsi_postgres_read_set_finish.
 * After OK, `keys` are exact, or `by_tables` is set and they equal `tables`. */
vestry_err vsi_postgres_read_set_end(vsi_postgres_read_set *read_set);
void vsi_postgres_read_set_finish(vsi_postgres_read_set *read_set);

#endif
