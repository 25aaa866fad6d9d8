/* SPDX-License-Identifier: MIT */
/* WAL for tests, in the form that a server writes: pages with headers, records that continue across pages, segments
 * left early, and abandoned records. */
#ifndef TESTS_POSTGRES_WRITTEN_H
#define TESTS_POSTGRES_WRITTEN_H

#include "data/postgres/wal.h"

enum { WRITTEN_AT = 3 << 16, WRITTEN_PAGE = 512, WRITTEN_SEGMENT = 4096, WRITTEN_DATABASE = 5 };

typedef struct written {
  const vsi_postgres_format *format;
  uint64_t at; /* position of the next byte */
  uint64_t last_at;
  uint32_t page_bytes;
  uint32_t segment_bytes;
  unsigned char *bytes; /* all bytes from the first page on */
  size_t len;
  size_t room;
} written;

/* A record under construction. */
typedef struct written_record {
  unsigned char head[2048], tail[4096];
  size_t head_len, tail_len;
  uint32_t xid;
  uint8_t manager, info;
} written_record;

/* Begin WAL at `at`, the start of a page. */
void written_open(written *w, unsigned major, uint64_t at, uint32_t page_bytes, uint32_t segment_bytes);
void written_close(written *w);

/* Build a record: its blocks by ascending id, then its main data, then written_put. */
written_record written_begin(uint32_t xid, uint8_t manager, unsigned info);
enum { WRITTEN_SAME = 0x80, WRITTEN_IMAGE = 0x10, WRITTEN_HOLE = 0x01 };
void written_block(written_record *r, unsigned id, unsigned flags, uint32_t relation, uint32_t number, size_t data_len);
/* The same with a page image; the flags are the version's. */
void written_image(written_record *r, unsigned id, uint32_t relation, uint32_t number, unsigned image, size_t len,
                   size_t data_len, bool is_compressed);
void written_origin(written_record *r);
void written_transaction(written_record *r, uint32_t xid);
void written_main(written_record *r, const void *data, size_t len);
/* Returns the position of the record. */
uint64_t written_put(written *w, const written_record *r);
/* Write the first `len` bytes of a record; the next page begins with another record. */
void written_give_up(written *w, const written_record *r, size_t len);
/* Leave the rest of the segment empty. */
void written_switch(written *w);

/* Bytes of a number in the byte order of this machine, and of a server on it. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define WRITTEN_U16(n) ((n) >> 8) & 0xff, (n)&0xff
#define WRITTEN_U32(n) ((n) >> 24) & 0xff, ((n) >> 16) & 0xff, WRITTEN_U16(n)
#else
#define WRITTEN_U16(n) (n) & 0xff, ((n) >> 8) & 0xff
#define WRITTEN_U32(n) WRITTEN_U16(n), ((n) >> 16) & 0xff, ((n) >> 24) & 0xff
#endif

#endif
