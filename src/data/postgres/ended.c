/* SPDX-License-Identifier: MIT */
/* Reading the records of the WAL that end a transaction, or assign subtransactions to it. */
#include "data/postgres/ended.h"

#include "data/postgres/bytes.h"

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
  FILE_BYTES = 12,
  MESSAGE_BYTES = 16,
  MESSAGE_RELATION = -2
};

static unsigned operation_of(const vsi_postgres_record *record) {
  return record->info & OPERATION;
}

bool vsi_postgres_is_end(const vsi_postgres_record *record) {
  unsigned operation = operation_of(record);
  return record->manager == VSI_POSTGRES_TRANSACTION &&
         (operation == COMMIT || operation == COMMIT_PREPARED || operation == ABORT || operation == ABORT_PREPARED);
}

/* Flags select the parts, which have this order. The last ones, the name and position of replication, are not
 * needed. */
vestry_err vsi_postgres_ended_read(const vsi_postgres_format *format, const vsi_postgres_record *record,
                                   vsi_postgres_ended *ret_ended) {
  unsigned operation = operation_of(record);
  bool is_prepared = operation == COMMIT_PREPARED || operation == ABORT_PREPARED;
  vsi_postgres_ended ended = {.is_commit = operation == COMMIT || operation == COMMIT_PREPARED, .xid = record->xid};
  vsi_postgres_bytes bytes = {record->main, record->main_len, false};
  vsi_postgres_take(&bytes, TIME_BYTES);
  uint32_t parts = record->info & HAS_PARTS ? vsi_postgres_take_u32(&bytes) : 0;
  if (parts & PART_DATABASE) {
    ended.database = vsi_postgres_take_u32(&bytes);
    vsi_postgres_take_u32(&bytes); /* its tablespace */
  }
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
  return record->manager == VSI_POSTGRES_TRANSACTION && operation_of(record) == ASSIGNMENT;
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
