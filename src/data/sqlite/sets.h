/* SPDX-License-Identifier: MIT */
/* Sets of reads, and the lists in which they are found: by their content, by the keys that they look up, by file pages
 * and by tables (index.c explains which). All functions need the lock of the index; all costs are independent of the
 * number of sets. */
#ifndef VSI_SQLITE_SETS_H
#define VSI_SQLITE_SETS_H

#include <sys/queue.h>

#include "base/siphash.h"
#include "data/sql/stepped_map.h"
#include "data/sqlite/tables.h"
#include "vestry/app/page.h"

enum { VSI_SQLITE_TOPIC_BYTES = 48 };

typedef struct vsi_sqlite_link {
  LIST_ENTRY(vsi_sqlite_link) in; /* le_prev NULL: in no list */
} vsi_sqlite_link;
typedef LIST_HEAD(vsi_sqlite_links, vsi_sqlite_link) vsi_sqlite_links;

typedef struct vsi_sqlite_set vsi_sqlite_set;

/* A set's place in a list, or among the reads of a key. */
typedef struct vsi_sqlite_place {
  union { /* first */
    vsi_sqlite_link in;
    vsi_stepped_link in_keys;
  };
  vsi_sqlite_set *of; /* NULL: it marks how far a walk has come */
} vsi_sqlite_place;

/* A use of a set. Its place is among the reads of the same key, or in the list of its table. */
typedef struct vsi_sqlite_read {
  vsi_sqlite_place at; /* first */
  vsi_sqlite_use is;
} vsi_sqlite_read;

/* A file page that sets contain. */
typedef struct vsi_sqlite_page {
  vsi_stepped_link in;   /* first */
  uint64_t written;      /* the last commit that wrote it; 0: none */
  vsi_sqlite_links sets; /* places of ranged sets */
  uint32_t number;
  uint32_t refs; /* sets that contain it, and a walk */
} vsi_sqlite_page;

/* The content of a set, existing or new. Its arrays are borrowed. */
typedef struct vsi_sqlite_plan {
  vsi_sqlite_use *uses; /* sorted */
  const uint32_t *pages;
  uint32_t uses_count, pages_count;
  bool is_exact; /* it depends on its file pages */
  bool is_wide;
  /* is_untracked: it also read untracked data; is_all: it depends on everything. In both cases every commit matches. */
  bool is_untracked, is_all;
  uint64_t hash;
} vsi_sqlite_plan;

struct vsi_sqlite_set {
  vsi_stepped_link in; /* first */
  uint64_t hash;       /* of its plan; once it is hidden, any */
  uint64_t since;      /* only later commits can concern it */
  uint64_t number;
  uint32_t uses_count, pages_count;
  uint32_t pins; /* number of renders that are about to name its topic */
  bool is_exact : 1, is_ranged : 1, is_untracked : 1, is_all : 1;
  bool is_hidden : 1; /* later renders do not share it */
  /* Then pointers to its file pages; of a ranged set a place for each page; of a set that is untracked, or depends on
   * everything, a place in vsi_sqlite_sets.untracked. */
  vsi_sqlite_read reads[];
};

/* A table of the database. */
typedef struct vsi_sqlite_table_reads {
  vsi_sqlite_links any; /* places of reads of any row */
  uint64_t keyed;       /* columns of keys, as in vsi_sqlite_use */
  size_t keyed_count;   /* number of reads by key */
} vsi_sqlite_table_reads;

typedef struct vsi_sqlite_sets {
  vestry_pages *topics;
  const vestry_host *host;
  vsi_siphash_key secret; /* for hashes of keys */
  size_t max_bytes, bytes;
  uint64_t refused_count;                   /* how often a plan had no room below max_bytes */
  uint64_t commits;                         /* number of commits followed */
  uint64_t all_written;                     /* the last commit whose file pages are unknown */
  vsi_stepped_map by_plan, by_key, by_page; /* sets, reads, file pages */
  vsi_sqlite_table_reads *tables;           /* by number */
  size_t tables_count;
  vsi_sqlite_links untracked; /* places of the sets that every commit concerns */
  vsi_sqlite_set *everything; /* depends on everything; used when there is no room for a more precise set */
  size_t coarse_count;        /* sets whose file pages were never known, other than `everything` */
  size_t ranged_count;        /* ranged sets that depend on their file pages */
  bool is_walked;             /* vsi_sqlite_sets_next is called for all sets */
  uint64_t numbers;           /* of sets */
  uint64_t swept;             /* hash up to which sets were swept */
} vsi_sqlite_sets;

/* Initialize zeroed sets; max_bytes is set. OK | NO_MEMORY */
vestry_err vsi_sqlite_sets_init(vsi_sqlite_sets *sets);
void vsi_sqlite_sets_finish(vsi_sqlite_sets *sets);

/* Let a plan be followed by tables. */
void vsi_sqlite_plan_drop_pages(vsi_sqlite_plan *plan);
/* Find or create the set for a plan. If it has no room, a less precise plan is used: without file pages, then wide,
 * then one that depends on everything. */
vsi_sqlite_set *vsi_sqlite_sets_place(vsi_sqlite_sets *sets, vsi_sqlite_plan *plan);
/* Invalidate a ranged set. */
void vsi_sqlite_sets_invalidate(vsi_sqlite_sets *sets, vsi_sqlite_set *set);
void vsi_sqlite_sets_remove(vsi_sqlite_sets *sets, vsi_sqlite_set *set);
/* Return a file page of a set that was written after this commit; NULL: none. */
const vsi_sqlite_page *vsi_sqlite_set_written(const vsi_sqlite_set *set, uint64_t since);

/* Write the topic that a set's renders name. Returns its length. */
size_t vsi_sqlite_set_topic(const vsi_sqlite_sets *sets, const vsi_sqlite_set *set, char topic[VSI_SQLITE_TOPIC_BYTES]);

/* Return the first read of a key; NULL: none. */
vsi_stepped_link *vsi_sqlite_sets_of_key(const vsi_sqlite_sets *sets, const vsi_sqlite_use *key);
/* Add a mark to the reads of its key, behind one of them, and remove it. */
void vsi_sqlite_mark_add(vsi_sqlite_sets *sets, vsi_sqlite_read *mark, vsi_stepped_link *before);
void vsi_sqlite_mark_remove(vsi_sqlite_sets *sets, vsi_sqlite_read *mark);
/* Return a file page; NULL: no set contains it. */
vsi_sqlite_page *vsi_sqlite_sets_page(const vsi_sqlite_sets *sets, uint32_t number);
/* Release a reference to a file page. */
void vsi_sqlite_page_release(vsi_sqlite_sets *sets, vsi_sqlite_page *page);
#endif
