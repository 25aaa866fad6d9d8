/* SPDX-License-Identifier: MIT */
/* essay: the last events of a channel, without holes */
/* The last events of a channel.
 *
 * No holes. The events of a channel have sequence numbers (seqs). The history keeps the last kept_count events that
 * were given a seq, that is, the events whose seqs directly precede `next`. So one comparison determines which events a
 * stream has missed and whether the history has them all. An event that cannot be kept (without memory, larger than the
 * bounds, or lost by another node) takes a seq, too, and all events before it are dropped. A stream that has seen it is
 * current; any other stream has a gap. Nothing else creates a hole.
 *
 * Atomic with respect to publishes. A publish gives its event a seq, then puts it into the queues of all members. A
 * resume puts the events that a stream has missed into its queue, then makes the stream a member. Both hold the
 * channel's semaphore, one after the other. So each event reaches the stream exactly once, either as missed or live.
 * Seqs have the order of the queues.
 *
 * A replay is one event, however many events were missed. Encoded in one piece it costs little more than its new bytes,
 * and the queue accepts all of it or nothing. Each missed event in it is followed by its id, so a stream that breaks in
 * the middle continues from there. The entries are copies, because a published event keeps its encoded forms as long as
 * it lives, and no bound counts the encoded forms. A copy has only its bytes, which the bounds count. */
#include "app/history/history.h"

#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/assert.h"
#include "base/hex.h"
#include "base/memory.h"
#include "event/layout.h"
#include "event/mark.h"

_Static_assert(sizeof(vsi_history_entry) + 16 <= VESTRY_HISTORY_EVENT_COST, "and the allocator's own");

enum { DEFAULT_COUNT = 1000, DIGITS = 16, SEQ_DIGITS = 20 };
#define DEFAULT_BYTES  ((size_t)1 << 20)
#define DEFAULT_AGE_MS ((uint64_t)600000)

/* ------------------------------------------------------------------------------------------------------ ids ------- */

size_t vsi_history_id_write(vsi_history_id id, char text[VSI_HISTORY_ID_BYTES]) {
  return (size_t)snprintf(text, VSI_HISTORY_ID_BYTES, "%016llx.%llu", (unsigned long long)id.epoch,
                          (unsigned long long)id.seq);
}

/* Accept exactly the text that vsi_history_id_write writes. */
bool vsi_history_id_read(const char *text, vsi_history_id *ret_id) {
  vsi_history_id id = {0, 0};
  const char *at = text;
  for (; at < text + DIGITS; at++) {
    const int digit = vsi_hex_digit(*at);
    if (digit < 0) return false;
    id.epoch = id.epoch << 4 | (uint64_t)digit;
  }
  if (*at++ != '.' || (*at == '0' && at[1])) return false;
  const char *from = at;
  for (; vsi_is_digit(*at) && at - from < SEQ_DIGITS; at++) {
    uint64_t digit = (uint64_t)(*at - '0');
    if (id.seq > (UINT64_MAX - digit) / 10) return false;
    id.seq = id.seq * 10 + digit;
  }
  if (at == from || *at) return false;
  *ret_id = id;
  return true;
}

vsi_history_last vsi_history_last_of(const char *text) {
  vsi_history_last last = {.is_given = text && *text};
  last.is_read = last.is_given && vsi_history_id_read(text, &last.id);
  return last;
}

/* --------------------------------------------------------------------------------------------------- its life ----- */

vestry_err vsi_history_init(vsi_history *history, const vestry_host *host, vsi_budget *budget,
                            const vestry_history_options *options) {
  uint64_t age_ms = options->max_age_ms ? options->max_age_ms : DEFAULT_AGE_MS;
  *history = (vsi_history){
      .recording = {.take = vsi_history_take},
      .host = host,
      .budget = budget,
      .next = 1,
      .max_count = options->max_count ? options->max_count : DEFAULT_COUNT,
      .max_bytes = options->max_bytes ? options->max_bytes : DEFAULT_BYTES,
      .max_age_ns = vsi_ms_to_ns(age_ms), /* VESTRY_NEVER_MS: UINT64_MAX */
      .used_ns = vsi_now_ns(host),
  };
  STAILQ_INIT(&history->kept);
  if (host->random(host->ctx, &history->epoch, sizeof history->epoch)) return VESTRY_IO;
  if (!history->epoch) history->epoch = 1; /* 0 is none */
  return VESTRY_OK;
}

static size_t cost_of(size_t len) {
  return len + VESTRY_HISTORY_EVENT_COST;
}

static void show_size(vsi_history *history) {
  atomic_store_explicit(&history->size, history->recording.kept_bytes, memory_order_relaxed);
}

static void drop_first(vsi_history *history) {
  vsi_history_entry *entry = STAILQ_FIRST(&history->kept);
  STAILQ_REMOVE_HEAD(&history->kept, in);
  VSI_ASSERT(history->recording.kept_count > 0);
  history->recording.kept_count--;
  history->recording.kept_bytes -= cost_of(entry->len);
  show_size(history);
  history->stats.dropped_count++;
  vsi_budget_give_back(history->budget, cost_of(entry->len));
  vsi_free(history->host, entry);
}

void vsi_history_finish(vsi_history *history) {
  while (!STAILQ_EMPTY(&history->kept)) drop_first(history);
}

void vsi_history_halve(vsi_history *history) {
  const size_t half = history->recording.kept_bytes / 2;
  while (history->recording.kept_bytes > half) drop_first(history);
}

void vsi_history_expire(vsi_history *history, uint64_t now_ns) {
  while (vsi_history_due_ns(history) <= now_ns) drop_first(history);
}

uint64_t vsi_history_due_ns(const vsi_history *history) {
  const vsi_history_entry *first = STAILQ_FIRST(&history->kept);
  return first ? vsi_add_saturating(first->at_ns, history->max_age_ns) : UINT64_MAX;
}

/* ------------------------------------------------------------------------------------------------- recording ------ */

void vsi_history_lose(vsi_history *history) {
  atomic_store_explicit(&history->has_lost, true, memory_order_relaxed); /* relaxed: it publishes no other data */
}

static void lose(vsi_history *history) {
  vsi_history_finish(history); /* nothing before it is kept */
  history->stats.losses_count++;
}

void vsi_history_settle(vsi_history *history) {
  if (!atomic_exchange_explicit(&history->has_lost, false, memory_order_relaxed)) return;
  lose(history);
  history->next++; /* the seq of the lost event */
}

typedef struct marked {
  vestry_slice bytes;
  const char *id;
} marked;

/* The event shows no state, even if `event` does, because none of a history may be dropped. */
static void layout_marked(vsi_writer *writer, const void *ctx) {
  const marked *m = ctx;
  vsi_put(writer, m->bytes.data, m->bytes.len);
  vsi_put_line(writer, "id: ", m->id);
  vsi_put(writer, "\n", 1);
}

/* Take room in the budget of all histories. If it is full, larger histories shrink, and then this one, so that a
 * history does not keep others from storing anything. Returns false if there is no room even if this one is empty. */
static bool take_room(vsi_history *history, size_t cost) {
  enum { LOOKS = 64 };
  if (cost > history->budget->max) return false;
  for (int looks = 0; !vsi_budget_take(history->budget, cost); looks++) {
    bool may_look = history->make_others_shrink && looks < LOOKS;
    if (may_look && history->make_others_shrink(history)) continue;
    if (!STAILQ_EMPTY(&history->kept))
      drop_first(history);
    else if (!may_look)
      return false;
  }
  return true;
}

/* Drop the oldest events until there is room for one more, in count and bytes. Returns false if there is none even in
 * an empty history. */
static bool make_history_room(vsi_history *history, size_t cost) {
  while (!STAILQ_EMPTY(&history->kept) &&
         (history->recording.kept_count == history->max_count || cost > history->max_bytes ||
          history->recording.kept_bytes > history->max_bytes - cost))
    drop_first(history);
  return cost <= history->max_bytes && take_room(history, cost);
}

/* Copy an event to the end of the history. Returns false if it cannot be kept. */
static bool keep(vsi_history *history, vestry_slice bytes, uint64_t now_ns) {
  if (!make_history_room(history, cost_of(bytes.len))) return false;
  vsi_history_entry *entry = vsi_alloc(history->host, sizeof *entry + bytes.len);
  if (!entry) {
    vsi_budget_give_back(history->budget, cost_of(bytes.len));
    return false;
  }
  entry->at_ns = now_ns;
  entry->len = bytes.len;
  memcpy(entry->bytes, bytes.data, bytes.len);
  STAILQ_INSERT_TAIL(&history->kept, entry, in);
  history->recording.kept_count++;
  history->recording.kept_bytes += cost_of(bytes.len);
  show_size(history);
  history->stats.recorded_count++;
  return true;
}

vestry_event *vsi_history_take(vsi_recording *recording, vestry_event *event, uint64_t now_ns) {
  vsi_history *history = (vsi_history *)recording;
  vsi_history_settle(history);
  vsi_history_expire(history, now_ns);
  history->used_ns = now_ns;
  char id[VSI_HISTORY_ID_BYTES];
  vsi_history_id_write((vsi_history_id){history->epoch, history->next}, id);
  const marked m = {vestry_event_bytes(event), id};
  vestry_event *made = NULL;
  bool is_made = !vsi_event_build(history->host, layout_marked, &m, &made);
  if (is_made) history->stats.published_count++;
  if (!is_made || !keep(history, vestry_event_bytes(made), now_ns)) lose(history);
  history->next++;
  return made;
}

/* ------------------------------------------------------------------------------------------------- answering ------ */

vestry_resume_answer vsi_history_answer(const vsi_history *history, const vsi_history_last *last, size_t *ret_count) {
  *ret_count = 0;
  if (!last->is_given) return VESTRY_RESUME_FRESH;
  if (!last->is_read || last->id.epoch != history->epoch || last->id.seq >= history->next) return VESTRY_RESUME_GAP;
  uint64_t missed = history->next - 1 - last->id.seq;
  if (!missed) return VESTRY_RESUME_CURRENT;
  if (missed > history->recording.kept_count) return VESTRY_RESUME_GAP;
  *ret_count = (size_t)missed;
  return VESTRY_RESUME_REPLAYED;
}

static void layout_missed(vsi_writer *writer, const void *ctx) {
  for (const vsi_history_entry *at = ctx; at; at = STAILQ_NEXT(at, in)) vsi_put(writer, at->bytes, at->len);
}

vestry_err vsi_history_missed(const vsi_history *history, size_t count, vestry_event **ret_event) {
  const vsi_history_entry *first = STAILQ_FIRST(&history->kept);
  for (size_t i = history->recording.kept_count; i > count; i--) first = STAILQ_NEXT(first, in);
  return vsi_event_build(history->host, layout_missed, first, ret_event);
}

static void layout_id(vsi_writer *writer, const void *ctx) {
  vsi_put_line(writer, "id: ", ctx);
  vsi_put(writer, "\n", 1);
}

vestry_err vsi_history_mark(const vsi_history *history, bool is_current, vestry_event **ret_event) {
  char id[VSI_HISTORY_ID_BYTES];
  vsi_history_id_write((vsi_history_id){history->epoch, history->next - 1}, id);
  return vsi_event_build(history->host, layout_id, is_current ? id : "gap", ret_event);
}

void vsi_history_count(vsi_history *history, vestry_resume_answer answer, size_t events_count, size_t bytes) {
  vestry_history_stats *stats = &history->stats;
  uint64_t *const counts[] = {&stats->fresh_count, &stats->current_count, &stats->replayed_count, &stats->gap_count};
  ++*counts[answer];
  stats->replayed_events_count += events_count;
  stats->replayed_bytes += bytes;
}
