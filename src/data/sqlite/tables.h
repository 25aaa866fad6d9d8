/* SPDX-License-Identifier: MIT */
/* Tables by name, and their columns that are read or changed. */
#ifndef VSI_SQLITE_TABLES_H
#define VSI_SQLITE_TABLES_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/map.h"
#include "base/mutex.h"

/* Columns as bits: column i is bit i, and all columns after the 62nd share a bit. One bit stands for the set of rows:
 * every reader of the table has it, and it changes if rows are inserted or deleted. */
#define VSI_SQLITE_ROWS         (UINT64_C(1) << 63)
#define VSI_SQLITE_LAST_COLUMNS (UINT64_C(1) << 62)
#define VSI_SQLITE_ALL_COLUMNS  UINT64_MAX
static inline uint64_t vsi_sqlite_column(size_t i) {
  return i < 62 ? UINT64_C(1) << i : VSI_SQLITE_LAST_COLUMNS;
}

/* Selection of rows: those with an integer in a column, or with a rowid, or any row. */
enum { VSI_SQLITE_ROWID = -1, VSI_SQLITE_ANY_ROW = -2, VSI_SQLITE_KEYED_COLUMNS = 62, VSI_SQLITE_KEYS_MAX = 64 };

/* A table that is read, with its columns and rows; or a table that is changed. */
typedef struct vsi_sqlite_use {
  uint64_t columns;
  union {
    int64_t key;            /* of the rows that are read */
    uint64_t known_columns; /* columns (VSI_SQLITE_ROWS: the rowid) whose values are known for all changed rows */
  };
  uint32_t table;
  int16_t column; /* of the key; ANY_ROW if it is changed */
  bool is_bound;  /* in a kept statement: `key` is the number of the parameter that is bound to the key */
} vsi_sqlite_use;

/* Whether reads look up more keys of a table than are followed, so that they count as reads of any row, and the first
 * such table. */
typedef struct vsi_sqlite_promotion {
  bool is;
  uint32_t table;
} vsi_sqlite_promotion;

static inline void vsi_sqlite_promote(vsi_sqlite_promotion *promotion, uint32_t table) {
  if (!promotion->is) *promotion = (vsi_sqlite_promotion){true, table};
}

/* Several uses; each table once for each key. */
typedef struct vsi_sqlite_uses {
  vsi_sqlite_use *uses;
  size_t count, room;
  vsi_sqlite_promotion promotion;
} vsi_sqlite_uses;

/* Return the bit of a key's column in `known_columns` and `keyed`. */
static inline uint64_t vsi_sqlite_key_column(int32_t column) {
  return column == VSI_SQLITE_ROWID ? VSI_SQLITE_ROWS : vsi_sqlite_column((size_t)column);
}

/* A value in a changed row, before or after; or a run of such values, without gaps. */
typedef struct vsi_sqlite_key {
  int64_t key, last; /* equal: a value */
  uint32_t table;
  int32_t column;
} vsi_sqlite_key;

/* Add a use. More than KEYS_MAX keys of a table become any row. OK | NO_MEMORY */
vestry_err vsi_sqlite_uses_add(const vestry_host *host, vsi_sqlite_uses *uses, const vsi_sqlite_use *use);
void vsi_sqlite_uses_sort(vsi_sqlite_uses *uses);
void vsi_sqlite_uses_finish(const vestry_host *host, vsi_sqlite_uses *uses);
/* Sort keys, and unite those that overlap or touch. Returns the number of keys that are left. */
size_t vsi_sqlite_keys_sort(vsi_sqlite_key *keys, size_t count);
/* Return where the keys of a table begin among sorted keys. */
size_t vsi_sqlite_keys_begin(const vsi_sqlite_key *keys, size_t count, uint32_t table);
/* Return whether a change of a table concerns reads. All arrays are sorted. */
bool vsi_sqlite_uses_meet(const vsi_sqlite_use *read, size_t read_count, const vsi_sqlite_use *changed,
                          const vsi_sqlite_key *keys, size_t keys_count);

/* The columns of a table. */
typedef struct vsi_sqlite_columns {
  char *names; /* each with a NUL */
  uint32_t count;
  bool is_made;    /* some columns are generated: rows have them at other positions */
  uint64_t always; /* columns by which its rows are sorted somewhere; each reader counts as reading them */
  uint64_t first;  /* those that come first in a key or an index: rows can be looked up by them */
  uint64_t filled; /* columns with a default: NULL is reported for rows from before the column */
} vsi_sqlite_columns;

/* The known data of a table. Tables stay; the data are valid for the schema of that generation. */
typedef struct vsi_sqlite_table {
  vsi_map_link by_name; /* first */
  uint32_t number, generation;
  vsi_sqlite_columns columns; /* names NULL: unknown */
  uint64_t read;              /* columns that were read */
  uint64_t keyed;             /* columns (VSI_SQLITE_ROWS: the rowid) by which rows are looked up */
  char name[];
} vsi_sqlite_table;

enum {
  VSI_SQLITE_TABLES_MAX = 65536,
  VSI_SQLITE_CHANGES_MAX = 65536 /* of one transaction: keys, and rows whose columns are compared */
};

typedef struct vsi_sqlite_tables {
  const vestry_host *host;
  const char *path;             /* of the database, for the log; borrowed */
  uint32_t max_changes_count;   /* CHANGES_MAX; less in tests. Set before any connection is attached */
  _Atomic(uint32_t) generation; /* of the schema */
  _Atomic(bool) has_peers;      /* other processes render, and what they have read is unknown here (peers.c) */
  _Atomic(uint32_t) version;    /* of all that vsi_sqlite_tables_ask returns */
  vsi_mutex lock;               /* guards all below */
  vsi_sqlite_table **tables;    /* by number */
  size_t count, room;
  bool is_full; /* there was no room for a name; this was logged */
  vsi_map by_name;
} vsi_sqlite_tables;

void vsi_sqlite_tables_init(vsi_sqlite_tables *tables, const vestry_host *host);
void vsi_sqlite_tables_finish(vsi_sqlite_tables *tables);
/* Find or add a table by name, in any letter case. OK | NO_MEMORY | LIMIT */
vestry_err vsi_sqlite_tables_find(vsi_sqlite_tables *tables, const char *name, uint32_t *ret_table);
/* Return a table's name; valid as long as the tables exist. */
const char *vsi_sqlite_tables_name(vsi_sqlite_tables *tables, uint32_t table);
/* Set the columns of a table. Their names are taken over. */
void vsi_sqlite_tables_set(vsi_sqlite_tables *tables, uint32_t table, uint32_t generation,
                           const vsi_sqlite_columns *columns);
/* Return the bits of a column that is read, and note that it is read; "" is no column. If the table's data are unknown:
 * all columns. */
uint64_t vsi_sqlite_tables_read(vsi_sqlite_tables *tables, uint32_t table, uint32_t generation, const char *column);
/* Note that rows are looked up by a column, or by the rowid. Returns whether changes report its values. */
bool vsi_sqlite_tables_key(vsi_sqlite_tables *tables, uint32_t table, uint32_t generation, int column);
/* Return, and set, whether there are peers. */
static inline bool vsi_sqlite_tables_have_peers(const vsi_sqlite_tables *tables) {
  return atomic_load_explicit(&tables->has_peers, memory_order_relaxed);
}
void vsi_sqlite_tables_set_peers(vsi_sqlite_tables *tables, bool has_peers);
/* The data that changes need of a table. */
typedef struct vsi_sqlite_known {
  uint64_t read, filled, keyed;
  uint32_t columns_count;
} vsi_sqlite_known;
/* Get the data of a table. If there are peers, all its columns are read, and rows are looked up by all columns by which
 * that is possible. false: unknown; ret_known then has that meaning. As long as `version` and the generation are the
 * same, so is the result. Former data are correct, too: columns that are read now, or by which rows are looked up now,
 * then count as changed. */
bool vsi_sqlite_tables_ask(vsi_sqlite_tables *tables, uint32_t table, uint32_t generation, vsi_sqlite_known *ret_known);

#endif
