/* SPDX-License-Identifier: MIT */
/* Reading the records of the WAL that change rows or leaves of indexes, end a transaction, or assign subtransactions to
 * it. The numbers of the operations are those of the server's source (heapam_xlog.h, nbtxlog.h, xact.h). */
#include "data/postgres/record.h"

/* --------------------------------------------------------------------------------------------- rows and leaves ---- */

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

/* Add an effect on a block. MALFORMED: the record does not have that block. */
static vestry_err add(vsi_postgres_touched *touched, size_t *count, vsi_postgres_touch what,
                      const vsi_postgres_block *block, uint32_t to) {
  if (!block->is_there) return VESTRY_MALFORMED;
  touched[(*count)++] = (vsi_postgres_touched){
      .touch = what, .database = block->database, .relation = block->relation, .block = block->number, .to = to};
  return VESTRY_OK;
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
static vestry_err add_changed(const vsi_postgres_record *record, const vsi_postgres_block *block,
                              vsi_postgres_touched *touched, size_t *count) {
  if (record->main_len < HEAP_OFFSET_AT + 2) return VESTRY_MALFORMED;
  const uint16_t offset = vsi_postgres_load_u16(record->main + HEAP_OFFSET_AT);
  vestry_err error = offset ? add(touched, count, VSI_POSTGRES_CHANGED, block, 0) : VESTRY_MALFORMED;
  if (!error) touched[*count - 1].offset = offset;
  return error;
}

/* Block 0 of an update has the new version; block 1 is that of the old version, if it is another one. Newer minor
 * versions (17.12 in Debian 13) also list pages of the visibility map: in a delete that is block 1. */
static vestry_err read_heap(const vsi_postgres_record *record, vsi_postgres_touched *touched, size_t *count) {
  const vsi_postgres_block *block = &record->blocks[0], *old = &record->blocks[1];
  const unsigned operation = record->info & HEAP_OPERATION;
  const bool is_update = operation == HEAP_UPDATE || operation == HEAP_HOT_UPDATE;
  if (!is_update && operation != HEAP_INSERT && operation != HEAP_DELETE) return VESTRY_OK;
  if (!is_main(block)) return VESTRY_MALFORMED;
  vestry_err error = VESTRY_OK;
  if (operation != HEAP_INSERT) error = add_changed(record, is_main(old) ? old : block, touched, count);
  if (!error && operation != HEAP_DELETE) error = add(touched, count, VSI_POSTGRES_INSERTED, block, 0);
  return error;
}

/* The entry that caused a split is in one of the halves: it counts as inserted into the left one and moved. A leaf that
 * becomes half-dead is empty, and its range belongs to its right neighbour from then on. */
static vestry_err read_btree(const vsi_postgres_record *record, vsi_postgres_touched *touched, size_t *count) {
  const vsi_postgres_block *block = &record->blocks[0], *right = &record->blocks[1];
  uint32_t level, to;
  vestry_err error;
  switch (record->info & BTREE_OPERATION) {
  case BTREE_INSERT_LEAF:
  case BTREE_INSERT_POSTING: return add(touched, count, VSI_POSTGRES_ENTERED, block, 0);
  case BTREE_SPLIT_LEFT:
  case BTREE_SPLIT_RIGHT:
    if (!block->is_there || !right->is_there || !number_at(record, BTREE_LEVEL_AT, &level)) return VESTRY_MALFORMED;
    if (level) return VESTRY_OK;
    error = add(touched, count, VSI_POSTGRES_ENTERED, block, 0);
    return error ? error : add(touched, count, VSI_POSTGRES_MOVED, block, right->number);
  case BTREE_HALF_DEAD:
    if (!number_at(record, BTREE_RIGHT_AT, &to)) return VESTRY_MALFORMED;
    return add(touched, count, VSI_POSTGRES_MOVED, block, to);
  default: return VESTRY_OK;
  }
}

vestry_err vsi_postgres_touched_read(const vsi_postgres_record *record,
                                     vsi_postgres_touched ret_touched[VSI_POSTGRES_TOUCHED_MAX], size_t *ret_count) {
  *ret_count = 0;
  switch (record->manager) {
  case VSI_POSTGRES_HEAP: return read_heap(record, ret_touched, ret_count);
  case VSI_POSTGRES_HEAP2:
    if ((record->info & HEAP_OPERATION) != HEAP2_MULTI_INSERT) return VESTRY_OK;
    return add(ret_touched, ret_count, VSI_POSTGRES_INSERTED, &record->blocks[0], 0);
  case VSI_POSTGRES_BTREE: return read_btree(record, ret_touched, ret_count);
  default: return VESTRY_OK;
  }
}

/* ------------------------------------------------------------------------------------------------ transactions ---- */

enum {
  OPERATION = 0x70,
  COMMIT = 0x00,
  ABORT = 0x20,
  COMMIT_PREPARED = 0x30,
  ABORT_PREPARED = 0x40,
  ASSIGNMENT = 0x50,
  HAS_PARTS = 0x80,
  PART_DATABASE = 0x1,
  PART_SUBTRANSACTIONS = 0x2,
  PART_FILES = 0x4,
  PART_MESSAGES = 0x8,
  PART_PREPARED = 0x10,
  PART_STATISTICS = 0x100,
  TIME_BYTES = 8,
  DATABASE_BYTES = 8, /* with its tablespace */
  FILE_BYTES = 12,
  MESSAGE_BYTES = 16,
  MESSAGE_RELATION = -2
};

bool vsi_postgres_is_end(const vsi_postgres_record *record) {
  const unsigned operation = record->info & OPERATION;
  return record->manager == VSI_POSTGRES_TRANSACTION &&
         (operation == COMMIT || operation == COMMIT_PREPARED || operation == ABORT || operation == ABORT_PREPARED);
}

/* Flags select the parts, which have this order. The last ones, the name and position of replication, are not
 * needed. */
vestry_err vsi_postgres_ended_read(const vsi_postgres_format *format, const vsi_postgres_record *record,
                                   vsi_postgres_ended *ret_ended) {
  const unsigned operation = record->info & OPERATION;
  bool is_prepared = operation == COMMIT_PREPARED || operation == ABORT_PREPARED;
  vsi_postgres_ended ended = {.is_commit = operation == COMMIT || operation == COMMIT_PREPARED, .xid = record->xid};
  vsi_postgres_bytes bytes = {record->main, record->main_len, false};
  vsi_postgres_take(&bytes, TIME_BYTES);
  uint32_t parts = record->info & HAS_PARTS ? vsi_postgres_take_u32(&bytes) : 0;
  if (parts & PART_DATABASE) vsi_postgres_take(&bytes, DATABASE_BYTES);
  if (parts & PART_SUBTRANSACTIONS) {
    ended.subtransactions_count = vsi_postgres_take_u32(&bytes);
    ended.subtransactions = vsi_postgres_take_items(&bytes, ended.subtransactions_count, sizeof(uint32_t));
  }
  if (parts & PART_FILES) vsi_postgres_take_items(&bytes, vsi_postgres_take_u32(&bytes), FILE_BYTES);
  if (parts & PART_STATISTICS) {
    if (!format->statistics_bytes) return VESTRY_MALFORMED;
    vsi_postgres_take_items(&bytes, vsi_postgres_take_u32(&bytes), format->statistics_bytes);
  }
  if (ended.is_commit && (parts & PART_MESSAGES)) {
    ended.messages_count = vsi_postgres_take_u32(&bytes);
    ended.messages = vsi_postgres_take_items(&bytes, ended.messages_count, MESSAGE_BYTES);
  }
  if (!(parts & PART_PREPARED) != !is_prepared) return VESTRY_MALFORMED;
  if (is_prepared) ended.xid = vsi_postgres_take_u32(&bytes);
  if (bytes.is_short) return VESTRY_MALFORMED;
  *ret_ended = ended;
  return VESTRY_OK;
}

bool vsi_postgres_is_assignment(const vsi_postgres_record *record) {
  return record->manager == VSI_POSTGRES_TRANSACTION && (record->info & OPERATION) == ASSIGNMENT;
}

vestry_err vsi_postgres_assignment_read(const vsi_postgres_record *record, vsi_postgres_ended *ret_assigned) {
  vsi_postgres_bytes bytes = {record->main, record->main_len, false};
  vsi_postgres_ended assigned = {.xid = vsi_postgres_take_u32(&bytes)};
  assigned.subtransactions_count = vsi_postgres_take_u32(&bytes);
  assigned.subtransactions = vsi_postgres_take_items(&bytes, assigned.subtransactions_count, sizeof(uint32_t));
  if (bytes.is_short || !assigned.xid) return VESTRY_MALFORMED;
  *ret_assigned = assigned;
  return VESTRY_OK;
}

uint32_t vsi_postgres_ended_subtransaction(const vsi_postgres_ended *ended, uint32_t number) {
  return vsi_postgres_load_u32(ended->subtransactions + (size_t)number * sizeof(uint32_t));
}

bool vsi_postgres_ended_definition(const vsi_postgres_ended *ended, uint32_t number, uint32_t *ret_database,
                                   uint32_t *ret_relation) {
  const unsigned char *message = ended->messages + (size_t)number * MESSAGE_BYTES;
  if ((signed char)*message != MESSAGE_RELATION) return false;
  *ret_database = vsi_postgres_load_u32(message + 4);
  *ret_relation = vsi_postgres_load_u32(message + 8);
  return true;
}
