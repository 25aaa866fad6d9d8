/* SPDX-License-Identifier: MIT */
/* capability: L15 */
/* Rows by name in SQLite: the contract, and texts that only SQLite stores. */
#include "sqlite/rows_contract.h"
#include "support/folder.h"
#include "support/test.h"
#include "vestry/data/sqlite.h"

static char folder[FOLDER_BYTES], path[96];

static vestry_err open_file(const vestry_host *host, vestry_sql_pool **ret_pool) {
  folder_make(folder, "rows");
  snprintf(path, sizeof path, "%s/x.db", folder);
  return vestry_sqlite_pool_create(&(vestry_sqlite_pool_options){.host = host, .path = path}, ret_pool);
}

static void remove_file(void) {
  folder_remove(folder);
}

static const rows_world in_sqlite = {open_file, remove_file, "BLOB"};

typedef struct word {
  char value[9];
} word;
static const vestry_sql_shape word_shape = VESTRY_ROW(word, value);

HOST_CASE(text_with_a_zero_character_is_refused) {
  vestry_sql_pool *pool;
  word is;
  assert_int_equal(open_file(&th->host, &pool), VESTRY_OK);
  assert_int_equal(
      vestry_sql_read_rows(pool, "SELECT 'a' || char(0) || 'b' AS value", NULL, VESTRY_ONE_ROW(&word_shape, &is)),
      VESTRY_INVALID);
  assert_non_null(strstr(th->last_log, "a text of column \"value\" contains a zero character"));
  vestry_sql_pool_destroy(pool);
  remove_file();
}

int main(void) {
  rows_contract_world = &in_sqlite;
  return rows_contract_run("contract") + cases_run("sqlite/rows", NULL, NULL);
}
