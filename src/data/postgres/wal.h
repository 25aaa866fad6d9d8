/* SPDX-License-Identifier: MIT */
/* The WAL of a PostgreSQL server, cut into records: bytes come in, in pieces of any size, and each record that may say
 * what a transaction wrote is told once it is whole. Nothing is asked of a server here. */
#ifndef VSI_POSTGRES_WAL_H
#define VSI_POSTGRES_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/postgres/format.h"
#include "vestry/error.h"
#include "vestry/host.h"

/* Whose record it is; of the others no record is told. */
typedef enum vsi_postgres_manager {
  VSI_POSTGRES_TRANSACTION = 1,
  VSI_POSTGRES_RELATION_MAP = 7,
  VSI_POSTGRES_HEAP2 = 9,
  VSI_POSTGRES_HEAP = 10,
  VSI_POSTGRES_BTREE = 11
} vsi_postgres_manager;

enum {
  VSI_POSTGRES_BLOCKS_MAX = 33,
  VSI_POSTGRES_RECORD_BYTES_MAX = 64 << 20 /* of a record that is told */
};

/* A block of a relation that a record speaks of. */
typedef struct vsi_postgres_block {
  bool is_there;
  uint8_t fork;
  uint32_t database; /* 0: of all databases */
  uint32_t relation; /* the number of its file */
  uint32_t number;
} vsi_postgres_block;

typedef struct vsi_postgres_record {
  uint64_t at; /* where it begins */
  uint32_t xid;
  uint8_t manager;
  uint8_t info;
  uint8_t blocks_count; /* the highest that is there, and 1 */
  vsi_postgres_block blocks[VSI_POSTGRES_BLOCKS_MAX];
  const unsigned char *main; /* valid during the call */
  size_t main_len;
} vsi_postgres_record;

/* On the thread that feeds. What is not OK ends the reading. */
typedef vestry_err (*vsi_postgres_record_fn)(const vsi_postgres_record *record, void *ctx);

typedef struct vsi_postgres_wal_options {
  const vestry_host *host;
  const vsi_postgres_format *format;
  uint64_t at;            /* of the first byte that is fed: where a page begins */
  uint32_t page_bytes;    /* the server's wal_block_size: a power of two, 512 or more */
  uint32_t segment_bytes; /* its wal_segment_size: a power of two, and a page or more */
  vsi_postgres_record_fn tell;
  void *ctx;
} vsi_postgres_wal_options;

/* Of what the next byte is. */
typedef enum vsi_postgres_part {
  VSI_POSTGRES_BETWEEN, /* of no record */
  VSI_POSTGRES_HEAD,    /* of a record's head */
  VSI_POSTGRES_BODY,    /* of the rest of a record that is told */
  VSI_POSTGRES_PASSED   /* of a record that is not told, or whose beginning was not read */
} vsi_postgres_part;

/* One thread at a time. */
typedef struct vsi_postgres_wal {
  vsi_postgres_wal_options is;
  uint64_t at;            /* of the next byte */
  uint64_t skip_to;       /* all before it is empty: a segment that was left early */
  uint64_t record_at;     /* where the record begins that is being read */
  uint64_t last_at;       /* where the one before began; 0: not known */
  uint64_t records_count; /* that were read, also those that are not told */
  unsigned char page_head[40];
  unsigned page_head_len;
  bool in_page_head;
  bool is_first_page;
  vsi_postgres_part part; /* that is being read */
  uint32_t left;          /* bytes of it that are missing */
  unsigned char *record;  /* what is kept of the record, its head first */
  size_t record_len;
  size_t record_room;
  vestry_err error;
  char reason[160];
} vsi_postgres_wal;

/* OK | INVALID (at, page_bytes or segment_bytes) */
vestry_err vsi_postgres_wal_init(vsi_postgres_wal *wal, const vsi_postgres_wal_options *options);
void vsi_postgres_wal_finish(vsi_postgres_wal *wal);
/* The next bytes. After an error nothing more can be fed, and `reason` is a sentence without a full stop.
 * OK | MALFORMED (no WAL of that version, or not the next bytes of it) | UNSUPPORTED (a server whose order of bytes is
 * another) | TOO_LARGE (a record) | NO_MEMORY | tell's */
vestry_err vsi_postgres_wal_feed(vsi_postgres_wal *wal, const void *data, size_t len);

#endif
