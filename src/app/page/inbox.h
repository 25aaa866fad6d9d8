/* SPDX-License-Identifier: MIT */
/* essay: a refresh that touches few cache lines */
/* The inbox of refreshes. A refresh that finds all threads asleep is mostly the cost of memory that has left the
 * caches: the lock of the pages, the topic, the table of topics, reasons, workers, the queues of the pool, and the code
 * for all of them. So a refresh only puts its topic into the inbox, and rings the bell of the pool (runtime/bell.h),
 * which is in the same cache line. The rest is done by the thread that takes the lock of the pages next, as a rule the
 * woken one.
 *
 * - Order: a thread that takes the lock of the pages first takes the refreshes out of the inbox (vsi_pages_lock). A
 *   refresh that has returned before is among them, so to each thread with the lock it happened before. Their numbers
 *   are consecutive: a thread that needs a number for something else takes them out at the same time
 *   (vsi_topics_number). Refreshes of the same topic in a row take one place, and are looked up once.
 * - No lost wake-up: a refresh is put, and then rings. The worker that answers makes the bell quiet after the ring, and
 *   then takes the refreshes out, so it finds this one. A refresh does not ring if no fragment depends on its topic;
 *   then it waits in the inbox, which costs less than to look up the topic. `interests` shows this: the number of
 *   topics with fragments, by a few bits of a hash. A new topic is counted there before its thread takes the refreshes
 *   out once more: either it finds the refresh, or the refresh finds the count.
 * - The topics of recorded reads ("sqlite/…", "postgres/…") never come here, because the thread that follows commits
 *   refreshes many of them at once, with the lock. So they are not counted: with some thousands of them no number would
 *   be 0, and each commit would ring for nothing.
 * - Room: if the inbox is full or another thread is inside, if the topic is long, or if more is known about the refresh
 *   than its topic, the caller takes the lock of the pages and does everything itself, as before. So a refresh needs no
 *   memory and cannot fail, however many come. */
#ifndef VSI_PAGE_INBOX_H
#define VSI_PAGE_INBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/memory.h"
#include "base/spin_lock.h"
#include "runtime/bell.h"

enum { VSI_INBOX_ROOM = 16, VSI_INBOX_NAME_BYTES = 51, VSI_INBOX_INTERESTS = 2048, VSI_INBOX_BYTES = 4096 };

/* A refresh in the inbox, or several of the same topic in a row: one cache line. */
typedef struct vsi_inbox_refresh {
  uint64_t at_ns; /* of the first one; 0: when it is taken out */
  uint32_t count;
  uint8_t len; /* of the topic; 0: all pages */
  char name[VSI_INBOX_NAME_BYTES];
} vsi_inbox_refresh;

typedef enum vsi_inbox_mode {
  VSI_INBOX_CLOSED, /* no refresh may be put here */
  VSI_INBOX_OPEN,
  VSI_INBOX_TIMED /* each refresh needs its time */
} vsi_inbox_mode;

/* One page of memory, so that it takes one entry of the processor's TLB. */
typedef struct vsi_inbox {
  vsi_bell bell; /* first */
  vsi_spin_lock lock;
  _Atomic(uint32_t) count; /* written under lock: refreshes in the inbox */
  _Atomic(uint32_t) mode;  /* vsi_inbox_mode; relaxed, because with a former mode a thread does more than necessary */
  uint64_t seq;            /* guarded by lock: number of the last refresh, including those in the inbox */
  const vestry_host *host;
  struct vestry_pages *pages;
  _Alignas(VSI_CACHE_LINE) vsi_inbox_refresh refreshes[VSI_INBOX_ROOM + 1]; /* in the last place none stays */
  _Atomic(uint8_t) interests[VSI_INBOX_INTERESTS]; /* written under the lock of the pages: used topics; 255: many */
} vsi_inbox;
_Static_assert(offsetof(vsi_inbox, refreshes) == VSI_CACHE_LINE && sizeof(vsi_inbox_refresh) == VSI_CACHE_LINE,
               "each refresh is in one cache line");
_Static_assert(sizeof(vsi_inbox) <= VSI_INBOX_BYTES, "one page of memory");

/* Return whether the topic is one of recorded reads. A name that an application has chosen like that is treated in the
 * same way. */
static inline bool vsi_inbox_is_of_reads(const char *topic, uint32_t len) {
  return (len > 7 && !memcmp(topic, "sqlite/", 7)) || (len > 9 && !memcmp(topic, "postgres/", 9));
}

/* Return the index in `interests` of a topic, which ends after `most` bytes or with NUL. A collision causes only an
 * idle wake-up, so the hash has no secret. */
static inline uint32_t vsi_inbox_interest(const char *topic, uint32_t most, uint32_t *ret_len) {
  uint32_t hash = 0, len = 0;
  for (; len < most && topic[len]; len++) hash = hash * 33 + (unsigned char)topic[len];
  *ret_len = len;
  return hash % VSI_INBOX_INTERESTS;
}

/* Count a topic to which fragments are linked, or count it no longer. The caller holds the lock of the pages. */
static inline void vsi_inbox_count(vsi_inbox *inbox, const char *name, uint32_t len, int change) {
  if (len > VSI_INBOX_NAME_BYTES || vsi_inbox_is_of_reads(name, len)) return; /* it is never put into the inbox */
  _Atomic(uint8_t) *at = &inbox->interests[vsi_inbox_interest(name, len, &len)];
  const int count = atomic_load_explicit(at, memory_order_relaxed);
  if (count != UINT8_MAX) atomic_store_explicit(at, (uint8_t)(count + change), memory_order_relaxed);
}

/* Put a refresh that was written after others. The inbox's lock is held. Returns false if there is no room. */
static __attribute__((noinline, unused)) bool vsi_inbox_put_further(vsi_inbox *inbox, uint32_t count) {
  const vsi_inbox_refresh *made = &inbox->refreshes[count];
  vsi_inbox_refresh *last = &inbox->refreshes[count - 1];
  if (last->len == made->len && !memcmp(last->name, made->name, made->len)) {
    last->count++;
    return true;
  }
  if (count == VSI_INBOX_ROOM) return false;
  atomic_store_explicit(&inbox->count, count + 1, memory_order_relaxed);
  return true;
}

/* Put a refresh of a topic (NULL: of all pages) into the inbox. ret_rings: whether to ring the bell then. Returns its
 * number; 0: it was not put. Any thread. Inlined, and with the usual case first: so it is in few cache lines. */
static inline __attribute__((always_inline)) uint64_t vsi_inbox_put(vsi_inbox *inbox, const char *topic,
                                                                    bool *ret_rings) {
  uint32_t len = 0;
  uint64_t at_ns = 0;
  const _Atomic(uint8_t) *interest = NULL;
  vsi_prefetch_to_write(inbox); /* as a rule the inbox is empty, and the first place is used */
  vsi_prefetch_to_write(inbox->refreshes);
  if (__builtin_expect(topic != NULL, 1)) {
    interest = &inbox->interests[vsi_inbox_interest(topic, VSI_INBOX_NAME_BYTES + 1, &len)];
    __builtin_prefetch((const void *)(uintptr_t)interest);
    if (__builtin_expect(!len || len > VSI_INBOX_NAME_BYTES || vsi_inbox_is_of_reads(topic, len), 0)) return 0;
  }
  const uint32_t mode = atomic_load_explicit(&inbox->mode, memory_order_relaxed);
  if (__builtin_expect(mode != VSI_INBOX_OPEN, 0)) {
    if (mode == VSI_INBOX_CLOSED) return 0;
    at_ns = vsi_now_ns(inbox->host);
  }
  if (__builtin_expect(!vsi_spin_lock_try(&inbox->lock, VSI_LOCK_REFRESHES), 0)) return 0;
  const uint32_t count = atomic_load_explicit(&inbox->count, memory_order_relaxed);
  vsi_inbox_refresh *at = &inbox->refreshes[count];
  at->at_ns = at_ns;
  at->count = 1;
  at->len = (uint8_t)len;
  for (uint32_t i = 0; i < len && topic[i]; i++) at->name[i] = topic[i]; /* without a call of memcpy */
  bool is_put = true;
  if (__builtin_expect(!count, 1))
    atomic_store_explicit(&inbox->count, 1, memory_order_relaxed);
  else
    is_put = vsi_inbox_put_further(inbox, count);
  const uint64_t seq = inbox->seq += is_put;
  *ret_rings = !interest || atomic_load_explicit(interest, memory_order_relaxed);
  vsi_spin_lock_give(&inbox->lock);
  return is_put ? seq : 0;
}

#endif
