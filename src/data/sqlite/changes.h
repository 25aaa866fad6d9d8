/* SPDX-License-Identifier: MIT */
/* The changes of a running transaction: by tables and columns, and as topics. They belong to the connection's
 * thread. */
#ifndef VSI_SQLITE_CHANGES_H
#define VSI_SQLITE_CHANGES_H

#include <sqlite3.h>

#include "app/page/inbox.h"
#include "base/siphash.h"
#include "data/sqlite/tables.h"
#include "vestry/app/page.h"

enum {
  VSI_SQLITE_NAME_MOST = 63,
  /* Topics of one transaction, and the size of their names; more become "all topics". */
  VSI_SQLITE_TOPICS_MOST = 4096,
  VSI_SQLITE_TOPICS_BYTES_MOST = 262144
};

typedef struct vsi_sqlite_changes {
  vsi_sqlite_uses uses; /* each table once */
  vsi_sqlite_key *keys;
  size_t keys_count, keys_room;
  bool are_unknown; /* there was no memory for all of them */
  bool are_many;    /* more than max_changes_count of the tables: some keys or compared columns are missing */
  /* The table that was changed last, because most changes concern the same table, also those of the next
   * transaction. */
  char name[VSI_SQLITE_NAME_MOST + 1]; /* empty: none */
  uint32_t table;
  bool is_used;     /* it is in uses, at `use` */
  bool is_repeated; /* the row before the last row was a row of the same table, perhaps in another transaction */
  uint32_t use, generation;
  uint32_t version; /* of the tables, when `known` was read */
  vsi_sqlite_known known;
  uint32_t compared_count; /* rows of this transaction whose columns were compared */
} vsi_sqlite_changes;

/* A row that is being changed: the arguments of the preupdate hook. */
typedef struct vsi_sqlite_row {
  sqlite3 *db;
  int operation; /* SQLITE_INSERT, UPDATE, DELETE */
  const char *table;
  int64_t old_rowid, new_rowid;
} vsi_sqlite_row;

/* Add a row that is being changed. Called in the hook. */
void vsi_sqlite_changes_row(vsi_sqlite_changes *changes, vsi_sqlite_tables *tables, const vsi_sqlite_row *row);
/* Return whether a column of an updated row has another value than before, and the former value is known. Called in
 * the hook. */
bool vsi_sqlite_change_is_known(sqlite3 *db);
/* Remove all changes. The memory of a few keys is kept. */
void vsi_sqlite_changes_clear(const vestry_host *host, vsi_sqlite_changes *changes);
void vsi_sqlite_changes_finish(const vestry_host *host, vsi_sqlite_changes *changes);

/* The topics of a transaction: a set that grows while rows are changed, and is emptied when they are published or
 * rolled back. That happens under the database's lock. Therefore, a connection keeps the memory of up to 16 topics of
 * up to 63 bytes for its next transactions (1.5 KiB), and frees that of the others. Zeroes, a host, and a secret:
 * empty. */
typedef struct vsi_sqlite_topics {
  const vestry_host *host;
  vsi_siphash_key secret; /* of the database */
  /* The first topic of this transaction, or of a former one. Most transactions have only one, and often the same. */
  vsi_known_topic first;
  bool has_first;                      /* it is in the set */
  bool is_first_of_table;              /* `first` is the topic of the last row's table */
  vsi_map names;                       /* the others */
  size_t bytes;                        /* of their names, each with a NUL */
  const struct vsi_sqlite_topic *last; /* added last, because most changes repeat it; NULL: none */
  bool are_all, are_many;              /* all topics, whatever the set contains; are_many: some had no room */
  vsi_map_link *kept;                  /* a list of topics that are not in the set */
  unsigned kept_count;
} vsi_sqlite_topics;

/* Add a topic; if there is no room for it, all topics. len: 1 to VESTRY_PAGE_TOPIC_MAX_BYTES, without a NUL. */
void vsi_sqlite_topics_add(vsi_sqlite_topics *topics, const char *topic, size_t len);
/* Add the topic table/NAME of a row's table. */
void vsi_sqlite_topics_add_table(vsi_sqlite_topics *topics, const char *table);
/* Empty the set. */
void vsi_sqlite_topics_clear(vsi_sqlite_topics *topics);
/* Free all memory. */
void vsi_sqlite_topics_finish(vsi_sqlite_topics *topics);
/* Refresh the topics, in any order. ret_seq: that of the last one; untouched if there is none. OK, or the error of
 * vestry_refresh. */
vestry_err vsi_sqlite_topics_refresh(const vsi_sqlite_topics *topics, vestry_pages *pages, uint64_t *ret_seq);

#endif
