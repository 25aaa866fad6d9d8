/* SPDX-License-Identifier: MIT */
/* What a record says of a transaction that has ended: which it was, with its subtransactions, and what other
 * connections are to look up anew because of it. */
#ifndef VSI_POSTGRES_ENDED_H
#define VSI_POSTGRES_ENDED_H

#include "data/postgres/wal.h"

typedef struct vsi_postgres_ended {
  bool is_commit;    /* otherwise it was aborted */
  uint32_t xid;      /* 0: it wrote nothing of its own */
  uint32_t database; /* 0: not said */
  uint32_t subtransactions_count;
  uint32_t messages_count;              /* to the caches of all connections */
  const unsigned char *subtransactions; /* valid as long as the record's main data */
  const unsigned char *messages;
} vsi_postgres_ended;

/* Whether a record ends a transaction; a prepared one is ended by the record that commits or aborts it. */
bool vsi_postgres_is_end(const vsi_postgres_record *record);
/* OK | MALFORMED */
vestry_err vsi_postgres_ended_read(const vsi_postgres_format *format, const vsi_postgres_record *record,
                                   vsi_postgres_ended *ret_ended);

uint32_t vsi_postgres_ended_subtransaction(const vsi_postgres_ended *ended, uint32_t number);
/* Whether a message says that a relation's definition, or the file it is in, is another one.
 *  ret_database  0: a relation of all databases
 *  ret_relation  its oid; 0: all relations */
bool vsi_postgres_ended_definition(const vsi_postgres_ended *ended, uint32_t number, uint32_t *ret_database,
                                   uint32_t *ret_relation);

#endif
