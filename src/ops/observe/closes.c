/* SPDX-License-Identifier: MIT */
/* essay: the key of a stream that has ended */
/* Closes are recorded in a ring: the newest record overwrites the oldest.
 *
 * Only the store knows a stream's key, and a stream that is evicted, replaced or removed leaves the store before it
 * ends. So the key is noted when the value leaves. The two events come in either order, perhaps on two threads:
 *
 *   the stream ends first   its key is found in the store by the handle in its records. If the value is leaving
 *                           at that time, the record has no key yet; `left` then finds the record and adds the key
 *   the key leaves first    the key waits in `unmatched` by the stream's id, and the record takes it
 *
 * Both are done under the lock, so one of them sees the other. Any number of other streams may end between the two,
 * because a thread that has taken a value out of the store may have to wait for a processor. So records are found by
 * their streams' ids, in a map whose memory is allocated at the beginning. A key that leaves after the record of its
 * stream was overwritten must not wait for ever. In that case the stream's context has the flag `ended`, which is set
 * after the close was recorded. If there is no memory for a waiting key, its record has no key.
 *
 * A stream with several keys is shown with the first key that is still stored. If none is, it is shown with the key
 * that left first. */
#include <string.h>

#include "base/callback.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "connection/connection.h"
#include "ops/observe/inside.h"
#include "ops/observe/stream_tail.h"

enum { SCANNED_A_LOCK = 512, COPIED_A_LOCK = 16, MINUTES = 60 };
#define MINUTE_NS (UINT64_C(60000) * VSI_NS_PER_MS)

typedef struct record {
  vsi_map_link in;        /* the first member, for find_locked; as in unmatched */
  vestry_close_info info; /* except ago_ms */
  uint64_t at_ns;
} record;

/* The key of a stream that has left the store and has not ended. */
typedef struct unmatched {
  vsi_map_link in;
  vsi_shown_key key;
} unmatched;

/* The closes of one minute, by cause. They are counted apart from the records, because an hour can have more closes
 * than there are records. */
typedef struct minute {
  uint64_t number; /* of the clock */
  uint32_t counts[VESTRY_CAUSE_COUNT], consoles[VESTRY_CAUSE_COUNT];
} minute;

struct vsi_closes {
  vestry *v;
  size_t room;
  vsi_mutex lock;
  /* Guarded by lock. */
  uint64_t count; /* number of closes so far, and number of the last one */
  uint64_t by_cause[VESTRY_CAUSES_MAX];
  uint64_t consoles_by_cause[VESTRY_CAUSES_MAX]; /* the part of by_cause that are consoles and tails */
  minute minutes[MINUTES];                       /* by number modulo MINUTES */
  vsi_map unmatched, recorded; /* keys that wait for a record; all records. Both by id of the stream */
  record records[];
};

static record *record_locked(vsi_closes *closes, uint64_t number) {
  return &closes->records[(number - 1) % closes->room];
}

static uint64_t oldest_locked(const vsi_closes *closes) {
  return closes->count > closes->room ? closes->count - closes->room + 1 : 1;
}

/* Ids of streams are not chosen by users, so the hash needs no secret. Different ids have different hashes. */
static void *find_locked(const vsi_map *map, uint64_t id) {
  return vsi_map_first(map, vsi_hash_number(id));
}

/* Add a record. In a full ring it overwrites the oldest. */
static void add_record_locked(vsi_closes *closes, const record *made) {
  record *at = record_locked(closes, ++closes->count);
  if (closes->count > closes->room) vsi_map_remove(&closes->recorded, &at->in);
  *at = *made;
  at->info.number = closes->count;
  vsi_map_add(&closes->recorded, &at->in, vsi_hash_number(made->info.id));
}

/* ----------------------------------------------------------------------------------------------- recording -------- */

static void count_locked(vsi_closes *closes, const record *made) {
  const uint64_t number = made->at_ns / MINUTE_NS;
  minute *at = &closes->minutes[number % MINUTES];
  if (at->number != number) *at = (minute){.number = number};
  at->counts[made->info.cause]++;
  at->consoles[made->info.cause] += made->info.is_console;
  closes->by_cause[made->info.cause]++;
  closes->consoles_by_cause[made->info.cause] += made->info.is_console;
}

static void put_key(record *to, const vsi_shown_key *key) {
  if (*to->info.key) return;
  memcpy(to->info.key, key->text, sizeof to->info.key);
  to->info.is_key_cut = key->is_cut;
}

static void fill(record *to, const vsi_stream_context *stream, vestry_connection *connection, vestry_cause cause) {
  vestry_connection_stats stats = {0};
  char scope[VESTRY_SCOPE_MAX_BYTES];
  vsi_shown_key key;
  vestry_connection_stats_get(connection, &stats);
  to->at_ns = vsi_now_ns(vsi_stream_context_v(stream)->host);
  to->info = (vestry_close_info){.id = vsi_connection_id(connection),
                                 .is_console = vsi_tail_is_excluded(connection),
                                 .cause = cause,
                                 .age_ms = vsi_shown_ms(to->at_ns, stats.opened_ns),
                                 .adapter = vsi_shown_adapter(connection),
                                 .coding = vsi_shown_coding(connection),
                                 .written_count = stats.written_count,
                                 .conflated_count = stats.conflated_count,
                                 .refused_count = stats.refused_count,
                                 .discarded_count = stats.discarded_count,
                                 .discarded_bytes = stats.discarded_bytes,
                                 .written_bytes = stats.written_bytes,
                                 .wire_bytes = stats.wire_bytes,
                                 .last_error = vsi_shown_refusal(connection)};
  vsi_shown_scope(vsi_stream_context_v(stream), vestry_connection_scope_get(connection, scope), to->info.scope);
  vsi_shown_key_of_stream(connection, &key);
  put_key(to, &key);
}

static void ended(void *state, vsi_stream_context *stream, vestry_connection *connection, vestry_cause cause) {
  vsi_closes *closes = state;
  record made;
  fill(&made, stream, connection, cause);
  vsi_mutex_lock(&closes->lock);
  unmatched *before = closes->unmatched.count ? find_locked(&closes->unmatched, made.info.id) : NULL;
  if (before) {
    put_key(&made, &before->key);
    vsi_map_remove(&closes->unmatched, &before->in);
  }
  add_record_locked(closes, &made);
  count_locked(closes, &made);
  vsi_mutex_unlock(&closes->lock);
  vsi_free(closes->v->host, before);
}

static void left(void *state, const vestry_purged *purged) {
  vsi_closes *closes = state;
  const vestry_connection *connection = purged->value;
  const vsi_stream_context *stream = vsi_stream_context_of(connection);
  if (!stream) return;
  unmatched *made = vsi_calloc(closes->v->host, 1, sizeof *made);
  if (!made) return;
  const uint64_t id = vsi_connection_id(connection);
  vsi_shown_key_of(purged->key, purged->key_len, &made->key);
  vsi_mutex_lock(&closes->lock);
  record *ended_before = find_locked(&closes->recorded, id);
  if (ended_before) put_key(ended_before, &made->key);
  /* acquire pairs with the store in the close hook (serve/hooks.c), which comes after `ended` above */
  const bool is_matched = ended_before || atomic_load_explicit(&stream->ended, memory_order_acquire) ||
                          find_locked(&closes->unmatched, id) ||
                          vsi_map_reserve(&closes->unmatched, closes->v->host, closes->unmatched.count + 1);
  if (!is_matched) vsi_map_add(&closes->unmatched, &made->in, vsi_hash_number(id));
  vsi_mutex_unlock(&closes->lock);
  if (is_matched) vsi_free(closes->v->host, made);
}

/* ---------------------------------------------------------------------------------------------------- creation ---- */

static void destroy(vestry *v, void *state) {
  vsi_closes *closes = state;
  vsi_mutex_finish(&closes->lock);
  vsi_map_finish(&closes->recorded, v->host);
  vsi_map_free_all(&closes->unmatched, v->host, offsetof(unmatched, in));
  vsi_free(v->host, closes);
}

static const vsi_extension kind = {.name = "closes", .destroy = destroy, .left = left, .ended = ended};

vestry_err vsi_closes_use(vestry *v, size_t count, vsi_closes **ret_closes) {
  *ret_closes = vsi_extension_find(v, &kind);
  if (*ret_closes) return VESTRY_OK;
  vsi_closes *closes = vsi_calloc(v->host, 1, sizeof *closes + count * sizeof(record));
  if (!closes) return VESTRY_NO_MEMORY;
  closes->v = v;
  closes->room = count;
  vsi_mutex_init(&closes->lock, VSI_LOCK_CLOSES);
  vestry_err error = vsi_map_reserve(&closes->recorded, v->host, count);
  if (!error) error = vsi_extension_add(v, &kind, closes);
  if (error) destroy(v, closes);
  *ret_closes = vsi_extension_find(v, &kind); /* that of another thread, if it was faster */
  return *ret_closes ? VESTRY_OK : error;
}

/* ----------------------------------------------------------------------------------------------------- listing ---- */

/* Copy the closes that match, from *number downwards, and move *number along. Returns how many were copied. */
static size_t copy(vsi_closes *closes, const vestry_close_query *query, uint64_t *number, size_t limit, record *to) {
  size_t count = 0;
  vsi_mutex_lock(&closes->lock);
  if (*number > closes->count) *number = closes->count;
  uint64_t oldest = oldest_locked(closes);
  if (query->after >= oldest) oldest = query->after < UINT64_MAX ? query->after + 1 : UINT64_MAX;
  for (int i = 0; *number >= oldest && count < limit && i < SCANNED_A_LOCK; i++, --*number) {
    const record *at = record_locked(closes, *number);
    if (query->no_consoles && at->info.is_console) continue;
    if (!query->cause || at->info.cause == query->cause) to[count++] = *at;
  }
  if (*number < oldest) *number = 0;
  vsi_mutex_unlock(&closes->lock);
  return count;
}

vestry_err vsi_closes_find(vsi_closes *closes, uint64_t id, vestry_close_info *ret_info) {
  record found;
  vsi_mutex_lock(&closes->lock);
  const record *at = find_locked(&closes->recorded, id);
  if (at) found = *at;
  vsi_mutex_unlock(&closes->lock);
  if (!at) return VESTRY_NOT_FOUND;
  *ret_info = found.info;
  ret_info->ago_ms = vsi_shown_ms(vsi_now_ns(closes->v->host), found.at_ns);
  return VESTRY_OK;
}

vestry_err vestry_observe_closes(vestry_observe *observe, const vestry_close_query *given, vestry_close_info_fn fn,
                                 void *ctx, uint64_t *ret_next) {
  if (!observe) return VESTRY_INVALID;
  vestry_close_query query = given ? *given : (vestry_close_query){0};
  if (!fn || query.limit > VESTRY_STREAMS_MAX_COUNT || (unsigned)query.cause >= VESTRY_CAUSE_COUNT)
    return vsi_mistake(observe->v->host, "vestry_observe_closes",
                       "fn is NULL, the query's limit is too large, or its cause is unknown");
  size_t left_count = query.limit ? query.limit : VESTRY_STREAMS_MAX_COUNT;
  uint64_t number = query.before ? query.before - 1 : UINT64_MAX;
  while (number && left_count) {
    record chunk[COPIED_A_LOCK];
    const size_t wanted = left_count < COPIED_A_LOCK ? left_count : COPIED_A_LOCK;
    const size_t count = copy(observe->closes, &query, &number, wanted, chunk);
    const uint64_t now_ns = vsi_now_ns(observe->v->host);
    for (size_t i = 0; i < count; i++) {
      chunk[i].info.ago_ms = vsi_shown_ms(now_ns, chunk[i].at_ns);
      vsi_callback_begin();
      fn(&chunk[i].info, ctx);
      vsi_callback_end();
    }
    left_count -= count;
  }
  if (ret_next) *ret_next = number ? number + 1 : 0;
  return VESTRY_OK;
}

static void add_minute(vsi_close_counts *counts, const minute *from) {
  for (int cause = 0; cause < VESTRY_CAUSE_COUNT; cause++) {
    counts->hour[cause] += from->counts[cause];
    counts->hour_consoles[cause] += from->consoles[cause];
  }
}

void vsi_closes_count(vsi_closes *closes, vsi_close_counts *ret_counts) {
  *ret_counts = (vsi_close_counts){.hour = {0}};
  vsi_mutex_lock(&closes->lock);
  const uint64_t now = vsi_now_ns(closes->v->host) / MINUTE_NS;
  for (const minute *at = closes->minutes; at < closes->minutes + MINUTES; at++)
    if (at->number + MINUTES > now) add_minute(ret_counts, at);
  memcpy(ret_counts->all, closes->by_cause, sizeof closes->by_cause);
  memcpy(ret_counts->all_consoles, closes->consoles_by_cause, sizeof closes->consoles_by_cause);
  vsi_mutex_unlock(&closes->lock);
}
