/* SPDX-License-Identifier: MIT */
/* What a transaction has read, by what the server says of its locks. One thread at a time. */
#ifndef VSI_POSTGRES_FOOTPRINT_H
#define VSI_POSTGRES_FOOTPRINT_H

#include "data/postgres/keys.h"
#include "data/postgres/snapshot.h"
#include "vestry/data/postgres.h"

/* What a transaction begins with, and what tells what it has read: to be run at its end, for the rows. */
extern const char vsi_postgres_begin_reads[], vsi_postgres_begin_tables[];
/* Parameters: whether it was begun by tables; whether one of its statements may have rolled back a subtransaction,
 * apart from what functions do.
 *  major  the server's version */
const char *vsi_postgres_footprint_sql(unsigned major);

typedef struct vsi_postgres_footprint {
  const vestry_host *host;
  bool by_tables;    /* whole tables, whatever was read of them */
  bool names_places; /* a statement names row ids, or a sample */
  uint32_t left_out; /* the oid of a table that it does not depend on; 0: none */
  size_t max_keys;   /* of a render; beyond them it is followed by tables */
  vsi_postgres_keys keys, tables;
  vsi_postgres_snapshot snapshot;
  bool skips_rows;       /* not all rows are locked that were found by an index (format.h) */
  size_t promoted_count; /* tables of which so many rows are locked that all are */
  uint32_t uncovered;    /* the oid of a relation that the WAL does not tell of; 0: none */
  /* BUSY: a relation is younger than the snapshot, so the render is to be made again; UNSUPPORTED: this is another
   * transaction than was begun */
  vestry_err error;
} vsi_postgres_footprint;

/* host, by_tables, names_places, left_out and max_keys are set, the rest is zero. A row of it: ctx is the footprint. */
void vsi_postgres_footprint_row(const vestry_sql_row *row, void *ctx);
/* All rows came. OK | BUSY | MALFORMED | UNSUPPORTED | NO_MEMORY: it can only be finished. After OK `keys` are exact,
 * or `by_tables` is set, and they are the same as `tables`. */
vestry_err vsi_postgres_footprint_end(vsi_postgres_footprint *footprint);
void vsi_postgres_footprint_finish(vsi_postgres_footprint *footprint);

#endif
