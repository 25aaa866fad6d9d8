/* SPDX-License-Identifier: MIT */
/* The reads of a connection's statements. They are determined once for each text, and recorded for the render of the
 * thread (recording.h). */
#ifndef VSI_SQLITE_READER_H
#define VSI_SQLITE_READER_H

#include "data/sqlite/cache.h"
#include "data/sqlite/tables.h"

/* The reads of a connection. The struct belongs to the connection's thread. */
typedef struct vsi_sqlite_reader {
  const vestry_host *host;
  sqlite3 *db;
  void *owner;
  vsi_sqlite_tables *tables;
  sqlite3_file *file; /* of its main database */
  vsi_sqlite_cache cache;
  vsi_sqlite_watch watch;
  bool wants_pages; /* record file pages; false: tables only */
  bool is_own;      /* the running statements belong to the library */
  bool is_odd;      /* names may have another meaning than in the database: a statement is kept until the next */
  struct vsi_sqlite_analysis *analysis; /* of the statement that is being prepared */
  uint32_t known_generation;            /* of all kept statements */
  vsi_map statements;                   /* the known data of statements */
} vsi_sqlite_reader;

/* Initialize a reader. Reads with the connection. */
void vsi_sqlite_reader_init(vsi_sqlite_reader *reader, sqlite3 *db, void *owner, vsi_sqlite_tables *tables,
                            bool wants_pages);
void vsi_sqlite_reader_finish(vsi_sqlite_reader *reader);
/* Record that a statement begins (SQLITE_TRACE_STMT). text: as in the trace: a comment if the statement runs inside of
 * another one. */
void vsi_sqlite_reader_begins(vsi_sqlite_reader *reader, sqlite3_stmt *statement);
/* Load the columns of a table. OK | IO */
vestry_err vsi_sqlite_reader_load(sqlite3 *db, vsi_sqlite_tables *tables, uint32_t number, uint32_t generation);
/* The authorizer. */
int vsi_sqlite_reader_authorize(vsi_sqlite_reader *reader, int action, const char *first, const char *second,
                                const char *schema);
/* Return whether all file pages that the connection reads are reported: its cache is known, and its file is watched. */
bool vsi_sqlite_reader_knows_pages(const vsi_sqlite_reader *reader);
/* Set whether the statements from now on belong to the library, and are not recorded. Returns the former value. */
bool vsi_sqlite_reader_pause(vsi_sqlite_reader *reader, bool is_own);

#endif
