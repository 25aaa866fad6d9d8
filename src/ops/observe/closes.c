/* SPDX-License-Identifier: MIT */
/* essay: the key of a stream that has ended */
/* Closes are recorded in a ring: the newest record overwrites the oldest.
 *
 * Only the store knows a stream's key, and a stream that is evicted, replaced or removed leaves the store before it
 * ends. So the key is noted when the value leaves. The two events come in either order, perhaps on two threads:
 *
 *   the stream ends first   its key is found in the store by the handle in its records. If the value is leaving
 *                           at that time, the record has no key yet; `note_key` then finds the record and adds the key
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

#include "base/hash.h"
#include "base/map.h"
#include "connection/connection.h"
#include "ops/observe/inside.h"
#include "vestry/cause.h"

enum { SCANNED_A_LOCK = 512, COPIED_A_LOCK = 16, MINUTES = 60 };
#define MINUTE_NS (UINT64_C(60000) * VSI_NS_PER_MS)

typedef struct record {
  vsi_map_link in; /* the first member, for find_locked; as in unmatched */
  vsi_shown_stream shown;
  uint64_t number, at_ns;
} record;

/* The key of a stream that has left the store and has not ended. */
typedef struct unmatched {
  vsi_map_link in;
  vsi_shown_key key;
} unmatched;

/* Numbers of closes by cause, whether or not they are still recorded. */
typedef struct close_counts {
  uint64_t by_cause[VESTRY_CAUSE_COUNT], consoles_by_cause[VESTRY_CAUSE_COUNT]; /* the latter: of consoles and tails */
} close_counts;

/* The closes of one minute. They are counted apart from the records, because an hour can have more closes than there
 * are records. */
typedef struct minute {
  uint64_t number; /* of the clock */
  close_counts counts;
} minute;

struct vsi_closes {
  vestry *v;
  size_t room;
  vsi_mutex lock;
  /* Guarded by lock. */
  uint64_t count; /* number of closes so far, and number of the last one */
  close_counts all;
  minute minutes[MINUTES];     /* by number modulo MINUTES */
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
static void *find_by_id_locked(const vsi_map *map, uint64_t id) {
  return vsi_map_first(map, vsi_hash_number(id));
}

/* Add a record. In a full ring it overwrites the oldest. */
static void add_record_locked(vsi_closes *closes, const record *made) {
  record *at = record_locked(closes, ++closes->count);
  if (closes->count > closes->room) vsi_map_remove(&closes->recorded, &at->in);
  *at = *made;
  at->number = closes->count;
  vsi_map_add(&closes->recorded, &at->in, vsi_hash_number(made->shown.id));
}

/* ----------------------------------------------------------------------------------------------- recording -------- */

static void count_close(close_counts *counts, const vsi_shown_stream *shown) {
  counts->by_cause[shown->stats.cause]++;
  counts->consoles_by_cause[shown->stats.cause] += shown->is_console;
}

static void count_close_locked(vsi_closes *closes, const record *made) {
  const uint64_t number = made->at_ns / MINUTE_NS;
  minute *at = &closes->minutes[number % MINUTES];
  if (at->number != number) *at = (minute){.number = number};
  count_close(&at->counts, &made->shown);
  count_close(&closes->all, &made->shown);
}

static void put_key(record *to, const vsi_shown_key *key) {
  vsi_shown_key *own = &to->shown.key;
  if (*own->text) return;
  memcpy(own->text, key->text, sizeof own->text);
  own->is_cut = key->is_cut;
}

/* Record a stream that has ended, with the key that left before, if it waits. */
static void note_close(void *state, vsi_stream_context *stream, vestry_connection *connection, vestry_cause cause) {
  vsi_closes *closes = state;
  const vestry *v = vsi_stream_context_v(stream);
  record made = {.at_ns = vsi_now_ns(v->host)};
  vsi_shown_stream_get(v, connection, &made.shown);
  made.shown.stats.state = VESTRY_STATE_CLOSED;
  made.shown.stats.cause = cause;
  vsi_mutex_lock(&closes->lock);
  unmatched *before = closes->unmatched.count ? find_by_id_locked(&closes->unmatched, made.shown.id) : NULL;
  if (before) {
    put_key(&made, &before->key);
    vsi_map_remove(&closes->unmatched, &before->in);
  }
  add_record_locked(closes, &made);
  count_close_locked(closes, &made);
  vsi_mutex_unlock(&closes->lock);
  vsi_free(closes->v->host, before);
}

/* Note the key of a value that leaves a store: in the record of its stream, or until its stream ends. */
static void note_key(void *state, const vestry_purged *purged) {
  vsi_closes *closes = state;
  const vestry_connection *connection = purged->value;
  const vsi_stream_context *stream = vsi_stream_context_of(connection);
  if (!stream) return;
  unmatched *made = vsi_calloc(closes->v->host, 1, sizeof *made);
  if (!made) return;
  const uint64_t id = vsi_connection_id(connection);
  vsi_shown_key_of(purged->key, purged->key_len, &made->key);
  vsi_mutex_lock(&closes->lock);
  record *ended_before = find_by_id_locked(&closes->recorded, id);
  if (ended_before) put_key(ended_before, &made->key);
  /* acquire pairs with the store in the close hook (serve/hooks.c), which comes after `ended` above */
  const bool is_matched = ended_before || atomic_load_explicit(&stream->ended, memory_order_acquire) ||
                          find_by_id_locked(&closes->unmatched, id) ||
                          vsi_map_reserve(&closes->unmatched, closes->v->host, closes->unmatched.count + 1);
  if (!is_matched) vsi_map_add(&closes->unmatched, &made->in, vsi_hash_number(id));
  vsi_mutex_unlock(&closes->lock);
  if (is_matched) vsi_free(closes->v->host, made);
}

/* ---------------------------------------------------------------------------------------------------- creation ---- */

static void destroy_closes(vestry *v, void *state) {
  vsi_closes *closes = state;
  vsi_mutex_finish(&closes->lock);
  vsi_map_finish(&closes->recorded, v->host);
  vsi_map_free_all(&closes->unmatched, v->host, offsetof(unmatched, in));
  vsi_free(v->host, closes);
}

static const vsi_extension kind = {.name = "closes", .destroy = destroy_closes, .left = note_key, .ended = note_close};

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
  if (error) destroy_closes(v, closes);
  *ret_closes = vsi_extension_find(v, &kind); /* that of another thread, if it was faster */
  return *ret_closes ? VESTRY_OK : error;
}

/* ----------------------------------------------------------------------------------------------------- listing ---- */

static void put_close(vsi_report *report, const record *of, uint64_t now_ns) {
  vsi_shown_stream_put(report, &of->shown);
  vsi_report_put(report, VESTRY_OBJECT("number", of->number, "ago_ms", vsi_shown_ms(now_ns, of->at_ns),
                                       "discarded_bytes", of->shown.stats.discarded_bytes));
}

bool vsi_closes_put(vsi_closes *closes, uint64_t id, vsi_report *report) {
  record found;
  vsi_mutex_lock(&closes->lock);
  const record *at = find_by_id_locked(&closes->recorded, id);
  if (at) found = *at;
  vsi_mutex_unlock(&closes->lock);
  if (at) put_close(report, &found, vsi_now_ns(closes->v->host));
  return at;
}

typedef struct close_query {
  vestry_cause cause;     /* only this cause; NONE: any */
  uint64_t before, after; /* only numbers between them; 0: all */
  size_t limit;
  bool has_no_consoles; /* leave out consoles and tails */
} close_query;

/* Copy the closes that match, from *number downwards, and move *number along. Returns how many were copied. */
static size_t copy_closes(vsi_closes *closes, const close_query *query, uint64_t *number, size_t limit, record *to) {
  size_t count = 0;
  vsi_mutex_lock(&closes->lock);
  if (*number > closes->count) *number = closes->count;
  uint64_t oldest = oldest_locked(closes);
  if (query->after >= oldest) oldest = query->after + 1;
  for (int i = 0; *number >= oldest && count < limit && i < SCANNED_A_LOCK; i++, --*number) {
    const record *at = record_locked(closes, *number);
    if (query->has_no_consoles && at->shown.is_console) continue;
    if (!query->cause || at->shown.stats.cause == query->cause) to[count++] = *at;
  }
  if (*number < oldest) *number = 0;
  vsi_mutex_unlock(&closes->lock);
  return count;
}

/* Write the closes. Returns `before` of the next page; 0: there are no more. */
static uint64_t put_closes(vsi_report *report, vsi_closes *closes, const close_query *query) {
  uint64_t number = query->before ? query->before - 1 : UINT64_MAX;
  for (size_t left_count = query->limit; number && left_count;) {
    record chunk[COPIED_A_LOCK];
    const size_t wanted = left_count < COPIED_A_LOCK ? left_count : COPIED_A_LOCK;
    const size_t count = copy_closes(closes, query, &number, wanted, chunk);
    const uint64_t now_ns = vsi_now_ns(closes->v->host);
    for (size_t i = 0; i < count; i++) {
      vsi_report_open(report, NULL, '{');
      put_close(report, &chunk[i], now_ns);
      vsi_report_close(report, '}');
    }
    left_count -= count;
  }
  return number ? number + 1 : 0;
}

static void add_counts(close_counts *to, const close_counts *from) {
  for (int cause = 0; cause < VESTRY_CAUSE_COUNT; cause++) {
    to->by_cause[cause] += from->by_cause[cause];
    to->consoles_by_cause[cause] += from->consoles_by_cause[cause];
  }
}

/* Write the numbers of closes, in total and in the last 59 to 60 minutes. */
static void put_counts(vsi_report *report, vsi_closes *closes) {
  close_counts hour = {.by_cause = {0}};
  vsi_mutex_lock(&closes->lock);
  const uint64_t now = vsi_now_ns(closes->v->host) / MINUTE_NS;
  for (const minute *at = closes->minutes; at < closes->minutes + MINUTES; at++)
    if (at->number + MINUTES > now) add_counts(&hour, &at->counts);
  const close_counts all = closes->all;
  vsi_mutex_unlock(&closes->lock);
  vsi_report_put_causes(report, "last_hour", hour.by_cause);
  vsi_report_put_causes(report, "last_hour_consoles", hour.consoles_by_cause);
  vsi_report_put_causes(report, "all", all.by_cause);
  vsi_report_put_causes(report, "all_consoles", all.consoles_by_cause);
}

/* Read the name of a cause; NONE: there is none. */
static bool get_cause(const vestry_request *req, vestry_cause *ret_cause) {
  const char *name = vestry_request_value(req, VESTRY_IN_QUERY, "cause");
  int cause = name ? VESTRY_CAUSE_NONE + 1 : VESTRY_CAUSE_NONE;
  while (name && cause < VESTRY_CAUSE_COUNT && strcmp(name, vestry_cause_name((vestry_cause)cause)) != 0) cause++;
  *ret_cause = (vestry_cause)cause;
  return cause < VESTRY_CAUSE_COUNT;
}

vestry_err vsi_list_closed(const vestry_request *req, vestry_reply *reply, void *app) {
  static const char *const choices[] = {"yes", "no"};
  vestry_observe *observe = app;
  close_query query = {.before = 0};
  unsigned consoles;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  if (!get_cause(req, &query.cause)) return vsi_show_text(reply, 400, "cause: unknown name\n");
  if (!vsi_query_number(req, "before", INT64_MAX, &query.before) ||
      !vsi_query_number(req, "after", INT64_MAX, &query.after))
    return vsi_show_text(reply, 400, "before, after: the number of a close, from 1, is expected\n");
  const char *wrong = vsi_query_limit(req, VSI_LIST_MAX_COUNT, &query.limit);
  if (wrong) return vsi_show_text(reply, 400, wrong);
  if (!vsi_query_choice(req, "consoles", choices, 2, &consoles))
    return vsi_show_text(reply, 400, "consoles: yes or no is expected\n");
  query.has_no_consoles = consoles == 1;
  vsi_report report;
  vsi_report_begin(&report, observe->v->host);
  vsi_report_open(&report, "closed", '[');
  const uint64_t next = put_closes(&report, observe->closes, &query);
  vsi_report_close(&report, ']');
  vsi_report_put(&report, VESTRY_OBJECT("next", vsi_report_count(next, next)));
  put_counts(&report, observe->closes);
  return vsi_show_json(reply, &report);
}
