/* SPDX-License-Identifier: MIT */
/* What renders read: a recording for each render that is under way, in its thread. SQLite's cache (cache.c) and file
 * (file.c) tell of pages, the reader (reader.c) of tables. */
#ifndef VSI_SQLITE_RECORDING_H
#define VSI_SQLITE_RECORDING_H

#include "data/sqlite/tables.h"
#include "vestry/app/page.h"

typedef struct vsi_sqlite_recording vsi_sqlite_recording;

enum { VSI_SQLITE_FIRST_SLOTS = 128, VSI_SQLITE_FIRST_SEEN = 16 };

/* Pages that hold states of tabs, or did: by their numbers, of which some are taken for others. Any thread. */
typedef struct vsi_sqlite_tab_pages {
  _Atomic(uint64_t) words[1024];
} vsi_sqlite_tab_pages;

static inline bool vsi_sqlite_tab_pages_have(const vsi_sqlite_tab_pages *pages, uint32_t page) {
  const _Atomic(uint64_t) *word = &pages->words[page / 64 % 1024];
  return page > 1 && atomic_load_explicit(word, memory_order_seq_cst) >> page % 64 & 1; /* every commit may write 1 */
}
/* Returns whether it is new. */
static inline bool vsi_sqlite_tab_pages_add(vsi_sqlite_tab_pages *pages, uint32_t page) {
  if (page <= 1 || vsi_sqlite_tab_pages_have(pages, page)) return false;
  atomic_fetch_or_explicit(&pages->words[page / 64 % 1024], UINT64_C(1) << page % 64, memory_order_seq_cst);
  return true;
}

/* What one render has read so far, of one database. */
struct vsi_sqlite_recording {
  vsi_sqlite_recording *outer; /* of the same thread: of another database */
  const vestry_host *host;
  void *owner; /* whose database it is */
  vestry_render *render;
  void *writer;     /* a connection that has changed rows in it */
  uint64_t number;  /* its own, of all recordings of the owner */
  uint64_t begun;   /* commits that were followed before it began */
  bool has_read;    /* anything */
  bool reads_all;   /* what it has read cannot be told */
  bool is_wild;     /* and what no table says, as the schema and virtual tables: every change is one of it */
  bool lacks_pages; /* not all pages are known, or they are too many */
  bool is_paused;   /* what is read now is the library's */
  bool wants_again; /* a read has failed, and may succeed after a while */
  bool has_new_tab_pages;
  uint32_t others;                 /* commits of others that were followed before it began */
  vsi_sqlite_tab_pages *tab_pages; /* where pages go that the library reads */
  vsi_sqlite_uses uses;            /* tables */
  /* Pages: an open table; 0: free. */
  uint32_t *slots;
  uint32_t slots_count, pages_count, max_file_pages, last_page;
  /* Statements that were united with it, by their numbers. */
  uint64_t *seen;
  size_t seen_count, seen_room;
  uint32_t first_slots[VSI_SQLITE_FIRST_SLOTS];
  uint64_t first_seen[VSI_SQLITE_FIRST_SEEN];
};

/* Begin and end one, on the render's thread. Recordings of a thread end in the reverse order. */
void vsi_sqlite_reads_begin(vsi_sqlite_recording *recording, const vestry_host *host, void *owner,
                            vestry_render *render, uint32_t max_file_pages);
void vsi_sqlite_reads_end(vsi_sqlite_recording *recording);
void vsi_sqlite_reads_finish(vsi_sqlite_recording *recording);
/* This thread's; NULL: it renders nothing. */
vsi_sqlite_recording *vsi_sqlite_reads_of(const void *owner);
/* Pages in order, in the place of the table. Returns how many; the array is the recording's. */
uint32_t vsi_sqlite_reads_sort(vsi_sqlite_recording *recording);

/* A page of the owner's file was fetched on this thread; it is not known any more which pages are fetched. */
void vsi_sqlite_reads_page(const void *owner, uint32_t page);
void vsi_sqlite_reads_lose(const void *owner);
/* A read has failed on this thread, or could not begin: what it would have found is not known. is_aside: it was to be
 * followed by nothing. */
void vsi_sqlite_reads_fail(const void *owner, bool is_aside, vestry_err error);

#endif
