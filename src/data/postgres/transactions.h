/* SPDX-License-Identifier: MIT */
/* What transactions have written so far, by records of the WAL, until they end. One thread at a time. */
#ifndef VSI_POSTGRES_TRANSACTIONS_H
#define VSI_POSTGRES_TRANSACTIONS_H

#include "base/map.h"
#include "data/postgres/keys.h"
#include "data/postgres/wal.h"

/* A table of the server's own that is not in the file that it began in. */
typedef struct vsi_postgres_catalog {
  uint32_t file;
  uint32_t oid;
} vsi_postgres_catalog;

typedef struct vsi_postgres_transactions_options {
  const vestry_host *host;
  const vsi_postgres_format *format;
  uint32_t database;                    /* its oid; what is written to others is passed over */
  size_t max_keys;                      /* of a transaction; beyond them whole files count */
  const vsi_postgres_catalog *catalogs; /* borrowed */
  size_t catalogs_count;
  /* Entries of a leaf, or their range, are on another leaf from now on, too. */
  vestry_err (*move)(void *ctx, uint32_t relation, uint32_t from, uint32_t to);
  /* A transaction is committed; no keys: it wrote nothing that is known. The function may take the keys, and leaves
   * none then.
   *  is_all  it may have changed what any query finds */
  vestry_err (*commit)(void *ctx, uint32_t xid, vsi_postgres_keys *keys, bool is_all);
  void *ctx;
} vsi_postgres_transactions_options;

typedef struct vsi_postgres_transactions {
  vsi_postgres_transactions_options is;
  vsi_map by_xid;
} vsi_postgres_transactions;

void vsi_postgres_transactions_init(vsi_postgres_transactions *transactions,
                                    const vsi_postgres_transactions_options *options);
void vsi_postgres_transactions_finish(vsi_postgres_transactions *transactions);
/* The next record.
 * OK | MALFORMED | NO_MEMORY | NOT_FOUND (tables of the server's own are in other files now, which `catalogs` does not
 * have) | what move and commit say. After an error it is not known any more what transactions have written */
vestry_err vsi_postgres_transactions_take(vsi_postgres_transactions *transactions, const vsi_postgres_record *record);

#endif
