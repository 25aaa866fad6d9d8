/* SPDX-License-Identifier: MIT */
/* WAL of any version, any bytes. Input: a byte that selects the version and, by its lowest bit, the kind; a byte,
 * the size of pieces; the bytes. Even: a stream, from the head of a page on. Odd: the content of one record after
 * its head, with its manager and info before it. The result is the same in one piece and in many, and lies inside of
 * the record. */
#include "base/memory.h"
#include "data/postgres/record.h"
#include "fuzz/target.h"

enum { AT = 3 << 16, PAGE = 512, SEGMENT = 4096, LARGE = 65536 };

typedef struct reported {
  const vsi_postgres_format *format;
  uint64_t sum;
  size_t count;
} reported;

static void add(reported *t, uint64_t number) {
  t->sum = (t->sum ^ number) * UINT64_C(0x100000001b3);
}

static vestry_err take(const vsi_postgres_record *record, void *ctx) {
  reported *t = ctx;
  vsi_postgres_touched touched[VSI_POSTGRES_TOUCHED_MAX];
  vsi_postgres_ended ended;
  size_t count = 0;
  t->count++;
  add(t, record->at);
  require(record->blocks_count <= VSI_POSTGRES_BLOCKS_MAX);
  require(!record->blocks_count || record->blocks[record->blocks_count - 1].is_there);
  for (size_t i = 0; i < record->main_len; i++) add(t, record->main[i]);
  if (!vsi_postgres_touched_read(record, touched, &count)) {
    require(count <= VSI_POSTGRES_TOUCHED_MAX);
    for (size_t i = 0; i < count; i++) {
      require((touched[i].offset > 0) == (touched[i].touch == VSI_POSTGRES_CHANGED));
      add(t, touched[i].relation + touched[i].block + touched[i].to);
    }
  }
  if (!vsi_postgres_is_end(record) && !vsi_postgres_is_assignment(record)) return VESTRY_OK;
  if (vsi_postgres_is_end(record) ? vsi_postgres_ended_read(t->format, record, &ended)
                                  : vsi_postgres_assignment_read(record, &ended))
    return VESTRY_OK;
  for (uint32_t i = 0; i < ended.subtransactions_count; i++) add(t, vsi_postgres_ended_subtransaction(&ended, i));
  for (uint32_t i = 0; i < ended.messages_count; i++) {
    uint32_t database, relation;
    if (vsi_postgres_ended_definition(&ended, i, &database, &relation)) add(t, database + relation);
  }
  return VESTRY_OK;
}

/* Return the reported records. */
static reported feed(const vsi_postgres_format *format, const unsigned char *data, size_t size, size_t piece,
                     uint32_t page, uint32_t segment) {
  reported t = {.format = format};
  vsi_postgres_wal wal;
  const vsi_postgres_wal_options options = {.host = vestry_host_default(),
                                            .format = format,
                                            .at = AT,
                                            .page_bytes = page,
                                            .segment_bytes = segment,
                                            .on_record = take,
                                            .ctx = &t};
  require(!vsi_postgres_wal_init(&wal, &options));
  vestry_err error = VESTRY_OK;
  while (size && !error) {
    size_t len = size < piece ? size : piece;
    unsigned char *copy = malloc(len); /* its end is the end of the allocation */
    require(copy);
    memcpy(copy, data, len);
    error = vsi_postgres_wal_feed(&wal, copy, len);
    free(copy);
    data += len;
    size -= len;
  }
  require(!error || error == VESTRY_MALFORMED || error == VESTRY_TOO_LARGE || error == VESTRY_UNSUPPORTED);
  require(!error == !wal.reason[0]);
  vsi_postgres_wal_finish(&wal);
  add(&t, error);
  return t;
}

/* Make a page with one record. Return its length. */
static size_t wrap(const vsi_postgres_format *format, const uint8_t *data, size_t size, unsigned char *page) {
  memset(page, 0, 64);
  memcpy(page, &format->magic, 2);
  page[2] = 2;
  memcpy(page + 8, &(uint64_t){AT}, 8);
  memcpy(page + 32, &(uint32_t){LARGE}, 4);
  memcpy(page + 36, &(uint32_t){LARGE}, 4);
  memcpy(page + 40, &(uint32_t){(uint32_t)(24 + size - 2)}, 4);
  page[40 + 4] = 7;
  page[40 + 16] = data[1];
  page[40 + 17] = data[0];
  memcpy(page + 64, data + 2, size - 2);
  return 64 + size - 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 4 || size > LARGE / 2) return 0;
  const vsi_postgres_format *format = vsi_postgres_format_of(13 + (data[0] >> 1) % 6);
  size_t piece = (size_t)data[1] + 1;
  reported whole, pieces;
  if (data[0] & 1) {
    static unsigned char page[LARGE];
    size_t len = wrap(format, data + 2, size - 2, page);
    whole = feed(format, page, len, len, LARGE, LARGE);
    pieces = feed(format, page, len, piece, LARGE, LARGE);
    require(whole.count <= 1);
  } else {
    whole = feed(format, data + 2, size - 2, size, PAGE, SEGMENT);
    pieces = feed(format, data + 2, size - 2, piece, PAGE, SEGMENT);
  }
  require(whole.count == pieces.count && whole.sum == pieces.sum);
  return 0;
}
