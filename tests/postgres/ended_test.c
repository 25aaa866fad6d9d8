/* SPDX-License-Identifier: MIT */
#include "data/postgres/record.h"

#include "support/test.h"

enum { DATABASE = 5, PREPARED = 690 };
enum { COMMIT = 0x00, PREPARE = 0x10, ABORT = 0x20, COMMIT_PREPARED = 0x30, ABORT_PREPARED = 0x40, PARTS = 0x80 };

typedef struct ending {
  unsigned char main[512];
  size_t len;
} ending;

static void add(ending *e, const void *data, size_t len) {
  assert_true(e->len + len <= sizeof e->main);
  memcpy(e->main + e->len, data, len);
  e->len += len;
}
static void add_u32(ending *e, uint32_t number) {
  add(e, &number, sizeof number);
}

static void add_message(ending *e, int id, uint32_t database, uint32_t relation) {
  unsigned char message[16] = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee};
  message[0] = (unsigned char)id;
  memcpy(message + 4, &database, 4);
  memcpy(message + 8, &relation, 4);
  add(e, message, sizeof message);
}

/* Make an end record with all parts of the version, each with several items. */
static ending make(unsigned major, bool is_commit, bool is_prepared) {
  ending e = {.len = 0};
  size_t statistics = major < 15 ? 0 : major < 18 ? 12 : 16;
  add(&e, "\1\2\3\4\5\6\7\10", 8);
  add_u32(&e, 0x1 | 0x2 | 0x4 | (is_commit ? 0x8 : 0) | (is_prepared ? 0x10 | 0x80 : 0) | (statistics ? 0x100 : 0) |
                  UINT32_C(1) << 30);
  add_u32(&e, DATABASE);
  add_u32(&e, 1663);
  add_u32(&e, 3);
  for (uint32_t i = 0; i < 3; i++) add_u32(&e, 701 + i);
  add_u32(&e, 2);
  for (uint32_t i = 0; i < 6; i++) add_u32(&e, 900 + i);
  if (statistics) {
    static const unsigned char items[32] = {9};
    add_u32(&e, 2);
    add(&e, items, 2 * statistics);
  }
  if (is_commit) {
    add_u32(&e, 4);
    add_message(&e, -2, DATABASE, 16400);
    add_message(&e, 31, DATABASE, 16401); /* a catalog cache */
    add_message(&e, -2, 0, 1260);
    add_message(&e, -2, DATABASE, 0);
  }
  if (is_prepared) {
    add_u32(&e, PREPARED);
    add(&e, "name", 5);
  }
  return e;
}

static vsi_postgres_record record_of(const unsigned char *main, size_t len, unsigned info) {
  return (vsi_postgres_record){
      .xid = 700, .manager = VSI_POSTGRES_TRANSACTION, .info = (uint8_t)info, .main = main, .main_len = len};
}

static unsigned info_of(bool is_commit, bool is_prepared) {
  return is_prepared ? is_commit ? COMMIT_PREPARED : ABORT_PREPARED : is_commit ? COMMIT : ABORT;
}

TEST_CASE(end_record_is_parsed_completely) {
  for (unsigned major = 13; major <= 18; major++) {
    for (unsigned kind = 0; kind < 4; kind++) {
      bool is_commit = kind & 1, is_prepared = kind & 2;
      ending e = make(major, is_commit, is_prepared);
      vsi_postgres_record record = record_of(e.main, e.len, PARTS | info_of(is_commit, is_prepared));
      vsi_postgres_ended ended;
      assert_true(vsi_postgres_is_end(&record));
      assert_int_equal(vsi_postgres_ended_read(vsi_postgres_format_of(major), &record, &ended), VESTRY_OK);
      assert_int_equal(ended.is_commit, is_commit);
      assert_int_equal(ended.xid, is_prepared ? PREPARED : 700);
      assert_int_equal(ended.subtransactions_count, 3);
      for (uint32_t i = 0; i < 3; i++) assert_int_equal(vsi_postgres_ended_subtransaction(&ended, i), 701 + i);
      assert_int_equal(ended.messages_count, is_commit ? 4 : 0);
      if (!is_commit) continue;
      uint32_t database = 99, relation = 99;
      assert_false(vsi_postgres_ended_definition(&ended, 1, &database, &relation));
      assert_int_equal(database, 99);
      assert_true(vsi_postgres_ended_definition(&ended, 0, &database, &relation));
      assert_int_equal(database, DATABASE);
      assert_int_equal(relation, 16400);
      assert_true(vsi_postgres_ended_definition(&ended, 2, &database, &relation));
      assert_int_equal(database, 0);
      assert_true(vsi_postgres_ended_definition(&ended, 3, &database, &relation));
      assert_int_equal(relation, 0);
    }
  }
}

TEST_CASE(end_record_without_parts_has_only_its_xid) {
  vsi_postgres_ended ended;
  vsi_postgres_record record = record_of((const unsigned char *)"12345678", 8, COMMIT);
  assert_int_equal(vsi_postgres_ended_read(vsi_postgres_format_of(15), &record, &ended), VESTRY_OK);
  assert_true(ended.is_commit);
  assert_int_equal(ended.xid, 700);
  assert_int_equal(ended.subtransactions_count, 0);
  assert_int_equal(ended.messages_count, 0);
}

TEST_CASE(assignment_names_its_subtransactions) {
  const uint32_t main[] = {700, 3, 701, 702, 705};
  for (size_t len = 0; len <= sizeof main; len++) {
    unsigned char *copy = test_malloc(len + !len);
    memcpy(copy, main, len);
    vsi_postgres_record record = record_of(copy, len, 0x50);
    vsi_postgres_ended assigned = {.xid = 99};
    assert_true(vsi_postgres_is_assignment(&record));
    assert_int_equal(vsi_postgres_assignment_read(&record, &assigned),
                     len < sizeof main ? VESTRY_MALFORMED : VESTRY_OK);
    assert_int_equal(assigned.xid, len < sizeof main ? 99 : 700);
    if (len == sizeof main) {
      assert_int_equal(assigned.subtransactions_count, 3);
      for (uint32_t i = 0; i < 3; i++) assert_int_equal(vsi_postgres_ended_subtransaction(&assigned, i), main[2 + i]);
    }
    test_free(copy);
  }
  vsi_postgres_record record = record_of((const unsigned char *)main, sizeof main, COMMIT);
  assert_false(vsi_postgres_is_assignment(&record));
  record = record_of((const unsigned char *)main, sizeof main, 0x50);
  record.manager = VSI_POSTGRES_HEAP;
  assert_false(vsi_postgres_is_assignment(&record));
}

TEST_CASE(other_records_are_no_end) {
  vsi_postgres_record record = record_of((const unsigned char *)"12345678", 8, PREPARE);
  assert_false(vsi_postgres_is_end(&record));
  record.info = 0x50;
  assert_false(vsi_postgres_is_end(&record));
  record.info = COMMIT;
  record.manager = VSI_POSTGRES_HEAP;
  assert_false(vsi_postgres_is_end(&record));
}

/* Records cut after each byte that is read; a name and a position follow. */
TEST_CASE(truncated_end_record_is_rejected) {
  for (unsigned major = 13; major <= 18; major++) {
    for (unsigned kind = 0; kind < 4; kind++) {
      bool is_commit = kind & 1, is_prepared = kind & 2;
      ending e = make(major, is_commit, is_prepared);
      size_t needed = is_prepared ? e.len - sizeof "name" : e.len;
      for (size_t len = 0; len <= e.len; len++) {
        unsigned char *main = test_malloc(len + !len);
        memcpy(main, e.main, len);
        vsi_postgres_record record = record_of(main, len, PARTS | info_of(is_commit, is_prepared));
        vsi_postgres_ended ended;
        assert_int_equal(vsi_postgres_ended_read(vsi_postgres_format_of(major), &record, &ended),
                         len < needed ? VESTRY_MALFORMED : VESTRY_OK);
        test_free(main);
      }
    }
  }
}

/* Counts beyond the record's end, also counts whose byte length overflows. */
TEST_CASE(oversized_counts_are_rejected) {
  static const uint32_t counts[] = {4, 0x10000000, 0x40000000, 0x55555556, 0x7fffffff, 0x80000000, 0xffffffff};
  static const uint32_t parts[] = {0x2, 0x4, 0x8, 0x100};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) {
      ending e = {.len = 0};
      add(&e, "12345678", 8);
      add_u32(&e, parts[i]);
      add_u32(&e, counts[j]);
      add(&e, "123456789012", 12);
      vsi_postgres_record record = record_of(e.main, e.len, PARTS | COMMIT);
      vsi_postgres_ended ended = {.xid = 99};
      assert_int_equal(vsi_postgres_ended_read(vsi_postgres_format_of(18), &record, &ended), VESTRY_MALFORMED);
      assert_int_equal(ended.xid, 99);
    }
  }
}

/* A part that the version does not have, and a part that belongs to another kind of end. */
TEST_CASE(parts_of_other_versions_or_ends_are_rejected) {
  vsi_postgres_ended ended;
  ending e = make(15, true, false);
  vsi_postgres_record record = record_of(e.main, e.len, PARTS | COMMIT);
  assert_int_equal(vsi_postgres_ended_read(vsi_postgres_format_of(14), &record, &ended), VESTRY_MALFORMED);
  record.info = PARTS | COMMIT_PREPARED;
  assert_int_equal(vsi_postgres_ended_read(vsi_postgres_format_of(15), &record, &ended), VESTRY_MALFORMED);
  e = make(15, true, true);
  record = record_of(e.main, e.len, PARTS | COMMIT);
  assert_int_equal(vsi_postgres_ended_read(vsi_postgres_format_of(15), &record, &ended), VESTRY_MALFORMED);
}
