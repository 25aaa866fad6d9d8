/* SPDX-License-Identifier: MIT */
/* A history: the last events of one channel, each followed by its id, and the computation of the events that a stream
 * has missed. Used while the channel's semaphore is held, unless a function states otherwise. See history.c for the
 * essay. */
#ifndef VSI_HISTORY_HISTORY_H
#define VSI_HISTORY_HISTORY_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "channel/channel.h"
#include "connection/budget.h"
#include "vestry/app/history.h"

/* "epoch.seq": 16 hexadecimal digits, a point, up to 20 decimal digits; and a NUL. */
enum { VSI_HISTORY_ID_BYTES = 16 + 1 + 20 + 1 };

typedef struct vsi_history_id {
  uint64_t epoch, seq;
} vsi_history_id;

/* The last event that a stream claims to have seen. */
typedef struct vsi_history_last {
  bool is_given, is_read; /* the stream has sent a value; the value is a valid id */
  vsi_history_id id;
} vsi_history_last;

typedef struct vsi_history_entry {
  STAILQ_ENTRY(vsi_history_entry) in;
  uint64_t at_ns;
  size_t len;
  char bytes[];
} vsi_history_entry;

typedef struct vsi_history {
  vsi_recording recording; /* first, because vsi_channel.recording points to it */
  const vestry_host *host;
  vsi_budget *budget; /* shared by all histories of an instance */
  /* Free room in the budget, by dropping events of a larger history. Returns whether one was dropped. NULL: there is no
   * other history. */
  bool (*make_others_shrink)(struct vsi_history *history);
  uint64_t epoch, next; /* next: the seq of the next event, from 1 */
  size_t max_count, max_bytes;
  uint64_t max_age_ns;                   /* UINT64_MAX: no maximum */
  uint64_t used_ns;                      /* time of the last use */
  STAILQ_HEAD(, vsi_history_entry) kept; /* the kept_count events before next */
  _Atomic(size_t) size;                  /* recording.kept_bytes; read on any thread */
  _Atomic(bool) has_lost;                /* an event was lost before it came here; set on any thread */
  vestry_history_stats stats;            /* except kept_count, kept_bytes and last_seq */
} vsi_history;

/* Write an id as text, terminated. Returns the length. */
size_t vsi_history_id_write(vsi_history_id id, char text[VSI_HISTORY_ID_BYTES]);
/* Read an id. Returns false if the text is not an id: a client sends it, so it can be any text. */
bool vsi_history_id_read(const char *text, vsi_history_id *ret_id);
/* Read a Last-Event-ID; NULL: there is none. */
vsi_history_last vsi_history_last_of(const char *text);

/* Initialize. OK | IO (no randomness) */
vestry_err vsi_history_init(vsi_history *history, const vestry_host *host, vsi_budget *budget,
                            const vestry_history_options *options);
void vsi_history_finish(vsi_history *history);

/* vsi_recording.take. An event that cannot be kept counts as a loss. NULL: without memory the event is sent without an
 * id, as a loss. */
vestry_event *vsi_history_take(vsi_recording *recording, vestry_event *event, uint64_t now_ns);
/* Drop events that are too old. */
void vsi_history_expire(vsi_history *history, uint64_t now_ns);
/* Drop the older half, by size: at least one event, if there is any. */
void vsi_history_halve(vsi_history *history);
/* Return the time at which the oldest event becomes too old; UINT64_MAX: never, or there is none. */
uint64_t vsi_history_due_ns(const vsi_history *history);
/* Return the size of the kept events. Any thread, wait-free. */
static inline size_t vsi_history_size(const vsi_history *history) {
  return atomic_load_explicit(&history->size, memory_order_relaxed); /* relaxed: a number only */
}
/* Record that an event was lost elsewhere: a stream that has not seen it has a gap. Any thread, wait-free. */
void vsi_history_lose(vsi_history *history);
/* Count a recorded loss: it takes a seq, and nothing before it is kept. Call this before each answer. */
void vsi_history_settle(vsi_history *history);

/* Determine which events a stream has missed. ret_count: their number, for REPLAYED. */
vestry_resume_answer vsi_history_answer(const vsi_history *history, const vsi_history_last *last, size_t *ret_count);
/* Make one event of the last count events. OK | TOO_LARGE | NO_MEMORY */
vestry_err vsi_history_missed(const vsi_history *history, size_t count, vestry_event **ret_event);
/* Make an event that consists of an id: the id of the last event (is_current), or an id that always results in a
 * gap. */
vestry_err vsi_history_mark(const vsi_history *history, bool is_current, vestry_event **ret_event);
/* Count an answer. */
void vsi_history_count(vsi_history *history, vestry_resume_answer answer, size_t events_count, size_t bytes);

#endif
