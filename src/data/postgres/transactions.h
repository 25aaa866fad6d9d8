/* SPDX-License-Identifier: MIT */
/* The writes of running transactions so far, according to the WAL. One thread at a time. */
#ifndef VSI_POSTGRES_TRANSACTIONS_H
#define VSI_POSTGRES_TRANSACTIONS_H

#include "base/map.h"
#include "data/postgres/keys.h"
#include "data/postgres/wal.h"

/* A system table that is not in its original file. */
typedef struct vsi_postgres_catalog {
  uint32_t file;
  uint32_t oid;
} vsi_postgres_catalog;

typedef struct vsi_postgres_transactions_options {
  const vestry_host *host;
  const vsi_postgres_format *format;
  uint32_t database;                    /* its oid; writes to other databases are skipped */
  size_t max_keys;                      /* of a transaction; beyond it everything counts */
  const vsi_postgres_catalog *catalogs; /* borrowed */
  size_t catalogs_count;
  /* Entries of a leaf, or their range, are from now on also on another leaf. */
  vestry_err (*move)(void *ctx, uint32_t relation, uint32_t from, uint32_t to);
  /* A transaction is committed. No keys: it wrote nothing that is known. The function takes the keys over, and
   * leaves an empty set.
   *  is_all  it may have changed the result of any query */
  vestry_err (*commit)(void *ctx, uint32_t xid, vsi_postgres_keys *keys, bool is_all);
  void *ctx;
} vsi_postgres_transactions_options;

/* Initialize the first member; the rest is zero. */
typedef struct vsi_postgres_transactions {
  vsi_postgres_transactions_options is;
  vsi_map by_xid;
  uint64_t over_count; /* transactions with more keys than the maximum */
} vsi_postgres_transactions;

void vsi_postgres_transactions_finish(vsi_postgres_transactions *transactions);
/* Process the next record. OK | MALFORMED | NO_MEMORY | NOT_FOUND (a system table has another file now, which
 * `catalogs` does not contain) | the errors of move and commit. After an error the writes of transactions are
 * unknown */
vestry_err vsi_postgres_transactions_take(vsi_postgres_transactions *transactions, const vsi_postgres_record *record);

#endif
