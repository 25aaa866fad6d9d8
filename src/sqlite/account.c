/* SPDX-License-Identifier: MIT */
#include "sqlite/account.h"

static uint64_t *word_of(vestry_sqlite *database, uint32_t number, uint64_t *ret_bit) {
  number %= VSI_SQLITE_WINDOW;
  *ret_bit = UINT64_C(1) << number % 64;
  return &database->accounted[number / 64];
}

bool vsi_sqlite_account_take(vestry_sqlite *database, uint32_t number) {
  uint64_t bit, *word = word_of(database, number, &bit);
  bool was = *word & bit;
  *word &= ~bit;
  return was;
}

void vsi_sqlite_account(vestry_sqlite *database, vsi_sqlite_number number) {
  uint32_t ahead = number.value - database->seen.value;
  if (number.is_wal != database->seen.is_wal) return; /* the next look finds that out */
  if (ahead == 1) {                                   /* nearly always */
    do database->seen.value++, ahead++;
    while (ahead <= VSI_SQLITE_WINDOW && vsi_sqlite_account_take(database, database->seen.value + 1));
    return;
  }
  if (ahead - 1 >= VSI_SQLITE_WINDOW) { /* far ahead, or far back: numbers begin anew */
    if ((int32_t)ahead > 0 || (int32_t)ahead < -VSI_SQLITE_WINDOW) database->is_lost = true;
    return;
  }
  uint64_t bit, *word = word_of(database, number.value, &bit);
  *word |= bit;
}

void vsi_sqlite_refresh_all(vestry_sqlite *database) {
  vsi_sqlite_exact_whole(&database->exact, NULL);
  (void)vestry_refresh_here(database->pages, NULL, &database->seq); /* other nodes look for themselves */
  database->stats.whole_count++;
}

void vsi_sqlite_begin_anew(vestry_sqlite *database, vsi_sqlite_number last) {
  memset(database->accounted, 0, sizeof database->accounted);
  database->seen = last;
  database->is_lost = false;
  vsi_sqlite_refresh_all(database);
}

void vsi_sqlite_rouse(vestry_sqlite *database) {
  if (database->is_roused) return;
  database->is_roused = true;
  pthread_cond_signal(&database->end);
}
