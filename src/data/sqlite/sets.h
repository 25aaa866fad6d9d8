/* SPDX-License-Identifier: MIT */
/* Sets of reads, found by what they are, by pages, and by tables and the keys of their rows. One thread at a time. */
#ifndef VSI_SQLITE_SETS_H
#define VSI_SQLITE_SETS_H

#include <sys/queue.h>

#include "base/map.h"
#include "data/sqlite/tables.h"
#include "vestry/app/page.h"

typedef struct vsi_sqlite_set vsi_sqlite_set;

/* A set stands in the list of a page, of a table, or of a key. */
typedef struct vsi_sqlite_place {
  LIST_ENTRY(vsi_sqlite_place) in; /* le_prev NULL: it stands nowhere */
  vsi_sqlite_set *of;
} vsi_sqlite_place;

typedef LIST_HEAD(vsi_sqlite_places, vsi_sqlite_place) vsi_sqlite_places;

/* A page that is in some set. */
typedef struct vsi_sqlite_page_entry {
  vsi_map_link in; /* first; two pages have two hashes */
  vsi_sqlite_places places;
} vsi_sqlite_page_entry;

/* Rows of a table that have a key, which some set that is followed by tables looks up. */
typedef struct vsi_sqlite_key_entry {
  vsi_map_link in; /* first */
  LIST_ENTRY(vsi_sqlite_key_entry) in_table;
  vsi_sqlite_key key;
  vsi_sqlite_places places; /* each of another set */
} vsi_sqlite_key_entry;

/* A table that sets are followed by. */
typedef struct vsi_sqlite_table_entry {
  vsi_sqlite_places places; /* those that read any row of it; each of another set */
  LIST_HEAD(, vsi_sqlite_key_entry) keys;
  uint64_t keyed; /* columns of these, as vsi_sqlite_use.told */
} vsi_sqlite_table_entry;

/* What a set is, or is to be. Its arrays are borrowed. */
typedef struct vsi_sqlite_plan {
  const vsi_sqlite_use *uses;
  const uint32_t *pages;
  uint32_t uses_count, pages_count;
  bool is_exact; /* its pages are what it depends on */
  bool is_wild, is_all;
  uint64_t hash;
} vsi_sqlite_plan;

/* Let a plan be followed by tables. */
static inline void vsi_sqlite_plan_without_pages(vsi_sqlite_plan *p) {
  p->is_exact = false;
  p->pages_count = 0;
}

struct vsi_sqlite_set {
  vsi_map_link in; /* first; a member while it is findable */
  LIST_ENTRY(vsi_sqlite_set) in_all;
  LIST_ENTRY(vsi_sqlite_set) in_coarse; /* among those that are followed by tables, or by more than them */
  uint64_t number;
  uint64_t hit; /* the last commit that met it */
  size_t bytes;
  uint32_t pins;            /* renders that are about to name its topic */
  bool is_findable;         /* renders to come may share it */
  vsi_sqlite_plan plan;     /* its arrays follow the places */
  vsi_sqlite_place *places; /* of its pages; of its uses once it is coarse */
};

typedef struct vsi_sqlite_sets {
  vestry_pages *topics;
  const vestry_host *host;
  size_t max_bytes, bytes;
  uint64_t numbers;
  LIST_HEAD(, vsi_sqlite_set) all_sets, coarse_sets, wild_sets; /* wild: coarse, and followed by more than tables */
  vsi_sqlite_set *everything; /* depends on all; for those that nothing more can be kept of */
  size_t sets_count;
  size_t entered_count; /* since the last sweep */
  vsi_map findable, pages, keys;
  vsi_sqlite_table_entry *tables; /* by number */
  size_t tables_count;
  bool is_walking; /* along keys of a table: those that no set looks up any more stay until it ends */
} vsi_sqlite_sets;

/* OK | NO_MEMORY; finish it in any case. */
vestry_err vsi_sqlite_sets_init(vsi_sqlite_sets *sets, vestry_pages *topics, const vestry_host *host, size_t max_bytes);
void vsi_sqlite_sets_finish(vsi_sqlite_sets *sets);

/* The set of what a render has read, or of more: one that is there, or a new one. */
vsi_sqlite_set *vsi_sqlite_sets_place(vsi_sqlite_sets *sets, vsi_sqlite_plan *p);
/* The sets that have read a page; NULL: none has. */
vsi_sqlite_page_entry *vsi_sqlite_sets_find_page(const vsi_sqlite_sets *sets, uint32_t page);
/* Call a function for each of the sets that are followed by tables, of which a commit that changed this table may
 * concern one: those that read any row of it, and those that look up a key of a changed row; or any key, where not all
 * keys of the changed rows are told. A set may come several times. The function may remove the set that it is given,
 * and no other.
 *  keys  of all that the commit changed, sorted */
typedef void (*vsi_sqlite_set_fn)(vsi_sqlite_set *set, void *ctx);
void vsi_sqlite_sets_find_changed(vsi_sqlite_sets *sets, const vsi_sqlite_use *changed, const vsi_sqlite_key *keys,
                                  size_t keys_count, vsi_sqlite_set_fn fn, void *ctx);
/* Renders to come share it no more, and it is followed by tables. */
void vsi_sqlite_set_make_void(vsi_sqlite_sets *sets, vsi_sqlite_set *s);
void vsi_sqlite_set_remove(vsi_sqlite_sets *sets, vsi_sqlite_set *s);
/* The topic that its renders name. */
enum { VSI_SQLITE_SET_TOPIC_BYTES = 48 };
/* Whether a page depends on it, or is about to; its topic, and how many views do. */
bool vsi_sqlite_set_is_used(const vsi_sqlite_sets *sets, const vsi_sqlite_set *s,
                            char topic[VSI_SQLITE_SET_TOPIC_BYTES], size_t *ret_views);
void vsi_sqlite_set_topic(const vsi_sqlite_sets *sets, const vsi_sqlite_set *s, char topic[VSI_SQLITE_SET_TOPIC_BYTES]);

#endif
