/* Tables by name, and which of their columns somebody reads or changes. */
#ifndef VSI_SQLITE_TABLES_H
#define VSI_SQLITE_TABLES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "sqlite/host.h"
#include "vestry/error.h"

/* Columns as bits: column i is bit i, and those that are further on share one. One bit says which rows there are: it is
 * of everybody who reads the table, and changes with rows that come and go. */
#define VSI_SQLITE_ROWS         (UINT64_C(1) << 63)
#define VSI_SQLITE_LAST_COLUMNS (UINT64_C(1) << 62)
#define VSI_SQLITE_ALL_COLUMNS  UINT64_MAX
static inline uint64_t vsi_sqlite_column(size_t i) {
  return i < 62 ? UINT64_C(1) << i : VSI_SQLITE_LAST_COLUMNS;
}

/* A table that is read or changed, and columns of it. */
typedef struct vsi_sqlite_use {
  uint64_t columns;
  uint32_t table;
} vsi_sqlite_use;

/* Several, each table once. */
typedef struct vsi_sqlite_uses {
  vsi_sqlite_use *uses;
  uint32_t count, room;
} vsi_sqlite_uses;

/* OK | NO_MEMORY */
vestry_err vsi_sqlite_uses_add(const vestry_host *host, vsi_sqlite_uses *uses, uint32_t table, uint64_t columns);
void vsi_sqlite_uses_sort(vsi_sqlite_uses *uses);
void vsi_sqlite_uses_finish(const vestry_host *host, vsi_sqlite_uses *uses);
/* Whether a column of one is in the other. Both sorted. */
bool vsi_sqlite_uses_meet(const vsi_sqlite_use *a, size_t a_count, const vsi_sqlite_use *b, size_t b_count);

/* What is known of a table. Tables stay; what was said about one is true of the schema of that generation. */
typedef struct vsi_sqlite_table {
  uint32_t next; /* in its bucket, one more than its place */
  uint32_t generation;
  uint64_t always; /* columns by which its rows are sorted somewhere: whoever reads the table is taken to read them */
  uint64_t read;   /* columns that somebody has read */
  uint64_t filled; /* columns that have a default: a row from before the column is said to have NULL there */
  uint32_t columns_count;
  char **columns; /* their names, in one allocation */
  char name[];
} vsi_sqlite_table;

enum { VSI_SQLITE_TABLES_MAX = 65536 };

/* Under a lock of its own. */
typedef struct vsi_sqlite_tables {
  const vestry_host *host;
  pthread_mutex_t lock;
  vsi_sqlite_table **tables;
  uint32_t count, room;
  uint32_t *buckets;
  uint32_t buckets_count;
} vsi_sqlite_tables;

void vsi_sqlite_tables_init(vsi_sqlite_tables *tables, const vestry_host *host);
void vsi_sqlite_tables_finish(vsi_sqlite_tables *tables);
/* A table's number. name: in any case. OK | NO_MEMORY | LIMIT */
vestry_err vsi_sqlite_tables_find(vsi_sqlite_tables *tables, const char *name, uint32_t *ret_table);
/* Say what it is. names: of its columns, in one allocation, taken. */
void vsi_sqlite_tables_tell(vsi_sqlite_tables *tables, uint32_t table, uint32_t generation, uint64_t always,
                            uint64_t filled, char **names, uint32_t names_count);
/* The bits of a column that is read, and note that it is; "" is none. Of what is not known it is all. */
uint64_t vsi_sqlite_tables_read(vsi_sqlite_tables *tables, uint32_t table, uint32_t generation, const char *column);
/* Columns that somebody reads, those that have a default, and how many there are; false: nothing is known of it. */
bool vsi_sqlite_tables_ask(vsi_sqlite_tables *tables, uint32_t table, uint32_t generation, uint64_t *ret_read,
                           uint64_t *ret_filled, uint32_t *ret_columns_count);

#endif
