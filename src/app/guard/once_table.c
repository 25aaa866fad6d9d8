/* SPDX-License-Identifier: MIT */
/* essay: a request that is repeated while the first one runs */
/* A request that was seen is a record under its scope and nonce, in a store of the guard, which bounds and expires
 * records. Of several requests with one nonce, the one whose put succeeds runs. The others find its record. One of them
 * waits until it is answered, on its server thread and for a limited time; the others get 503 at once, and their
 * clients repeat them. So repetitions of actions that run, here or on a node that has died, hold one thread in all.
 *
 * References to a record: one of the store, one of the request that runs, and one of each request that waits.
 *
 * Places. A record whose client may still repeat the request is never evicted for another client. A request that finds
 * no place gets 503. Any client can invent anonymous users, so these have only a share of the places and of the bytes
 * for responses, and a single address has at most a quarter of their places, or 1,000. All sessions of a user are one
 * scope. One person has at most a quarter of the bytes. Therefore, no client can take the places of others. A record
 * has its place from before its put until it has left the store. After the put, records of a share are in a list, the
 * oldest first. */
#include "app/guard/once_table.h"

#include <string.h>

#include "app/session/session.h"
#include "base/ascii.h"
#include "base/memory.h"
#include "base/wait.h"
#include "instance/instance.h"

/* Allocate bytes for a response within the budget. NULL: it or the memory does not suffice. */
static char *take_room(vsi_once_share *share, size_t len) {
  if (len > share->max_response_bytes) return NULL;
  size_t held = atomic_fetch_add_explicit(&share->bytes, len, memory_order_relaxed);
  char *bytes = held + len > share->max_bytes ? NULL : vsi_alloc(share->host, len ? len : 1);
  if (!bytes) atomic_fetch_sub_explicit(&share->bytes, len, memory_order_relaxed);
  return bytes;
}

void vsi_once_response_keep(vsi_once_response *stored, vsi_once_share *share, const vestry_response *response) {
  size_t len = response->body_len;
  stored->status = response->status;
  for (size_t i = 0; i < response->headers_count; i++)
    len += strlen(response->headers[i].name) + strlen(response->headers[i].value) + 2;
  char *bytes = take_room(share, len);
  if (!bytes) return;
  char *at = bytes;
  for (size_t i = 0; i < response->headers_count; i++) {
    at = stpcpy(at, response->headers[i].name) + 1;
    at = stpcpy(at, response->headers[i].value) + 1;
  }
  if (response->body_len) memcpy(at, response->body, response->body_len);
  *stored = (vsi_once_response){response->status, bytes, len, (size_t)(at - bytes), response->headers_count};
}

/* Each header is hashed with its terminators, and the hashes are added up. */
uint64_t vsi_once_response_hash(const vsi_once_response *stored, const vsi_siphash_key key) {
  const char *at = stored->bytes;
  uint64_t sum = (uint64_t)stored->status;
  if (!at) return sum;
  for (size_t i = 0; i < stored->headers_count; i++) {
    const char *value = at + strlen(at) + 1, *next = value + strlen(value) + 1;
    if (vsi_strcasecmp(at, "Cache-Control") != 0 && vsi_strcasecmp(at, "Set-Cookie") != 0)
      sum += vsi_siphash_1_3(key, at, (size_t)(next - at));
    at = next;
  }
  return sum + vsi_siphash_1_3(key, at, stored->len - stored->body_at);
}

void vsi_once_response_drop(vsi_once_response *stored, vsi_once_share *share) {
  if (stored->bytes) atomic_fetch_sub_explicit(&share->bytes, stored->len, memory_order_relaxed);
  vsi_free(share->host, stored->bytes);
  *stored = (vsi_once_response){.status = stored->status};
}

vestry_err vsi_once_response_repeat(const vsi_once_response *stored, vestry_reply *reply) {
  vestry_err error = vestry_reply_status(reply, stored->bytes || stored->status >= 400 ? stored->status : 204);
  const char *at = stored->bytes;
  for (size_t i = 0; at && i < stored->headers_count && !error; i++) {
    const char *value = at + strlen(at) + 1;
    error = vestry_reply_header(reply, at, value);
    at = value + strlen(value) + 1;
  }
  if (!error && stored->len > stored->body_at)
    error = vestry_reply_body(reply, NULL, stored->bytes + stored->body_at, stored->len - stored->body_at);
  return error ? error : VESTRY_FAILED;
}

/* ------------------------------------------------------------------------------------------------- as bytes ------- */

/* Precedes the bytes of a response. Not portable: all nodes that share a storage have the same byte order. */
typedef struct head {
  uint32_t status, is_kept, headers_count, body_at;
} head;

size_t vsi_once_response_packed_len(const vsi_once_response *stored) {
  return sizeof(head) + stored->len;
}

void vsi_once_response_pack(const vsi_once_response *stored, unsigned char *bytes) {
  const head packed = {(uint32_t)stored->status, stored->bytes != NULL, (uint32_t)stored->headers_count,
                       (uint32_t)stored->body_at};
  memcpy(bytes, &packed, sizeof packed);
  if (stored->len) memcpy(bytes + sizeof packed, stored->bytes, stored->len);
}

/* Return whether the bytes begin with headers_count terminated names and values, directly followed by the body. */
static bool is_sound(const head *packed, const unsigned char *bytes, size_t len) {
  size_t at = 0;
  if (packed->status > 599 || packed->body_at > len) return false;
  for (uint64_t texts = (uint64_t)packed->headers_count * 2; texts; texts--) {
    const unsigned char *end = at < packed->body_at ? memchr(bytes + at, 0, packed->body_at - at) : NULL;
    if (!end) return false;
    at = (size_t)(end - bytes) + 1;
  }
  return at == packed->body_at;
}

vestry_err vsi_once_response_unpack(vsi_once_response *stored, vsi_once_share *share, const unsigned char *bytes,
                                    size_t len) {
  head packed;
  if (len < sizeof packed) return VESTRY_FAILED;
  memcpy(&packed, bytes, sizeof packed);
  bytes += sizeof packed;
  len -= sizeof packed;
  if (!is_sound(&packed, bytes, len)) return VESTRY_FAILED;
  char *copy = packed.is_kept ? take_room(share, len) : NULL;
  *stored = (vsi_once_response){.status = (int)packed.status};
  if (!copy) return VESTRY_OK;
  if (len) memcpy(copy, bytes, len);
  *stored = (vsi_once_response){(int)packed.status, copy, len, packed.body_at, packed.headers_count};
  return VESTRY_OK;
}

enum { TRIES = 8, LEAST_PER_PERSON = 1000 };

/* -------------------------------------------------------------------------------------------------- records ------- */

void vsi_once_record_ref(void *record) {
  VSI_REFS_TAKE(&((vsi_once_record *)record)->refs);
}

void vsi_once_record_unref(void *record) {
  vsi_once_record *held = record;
  if (!held || !VSI_REFS_DROP(&held->refs)) return;
  vsi_once_response_drop(&held->response, &held->places->responses);
  vsi_free(held->table->host, held->sealed);
  vsi_free(held->table->host, held);
}

vsi_once_record *vsi_once_record_create(vsi_once_table *table, vsi_once_places *places) {
  vsi_once_record *made = vsi_calloc(table->host, 1, sizeof *made);
  if (!made) return NULL;
  made->table = table;
  made->places = places;
  made->came_ns = vsi_now_ns(table->host);
  VSI_REFS_INIT(&made->refs, 1);
  return made;
}

/* Count the bytes of a response for the person of its record. Returns false if the person would have too many. */
static bool count_bytes_locked(vsi_once_record *r) {
  const size_t len = r->response.bytes ? r->response.len : 0;
  if (!r->counted) return true;
  if (len > r->places->max_bytes_per_person - r->counted->bytes) return false;
  r->counted->bytes += len;
  r->counted_bytes = len;
  return true;
}

void vsi_once_record_settle(vsi_once_record *record, vsi_once_progress reached) {
  vsi_mutex_lock(&record->table->lock);
  if (!count_bytes_locked(record)) vsi_once_response_drop(&record->response, &record->places->responses);
  record->progress = reached;
  pthread_cond_broadcast(&record->table->answered);
  vsi_mutex_unlock(&record->table->lock);
}

vsi_once_progress vsi_once_record_wait(vsi_once_record *record) {
  vsi_once_table *table = record->table;
  const uint64_t until_ns = vsi_monotonic_in_ms(table->wait_ms);
  vsi_mutex_lock(&table->lock);
  const bool waits = record->progress == VSI_ONCE_RUNS && !atomic_exchange(&table->has_waiter, true);
  bool goes_on = waits;
  while (goes_on && record->progress == VSI_ONCE_RUNS)
    goes_on = vsi_wait_until(&table->answered, &table->lock, until_ns);
  if (waits) atomic_store(&table->has_waiter, false);
  vsi_once_progress found = record->progress;
  vsi_mutex_unlock(&table->lock);
  return found;
}

void vsi_once_record_remove(vsi_once_record *record) {
  (void)vestry_store_remove_if(record->table->store, record->handle, VESTRY_CAUSE_REMOVED);
}

/* --------------------------------------------------------------------------------------------------- places ------- */

static vsi_once_person *find_person_locked(const vsi_once_record *r) {
  return r->person ? (vsi_once_person *)vsi_map_first(&r->places->persons, r->person) : NULL;
}

/* Count a record, and for its person. Without memory, it is not counted for the person. */
static void count_locked(vsi_once_record *r) {
  vsi_once_places *places = r->places;
  const vestry_host *host = r->table->host;
  places->count++;
  r->counted = find_person_locked(r);
  if (r->person && !r->counted && !vsi_map_reserve(&places->persons, host, places->persons.count + 1)) {
    r->counted = vsi_calloc(host, 1, sizeof *r->counted);
    if (r->counted) vsi_map_add(&places->persons, &r->counted->in, r->person);
  }
  if (r->counted) r->counted->count++;
}

static void uncount_locked(vsi_once_record *r) {
  vsi_once_person *counted = r->counted;
  r->places->count--;
  r->counted = NULL;
  if (counted) counted->bytes -= r->counted_bytes;
  if (!counted || --counted->count) return;
  vsi_map_remove(&r->places->persons, &counted->in);
  vsi_free(r->table->host, counted);
}

/* Return whether the requests of one person have their maximum. */
static bool has_too_many_locked(const vsi_once_record *r) {
  const vsi_once_person *counted = find_person_locked(r);
  return counted && counted->count >= r->places->max_per_person;
}

static void leave_line_locked(vsi_once_record *r) {
  TAILQ_REMOVE(&r->places->line, r, at);
  r->in_line = false;
}

/* Free the place of a record that has left the store. */
static void close_record(void *value, vestry_cause cause) {
  vsi_once_record *r = value;
  (void)cause;
  vsi_mutex_lock(&r->table->lock);
  r->has_left = true;
  if (r->in_line) leave_line_locked(r);
  uncount_locked(r);
  vsi_mutex_unlock(&r->table->lock);
}

/* Add a record to the list of its share, once it is in the store and its handle is known. */
static void stand_in_line(vsi_once_record *r) {
  vsi_mutex_lock(&r->table->lock);
  if (!r->has_left) {
    TAILQ_INSERT_TAIL(&r->places->line, r, at);
    r->in_line = true;
  }
  vsi_mutex_unlock(&r->table->lock);
}

/* Take a place for one more record. If there is none, evict the oldest record of the share, provided that its client no
 * longer repeats it. */
static bool take_place(vsi_once_record *r) {
  vsi_once_table *table = r->table;
  for (;;) {
    vsi_once_record *old = NULL;
    vsi_mutex_lock(&table->lock);
    const bool has_too_many = has_too_many_locked(r),
               has_place = !has_too_many && r->places->count < r->places->max_count;
    if (has_place) {
      count_locked(r);
    } else if (!has_too_many && (old = TAILQ_FIRST(&r->places->line)) &&
               r->came_ns - old->came_ns >= table->retries_ns) {
      vsi_once_record_ref(old); /* the store holds a reference while it is in the list */
      leave_line_locked(old);
    } else {
      old = NULL;
    }
    vsi_mutex_unlock(&table->lock);
    if (!old) return has_place;
    (void)vestry_store_remove_if(table->store, old->handle, VESTRY_CAUSE_SIZE);
    vsi_once_record_unref(old);
  }
}

static void give_place(vsi_once_record *r) {
  vsi_mutex_lock(&r->table->lock);
  uncount_locked(r);
  vsi_mutex_unlock(&r->table->lock);
}

/* -------------------------------------------------------------------------------------------------- the table ----- */

static void take(void *value, void *ctx) {
  vsi_once_record **found = ctx;
  if (*found) return;
  vsi_once_record_ref(value);
  *found = value;
}

vestry_err vsi_once_table_put(vsi_once_table *table, vestry_scope scope, const char *nonce, vsi_once_record *made,
                              vsi_once_record **ret_there) {
  *ret_there = NULL;
  /* Clients without a scope do not share the bound of one scope. */
  if (!scope.len && table->has_scopes) scope = (vestry_scope){nonce, strlen(nonce)};
  /* A record that makes put return EXISTS may leave the table before it is looked up, so try again. */
  for (int tries = 0; tries < TRIES; tries++) {
    vestry_put_result result = {0};
    vestry_err error = vestry_store_with(table->store, scope, VESTRY_KEY(nonce), take, ret_there);
    if (error != VESTRY_NOT_FOUND) return error;
    if (!take_place(made)) break;
    error = vestry_store_put(table->store, scope, VESTRY_KEY(nonce), made, VESTRY_KEEP_REUSE, 0, &result);
    made->handle = result.handle;
    if (!error) stand_in_line(made);
    if (!error) return VESTRY_OK;
    give_place(made);
    if (error != VESTRY_EXISTS) return error;
  }
  return VESTRY_LIMIT;
}

static vsi_once_share share_of(const vsi_once_table *table, const vestry_once_options *o, size_t max_bytes) {
  return (vsi_once_share){.host = table->host, .max_response_bytes = o->max_response_bytes, .max_bytes = max_bytes};
}

static size_t bytes_per_person(const vsi_once_share *share) {
  return share->max_bytes / 4 > share->max_response_bytes ? share->max_bytes / 4 : share->max_response_bytes;
}

/* Divide the places, and the bytes for responses in the same ratio, between users and anonymous users. */
static void share_out(vsi_once_table *table, const vestry_once_options *o) {
  double share = (double)o->max_anonymous_count / (double)o->max_count;
  TAILQ_INIT(&table->anonymous.line);
  TAILQ_INIT(&table->users.line);
  table->anonymous.max_count = o->max_anonymous_count;
  table->anonymous.max_per_person = o->max_anonymous_count / 4;
  if (table->anonymous.max_per_person < LEAST_PER_PERSON) table->anonymous.max_per_person = LEAST_PER_PERSON;
  table->users.max_count = o->max_count - o->max_anonymous_count;
  table->users.max_per_person = SIZE_MAX;
  table->anonymous.responses = share_of(table, o, (size_t)(share * (double)o->max_all_responses_bytes));
  table->users.responses = share_of(table, o, o->max_all_responses_bytes - table->anonymous.responses.max_bytes);
  table->anonymous.max_bytes_per_person = bytes_per_person(&table->anonymous.responses);
  table->users.max_bytes_per_person = bytes_per_person(&table->users.responses);
}

vestry_err vsi_once_table_init(vsi_once_table *table, vestry *v, const vestry_once_options *options) {
  static const vestry_value_ops value = {
      .ref = vsi_once_record_ref, .unref = vsi_once_record_unref, .close = close_record};
  table->host = v->host;
  table->retries_ns = vsi_ms_to_ns(options->retries_ms);
  table->wait_ms = options->wait_ms;
  table->has_scopes = vsi_sessions_of(v) || v->scope;
  share_out(table, options);
  vsi_mutex_init(&table->lock, VSI_LOCK_ONCE);
  pthread_cond_init(&table->answered, NULL);
  vestry_err error = vestry_store_create("lru",
                                         &(vestry_store_options){.host = v->host,
                                                                 .value = &value,
                                                                 .max_count = options->max_count,
                                                                 .idle_ms = VESTRY_NEVER_MS,
                                                                 .lifetime_ms = options->lifetime_ms,
                                                                 .max_per_scope_count = options->max_per_scope_count},
                                         &table->store);
  return error ? error : vestry_store_drive(table->store, v->runtime);
}

void vsi_once_table_finish(vsi_once_table *table) {
  (void)vestry_store_drive(table->store, NULL);
  vestry_store_destroy(table->store);
  vsi_map_free_all(&table->users.persons, table->host, 0);
  vsi_map_free_all(&table->anonymous.persons, table->host, 0);
  vsi_mutex_finish(&table->lock);
  pthread_cond_destroy(&table->answered);
}
