/* SPDX-License-Identifier: MIT */
/* The file pages read are a set of numbers of four bytes. The first ones are stored in the recording itself, so most
 * renders allocate no memory for them. This takes 4 ns for each fetch; a base/map, which needs a member for each page,
 * takes 15, and a render fetches hundreds. */
#include "data/sqlite/recording.h"

#include <stdlib.h>

#include "base/array.h"

static _Thread_local vsi_sqlite_recording *recordings;
_Atomic(uint32_t) vsi_sqlite_recordings_count;

void vsi_sqlite_reads_begin(vsi_sqlite_recording *recording, const vestry_host *host, void *owner,
                            vestry_render *render, uint32_t max_file_pages) {
  *recording = (vsi_sqlite_recording){.outer = recordings,
                                      .host = host,
                                      .owner = owner,
                                      .render = render,
                                      .lacks_pages = !max_file_pages,
                                      .slots_count = VSI_SQLITE_FIRST_SLOTS,
                                      .max_file_pages = max_file_pages};
  recording->slots = recording->first_slots;
  recordings = recording;
  atomic_fetch_add_explicit(&vsi_sqlite_recordings_count, 1, memory_order_relaxed);
}

void vsi_sqlite_reads_end(vsi_sqlite_recording *recording) {
  recordings = recording->outer;
  atomic_fetch_sub_explicit(&vsi_sqlite_recordings_count, 1, memory_order_relaxed);
}

void vsi_sqlite_reads_finish(vsi_sqlite_recording *recording) {
  VSI_ARRAY_FREE(recording->host, recording->first_slots, recording->slots);
  vsi_sqlite_uses_finish(recording->host, &recording->uses);
}

vsi_sqlite_recording *vsi_sqlite_reads_find(const void *owner) {
  vsi_sqlite_recording *at = recordings;
  while (at && at->owner != owner) at = at->outer;
  return at;
}

static uint32_t slot_of(const vsi_sqlite_recording *recording, uint32_t page) {
  uint32_t at = (page * 2654435769u) >> 7 & (recording->slots_count - 1);
  while (recording->slots[at] && recording->slots[at] != page) at = (at + 1) & (recording->slots_count - 1);
  return at;
}

static bool grow(vsi_sqlite_recording *recording) {
  uint32_t *former = recording->slots, former_count = recording->slots_count;
  uint32_t *slots = vsi_calloc(recording->host, (size_t)former_count * 4, sizeof *slots);
  if (!slots) return false;
  recording->slots = slots;
  recording->slots_count = former_count * 4;
  for (uint32_t i = 0; i < former_count; i++)
    if (former[i]) slots[slot_of(recording, former[i])] = former[i];
  VSI_ARRAY_FREE(recording->host, recording->first_slots, former);
  return true;
}

static void add_page(vsi_sqlite_recording *recording, uint32_t page) {
  if (page == recording->last_page || recording->lacks_pages) return;
  recording->last_page = page;
  uint32_t at = slot_of(recording, page);
  if (recording->slots[at]) return;
  const bool is_over = recording->pages_count == recording->max_file_pages;
  if (is_over || (recording->pages_count >= recording->slots_count / 2 && !grow(recording))) {
    recording->lacks_pages = true;
    recording->is_over = is_over;
    return;
  }
  recording->slots[slot_of(recording, page)] = page;
  recording->pages_count++;
}

void vsi_sqlite_reads_page(const void *owner, uint32_t page) {
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(owner);
  if (recording && !recording->is_paused) add_page(recording, page);
}

void vsi_sqlite_reads_lose(const void *owner) {
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(owner);
  if (recording) recording->lacks_pages = true;
}

void vsi_sqlite_reads_fail(const void *owner, bool is_aside, vestry_err error) {
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(owner);
  if (!recording) return;
  if (!is_aside) recording->has_read = recording->reads_all = true;
  recording->wants_again |= error == VESTRY_LIMIT || error == VESTRY_BUSY || error == VESTRY_NO_MEMORY;
}

static int compare_pages(const void *a, const void *b) {
  uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;
  return (first > second) - (first < second);
}

uint32_t vsi_sqlite_reads_sort(vsi_sqlite_recording *recording) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < recording->slots_count; i++)
    if (recording->slots[i]) recording->slots[count++] = recording->slots[i];
  if (count > 1) qsort(recording->slots, count, sizeof *recording->slots, compare_pages);
  return count;
}
