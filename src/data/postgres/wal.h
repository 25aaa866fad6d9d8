/* SPDX-License-Identifier: MIT */
/* Splits the WAL of a PostgreSQL server into records. Bytes come in pieces of any size, and each complete record that
 * may contain writes of a transaction is passed on. This module does not use a connection. */
#ifndef VSI_POSTGRES_WAL_H
#define VSI_POSTGRES_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "vestry/error.h"
#include "vestry/host.h"

/* The differences between the WAL formats of PostgreSQL's major versions. Everything else that is read here is the same
 * in 13 to 18. */
typedef struct vsi_postgres_format {
  unsigned major;
  uint16_t magic;           /* the first number of each page */
  uint8_t compressed;       /* flags that mark the image of a page as compressed */
  uint8_t statistics_bytes; /* size of an entry of dropped statistics at the end of a transaction; 0: there are none */
  uint8_t locks_all;        /* first minor version whose bitmap scans lock all rows that they count */
} vsi_postgres_format;

/* Return the format of a version; static. NULL: an unknown version, in whose WAL the same bytes may have another
 * meaning. */
const vsi_postgres_format *vsi_postgres_format_of(unsigned major);
/* Return whether a server of that version (150013: 15.13) locks everything that it reads. In earlier versions, a bitmap
 * scan that needs no column locks no rows on pages that are all-visible. */
bool vsi_postgres_format_locks_all(unsigned version);
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
  uint8_t blocks_count;                               /* highest number of a present block + 1 */
  vsi_postgres_block blocks[VSI_POSTGRES_BLOCKS_MAX]; /* those that are not there are zero */
  const unsigned char *main;                          /* valid during the call */
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
  vsi_postgres_record_fn on_record;
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
  uint64_t records_count; /* records read, including skipped ones; the caller may set it to 0 */
  unsigned char page_head[40];
  unsigned page_head_len;
  bool in_page_head;
  bool is_first_page;
  vsi_postgres_part part; /* that is being read */
  uint32_t left;          /* bytes of it that are missing */
  unsigned char *record;  /* a record that came in parts so far, beginning with its header */
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

/* ---- binary data in the server's memory format ---- */

/* A reader for such data. If they end too early, a number is 0 and `is_short` is set, so callers check it once at the
 * end. The server's byte order must be that of this machine; the first number of each page of the WAL shows it, and a
 * page with another order is rejected. */
typedef struct vsi_postgres_bytes {
  const unsigned char *at;
  size_t len; /* bytes that are left */
  bool is_short;
} vsi_postgres_bytes;

/* Take bytes; NULL: there are not enough. */
static inline const unsigned char *vsi_postgres_take(vsi_postgres_bytes *bytes, size_t len) {
  if (len > bytes->len) {
    bytes->is_short = true;
    bytes->len = 0;
    return NULL;
  }
  const unsigned char *at = bytes->at;
  bytes->at += len;
  bytes->len -= len;
  return at;
}

/* Take `count` items of `size` bytes; NULL: there are not enough. */
static inline const unsigned char *vsi_postgres_take_items(vsi_postgres_bytes *bytes, uint32_t count, size_t size) {
  if (count <= bytes->len / size) return vsi_postgres_take(bytes, count * size);
  return vsi_postgres_take(bytes, SIZE_MAX);
}

static inline uint16_t vsi_postgres_load_u16(const unsigned char *at) {
  uint16_t value;
  memcpy(&value, at, sizeof value);
  return value;
}
static inline uint32_t vsi_postgres_load_u32(const unsigned char *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}
static inline uint64_t vsi_postgres_load_u64(const unsigned char *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static inline uint8_t vsi_postgres_take_u8(vsi_postgres_bytes *bytes) {
  const unsigned char *at = vsi_postgres_take(bytes, 1);
  return at ? *at : 0;
}
static inline uint16_t vsi_postgres_take_u16(vsi_postgres_bytes *bytes) {
  const unsigned char *at = vsi_postgres_take(bytes, 2);
  return at ? vsi_postgres_load_u16(at) : 0;
}
static inline uint32_t vsi_postgres_take_u32(vsi_postgres_bytes *bytes) {
  const unsigned char *at = vsi_postgres_take(bytes, 4);
  return at ? vsi_postgres_load_u32(at) : 0;
}

#endif
