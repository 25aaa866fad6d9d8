/* SPDX-License-Identifier: MIT */
/* What statements of one connection read, asked of SQLite once for each text, and recorded for the render of the thread
 * (recording.h). */
#ifndef VSI_SQLITE_READER_H
#define VSI_SQLITE_READER_H

#include "data/sqlite/file.h"
#include "data/sqlite/tables.h"

/* What is known of statements of one connection. The connection's thread's. */
typedef struct vsi_sqlite_statement vsi_sqlite_statement;
enum { VSI_SQLITE_TABLE_BYTES = 256, VSI_SQLITE_STATEMENTS_MAX = 1024 };
typedef struct vsi_sqlite_reader {
  const vestry_host *host;
  sqlite3 *db;
  void *owner;
  vsi_sqlite_tables *tables;
  const _Atomic(uint32_t) *generation; /* of the schema */
  sqlite3_file *file;                  /* of its main database */
  vsi_sqlite_cache cache;
  vsi_sqlite_watch watch;
  bool wants_pages; /* of the database; false: tables alone are looked at */
  bool wants_file;  /* pages may be read past the cache: the file is watched, too */
  bool is_own;      /* what runs now is the library's */
  bool is_odd;      /* names can stand for something else than in the database: nothing is kept of statements */
  struct vsi_sqlite_analysis *analysis; /* of the statement that is being prepared */
  uint32_t known_generation;            /* of all that is kept */
  _Atomic(uint64_t) *numbers;           /* that statements of all connections were given so far */
  vsi_map statements;
} vsi_sqlite_reader;

/* Reads with the connection. */
void vsi_sqlite_reader_init(vsi_sqlite_reader *reader, const vestry_host *host, sqlite3 *db, void *owner,
                            vsi_sqlite_tables *tables, const _Atomic(uint32_t) *generation, _Atomic(uint64_t) *numbers,
                            bool wants_pages);
void vsi_sqlite_reader_finish(vsi_sqlite_reader *reader);
/* SQLITE_TRACE_STMT. text: as the trace has it: a comment if it runs inside of another one. */
void vsi_sqlite_reader_begins(vsi_sqlite_reader *reader, sqlite3_stmt *statement, const char *text);
/* The authorizer. */
int vsi_sqlite_reader_authorize(vsi_sqlite_reader *reader, int action, const char *first, const char *second,
                                const char *schema);
/* Whether all pages that it reads are told of: its cache is known, and the file is watched, or nothing is read past the
 * cache. */
bool vsi_sqlite_reader_knows_pages(const vsi_sqlite_reader *reader);
/* What runs from here on is the library's, and not recorded; or is not any more. Returns what it was before. */
bool vsi_sqlite_reader_pause(vsi_sqlite_reader *reader, bool is_own);

#endif
