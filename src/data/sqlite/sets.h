/* SPDX-License-Identifier: MIT */
/* Sets of reads, found by their content, by file pages, and by tables and keys of rows. One thread at a time. */
#ifndef VSI_SQLITE_SETS_H
#define VSI_SQLITE_SETS_H

#include <sys/queue.h>

#include "base/map.h"
#include "data/sqlite/tables.h"
#include "vestry/app/page.h"

typedef struct vsi_sqlite_set vsi_sqlite_set;

/* A set's link in the list of a file page, of a table, or of a key. */
typedef struct vsi_sqlite_place {
  LIST_ENTRY(vsi_sqlite_place) in; /* le_prev NULL: in no list */
  vsi_sqlite_set *of;
} vsi_sqlite_place;

typedef LIST_HEAD(vsi_sqlite_places, vsi_sqlite_place) vsi_sqlite_places;

/* A file page that some set contains. */
typedef struct vsi_sqlite_page_entry {
  vsi_map_link in; /* first; different pages have different hashes */
  vsi_sqlite_places places;
} vsi_sqlite_page_entry;

/* The rows of a table with a certain key, which a table-level set looks up. */
typedef struct vsi_sqlite_key_entry {
  vsi_map_link in; /* first */
  LIST_ENTRY(vsi_sqlite_key_entry) in_table;
  vsi_sqlite_key key;
  vsi_sqlite_places places; /* each of another set */
} vsi_sqlite_key_entry;

/* A table that table-level sets have read. */
typedef struct vsi_sqlite_table_entry {
  vsi_sqlite_places places; /* sets that have read any row; each of another set */
  LIST_HEAD(, vsi_sqlite_key_entry) keys;
  uint64_t keyed; /* columns of the keys, as in vsi_sqlite_use */
} vsi_sqlite_table_entry;

/* The content of a set, existing or new. Its arrays are borrowed. */
typedef struct vsi_sqlite_plan {
  const vsi_sqlite_use *uses;
  const uint32_t *pages;
  uint32_t uses_count, pages_count;
  bool is_exact; /* it depends on its file pages */
  /* is_wild: untracked data was also read; is_all: it depends on everything. In both cases every commit matches. */
  bool is_wild, is_all;
  uint64_t hash;
} vsi_sqlite_plan;

/* Let a plan be followed by tables. */
static inline void vsi_sqlite_plan_without_pages(vsi_sqlite_plan *p) {
  p->is_exact = false;
  p->pages_count = 0;
}

struct vsi_sqlite_set {
  vsi_map_link in; /* first; in the map while is_findable */
  LIST_ENTRY(vsi_sqlite_set) in_all;
  LIST_ENTRY(vsi_sqlite_set) in_coarse; /* in coarse_sets or wild_sets */
  uint64_t number;
  uint64_t hit; /* the last commit that refreshed it */
  size_t bytes;
  uint32_t pins;            /* number of renders that are about to name its topic */
  bool is_findable;         /* later renders may share it */
  vsi_sqlite_plan plan;     /* its arrays follow the places */
  vsi_sqlite_place *places; /* of its file pages; of its uses once it is table-level */
};

typedef struct vsi_sqlite_sets {
  vestry_pages *topics;
  const vestry_host *host;
  size_t max_bytes, bytes;
  uint64_t numbers;
  LIST_HEAD(, vsi_sqlite_set) all_sets, coarse_sets, wild_sets; /* wild: every commit concerns them */
  vsi_sqlite_set *everything; /* depends on everything; used when there is no room for a more precise set */
  size_t sets_count;
  size_t entered_count; /* since the last sweep */
  vsi_map findable, pages, keys;
  vsi_sqlite_table_entry *tables; /* by number */
  size_t tables_count;
  bool is_walking; /* through the keys of a table; unused keys stay until it ends */
} vsi_sqlite_sets;

/* Initialize sets. OK | NO_MEMORY; call vsi_sqlite_sets_finish in both cases. */
vestry_err vsi_sqlite_sets_init(vsi_sqlite_sets *sets, vestry_pages *topics, const vestry_host *host, size_t max_bytes);
void vsi_sqlite_sets_finish(vsi_sqlite_sets *sets);

/* Find or create the set for a plan, or for a less precise one. */
vsi_sqlite_set *vsi_sqlite_sets_place(vsi_sqlite_sets *sets, vsi_sqlite_plan *p);
/* Find the sets that have read a file page; NULL: none. */
vsi_sqlite_page_entry *vsi_sqlite_sets_find_page(const vsi_sqlite_sets *sets, uint32_t page);
/* Call a function for each table-level set that a change of this table may concern: sets that have read any row, and
 * sets that look up a key of a changed row. If not all keys of the changed rows are known, all sets that look up a key
 * of the table count. A set may occur several times. The function may remove the set that it receives, and no other.
 *  keys  of all changes of the commit, sorted */
typedef void (*vsi_sqlite_set_fn)(vsi_sqlite_set *set, void *ctx);
void vsi_sqlite_sets_find_changed(vsi_sqlite_sets *sets, const vsi_sqlite_use *changed, const vsi_sqlite_key *keys,
                                  size_t keys_count, vsi_sqlite_set_fn fn, void *ctx);
/* Invalidate a set: later renders do not share it, and it is followed by tables. */
void vsi_sqlite_set_make_void(vsi_sqlite_sets *sets, vsi_sqlite_set *s);
void vsi_sqlite_set_remove(vsi_sqlite_sets *sets, vsi_sqlite_set *s);
/* The topic that its renders name. */
enum { VSI_SQLITE_SET_TOPIC_BYTES = 48 };
/* Return whether a page depends on a set, or is about to; its topic, and the number of rendered fragments that do. */
bool vsi_sqlite_set_is_used(const vsi_sqlite_sets *sets, const vsi_sqlite_set *s,
                            char topic[VSI_SQLITE_SET_TOPIC_BYTES], size_t *ret_views);
void vsi_sqlite_set_topic(const vsi_sqlite_sets *sets, const vsi_sqlite_set *s, char topic[VSI_SQLITE_SET_TOPIC_BYTES]);

#endif
