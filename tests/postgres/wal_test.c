/* SPDX-License-Identifier: MIT */
#include "data/postgres/wal.h"

#include "data/postgres/record.h"
#include "postgres/written.h"
#include "support/test.h"
#include "support/test_host.h"

enum { TOLD_MAX = 400, RELATION = 16400 };

static const unsigned majors[] = {13, 14, 15, 16, 17, 18};
enum { MAJORS = sizeof majors / sizeof *majors };

/* The reported records, or the expected ones. */
typedef struct reported {
  struct {
    uint64_t at;
    uint32_t xid, relation, block;
    uint8_t manager, info, blocks_count;
    size_t main_len;
    unsigned sum; /* of the main data */
  } records[TOLD_MAX];
  size_t count;
  vestry_err answer; /* result for the next record */
} reported;

static unsigned sum_of(const unsigned char *data, size_t len) {
  unsigned sum = 0;
  for (size_t i = 0; i < len; i++) sum = sum * 31 + data[i];
  return sum;
}

static vestry_err take(const vsi_postgres_record *record, void *ctx) {
  reported *t = ctx;
  if (t->answer) return t->answer;
  assert_true(t->count < TOLD_MAX);
  memset(&t->records[t->count], 0, sizeof *t->records);
  t->records[t->count].at = record->at;
  t->records[t->count].xid = record->xid;
  t->records[t->count].manager = record->manager;
  t->records[t->count].info = record->info;
  t->records[t->count].blocks_count = record->blocks_count;
  if (record->blocks_count) {
    const vsi_postgres_block *last = &record->blocks[record->blocks_count - 1];
    assert_true(last->is_there);
    t->records[t->count].relation = last->relation;
    t->records[t->count].block = last->number;
  }
  t->records[t->count].main_len = record->main_len;
  t->records[t->count++].sum = sum_of(record->main, record->main_len);
  return VESTRY_OK;
}

typedef struct reading {
  test_host th;
  vsi_postgres_wal wal;
  reported reported;
} reading;

static void open_at(reading *r, const written *w, unsigned major, uint64_t at) {
  test_host_init(&r->th);
  memset(&r->reported, 0, sizeof r->reported);
  const vsi_postgres_wal_options options = {.host = &r->th.host,
                                            .format = vsi_postgres_format_of(major),
                                            .at = at,
                                            .page_bytes = w->page_bytes,
                                            .segment_bytes = w->segment_bytes,
                                            .on_record = take,
                                            .ctx = &r->reported};
  assert_int_equal(vsi_postgres_wal_init(&r->wal, &options), VESTRY_OK);
}

static void open_reading(reading *r, const written *w) {
  open_at(r, w, w->format->major, w->at - w->len);
}

static void close_reading(reading *r) {
  vsi_postgres_wal_finish(&r->wal);
  test_host_assert_clean(&r->th);
}

/* Write one record, and add it to the expected ones. */
static void put(written *w, reported *expected, const written_record *r, uint32_t relation, uint32_t block,
                unsigned blocks_count, size_t main_len) {
  uint64_t at = written_put(w, r);
  const unsigned char *main = r->tail + r->tail_len - main_len;
  memset(&expected->records[expected->count], 0, sizeof *expected->records);
  expected->records[expected->count].at = at;
  expected->records[expected->count].xid = r->xid;
  expected->records[expected->count].relation = relation;
  expected->records[expected->count].block = block;
  expected->records[expected->count].manager = r->manager;
  expected->records[expected->count].info = r->info;
  expected->records[expected->count].blocks_count = (uint8_t)blocks_count;
  expected->records[expected->count].main_len = main_len;
  expected->records[expected->count++].sum = sum_of(main, main_len);
}

/* Write records of all shapes, across pages and segments. Returns their number, including records that are not
 * reported. */
static size_t write_all(written *w, reported *expected, unsigned major) {
  static const unsigned char bytes[3000] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  unsigned compressed = major < 15 ? 0x02 : 0x04, applied = major < 15 ? 0x04 : 0x02;
  size_t count = 0;
  memset(expected, 0, sizeof *expected);
  written_open(w, major, WRITTEN_AT, WRITTEN_PAGE, WRITTEN_SEGMENT);
  for (unsigned round = 0; round < 3; round++) {
    /* A record that consists of a header has no block. */
    written_record r = written_begin(700 + round, VSI_POSTGRES_HEAP, 0);
    put(w, expected, &r, 0, 0, 0, 0);
    r = written_begin(701, VSI_POSTGRES_HEAP, 0x80);
    written_block(&r, 0, 0, RELATION, 9, 33 + round);
    written_main(&r, "\1\0\0", 3);
    put(w, expected, &r, RELATION, 9, 1, 3);
    r = written_begin(702, VSI_POSTGRES_HEAP, 0x20); /* the second block belongs to the same relation */
    written_block(&r, 0, 0, RELATION + 1, 4, 5);
    written_block(&r, 1, WRITTEN_SAME, 0, 3, 0);
    written_origin(&r);
    if (major >= 14) written_transaction(&r, 699);
    written_main(&r, bytes, 14);
    put(w, expected, &r, RELATION + 1, 3, 2, 14);
    r = written_begin(703, VSI_POSTGRES_BTREE, 0); /* images: complete, with a hole, compressed, both */
    written_image(&r, 0, RELATION + 2, 1, applied, 100, 20, false);
    written_image(&r, 3, RELATION + 2, 2, applied | WRITTEN_HOLE, 101, 0, false);
    written_image(&r, 5, RELATION + 2, 3, applied | compressed, 102, 0, true);
    written_image(&r, 32, RELATION + 2, 4, compressed | WRITTEN_HOLE, 103, 7, true);
    written_main(&r, bytes, 2);
    put(w, expected, &r, RELATION + 2, 4, 33, 2);
    r = written_begin(704, VSI_POSTGRES_TRANSACTION, 0x80); /* over several pages */
    written_main(&r, bytes, 1300 + round);
    put(w, expected, &r, 0, 0, 0, 1300 + round);
    r = written_begin(705, 13, 0x10); /* of another resource manager: skipped */
    written_block(&r, 0, 0, RELATION + 3, 1, 700 + round * 13);
    written_put(w, &r);
    r = written_begin(706, VSI_POSTGRES_HEAP2, 0x50);
    written_block(&r, 0, 0, RELATION + 4, 77, 40);
    written_main(&r, bytes, 8);
    if (round == 1) { /* the server crashed during the write */
      written_give_up(w, &r, 30);
      r.xid = 708;
    }
    put(w, expected, &r, RELATION + 4, 77, 1, 8);
    if (round == 0) {
      written_switch(w);
      count++;
    }
    count += 7;
  }
  return count;
}

static void assert_reported(const reading *r, const reported *expected, size_t from) {
  assert_int_equal(r->reported.count, expected->count - from);
  assert_memory_equal(r->reported.records, expected->records + from, sizeof *expected->records * r->reported.count);
}

/* Fed at once, byte by byte, and in two pieces split anywhere. */
TEST_CASE(records_are_reported_for_any_split_of_the_bytes) {
  for (size_t i = 0; i < MAJORS; i++) {
    written w;
    reported expected;
    size_t count = write_all(&w, &expected, majors[i]);
    for (size_t cut = 0; cut <= w.len; cut++) {
      reading r;
      open_reading(&r, &w);
      assert_int_equal(vsi_postgres_wal_feed(&r.wal, w.bytes, cut), VESTRY_OK);
      assert_int_equal(vsi_postgres_wal_feed(&r.wal, w.bytes + cut, w.len - cut), VESTRY_OK);
      assert_reported(&r, &expected, 0);
      assert_int_equal(r.wal.at, w.at);
      assert_int_equal(r.wal.records_count, count);
      close_reading(&r);
    }
    reading r;
    open_reading(&r, &w);
    for (size_t at = 0; at < w.len; at++) assert_int_equal(vsi_postgres_wal_feed(&r.wal, w.bytes + at, 1), VESTRY_OK);
    assert_reported(&r, &expected, 0);
    close_reading(&r);
    written_close(&w);
  }
}

/* A record is reported with its last byte, not earlier. */
TEST_CASE(record_is_reported_with_its_last_byte) {
  written w;
  reported expected;
  write_all(&w, &expected, 15);
  reading r;
  open_reading(&r, &w);
  for (size_t at = 0; at < w.len; at++) {
    size_t before = r.reported.count;
    assert_int_equal(vsi_postgres_wal_feed(&r.wal, w.bytes + at, 1), VESTRY_OK);
    if (r.reported.count == before) continue;
    assert_int_equal(r.reported.count, before + 1);
    assert_true(expected.records[before].at < r.wal.at);
    if (before + 1 < expected.count) assert_true(r.wal.at <= expected.records[before + 1].at);
  }
  close_reading(&r);
  written_close(&w);
}

/* The stream begins with any page; the rest of a record that began earlier is skipped. */
TEST_CASE(stream_can_begin_with_any_page) {
  for (size_t i = 0; i < MAJORS; i++) {
    written w;
    reported expected;
    write_all(&w, &expected, majors[i]);
    uint64_t begin = w.at - w.len;
    for (uint64_t at = begin; at < w.at; at += w.page_bytes) {
      if (w.bytes[at - begin] == 0) continue; /* in the segment that was left early */
      size_t from = 0;
      while (from < expected.count && expected.records[from].at < at) from++;
      for (size_t piece = 1; piece < 600; piece += 599 - 1) {
        reading r;
        open_at(&r, &w, majors[i], at);
        for (size_t done = (size_t)(at - begin); done < w.len;) {
          size_t len = w.len - done < piece ? w.len - done : piece;
          assert_int_equal(vsi_postgres_wal_feed(&r.wal, w.bytes + done, len), VESTRY_OK);
          done += len;
        }
        assert_reported(&r, &expected, from);
        close_reading(&r);
      }
    }
    written_close(&w);
  }
}

/* A flipped bit is detected, or changes one reported record; no byte beyond the input is read. */
TEST_CASE(flipped_bit_harms_no_other_record) {
  written w;
  reported expected;
  write_all(&w, &expected, 15);
  for (size_t at = 0; at < w.len; at++) {
    for (unsigned bit = 0; bit < 8; bit++) {
      reading r;
      open_reading(&r, &w);
      w.bytes[at] ^= (unsigned char)(1 << bit);
      vestry_err error = vsi_postgres_wal_feed(&r.wal, w.bytes, w.len);
      w.bytes[at] ^= (unsigned char)(1 << bit);
      assert_true(error == VESTRY_OK || error == VESTRY_MALFORMED || error == VESTRY_TOO_LARGE);
      size_t other = 0; /* records that differ, or were not expected */
      for (size_t i = 0; i < r.reported.count; i++) {
        size_t e = 0;
        while (e < expected.count && expected.records[e].at != r.reported.records[i].at) e++;
        bool is_same =
            e < expected.count && !memcmp(&r.reported.records[i], &expected.records[e], sizeof *expected.records);
        if (!is_same) assert_true(at >= r.reported.records[i].at - WRITTEN_AT);
        other += !is_same;
      }
      assert_true(other <= 1);
      if (error) assert_true(r.wal.reason[0]);
      close_reading(&r);
    }
  }
  written_close(&w);
}

/* ---------------------------------------------------------------------------------------------- rejected WAL ------ */
static bool is_little(void) {
  const uint16_t one = 1;
  unsigned char first;
  memcpy(&first, &one, 1);
  return first;
}

/* Feed the WAL with `bytes` bytes at that position replaced by `number`, in this machine's byte order. */
static void assert_rejected(const written *w, unsigned major, size_t at, uint64_t number, size_t bytes,
                            vestry_err expected, const char *reason) {
  reading r;
  open_at(&r, w, major, w->at - w->len);
  unsigned char kept[8], put[8];
  for (size_t i = 0; i < bytes; i++) put[is_little() ? i : bytes - 1 - i] = (unsigned char)(number >> 8 * i);
  memcpy(kept, w->bytes + at, bytes);
  memcpy(w->bytes + at, put, bytes);
  vestry_err error = vsi_postgres_wal_feed(&r.wal, w->bytes, w->len);
  memcpy(w->bytes + at, kept, bytes);
  assert_int_equal(error, expected);
  if (!strstr(r.wal.reason, reason)) fail_msg("'%s' is not in: %s", reason, r.wal.reason);
  size_t count = r.reported.count;
  assert_int_equal(vsi_postgres_wal_feed(&r.wal, w->bytes, w->len), expected); /* the error is permanent */
  assert_int_equal(r.reported.count, count);
  close_reading(&r);
}

TEST_CASE(invalid_wal_is_rejected_with_a_reason) {
  written w;
  reported expected;
  write_all(&w, &expected, 15);
  enum { RECORD = 40 }; /* behind the first page's header */
  assert_rejected(&w, 17, 0, 0xD110, 2, VESTRY_MALFORMED, "the magic number of the page at 0/30000 is D110, not D116");
  assert_rejected(&w, 15, 0, 0xD199, 2, VESTRY_MALFORMED, "the magic number of the page at 0/30000 is D199, not D110");
  assert_rejected(&w, 15, 0, 0x10D1, 2, VESTRY_UNSUPPORTED,
                  "the page at 0/30000 is from a machine with the other byte order");
  assert_rejected(&w, 15, 2, 0x12, 2, VESTRY_MALFORMED, "flags");
  assert_rejected(&w, 15, 2, 0, 2, VESTRY_MALFORMED, "the length of the header");
  assert_rejected(&w, 15, 8, 1, 8, VESTRY_MALFORMED, "the address of the page at 0/30000 is 1, not 30000");
  assert_rejected(&w, 15, 32, 8192, 4, VESTRY_MALFORMED, "the segment's size of the page at 0/30000 is 2000, not 1000");
  assert_rejected(&w, 15, 36, 1024, 4, VESTRY_MALFORMED, "the size of the page");
  assert_rejected(&w, 15, WRITTEN_PAGE + 16, 1, 4, VESTRY_MALFORMED,
                  "the remaining length of a record of the page at 0/30200 is 1, not");
  assert_rejected(&w, 15, WRITTEN_PAGE + 2, 0, 2, VESTRY_MALFORMED,
                  "the remaining length of a record of the page at 0/30200 is 0, not");
  assert_rejected(&w, 15, RECORD, 23, 4, VESTRY_MALFORMED, "invalid length of 23 bytes of the record at 0/30028");
  assert_rejected(&w, 15, RECORD, 0x40000000, 4, VESTRY_MALFORMED, "invalid length of");
  assert_rejected(&w, 15, RECORD, VSI_POSTGRES_RECORD_BYTES_MAX + 1, 4, VESTRY_TOO_LARGE,
                  "the record at 0/30028 has 67108865");
  assert_rejected(&w, 15, RECORD + 8, WRITTEN_AT + RECORD, 8, VESTRY_MALFORMED, "its predecessor at 0/30028");
  assert_rejected(&w, 15, RECORD + 24 + 8, 9, 8, VESTRY_MALFORMED, "its predecessor at 0/9, not at 0/30028");
  assert_rejected(&w, 15, RECORD + 24 + 24, 33, 1, VESTRY_MALFORMED,
                  "the lengths in the record at 0/30040 are inconsistent");
  /* The same relation as no block. */
  assert_rejected(&w, 15, RECORD + 24 + 24 + 1, 0x80 | 0x20, 1, VESTRY_MALFORMED, "are inconsistent");
  assert_rejected(&w, 15, RECORD + 24 + 24 + 1, 0, 1, VESTRY_MALFORMED, "are inconsistent"); /* data without its flag */
  written_close(&w);
}

TEST_CASE(impossible_positions_and_sizes_are_invalid) {
  vsi_postgres_wal wal;
  static const struct {
    uint64_t at;
    uint32_t page_bytes, segment_bytes;
  } wrong[] = {{1, 8192, 16 << 20},   {4096, 8192, 16 << 20}, {0, 0, 16 << 20}, {0, 256, 16 << 20}, {0, 8191, 16 << 20},
               {0, 131072, 16 << 20}, {0, 8192, 12 << 20},    {0, 8192, 4096},  {0, 8192, 0}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    const vsi_postgres_wal_options options = {.host = vestry_host_default(),
                                              .format = vsi_postgres_format_of(15),
                                              .at = wrong[i].at,
                                              .page_bytes = wrong[i].page_bytes,
                                              .segment_bytes = wrong[i].segment_bytes,
                                              .on_record = take};
    assert_int_equal(vsi_postgres_wal_init(&wal, &options), VESTRY_INVALID);
  }
}

TEST_CASE(unknown_versions_have_no_format) {
  for (size_t i = 0; i < MAJORS; i++) assert_int_equal(vsi_postgres_format_of(majors[i])->major, majors[i]);
  assert_null(vsi_postgres_format_of(12));
  assert_null(vsi_postgres_format_of(19));
  assert_null(vsi_postgres_format_of(0));
}

/* ------------------------------------------------------------------------------------------------------- memory --- */
static vestry_err read_all(test_host *th, void *ctx) {
  written *w = ctx;
  static reported t;
  vsi_postgres_wal wal;
  t.count = 0;
  const vsi_postgres_wal_options options = {.host = &th->host,
                                            .format = w->format,
                                            .at = w->at - w->len,
                                            .page_bytes = w->page_bytes,
                                            .segment_bytes = w->segment_bytes,
                                            .on_record = take,
                                            .ctx = &t};
  assert_int_equal(vsi_postgres_wal_init(&wal, &options), VESTRY_OK);
  vestry_err error = vsi_postgres_wal_feed(&wal, w->bytes, w->len);
  if (error) assert_non_null(strstr(wal.reason, "memory"));
  vsi_postgres_wal_finish(&wal);
  return error;
}

TEST_CASE(allocation_failure_is_returned) {
  written w;
  reported expected;
  write_all(&w, &expected, 15);
  test_host_fail_each(read_all, &w, false);
  written_close(&w);
}

/* Memory is allocated for bytes that have arrived, whatever length a record claims, and none for skipped records. */
TEST_CASE(memory_is_allocated_only_for_received_bytes) {
  written w;
  reading r;
  written_open(&w, 15, 16 << 20, 8192, 16 << 20);
  written_record record = written_begin(7, VSI_POSTGRES_TRANSACTION, 0);
  written_put(&w, &record);
  memcpy(w.bytes + 40, &(uint32_t){VSI_POSTGRES_RECORD_BYTES_MAX}, 4);
  open_reading(&r, &w);
  assert_int_equal(vsi_postgres_wal_feed(&r.wal, w.bytes, w.len), VESTRY_OK);
  assert_int_equal(r.wal.left, VSI_POSTGRES_RECORD_BYTES_MAX - 24);
  assert_true(r.wal.record_room < 100);
  close_reading(&r);
  memcpy(w.bytes + 40, &(uint32_t){0x3fffffff}, 4);
  w.bytes[40 + 17] = 13;
  open_reading(&r, &w);
  assert_int_equal(vsi_postgres_wal_feed(&r.wal, w.bytes, w.len), VESTRY_OK);
  unsigned char page[8192 - 64] = {0};
  assert_int_equal(vsi_postgres_wal_feed(&r.wal, page, sizeof page), VESTRY_OK);
  assert_int_equal(r.wal.left, 0x3fffffff - 24 - sizeof page);
  assert_true(r.wal.record_room < 100);
  close_reading(&r);
  written_close(&w);
}

TEST_CASE(receiver_error_ends_the_reading) {
  written w;
  reported expected;
  reading r;
  write_all(&w, &expected, 15);
  open_reading(&r, &w);
  r.reported.answer = VESTRY_NO_MEMORY;
  assert_int_equal(vsi_postgres_wal_feed(&r.wal, w.bytes, w.len), VESTRY_NO_MEMORY);
  r.reported.answer = VESTRY_OK;
  assert_int_equal(vsi_postgres_wal_feed(&r.wal, w.bytes, w.len), VESTRY_NO_MEMORY);
  assert_int_equal(r.reported.count, 0);
  close_reading(&r);
  written_close(&w);
}

/* Bitmap scans of older versions take no locks on rows that they only count. */
TEST_CASE(versions_with_complete_row_locks_are_known) {
  static const unsigned first[] = {130021, 140018, 150013, 160009, 170005};
  for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
    assert_false(vsi_postgres_format_locks_all(first[i] - 1));
    assert_true(vsi_postgres_format_locks_all(first[i]));
  }
  assert_true(vsi_postgres_format_locks_all(180000));
  assert_false(vsi_postgres_format_locks_all(990000)); /* not known */
}
