/* SPDX-License-Identifier: MIT */
#include "data/postgres/record.h"

#include "postgres/written.h"
#include "support/test.h"

enum { TABLE = 16400, INDEX = 16500, BLOCK = 9, OTHER = 12 };

static vsi_postgres_record record_of(uint8_t manager, unsigned info, const void *main, size_t main_len) {
  vsi_postgres_record record = {
      .xid = 700, .manager = manager, .info = (uint8_t)info, .main = main, .main_len = main_len, .blocks_count = 1};
  uint32_t relation = manager == VSI_POSTGRES_BTREE ? INDEX : TABLE;
  record.blocks[0] = (vsi_postgres_block){true, 0, WRITTEN_DATABASE, relation, BLOCK};
  return record;
}

static void add_second(vsi_postgres_record *record) {
  record->blocks[1] = record->blocks[0];
  record->blocks[1].number = OTHER;
  record->blocks_count = 2;
}

static void assert_touched(const vsi_postgres_touched *t, vsi_postgres_touch touch, uint32_t block, uint32_t to,
                           unsigned offset) {
  assert_int_equal(t->touch, touch);
  assert_int_equal(t->database, WRITTEN_DATABASE);
  assert_int_equal(t->relation, touch == VSI_POSTGRES_ENTERED || touch == VSI_POSTGRES_MOVED ? INDEX : TABLE);
  assert_int_equal(t->block, block);
  assert_int_equal(t->to, to);
  assert_int_equal(t->offset, offset);
}

/* 7: offset of the old version */
static const unsigned char row[] = {WRITTEN_U32(1), WRITTEN_U16(7), 0, 0, WRITTEN_U32(2), WRITTEN_U16(3)};
static const unsigned char leaf[] = {WRITTEN_U32(0), WRITTEN_U16(3), WRITTEN_U16(2), 0, 0};
static const unsigned char half_dead[] = {WRITTEN_U16(1), 0, 0, WRITTEN_U32(BLOCK), WRITTEN_U32(4), WRITTEN_U32(OTHER),
                                          WRITTEN_U32(2)};

TEST_CASE(row_records_name_inserted_and_changed_rows) {
  vsi_postgres_touched touched[VSI_POSTGRES_TOUCHED_MAX];
  size_t count;
  for (unsigned init = 0; init <= 0x80; init += 0x80) { /* the page may be initialized by the record */
    vsi_postgres_record record = record_of(VSI_POSTGRES_HEAP, 0x00 | init, "\3\0\0", 3);
    assert_int_equal(vsi_postgres_touched_read(&record, touched, &count), VESTRY_OK);
    assert_int_equal(count, 1);
    assert_touched(touched, VSI_POSTGRES_INSERTED, BLOCK, 0, 0);
    record = record_of(VSI_POSTGRES_HEAP2, 0x50 | init, "\0\0\2\0", 4);
    assert_int_equal(vsi_postgres_touched_read(&record, touched, &count), VESTRY_OK);
    assert_int_equal(count, 1);
    assert_touched(touched, VSI_POSTGRES_INSERTED, BLOCK, 0, 0);
    for (unsigned update = 0x20; update <= 0x40; update += 0x20) {
      record = record_of(VSI_POSTGRES_HEAP, update | init, row, sizeof row);
      assert_int_equal(vsi_postgres_touched_read(&record, touched, &count), VESTRY_OK);
      assert_int_equal(count, 2);
      assert_touched(&touched[0], VSI_POSTGRES_CHANGED, BLOCK, 0, 7);
      assert_touched(&touched[1], VSI_POSTGRES_INSERTED, BLOCK, 0, 0);
      add_second(&record); /* the old version is on another page */
      assert_int_equal(vsi_postgres_touched_read(&record, touched, &count), VESTRY_OK);
      assert_int_equal(count, 2);
      assert_touched(&touched[0], VSI_POSTGRES_CHANGED, OTHER, 0, 7);
      assert_touched(&touched[1], VSI_POSTGRES_INSERTED, BLOCK, 0, 0);
    }
  }
  vsi_postgres_record record = record_of(VSI_POSTGRES_HEAP, 0x10, row, 8);
  assert_int_equal(vsi_postgres_touched_read(&record, touched, &count), VESTRY_OK);
  assert_int_equal(count, 1);
  assert_touched(touched, VSI_POSTGRES_CHANGED, BLOCK, 0, 7);
}

/* Servers with the minor versions of 2026 write the page of the visibility map beside the row's page. */
TEST_CASE(visibility_map_page_is_not_taken_for_the_rows_page) {
  enum { VISIBILITY_MAP = 2 };
  vsi_postgres_touched touched[VSI_POSTGRES_TOUCHED_MAX];
  size_t count;
  for (unsigned operation = 0x00; operation <= 0x40; operation += 0x10) {
    if (operation == 0x30) continue;
    vsi_postgres_record record = record_of(VSI_POSTGRES_HEAP, operation, row, sizeof row);
    add_second(&record);
    record.blocks[1].fork = VISIBILITY_MAP;
    record.blocks[1].number = 0;
    assert_int_equal(vsi_postgres_touched_read(&record, touched, &count), VESTRY_OK);
    const size_t changed = operation != 0x00, inserted = operation != 0x10;
    assert_int_equal(count, changed + inserted);
    if (changed) assert_touched(&touched[0], VSI_POSTGRES_CHANGED, BLOCK, 0, 7);
    if (inserted) assert_touched(&touched[changed], VSI_POSTGRES_INSERTED, BLOCK, 0, 0);
  }
}

TEST_CASE(leaf_records_name_inserts_and_moves) {
  vsi_postgres_touched touched[VSI_POSTGRES_TOUCHED_MAX];
  size_t count;
  for (unsigned insert = 0x00; insert <= 0x50; insert += 0x50) {
    vsi_postgres_record record = record_of(VSI_POSTGRES_BTREE, insert, "\3\0", 2);
    assert_int_equal(vsi_postgres_touched_read(&record, touched, &count), VESTRY_OK);
    assert_int_equal(count, 1);
    assert_touched(touched, VSI_POSTGRES_ENTERED, BLOCK, 0, 0);
  }
  for (unsigned split = 0x30; split <= 0x40; split += 0x10) {
    vsi_postgres_record record = record_of(VSI_POSTGRES_BTREE, split, leaf, sizeof leaf);
    add_second(&record);
    assert_int_equal(vsi_postgres_touched_read(&record, touched, &count), VESTRY_OK);
    assert_int_equal(count, 2);
    assert_touched(&touched[0], VSI_POSTGRES_ENTERED, BLOCK, 0, 0);
    assert_touched(&touched[1], VSI_POSTGRES_MOVED, BLOCK, OTHER, 0);
    record.main = (const unsigned char *)"\1\0\0\0\3\0\2\0\0\0"; /* an inner page: no row is found by that page alone */
    assert_int_equal(vsi_postgres_touched_read(&record, touched, &count), VESTRY_OK);
    assert_int_equal(count, 0);
  }
  vsi_postgres_record record = record_of(VSI_POSTGRES_BTREE, 0xb0, half_dead, sizeof half_dead);
  assert_int_equal(vsi_postgres_touched_read(&record, touched, &count), VESTRY_OK);
  assert_int_equal(count, 1);
  assert_touched(touched, VSI_POSTGRES_MOVED, BLOCK, OTHER, 0);
}

/* All other record types: locks, pruning, vacuum, inner pages, and types of no known version. */
TEST_CASE(other_records_touch_nothing) {
  static const struct {
    uint8_t manager;
    unsigned infos[10];
    size_t count;
  } others[] = {{VSI_POSTGRES_HEAP, {0x30, 0x50, 0x60, 0x70}, 4},
                {VSI_POSTGRES_HEAP2, {0x00, 0x10, 0x20, 0x30, 0x40, 0x60, 0x70}, 7},
                {VSI_POSTGRES_BTREE, {0x10, 0x20, 0x60, 0x70, 0x80, 0x90, 0xa0, 0xc0, 0xd0, 0xe0}, 10},
                {VSI_POSTGRES_TRANSACTION, {0x00, 0x10, 0x20, 0x50}, 4}};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    for (size_t j = 0; j < others[i].count; j++) {
      vsi_postgres_touched touched[VSI_POSTGRES_TOUCHED_MAX];
      size_t count = 7;
      vsi_postgres_record record = record_of(others[i].manager, others[i].infos[j], row, sizeof row);
      add_second(&record);
      assert_int_equal(vsi_postgres_touched_read(&record, touched, &count), VESTRY_OK);
      assert_int_equal(count, 0);
    }
  }
}

/* Without their blocks, and cut after each byte that is read. */
TEST_CASE(incomplete_record_is_rejected) {
  static const struct {
    uint8_t manager;
    unsigned info, blocks_count;
    const unsigned char *main;
    size_t least;
  } whole[] = {{VSI_POSTGRES_HEAP, 0x00, 1, row, 0},   {VSI_POSTGRES_HEAP, 0x10, 1, row, 6},
               {VSI_POSTGRES_HEAP, 0x20, 1, row, 6},   {VSI_POSTGRES_HEAP, 0x40, 1, row, 6},
               {VSI_POSTGRES_HEAP2, 0x50, 1, row, 0},  {VSI_POSTGRES_BTREE, 0x00, 1, leaf, 0},
               {VSI_POSTGRES_BTREE, 0x50, 1, leaf, 0}, {VSI_POSTGRES_BTREE, 0x30, 2, leaf, 4},
               {VSI_POSTGRES_BTREE, 0x40, 2, leaf, 4}, {VSI_POSTGRES_BTREE, 0xb0, 1, half_dead, 16}};
  for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
    vsi_postgres_touched touched[VSI_POSTGRES_TOUCHED_MAX];
    size_t count;
    for (size_t len = 0; len <= whole[i].least; len++) {
      unsigned char *main = test_malloc(len + !len); /* ends at the end of the allocation */
      memcpy(main, whole[i].main, len);
      vsi_postgres_record record = record_of(whole[i].manager, whole[i].info, main, len);
      add_second(&record);
      assert_int_equal(vsi_postgres_touched_read(&record, touched, &count),
                       len < whole[i].least ? VESTRY_MALFORMED : VESTRY_OK);
      for (unsigned missing = 0; missing < whole[i].blocks_count; missing++) {
        record.blocks[missing].is_there = false;
        assert_int_equal(vsi_postgres_touched_read(&record, touched, &count), VESTRY_MALFORMED);
        record.blocks[missing].is_there = true;
      }
      test_free(main);
    }
  }
  static const unsigned char no_row[sizeof row] = {1}; /* rows are counted from 1 */
  vsi_postgres_touched touched[VSI_POSTGRES_TOUCHED_MAX];
  size_t count;
  vsi_postgres_record record = record_of(VSI_POSTGRES_HEAP, 0x10, no_row, sizeof no_row);
  assert_int_equal(vsi_postgres_touched_read(&record, touched, &count), VESTRY_MALFORMED);
}
