/* SPDX-License-Identifier: MIT */
/* essay: a request that is repeated while the first one runs */
/* What was seen is a record in a store of vestry's own, under its scope and nonce: bounded, and emptied by time. Of
 * several requests the one whose put succeeds runs; the others find its record, and wait for it to be answered. They
 * wait on threads of the server's, but on no more than there are requests under way, and the one they wait for has a
 * thread: it came first.
 *
 * A record holds a reference of the store's, one of the request that runs, and one of each that waits.
 *
 * Places. What is young enough to be repeated by the client is not forgotten for another client's: a request that finds
 * no place is told to come later. Visitors, which any client can invent, have a share of the places and of the answers'
 * bytes, and all sessions of a user are one scope, so that neither can take those of others. A record has its place
 * from before it is put until it has left the store; those that have been put stand in line, the oldest first. */
#include "vestry/once.h"
#include "base/mutex.h"

#include <nettle/sha2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/refs.h"
#include "base/wait.h"
#include "guard/nonce.h"
#include "guard/once_sealed.h"
#include "guard/proof.h"
#include "http/multipart.h"
#include "http/routes/routes.h"
#include "instance/instance.h"
#include "vestry/session.h"

enum {
  LIFETIME_MS = 600000,
  MAX_COUNT = 100000,
  MAX_PER_SCOPE = 1000,
  MAX_ANSWER_BYTES = 4096,
  MAX_ANSWERS_BYTES = 16 << 20,
  RETRIES_MS = 300000,
  WAIT_MS = 10000,
  DIGEST_BYTES = 16,
  TRIES = 8
};

struct record;

/* Places of users, or of visitors. */
typedef struct places {
  size_t max_count, count;   /* count: guarded by once->lock */
  TAILQ_HEAD(, record) line; /* the oldest first; guarded by once->lock */
  size_t max_answers_bytes;
  _Atomic(size_t) answers_bytes; /* relaxed: a bound, which a few threads at once may miss by an answer each */
} places;

struct vestry_once {
  vestry *v;
  const vestry_host *host;
  vestry_once_options options;
  vestry_store *store; /* of records */
  vsi_mutex lock;
  pthread_cond_t answered;
  places users, visitors;
  _Atomic(uint64_t) begun, repeated, refused; /* relaxed: mere counts */
};

typedef enum progress { RUNS, ANSWERED, FORGOTTEN } progress;

typedef struct record {
  vsi_watcher watcher; /* first */
  vestry_once *once;
  places *places; /* its own are among them */
  vsi_refs refs;
  uint64_t came_ns;
  TAILQ_ENTRY(record) at; /* guarded by once->lock */
  bool in_line, has_left; /* guarded by once->lock; has_left: the store */
  vestry_handle handle;   /* written and read by the request that runs */
  unsigned char digest[DIGEST_BYTES];
  progress progress; /* guarded by once->lock; what follows is constant from ANSWERED on */
  int status;        /* 0: it was a stream */
  char *answer;      /* names and values of headers, each terminated, then the body; NULL: not kept */
  size_t headers_count;
  size_t body_at, answer_len;
  vsi_once_sealed *sealed; /* for the storage, in the request that runs; NULL: none */
} record;

/* -------------------------------------------------------------------------------------------------- records ------- */

static void ref_record(void *value) {
  VSI_REFS_TAKE(&((record *)value)->refs);
}

static void unref_record(void *value) {
  record *held = value;
  if (!held || !VSI_REFS_DROP(&held->refs)) return;
  if (held->answer) atomic_fetch_sub_explicit(&held->places->answers_bytes, held->answer_len, memory_order_relaxed);
  vsi_free(held->once->host, held->answer);
  vsi_free(held->once->host, held->sealed);
  vsi_free(held->once->host, held);
}

static void leave_line_locked(record *r) {
  TAILQ_REMOVE(&r->places->line, r, at);
  r->in_line = false;
}

/* A record has left the store. */
static void close_record(void *value, vestry_cause cause) {
  record *r = value;
  (void)cause;
  vsi_mutex_lock(&r->once->lock);
  r->has_left = true;
  if (r->in_line) leave_line_locked(r);
  r->places->count--;
  vsi_mutex_unlock(&r->once->lock);
}

/* A record is in the store, and its handle is known: put it into the line. */
static void stand_in_line(record *r) {
  vsi_mutex_lock(&r->once->lock);
  if (!r->has_left) {
    TAILQ_INSERT_TAIL(&r->places->line, r, at);
    r->in_line = true;
  }
  vsi_mutex_unlock(&r->once->lock);
}

/* Take a place for one more record; perhaps that of a request which its client repeats no more. */
static bool take_place(record *r) {
  vestry_once *once = r->once;
  const uint64_t retries_ns = vsi_ms_to_ns(once->options.retries_ms);
  for (;;) {
    record *old = NULL;
    vsi_mutex_lock(&once->lock);
    bool has_place = r->places->count < r->places->max_count;
    if (has_place) {
      r->places->count++;
    } else if ((old = TAILQ_FIRST(&r->places->line)) && r->came_ns - old->came_ns >= retries_ns) {
      ref_record(old); /* the store has one as long as it is in line */
      leave_line_locked(old);
    } else {
      old = NULL;
    }
    vsi_mutex_unlock(&once->lock);
    if (!old) return has_place;
    (void)vestry_store_remove_if(once->store, old->handle, VESTRY_CAUSE_SIZE);
    unref_record(old);
  }
}

static void give_place(record *r) {
  vsi_mutex_lock(&r->once->lock);
  r->places->count--;
  vsi_mutex_unlock(&r->once->lock);
}

/* Wake the threads that wait for it. */
static void settle(record *r, progress reached) {
  vsi_mutex_lock(&r->once->lock);
  r->progress = reached;
  pthread_cond_broadcast(&r->once->answered);
  vsi_mutex_unlock(&r->once->lock);
}

static progress wait_for(record *r) {
  vsi_mutex_lock(&r->once->lock);
  while (r->progress == RUNS) vsi_mutex_wait(&r->once->lock, &r->once->answered);
  progress found = r->progress;
  vsi_mutex_unlock(&r->once->lock);
  return found;
}

/* -------------------------------------------------------------------------------------------------- answers ------- */

/* Room for an answer. NULL: there is none. */
static char *take_room(record *r, size_t len) {
  vestry_once *once = r->once;
  if (len > once->options.max_answer_bytes) return NULL;
  size_t held = atomic_fetch_add_explicit(&r->places->answers_bytes, len, memory_order_relaxed);
  char *answer = held + len > r->places->max_answers_bytes ? NULL : vsi_alloc(once->host, len ? len : 1);
  if (!answer) atomic_fetch_sub_explicit(&r->places->answers_bytes, len, memory_order_relaxed);
  return answer;
}

static void keep(record *r, const vestry_response *response) {
  size_t len = response->body_len;
  for (size_t i = 0; i < response->headers_count; i++)
    len += strlen(response->headers[i].name) + strlen(response->headers[i].value) + 2;
  char *answer = take_room(r, len);
  if (!answer) return;
  char *at = answer;
  for (size_t i = 0; i < response->headers_count; i++) {
    at = stpcpy(at, response->headers[i].name) + 1;
    at = stpcpy(at, response->headers[i].value) + 1;
  }
  r->body_at = (size_t)(at - answer);
  if (response->body_len) memcpy(at, response->body, response->body_len);
  r->headers_count = response->headers_count;
  r->answer_len = len;
  r->answer = answer;
}

/* ------------------------------------------------------------------------------------------------ storage --------- */

/* What is before an answer's bytes. It is sealed: nodes of one kind read it. */
typedef struct stored {
  unsigned char digest[DIGEST_BYTES];
  uint32_t status, has_answer, headers_count, body_at;
} stored;

static void log_storage(const vestry_once *once, vestry_err error) {
  if (error)
    vsi_log(once->host, VESTRY_LOG_WARN, "vestry_once: an answer was not stored, so its action may run again: %s",
            vestry_err_name(error));
}

/* A run is over: the other nodes have its answer, too. */
static void store_answer(const record *r) {
  const vestry_once *once = r->once;
  if (!r->sealed) return;
  const stored head = {.status = (uint32_t)r->status,
                       .has_answer = r->answer != NULL,
                       .headers_count = (uint32_t)r->headers_count,
                       .body_at = (uint32_t)r->body_at};
  const size_t len = sizeof head + r->answer_len;
  unsigned char *bytes = vsi_alloc(once->host, VSI_ONCE_SEAL_BYTES + len);
  if (!bytes) {
    log_storage(once, VESTRY_NO_MEMORY);
    return;
  }
  unsigned char *at = bytes + VSI_ONCE_SEAL_BYTES;
  memcpy(at, &head, sizeof head);
  memcpy(at, r->digest, DIGEST_BYTES);
  if (r->answer_len) memcpy(at + sizeof head, r->answer, r->answer_len);
  vsi_once_seal(r->sealed, bytes, len);
  const vestry_once_press press = vsi_once_sealed_press(r->sealed);
  log_storage(once, once->options.storage->finish(once->options.storage_ctx, &press, bytes, VSI_ONCE_SEAL_BYTES + len));
  vsi_free(once->host, bytes);
}

static void forget_stored(const record *r) {
  if (!r->sealed) return;
  const vestry_once_press press = vsi_once_sealed_press(r->sealed);
  (void)r->once->options.storage->forget(r->once->options.storage_ctx, &press); /* or else its lease ends */
}

/* The record is as that of the node that has done it. OK | FAILED: it is not what was sealed for this press */
static vestry_err read_stored(record *r, unsigned char *bytes, size_t len) {
  stored head;
  if (!vsi_once_open(r->sealed, bytes, len) || len < VSI_ONCE_SEAL_BYTES + sizeof head) return VESTRY_FAILED;
  const unsigned char *at = bytes + VSI_ONCE_SEAL_BYTES;
  memcpy(&head, at, sizeof head);
  memcpy(r->digest, head.digest, DIGEST_BYTES);
  r->status = (int)head.status;
  const size_t answer_len = len - VSI_ONCE_SEAL_BYTES - sizeof head;
  char *answer = head.has_answer ? take_room(r, answer_len) : NULL;
  if (!answer) return VESTRY_OK;
  if (answer_len) memcpy(answer, at + sizeof head, answer_len);
  r->headers_count = head.headers_count;
  r->body_at = head.body_at;
  r->answer_len = answer_len;
  r->answer = answer;
  return VESTRY_OK;
}

/* Longer each time, up to a fifth of a second. Returns false if the time is over. */
static bool pause_until(uint64_t until_ns, unsigned tries) {
  const uint64_t ns = UINT64_C(5000000) << (tries < 5 ? tries : 5);
  if (vsi_monotonic_ns() >= until_ns) return false;
  nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
  return true;
}

/* Ask the storage whose press it is, until it is this run's, or was done by another. ret_found: NEW or DONE; the record
 * has the answer then. Returns OK | LIMIT (another node takes long, or has died with it) | what it says */
static vestry_err ask_storage(record *r, vestry_once_found *ret_found) {
  const vestry_once *once = r->once;
  const vestry_once_storage_ops *ops = once->options.storage;
  const size_t capacity = VSI_ONCE_SEAL_BYTES + sizeof(stored) + once->options.max_answer_bytes;
  const uint64_t until_ns = vsi_monotonic_in_ms(once->options.wait_ms);
  const vestry_once_press press = vsi_once_sealed_press(r->sealed);
  size_t len = 0;
  unsigned char *bytes = vsi_alloc(once->host, capacity);
  if (!bytes) return VESTRY_NO_MEMORY;
  vestry_err error;
  unsigned tries = 0;
  do {
    *ret_found = VESTRY_ONCE_RUNNING;
    error = ops->begin(once->options.storage_ctx, &press, ret_found, bytes, capacity, &len);
  } while (!error && *ret_found == VESTRY_ONCE_RUNNING && pause_until(until_ns, tries++));
  if (!error && *ret_found == VESTRY_ONCE_RUNNING) error = VESTRY_LIMIT;
  if (!error && *ret_found == VESTRY_ONCE_DONE) error = len > capacity ? VESTRY_FAILED : read_stored(r, bytes, len);
  vsi_free(once->host, bytes);
  return error;
}

static void answered(vsi_watcher *watcher, const vestry_request *req, const vestry_response *response) {
  record *r = (record *)watcher;
  if (r->progress != RUNS) return; /* no other thread changes it */
  if (req->own->handled == VESTRY_LIMIT || req->own->handled == VESTRY_FULL) {
    forget_stored(r);
    vestry_store_remove_if(r->once->store, r->handle, VESTRY_CAUSE_REMOVED);
    settle(r, FORGOTTEN);
    return;
  }
  r->status = response->status;
  keep(r, response);
  store_answer(r);
  settle(r, ANSWERED);
}

static void over(vsi_watcher *watcher) {
  record *r = (record *)watcher;
  if (r->progress == RUNS) { /* by a stream, or by nothing at all */
    store_answer(r);
    settle(r, ANSWERED);
  }
  unref_record(r);
}

/* Answer as it was answered. */
static vestry_err repeat(const record *r, vestry_reply *reply) {
  vestry_err error = vestry_reply_status(reply, r->answer || r->status >= 400 ? r->status : 204);
  const char *at = r->answer;
  for (size_t i = 0; r->answer && i < r->headers_count && !error; i++) {
    const char *value = at + strlen(at) + 1;
    error = vestry_reply_header(reply, at, value);
    at = value + strlen(value) + 1;
  }
  if (!error && r->answer_len > r->body_at)
    error = vestry_reply_body(reply, NULL, r->answer + r->body_at, r->answer_len - r->body_at);
  return error ? error : VESTRY_FAILED;
}

/* ------------------------------------------------------------------------------------------------ what it is ------ */

static void add(struct sha256_ctx *sha, vestry_slice piece) {
  const unsigned char len[] = {(unsigned char)(piece.len >> 24), (unsigned char)(piece.len >> 16),
                               (unsigned char)(piece.len >> 8), (unsigned char)piece.len};
  sha256_update(sha, sizeof len, len);
  if (piece.len) sha256_update(sha, piece.len, piece.data);
}

static void add_text(struct sha256_ctx *sha, const char *text) {
  add(sha, (vestry_slice){text, strlen(text)});
}

/* The body, but not what stands between its parts: browsers choose that anew each time. */
static void add_body(struct sha256_ctx *sha, const vestry_request *req) {
  const char *type = vestry_request_header(req, "Content-Type");
  vsi_parts parts;
  vsi_part part;
  if (!type || strncasecmp(type, "multipart/", 10) != 0 || vsi_parts_init(&parts, type, req->body)) {
    add(sha, req->body);
    return;
  }
  while (!vsi_parts_next(&parts, &part)) {
    add(sha, part.name);
    add(sha, part.filename);
    add(sha, part.value);
  }
}

/* What a request with the nonce asks for. By a header it is the client's, of one call of an action; by a form's field
 * it is for what was filled in. */
static void digest_of(const vestry_request *req, vsi_proof_place place, unsigned char digest[DIGEST_BYTES]) {
  struct sha256_ctx sha;
  sha256_init(&sha);
  add_text(&sha, req->method);
  add_text(&sha, req->path);
  if (place == VSI_PROOF_FIELD) add_body(&sha, req);
  sha256_digest(&sha, DIGEST_BYTES, digest);
}

/* ------------------------------------------------------------------------------------------------- the guard ------ */

static void take(void *value, void *ctx) {
  record **found = ctx;
  if (*found) return;
  ref_record(value);
  *found = value;
}

/* Whose requests are counted together: a user's of all his sessions. The nonce is the session's all the same. */
static vestry_scope scope_of(const vestry_request *req) {
  const char *user = req->v->sessions ? vestry_session_user(req) : NULL;
  return user ? (vestry_scope){user, strlen(user)} : req->scope;
}

static vestry_err create_record(vestry_once *once, const vestry_request *req, const char *nonce, vsi_proof_place place,
                                record **ret_record) {
  record *made = vsi_calloc(once->host, 1, sizeof *made);
  if (!made) return VESTRY_NO_MEMORY;
  made->watcher = (vsi_watcher){answered, over};
  made->once = once;
  made->places = vestry_session_is_visitor(req) ? &once->visitors : &once->users;
  made->came_ns = vsi_now_ns(once->host);
  VSI_REFS_INIT(&made->refs, 1);
  digest_of(req, place, made->digest);
  vestry_err error = VESTRY_OK;
  if (once->options.storage) {
    made->sealed = vsi_alloc(once->host, sizeof *made->sealed);
    error = made->sealed ? vsi_once_sealed_init(made->sealed, once->host, scope_of(req), nonce) : VESTRY_NO_MEMORY;
  }
  if (error)
    unref_record(made);
  else
    *ret_record = made;
  return error;
}

/* Put the record there, or find the one that is. ret_there: a reference; NULL: made is there. */
static vestry_err put_or_find(vestry_once *once, vestry_scope scope, const char *nonce, record *made,
                              record **ret_there) {
  *ret_there = NULL;
  /* What is there may leave before it is looked up. */
  for (int tries = 0; tries < TRIES; tries++) {
    vestry_put_result result = {0};
    vestry_err error = vestry_store_with(once->store, scope, VESTRY_KEY(nonce), take, ret_there);
    if (error != VESTRY_NOT_FOUND) return error;
    if (!take_place(made)) break;
    error = vestry_store_put(once->store, scope, VESTRY_KEY(nonce), made, VESTRY_KEEP_REUSE, 0, &result);
    made->handle = result.handle;
    if (!error) stand_in_line(made);
    if (!error) return VESTRY_OK;
    give_place(made);
    if (error != VESTRY_EXISTS) return error;
  }
  atomic_fetch_add_explicit(&once->refused, 1, memory_order_relaxed);
  return VESTRY_LIMIT;
}

/* Answer a request with this digest as the one before it. */
static vestry_err answer_again(record *there, const unsigned char digest[DIGEST_BYTES], const vestry_request *req,
                               vestry_reply *reply) {
  atomic_fetch_add_explicit(&there->once->repeated, 1, memory_order_relaxed);
  if (memcmp(there->digest, digest, DIGEST_BYTES) == 0) return repeat(there, reply);
  return vsi_refuse(req, reply, 409, "This form was sent already, and was done. Load it again to send another.");
}

/* The record is in the store of this node. The request runs, unless another node has it. */
static vestry_err run(record *made, vestry_request *req, vestry_reply *reply) {
  vestry_once_found found = VESTRY_ONCE_NEW;
  unsigned char digest[DIGEST_BYTES];
  memcpy(digest, made->digest, DIGEST_BYTES);
  vestry_err error = made->sealed ? ask_storage(made, &found) : VESTRY_OK;
  if (!error && found == VESTRY_ONCE_NEW) {
    atomic_fetch_add_explicit(&made->once->begun, 1, memory_order_relaxed);
    req->own->watcher = &made->watcher; /* has the reference */
    return VESTRY_OK;
  }
  if (error) (void)vestry_store_remove_if(made->once->store, made->handle, VESTRY_CAUSE_REMOVED);
  settle(made, error ? FORGOTTEN : ANSWERED);
  if (!error) error = answer_again(made, digest, req, reply);
  unref_record(made);
  return error;
}

/* The request runs, or is answered as the one before it. */
static vestry_err run_or_repeat(vestry_once *once, vestry_request *req, vestry_reply *reply, const char *nonce,
                                vsi_proof_place place) {
  record *made, *there;
  vestry_err error = create_record(once, req, nonce, place, &made);
  if (error) return error;
  for (;;) {
    error = put_or_find(once, scope_of(req), nonce, made, &there);
    if (!error && !there) return run(made, req, reply);
    if (error) break;
    bool is_answered = wait_for(there) != FORGOTTEN;
    if (is_answered) error = answer_again(there, made->digest, req, reply);
    unref_record(there);
    if (is_answered) break;
  }
  unref_record(made);
  return error;
}

vestry_err vestry_once_guard(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_once *once = app;
  const char *nonce;
  vsi_proof_place place;
  if (vsi_request_is_safe(req) || req->own->watcher) return VESTRY_OK; /* this one runs already: it was guarded twice */
  if (req->own->visit && req->own->visit->route->receiver) return VESTRY_OK; /* its body has not come yet */
  vestry_err error = vsi_proof_find(req, "X-Once", "once", &nonce, &place);
  if (error == VESTRY_NOT_FOUND && !once->options.required) return VESTRY_OK;
  if (error && error != VESTRY_NOT_FOUND) return error;
  if (error || !vsi_nonce_is_good(req->v->seals, req->scope, nonce))
    return vsi_refuse(req, reply, 403,
                      "This page is out of date, so what it sent was not done. Load it again, and try once more.");
  return run_or_repeat(once, (vestry_request *)(uintptr_t)req, reply, nonce, place); /* what serves it made it */
}

vestry_err vestry_once_nonce(const vestry_request *req, char nonce[VESTRY_ONCE_NONCE_BYTES]) {
  vsi_request_is_asked_who(req);
  return vsi_seal_make(req->v->seals, req->v->host, VSI_SEAL_ONCE, req->scope, NULL, nonce);
}

/* --------------------------------------------------------------------------------------------------- making ------- */

static vestry_err make_store(vestry_once *once) {
  static const vestry_value_ops value = {.ref = ref_record, .unref = unref_record, .close = close_record};
  const vestry_once_options *o = &once->options;
  vestry_err error = vestry_store_create("lru",
                                         &(vestry_store_options){.host = once->host,
                                                                 .value = &value,
                                                                 .max_count = o->max_count,
                                                                 .idle_ms = VESTRY_NEVER_MS,
                                                                 .lifetime_ms = o->lifetime_ms,
                                                                 .max_per_scope_count = o->max_per_scope_count},
                                         &once->store);
  return error ? error : vestry_store_drive(once->store, once->v->runtime);
}

/* The answers' bytes as the places. */
static void share_out(vestry_once *once) {
  const vestry_once_options *o = &once->options;
  double share = (double)o->max_visitors_count / (double)o->max_count;
  TAILQ_INIT(&once->visitors.line);
  TAILQ_INIT(&once->users.line);
  once->visitors.max_count = o->max_visitors_count;
  once->visitors.max_answers_bytes = (size_t)(share * (double)o->max_answers_bytes);
  once->users.max_count = o->max_count - o->max_visitors_count;
  once->users.max_answers_bytes = o->max_answers_bytes - once->visitors.max_answers_bytes;
}

static bool ops_are_whole(const vestry_once_storage_ops *ops) {
  return VSI_OPS_ARE_KNOWN(ops) && ops->begin && ops->finish && ops->forget;
}

vestry_err vestry_once_create(vestry *v, const vestry_once_options *given, vestry_once **ret_once) {
  vestry_once_options options;
  if (!v || !ret_once) return VESTRY_INVALID;
  if (VSI_OPTIONS_TAKE(options, given))
    return vsi_mistake(v->host, "vestry_once_create", "the options are of a later vestry");
  if (options.storage && !ops_are_whole(options.storage))
    return vsi_mistake(v->host, "vestry_once_create", "a storage has all of its three functions");
  if (!options.lifetime_ms) options.lifetime_ms = LIFETIME_MS;
  if (!options.max_count) options.max_count = MAX_COUNT;
  if (!options.max_per_scope_count && (v->sessions || v->scope)) options.max_per_scope_count = MAX_PER_SCOPE;
  if (!options.max_answer_bytes) options.max_answer_bytes = MAX_ANSWER_BYTES;
  if (!options.max_answers_bytes) options.max_answers_bytes = MAX_ANSWERS_BYTES;
  if (!options.wait_ms) options.wait_ms = WAIT_MS;
  if (!options.retries_ms) options.retries_ms = RETRIES_MS;
  if (!options.max_visitors_count) options.max_visitors_count = options.max_count / 2;
  if (!v->sessions) options.max_visitors_count = 0;
  if (options.max_visitors_count > options.max_count)
    return vsi_mistake(v->host, "vestry_once_create", "max_visitors_count is more than max_count");
  vestry_once *once = vsi_calloc(v->host, 1, sizeof *once);
  if (!once) return VESTRY_NO_MEMORY;
  once->v = v;
  once->host = v->host;
  once->options = options;
  share_out(once);
  vsi_mutex_init(&once->lock, VSI_LOCK_ONCE);
  pthread_cond_init(&once->answered, NULL);
  vestry_err error = make_store(once);
  if (error)
    vestry_once_destroy(once);
  else
    *ret_once = once;
  return error;
}

void vestry_once_destroy(vestry_once *once) {
  if (!once || vestry_is_forked(once->v)) return;
  (void)vestry_store_drive(once->store, NULL);
  vestry_store_destroy(once->store);
  vsi_mutex_finish(&once->lock);
  pthread_cond_destroy(&once->answered);
  vsi_free(once->host, once);
}

void vestry_once_stats_get(vestry_once *once, vestry_once_stats *ret_stats) {
  vestry_once_stats stats = {
      .begun_count = atomic_load_explicit(&once->begun, memory_order_relaxed),
      .repeated_count = atomic_load_explicit(&once->repeated, memory_order_relaxed),
      .refused_count = atomic_load_explicit(&once->refused, memory_order_relaxed),
      .answers_bytes = atomic_load_explicit(&once->users.answers_bytes, memory_order_relaxed) +
                       atomic_load_explicit(&once->visitors.answers_bytes, memory_order_relaxed),
  };
  vsi_mutex_lock(&once->lock);
  stats.visitors_count = once->visitors.count;
  stats.remembered_count = once->users.count + once->visitors.count;
  vsi_mutex_unlock(&once->lock);
  VSI_RESULT_GIVE(ret_stats, stats);
}
