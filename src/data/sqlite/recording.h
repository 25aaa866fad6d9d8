/* SPDX-License-Identifier: MIT */
/* The reads of renders: a recording for each running render, in its thread. The cache of SQLite and its file (cache.c)
 * report file pages, the reader (reader.c) tables. */
#ifndef VSI_SQLITE_RECORDING_H
#define VSI_SQLITE_RECORDING_H

#include "data/sql/reads.h"
#include "data/sqlite/tables.h"
#include "vestry/app/page.h"

typedef struct vsi_sqlite_recording vsi_sqlite_recording;

enum { VSI_SQLITE_FIRST_SLOTS = 128 };

/* The reads of one render so far, in one database. */
struct vsi_sqlite_recording {
  vsi_sqlite_recording *outer; /* the enclosing recording of this thread, for another database */
  const vestry_host *host;
  void *owner; /* identifies the database */
  vestry_render *render;
  void *writer;    /* a connection that has changed rows in this render */
  uint64_t number; /* unique among all recordings of the owner; not 0 */
  vsi_read_ticket ticket;
  bool has_read;        /* it has read something */
  bool reads_all;       /* its reads cannot be determined */
  bool is_untracked;    /* it has also read untracked data, for example virtual tables: every change concerns it */
  bool lacks_pages;     /* some file pages are unknown, or there are too many */
  bool is_over;         /* there are more than max_file_pages */
  bool is_paused;       /* the current reads are the library's own */
  bool wants_again;     /* a read has failed, and may succeed later */
  vsi_sqlite_uses uses; /* tables */
  /* File pages: an open hash table; 0: free. */
  uint32_t *slots;
  uint32_t slots_count, pages_count, max_file_pages, last_page;
  uint32_t first_slots[VSI_SQLITE_FIRST_SLOTS];
};

/* Begin, end and free a recording, on the render's thread. Recordings of a thread end in the reverse order. */
void vsi_sqlite_reads_begin(vsi_sqlite_recording *recording, const vestry_host *host, void *owner,
                            vestry_render *render, uint32_t max_file_pages);
void vsi_sqlite_reads_end(vsi_sqlite_recording *recording);
void vsi_sqlite_reads_finish(vsi_sqlite_recording *recording);
/* The recordings of all threads: most statements and fetches come while none runs, and then need not look for that of
 * their thread, which takes 10 ns. Relaxed: a thread sees its own. */
extern _Atomic(uint32_t) vsi_sqlite_recordings_count;
vsi_sqlite_recording *vsi_sqlite_reads_find(const void *owner);
static inline bool vsi_sqlite_are_recorded(void) {
  return __builtin_expect(atomic_load_explicit(&vsi_sqlite_recordings_count, memory_order_relaxed), 0);
}
/* Return the recording of this thread; NULL: it does not render. */
static inline vsi_sqlite_recording *vsi_sqlite_reads_of(const void *owner) {
  return vsi_sqlite_are_recorded() ? vsi_sqlite_reads_find(owner) : NULL;
}
/* Sort the file pages, in place of the hash table. Returns their number; the array belongs to the recording. */
uint32_t vsi_sqlite_reads_sort(vsi_sqlite_recording *recording);

/* Record that a file page of the owner's file was fetched on this thread; or that fetched file pages are no longer
 * known. */
void vsi_sqlite_reads_page(const void *owner, uint32_t page);
void vsi_sqlite_reads_lose(const void *owner);
/* Record that a read has failed on this thread, or could not begin, so that its result is unknown. is_aside: the read
 * was not followed. */
void vsi_sqlite_reads_fail(const void *owner, bool is_aside, vestry_err error);

#endif
