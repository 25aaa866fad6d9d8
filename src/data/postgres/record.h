/* SPDX-License-Identifier: MIT */
/* The contents of a record of the WAL: effects on rows and on leaves of indexes, the end of a transaction, or
 * subtransactions that are assigned to their transaction. */
#ifndef VSI_POSTGRES_RECORD_H
#define VSI_POSTGRES_RECORD_H

#include "data/postgres/wal.h"

/* ---- rows and leaves ---- */

/* An effect that can change the result of a query. Operations that only move bytes (vacuum, pruning, page images,
 * locks, upper pages of indexes) have none. */
typedef enum vsi_postgres_touch {
  VSI_POSTGRES_INSERTED, /* a row, or a new version of a row, inserted into a table */
  VSI_POSTGRES_CHANGED,  /* a row: a newer version exists, or it is deleted */
  VSI_POSTGRES_ENTERED,  /* an entry inserted into a leaf of a B-tree */
  VSI_POSTGRES_MOVED     /* entries of a leaf, or their range, moved to another leaf; also if the transaction aborts */
} vsi_postgres_touch;

typedef struct vsi_postgres_touched {
  vsi_postgres_touch touch;
  uint32_t database; /* 0: a table of all databases */
  uint32_t relation; /* the number of its file */
  uint32_t block;
  uint32_t to;     /* MOVED: the other block */
  uint16_t offset; /* CHANGED: the row of the block, from 1 */
} vsi_postgres_touched;

enum { VSI_POSTGRES_TOUCHED_MAX = 2 };

/* Read the effects of a record, in their order. OK | MALFORMED (a block or number that such a record must have is
 * missing) */
vestry_err vsi_postgres_touched_read(const vsi_postgres_record *record,
                                     vsi_postgres_touched ret_touched[VSI_POSTGRES_TOUCHED_MAX], size_t *ret_count);

/* ---- transactions ---- */

/* The contents of a record that ends a transaction: the transaction, its subtransactions, and the invalidation messages
 * for the caches of other connections. */
typedef struct vsi_postgres_ended {
  bool is_commit; /* otherwise an abort */
  uint32_t xid;   /* 0: it wrote nothing itself */
  uint32_t subtransactions_count;
  uint32_t messages_count;              /* for the caches of all connections */
  const unsigned char *subtransactions; /* valid as long as the record's main data */
  const unsigned char *messages;
} vsi_postgres_ended;

/* Return whether a record ends a transaction. A prepared transaction is ended by the record that commits or aborts
 * it. */
bool vsi_postgres_is_end(const vsi_postgres_record *record);
/* Read the record. OK | MALFORMED */
vestry_err vsi_postgres_ended_read(const vsi_postgres_format *format, const vsi_postgres_record *record,
                                   vsi_postgres_ended *ret_ended);

/* Return whether a record assigns subtransactions to a transaction that has not ended. The server writes such a record
 * for each 64 subtransactions, when the last one of them is about to write. */
bool vsi_postgres_is_assignment(const vsi_postgres_record *record);
/* Read the record: its transaction and subtransactions, and is_commit = false. OK | MALFORMED */
vestry_err vsi_postgres_assignment_read(const vsi_postgres_record *record, vsi_postgres_ended *ret_assigned);

uint32_t vsi_postgres_ended_subtransaction(const vsi_postgres_ended *ended, uint32_t number);
/* Return whether a message reports that a relation has another definition, or another file.
 *  ret_database  0: a relation of all databases
 *  ret_relation  its oid; 0: all relations */
bool vsi_postgres_ended_definition(const vsi_postgres_ended *ended, uint32_t number, uint32_t *ret_database,
                                   uint32_t *ret_relation);

#endif
