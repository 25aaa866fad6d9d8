/* SPDX-License-Identifier: MIT */
/* Splits the WAL of a PostgreSQL server into records. Bytes come in pieces of any size, and each complete record that
 * may contain writes of a transaction is passed on. This module does not use a connection. */
#ifndef VSI_POSTGRES_WAL_H
#define VSI_POSTGRES_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/postgres/format.h"
#include "vestry/error.h"
#include "vestry/host.h"

/* The resource manager of a record; records of other managers are not passed on. */
typedef enum vsi_postgres_manager {
  VSI_POSTGRES_TRANSACTION = 1,
  VSI_POSTGRES_RELATION_MAP = 7,
  VSI_POSTGRES_HEAP2 = 9,
  VSI_POSTGRES_HEAP = 10,
  VSI_POSTGRES_BTREE = 11
} vsi_postgres_manager;

enum {
  VSI_POSTGRES_BLOCKS_MAX = 33,
  VSI_POSTGRES_RECORD_BYTES_MAX = 64 << 20 /* maximum size of a record that is passed on */
};

/* A block of a relation in a record. */
typedef struct vsi_postgres_block {
  bool is_there;
  uint8_t fork;
  uint32_t database; /* 0: of all databases */
  uint32_t relation; /* the number of its file */
  uint32_t number;
} vsi_postgres_block;

typedef struct vsi_postgres_record {
  uint64_t at; /* its position */
  uint32_t xid;
  uint8_t manager;
  uint8_t info;
  uint8_t blocks_count; /* highest number of a present block + 1 */
  vsi_postgres_block blocks[VSI_POSTGRES_BLOCKS_MAX];
  const unsigned char *main; /* valid during the call */
  size_t main_len;
} vsi_postgres_record;

/* Receives a record, on the thread that feeds. Any error ends the reading. */
typedef vestry_err (*vsi_postgres_record_fn)(const vsi_postgres_record *record, void *ctx);

typedef struct vsi_postgres_wal_options {
  const vestry_host *host;
  const vsi_postgres_format *format;
  uint64_t at;            /* position of the first byte fed: start of a page */
  uint32_t page_bytes;    /* the server's wal_block_size: a power of two, at least 512 */
  uint32_t segment_bytes; /* its wal_segment_size: a power of two, at least a page */
  vsi_postgres_record_fn tell;
  void *ctx;
} vsi_postgres_wal_options;

/* The part of the WAL to which the next byte belongs. */
typedef enum vsi_postgres_part {
  VSI_POSTGRES_BETWEEN, /* to no record */
  VSI_POSTGRES_HEAD,    /* to the header of a record */
  VSI_POSTGRES_BODY,    /* to the rest of a record that is passed on */
  VSI_POSTGRES_PASSED   /* to a record that is skipped, or whose start was not read */
} vsi_postgres_part;

/* One thread at a time. */
typedef struct vsi_postgres_wal {
  vsi_postgres_wal_options is;
  uint64_t at;            /* position of the next byte */
  uint64_t skip_to;       /* everything before it is empty: a segment that ended early */
  uint64_t record_at;     /* position of the record that is being read */
  uint64_t last_at;       /* position of the previous record; 0: unknown */
  uint64_t records_count; /* records read, including skipped ones */
  unsigned char page_head[40];
  unsigned page_head_len;
  bool in_page_head;
  bool is_first_page;
  vsi_postgres_part part; /* that is being read */
  uint32_t left;          /* bytes of it that are missing */
  unsigned char *record;  /* the record so far, beginning with its header */
  size_t record_len;
  size_t record_room;
  vestry_err error;
  char reason[160];
} vsi_postgres_wal;

/* Initialize. OK | INVALID (at, page_bytes or segment_bytes) */
vestry_err vsi_postgres_wal_init(vsi_postgres_wal *wal, const vsi_postgres_wal_options *options);
void vsi_postgres_wal_finish(vsi_postgres_wal *wal);
/* Feed the next bytes. After an error nothing more can be fed, and `reason` is a sentence without a full stop. OK |
 * MALFORMED (not WAL of this version, or not the next bytes) | UNSUPPORTED (a server with another byte order) |
 * TOO_LARGE (a record) | NO_MEMORY | an error of the record function */
vestry_err vsi_postgres_wal_feed(vsi_postgres_wal *wal, const void *data, size_t len);

#endif
