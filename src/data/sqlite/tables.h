/* SPDX-License-Identifier: MIT */
/* Tables by name, and which of their columns are read or changed. */
#ifndef VSI_SQLITE_TABLES_H
#define VSI_SQLITE_TABLES_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/map.h"
#include "base/mutex.h"

/* Columns as bits: column i is bit i, and those that are further on share one. One bit says which rows there are: it is
 * of every reader of the table, and changes with rows that come and go. */
#define VSI_SQLITE_ROWS         (UINT64_C(1) << 63)
#define VSI_SQLITE_LAST_COLUMNS (UINT64_C(1) << 62)
#define VSI_SQLITE_ALL_COLUMNS  UINT64_MAX
static inline uint64_t vsi_sqlite_column(size_t i) {
  return i < 62 ? UINT64_C(1) << i : VSI_SQLITE_LAST_COLUMNS;
}

/* Rows by which key: those that have this integer in a column, the rowid, or any. */
enum { VSI_SQLITE_ROWID = -1, VSI_SQLITE_ANY_ROW = -2, VSI_SQLITE_KEYED_COLUMNS = 62, VSI_SQLITE_KEYS_MAX = 64 };

/* A table that is read, columns of it, and which rows; or one that is changed. */
typedef struct vsi_sqlite_use {
  uint64_t columns;
  union {
    int64_t key;   /* of the rows that are read */
    uint64_t told; /* columns, and by VSI_SQLITE_ROWS the rowid, whose values are known in all rows that are changed */
  };
  uint32_t table;
  int16_t column;     /* of the key; ANY_ROW if it is changed */
  uint16_t parameter; /* in what is kept of a statement: the key is bound to it; 0: it is not */
} vsi_sqlite_use;

/* Several, each table once for each key. */
typedef struct vsi_sqlite_uses {
  vsi_sqlite_use *uses;
  size_t count, room;
} vsi_sqlite_uses;

/* The bit of a key's column, in what is told and in what is looked up. */
static inline uint64_t vsi_sqlite_key_column(int32_t column) {
  return column == VSI_SQLITE_ROWID ? VSI_SQLITE_ROWS : vsi_sqlite_column((size_t)column);
}

/* A value in a row that is changed, before or after. */
typedef struct vsi_sqlite_key {
  int64_t key;
  uint32_t table;
  int32_t column;
} vsi_sqlite_key;

/* More keys of a table than KEYS_MAX become any row. OK | NO_MEMORY */
vestry_err vsi_sqlite_uses_add(const vestry_host *host, vsi_sqlite_uses *uses, const vsi_sqlite_use *use);
void vsi_sqlite_uses_sort(vsi_sqlite_uses *uses);
void vsi_sqlite_uses_finish(const vestry_host *host, vsi_sqlite_uses *uses);
bool vsi_sqlite_uses_are_equal(const vsi_sqlite_use *one, const vsi_sqlite_use *other);
void vsi_sqlite_keys_sort(vsi_sqlite_key *keys, size_t count);
/* Where those of a table begin among sorted ones. */
size_t vsi_sqlite_keys_begin(const vsi_sqlite_key *keys, size_t count, uint32_t table);
/* Whether of what is read something is changed. All sorted. */
bool vsi_sqlite_uses_meet(const vsi_sqlite_use *read, size_t read_count, const vsi_sqlite_use *changed,
                          size_t changed_count, const vsi_sqlite_key *keys, size_t keys_count);

/* What is known of a table. Tables stay; what was said about one is true of the schema of that generation. */
typedef struct vsi_sqlite_table {
  vsi_map_link by_name; /* first */
  uint32_t number, generation;
  uint64_t always; /* columns by which its rows are sorted somewhere: a reader of the table is taken to read them */
  uint64_t read;   /* columns that were read */
  uint64_t keyed;  /* columns, and by VSI_SQLITE_ROWS the rowid, by which rows are looked up */
  bool is_made;    /* some of its columns are made of others: in rows they stand elsewhere */
  uint64_t filled; /* columns that have a default: a row from before the column is said to have NULL there */
  uint32_t columns_count;
  char **columns; /* their names, in one allocation */
  char name[];
} vsi_sqlite_table;

enum { VSI_SQLITE_TABLES_MAX = 65536 };

/* Under a lock of its own. */
typedef struct vsi_sqlite_tables {
  const vestry_host *host;
  vsi_mutex lock;
  vsi_sqlite_table **tables; /* by number */
  size_t count, room;
  vsi_map by_name;
} vsi_sqlite_tables;

void vsi_sqlite_tables_init(vsi_sqlite_tables *tables, const vestry_host *host);
void vsi_sqlite_tables_finish(vsi_sqlite_tables *tables);
/* A table's number. name: in any case. OK | NO_MEMORY | LIMIT */
vestry_err vsi_sqlite_tables_find(vsi_sqlite_tables *tables, const char *name, uint32_t *ret_table);
/* Its name, as long as the tables are there. */
const char *vsi_sqlite_tables_name(vsi_sqlite_tables *tables, uint32_t table);
/* Say what it is. names: of its columns, in one allocation, taken. */
void vsi_sqlite_tables_tell(vsi_sqlite_tables *tables, uint32_t table, uint32_t generation, uint64_t always,
                            uint64_t filled, bool is_made, char **names, uint32_t names_count);
/* The bits of a column that is read, and note that it is; "" is none. Of what is not known it is all. */
uint64_t vsi_sqlite_tables_read(vsi_sqlite_tables *tables, uint32_t table, uint32_t generation, const char *column);
/* Rows are looked up by a column, or the rowid. Returns whether it is told in what is changed. */
bool vsi_sqlite_tables_key(vsi_sqlite_tables *tables, uint32_t table, uint32_t generation, int column);
/* What is known of one. */
typedef struct vsi_sqlite_known {
  uint64_t read, filled, keyed;
  uint32_t columns_count;
} vsi_sqlite_known;
/* false: nothing is, and that is what is given. */
bool vsi_sqlite_tables_ask(vsi_sqlite_tables *tables, uint32_t table, uint32_t generation, vsi_sqlite_known *ret_known);

#endif
