/* SPDX-License-Identifier: MIT */
/* Reading what a record of the WAL has done to rows and to leaves of indexes. The numbers of the operations are those
 * of the server's source (heapam_xlog.h, nbtxlog.h). */
#include "data/postgres/touched.h"

#include "data/postgres/bytes.h"

enum {
  MAIN_FORK = 0,
  HEAP_OPERATION = 0x70,
  HEAP_INSERT = 0x00,
  HEAP_DELETE = 0x10,
  HEAP_UPDATE = 0x20,
  HEAP_HOT_UPDATE = 0x40,
  HEAP2_MULTI_INSERT = 0x50,
  HEAP_OFFSET_AT = 4, /* after the number of the transaction */
  BTREE_OPERATION = 0xf0,
  BTREE_INSERT_LEAF = 0x00,
  BTREE_INSERT_POSTING = 0x50,
  BTREE_SPLIT_LEFT = 0x30,
  BTREE_SPLIT_RIGHT = 0x40,
  BTREE_HALF_DEAD = 0xb0,
  BTREE_LEVEL_AT = 0,
  BTREE_RIGHT_AT = 12
};

static vsi_postgres_touched touch(vsi_postgres_touch what, const vsi_postgres_block *block) {
  return (vsi_postgres_touched){
      .touch = what, .database = block->database, .relation = block->relation, .block = block->number};
}

/* Read a number of the main data; false: the data are too short. */
static bool number_at(const vsi_postgres_record *record, size_t at, uint32_t *ret_number) {
  if (record->main_len < at + 4) return false;
  *ret_number = vsi_postgres_load_u32(record->main + at);
  return true;
}

/* Return whether a block belongs to the main fork, which has the rows or entries, and not to the visibility map or
 * another fork. */
static bool is_main(const vsi_postgres_block *block) {
  return block->is_there && block->fork == MAIN_FORK;
}

/* Read the old version of a row. Offsets begin with 1. */
static bool take_changed(const vsi_postgres_record *record, const vsi_postgres_block *block,
                         vsi_postgres_touched *ret_touched) {
  if (record->main_len < HEAP_OFFSET_AT + 2) return false;
  *ret_touched = touch(VSI_POSTGRES_CHANGED, block);
  ret_touched->offset = vsi_postgres_load_u16(record->main + HEAP_OFFSET_AT);
  return ret_touched->offset > 0;
}

/* Block 0 of an update has the new version; block 1 is that of the old version, if it is another one. Newer minor
 * versions (17.12 in Debian 13) also list pages of the visibility map: in a delete that is block 1. */
static vestry_err read_heap(const vsi_postgres_record *record, vsi_postgres_touched *ret_touched, size_t *ret_count) {
  const vsi_postgres_block *block = &record->blocks[0], *old = &record->blocks[1];
  unsigned operation = record->info & HEAP_OPERATION;
  bool is_update = operation == HEAP_UPDATE || operation == HEAP_HOT_UPDATE;
  if (!is_update && operation != HEAP_INSERT && operation != HEAP_DELETE) return VESTRY_OK;
  size_t count = 0;
  if (!is_main(block)) return VESTRY_MALFORMED;
  if (operation != HEAP_INSERT && !take_changed(record, is_main(old) ? old : block, &ret_touched[count++]))
    return VESTRY_MALFORMED;
  if (operation != HEAP_DELETE) ret_touched[count++] = touch(VSI_POSTGRES_INSERTED, block);
  *ret_count = count;
  return VESTRY_OK;
}

static vestry_err read_heap2(const vsi_postgres_record *record, vsi_postgres_touched *ret_touched, size_t *ret_count) {
  if ((record->info & HEAP_OPERATION) != HEAP2_MULTI_INSERT) return VESTRY_OK;
  if (!record->blocks[0].is_there) return VESTRY_MALFORMED;
  *ret_touched = touch(VSI_POSTGRES_INSERTED, &record->blocks[0]);
  *ret_count = 1;
  return VESTRY_OK;
}

/* The entry that caused a split is in one of the halves: it counts as inserted into the left one and moved. A leaf that
 * becomes half-dead is empty, and its range belongs to its right neighbour from then on. */
static vestry_err read_btree(const vsi_postgres_record *record, vsi_postgres_touched *ret_touched, size_t *ret_count) {
  const vsi_postgres_block *block = &record->blocks[0], *right = &record->blocks[1];
  unsigned operation = record->info & BTREE_OPERATION;
  if (operation == BTREE_INSERT_LEAF || operation == BTREE_INSERT_POSTING) {
    if (!block->is_there) return VESTRY_MALFORMED;
    *ret_touched = touch(VSI_POSTGRES_ENTERED, block);
    *ret_count = 1;
  } else if (operation == BTREE_SPLIT_LEFT || operation == BTREE_SPLIT_RIGHT) {
    uint32_t level;
    if (!block->is_there || !right->is_there || !number_at(record, BTREE_LEVEL_AT, &level)) return VESTRY_MALFORMED;
    if (level) return VESTRY_OK;
    ret_touched[0] = touch(VSI_POSTGRES_ENTERED, block);
    ret_touched[1] = touch(VSI_POSTGRES_MOVED, block);
    ret_touched[1].to = right->number;
    *ret_count = 2;
  } else if (operation == BTREE_HALF_DEAD) {
    uint32_t to;
    if (!block->is_there || !number_at(record, BTREE_RIGHT_AT, &to)) return VESTRY_MALFORMED;
    *ret_touched = touch(VSI_POSTGRES_MOVED, block);
    ret_touched->to = to;
    *ret_count = 1;
  }
  return VESTRY_OK;
}

vestry_err vsi_postgres_touched_read(const vsi_postgres_record *record,
                                     vsi_postgres_touched ret_touched[VSI_POSTGRES_TOUCHED_MAX], size_t *ret_count) {
  *ret_count = 0;
  switch (record->manager) {
  case VSI_POSTGRES_HEAP: return read_heap(record, ret_touched, ret_count);
  case VSI_POSTGRES_HEAP2: return read_heap2(record, ret_touched, ret_count);
  case VSI_POSTGRES_BTREE: return read_btree(record, ret_touched, ret_count);
  default: return VESTRY_OK;
  }
}
