/* SPDX-License-Identifier: MIT */
/* Sessions in SQLite: the contract of session storage. */
#include "session/storage_contract.h"
#include "support/folder.h"
#include "vestry/data/sqlite.h"

static char folder[FOLDER_BYTES], path[96];

static void make_file(void) {
  folder_make(folder, "sessions");
  snprintf(path, sizeof path, "%s/sessions.db", folder);
}

static void remove_file(void) {
  folder_remove(folder);
}

static vestry_err open_pool(const vestry_host *host, vestry_sql_pool **ret_pool) {
  const vestry_sqlite_pool_options options = {.host = host, .path = path, .setup = "PRAGMA synchronous = OFF"};
  return vestry_sqlite_pool_create(&options, ret_pool);
}

static const storage_world in_a_file = {make_file, remove_file, open_pool};

TEST_CASE(null_arguments_are_rejected) {
  vestry_sql_sessions *stored;
  assert_int_equal(vestry_sql_sessions_create(NULL, NULL, &stored), VESTRY_INVALID);
}

int main(void) {
  storage_contract_world = &in_a_file;
  return storage_contract_run("sessions in a file") + cases_run("sqlite/sessions", NULL, NULL);
}
