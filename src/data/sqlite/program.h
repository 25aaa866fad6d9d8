/* SPDX-License-Identifier: MIT */
/* Which rows of a table a statement can look at, as its program says: those of a key that is bound, or stands in it. */
#ifndef VSI_SQLITE_PROGRAM_H
#define VSI_SQLITE_PROGRAM_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/memory.h"

typedef struct vsi_sqlite_operation {
  uint16_t kind;
  int p1, p2, p3;
  int64_t p4;
} vsi_sqlite_operation;

typedef struct vsi_sqlite_program {
  const vestry_host *host;
  vsi_sqlite_operation *operations;
  uint32_t count;
  size_t room;
  bool is_unknown; /* an operation is not known, or they are too many */
} vsi_sqlite_program;

/* An integer by which rows are looked up. */
typedef struct vsi_sqlite_source {
  uint32_t parameter; /* that is bound; 0: it is value */
  int64_t value;
  bool is_rowid; /* else it is the first column of the tree's key */
} vsi_sqlite_source;

enum { VSI_SQLITE_SOURCES_MAX = 8 };

/* One after the other, as EXPLAIN lists them. p4: as text, or NULL */
void vsi_sqlite_program_add(vsi_sqlite_program *program, const char *name, int p1, int p2, int p3, const char *p4);
void vsi_sqlite_program_finish(vsi_sqlite_program *program);
/* By what the rows are looked up that it reads of a tree of the main database.
 *  Returns  how many sources; 0: it reads none but by the entries of an index of the same table; -1: it may read any */
int vsi_sqlite_program_sources(const vsi_sqlite_program *program, uint32_t root,
                               vsi_sqlite_source ret_sources[VSI_SQLITE_SOURCES_MAX]);

/* Integers that are bound to parameters of a statement that has begun.
 *  wanted   numbers of parameters
 *  Returns  for each, by a bit, whether it is an integer */
uint32_t vsi_sqlite_bound(sqlite3_stmt *statement, const uint32_t *wanted, uint32_t count, int64_t *ret_values);

#endif
