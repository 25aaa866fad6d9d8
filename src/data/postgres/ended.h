/* SPDX-License-Identifier: MIT */
/* The contents of a record that ends a transaction: the transaction, its subtransactions, and the invalidation messages
 * for the caches of other connections. The contents of a record that assigns subtransactions to their transaction. */
#ifndef VSI_POSTGRES_ENDED_H
#define VSI_POSTGRES_ENDED_H

#include "data/postgres/wal.h"

typedef struct vsi_postgres_ended {
  bool is_commit;    /* otherwise an abort */
  uint32_t xid;      /* 0: it wrote nothing itself */
  uint32_t database; /* 0: not given */
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
