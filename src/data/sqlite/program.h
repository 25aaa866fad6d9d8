/* SPDX-License-Identifier: MIT */
/* The rows of a table that a statement can read, according to its program: those with a key that is bound, or is a
 * constant in it. */
#ifndef VSI_SQLITE_PROGRAM_H
#define VSI_SQLITE_PROGRAM_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/memory.h"
#include "data/sqlite/tables.h"

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
  bool is_large;   /* it has more than OPERATIONS_MAX */
  bool is_unknown; /* it is large, or has an unknown operation */
} vsi_sqlite_program;

/* An integer by which rows are looked up. */
typedef struct vsi_sqlite_source {
  uint32_t parameter; /* the bound parameter; 0: the constant in value */
  int64_t value;
  bool is_rowid; /* otherwise the first column of the tree's key */
} vsi_sqlite_source;

/* OPERATIONS_MAX: the time to find the keys of a tree grows with the square of the number of operations; for this many
 * it is up to 10 ms. */
enum { VSI_SQLITE_SOURCES_MAX = VSI_SQLITE_KEYS_MAX, VSI_SQLITE_OPERATIONS_MAX = 4096 };

/* Add the next operation, in the order of EXPLAIN. p4: as text, or NULL */
void vsi_sqlite_program_add(vsi_sqlite_program *program, const char *name, int p1, int p2, int p3, const char *p4);
void vsi_sqlite_program_finish(vsi_sqlite_program *program);
/* Find the keys by which rows of a tree of the main database are looked up.
 *  Returns  the number of sources; 0: rows are read only by entries of an index of the same table; -1: any row may be
 *           read; SOURCES_MAX + 1: there are more */
int vsi_sqlite_program_sources(const vsi_sqlite_program *program, uint32_t root,
                               vsi_sqlite_source ret_sources[VSI_SQLITE_SOURCES_MAX]);

/* Get the integers bound to parameters of a statement that has begun.
 *  wanted   numbers of parameters, at most 64
 *  Returns  a bit for each: whether it is an integer */
uint64_t vsi_sqlite_bound(sqlite3_stmt *statement, const uint32_t *wanted, uint32_t count, int64_t *ret_values);

#endif
