/* SPDX-License-Identifier: MIT */
#include "sqlite/level.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/test.h"
#include "vestry/data/sqlite.h"

static bool has_pages;

void level_begin(void) {
  vestry_err error = vestry_sqlite_record_pages();
  has_pages = !error;
  if (error == VESTRY_UNSUPPORTED) {
    printf("SQLite %s has no level FILE_PAGES: what is tested of it is skipped\n", sqlite3_libversion());
  } else if (error) {
    printf("pages cannot be recorded: %s\n", vestry_strerror(error));
    exit(1);
  }
}

bool level_has_pages(void) {
  return has_pages;
}

void level_needs_pages(void) {
  if (has_pages) return;
  print_message("skipped from here on: SQLite %s has no level FILE_PAGES\n", sqlite3_libversion());
  skip();
}
