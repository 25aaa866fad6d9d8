/* SPDX-License-Identifier: MIT */
/* A submission whose action was refused for the moment, or did not begin, is free for the next request. If the storage
 * is away when it is to learn that, it has the submission as one that may be done, and once the lease is over a
 * repetition would be answered "not known" although nothing was done. So the record is kept, and written later: by
 * requests that ask the storage for their own submission. One thread writes at a time; a request for the same
 * submission waits for it. */
#include "app/guard/once_owed.h"

#include <string.h>

#include "base/log.h"
#include "instance/instance.h"

enum { OWED_MOST = 1000, PAID_AT_ONCE = 16 };

static void leave_locked(vsi_once_table *table, vsi_once_record *record) {
  TAILQ_REMOVE(&table->owed, record, owed_at);
  table->owed_count--;
}

/* The oldest, but for one that is being written. */
static vsi_once_record *drop_oldest_locked(vsi_once_table *table) {
  vsi_once_record *oldest = TAILQ_FIRST(&table->owed);
  if (oldest && oldest == table->paid) oldest = TAILQ_NEXT(oldest, owed_at);
  if (oldest) leave_locked(table, oldest);
  return oldest;
}

void vsi_once_owed_add(vsi_once_record *record, bool is_undone) {
  vsi_once_table *table = record->table;
  vsi_once_record *dropped = NULL;
  vsi_once_record_ref(record);
  vsi_mutex_lock(&table->lock);
  record->is_undone = is_undone;
  if (table->owed_count == OWED_MOST) dropped = drop_oldest_locked(table);
  TAILQ_INSERT_TAIL(&table->owed, record, owed_at);
  table->owed_count++;
  vsi_mutex_unlock(&table->lock);
  if (!dropped) return;
  vsi_log(table->host, VESTRY_LOG_WARN,
          "vestry_once_guard: the storage is away for so long that the end of an action is dropped: it is not known "
          "there whether it was done");
  vsi_once_record_unref(dropped);
}

static vestry_err write_end(const vsi_once_storage *storage, const vsi_once_record *record) {
  return record->is_undone ? vsi_once_stored_forget(storage, record->sealed)
                           : vsi_once_stored_finish(storage, record->sealed, record->digest, &record->answer);
}

/* OK | NOT_FOUND (there is none, or another thread writes) | what the storage says */
static vestry_err pay_one(vsi_once_table *table, const vsi_once_storage *storage) {
  vsi_mutex_lock(&table->lock);
  vsi_once_record *record = table->paid ? NULL : TAILQ_FIRST(&table->owed);
  table->paid = record ? record : table->paid;
  vsi_mutex_unlock(&table->lock);
  if (!record) return VESTRY_NOT_FOUND;
  const vestry_err error = write_end(storage, record);
  vsi_mutex_lock(&table->lock);
  table->paid = NULL;
  if (!error) leave_locked(table, record);
  pthread_cond_broadcast(&table->answered);
  vsi_mutex_unlock(&table->lock);
  if (!error) vsi_once_record_unref(record);
  return error;
}

void vsi_once_owed_pay(vsi_once_table *table, const vsi_once_storage *storage) {
  for (int i = 0; i < PAID_AT_ONCE && !pay_one(table, storage); i++) continue;
}

static vsi_once_record *find_locked(vsi_once_table *table, const char *hash) {
  vsi_once_record *record;
  TAILQ_FOREACH(record, &table->owed, owed_at)
  if (record->is_undone && strcmp(record->sealed->hash, hash) == 0) return record;
  return NULL;
}

void vsi_once_owed_take_over(vsi_once_table *table, vsi_once_sealed *run) {
  vsi_mutex_lock(&table->lock);
  vsi_once_record *record = find_locked(table, run->hash);
  while (record && record == table->paid) {
    vsi_mutex_wait(&table->lock, &table->answered);
    record = find_locked(table, run->hash);
  }
  if (record) leave_locked(table, record);
  vsi_mutex_unlock(&table->lock);
  if (!record) return;
  memcpy(run->run, record->sealed->run, sizeof run->run);
  memcpy(run->number, record->sealed->number, sizeof run->number); /* it has sealed no answer */
  vsi_once_record_unref(record);
}

void vsi_once_owed_finish(vsi_once_table *table) {
  vsi_once_record *record;
  while ((record = TAILQ_FIRST(&table->owed))) {
    TAILQ_REMOVE(&table->owed, record, owed_at);
    vsi_once_record_unref(record);
  }
}
