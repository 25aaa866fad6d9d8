/* What was seen is a record in a store of vestry's own, under its scope and nonce: bounded, and emptied by time. Of
 * several requests the one whose put succeeds runs; the others find its record, and wait for it to be answered. They
 * wait on threads of the server's, but on no more than there are requests under way, and the one they wait for has a
 * thread: it came first.
 *
 * A record holds a reference of the store's, one of the request that runs, and one of each that waits. */
#include "vestry/once.h"

#include <nettle/sha2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/options.h"
#include "registry/guard/proof.h"
#include "registry/instance/instance.h"
#include "registry/once/nonce.h"
#include "registry/request/multipart.h"
#include "store/store.h"

enum {
  LIFETIME_MS = 600000,
  MAX_COUNT = 100000,
  MAX_PER_SCOPE = 1000,
  MAX_ANSWER_BYTES = 4096,
  MAX_ANSWERS_BYTES = 16 << 20,
  DIGEST_BYTES = 16,
  TRIES = 8
};

struct vestry_once {
  vestry *v;
  const vestry_host *host;
  vestry_once_options options;
  vestry_store *store; /* of records */
  vestry_store_driver *driver;
  pthread_mutex_t lock;
  pthread_cond_t answered;
  _Atomic(size_t) answers_bytes; /* relaxed: a bound, which a few threads at once may miss by an answer each */
};

typedef enum progress { RUNS, ANSWERED, FORGOTTEN } progress;

typedef struct record {
  vsi_watcher watcher; /* first */
  vestry_once *once;
  _Atomic(uint32_t) refs;
  vestry_handle handle; /* written and read by the request that runs */
  unsigned char digest[DIGEST_BYTES];
  progress progress; /* guarded by once->lock; what follows is constant from ANSWERED on */
  int status;        /* 0: it was a stream */
  char *answer;      /* names and values of headers, each terminated, then the body; NULL: not kept */
  size_t headers_count;
  size_t body_at, answer_len;
} record;

/* -------------------------------------------------------------------------------------------------- records ------- */

static void ref_record(void *value) {
  atomic_fetch_add_explicit(&((record *)value)->refs, 1, memory_order_relaxed); /* who holds holds one already */
}

static void unref_record(void *value) {
  record *held = value;
  /* acq_rel: the last one frees what the others have written */
  if (!held || atomic_fetch_sub_explicit(&held->refs, 1, memory_order_acq_rel) != 1) return;
  if (held->answer) atomic_fetch_sub_explicit(&held->once->answers_bytes, held->answer_len, memory_order_relaxed);
  vsi_free(held->once->host, held->answer);
  vsi_free(held->once->host, held);
}

static void close_record(void *value, vestry_cause cause) {
  (void)value, (void)cause;
}

/* Wake who waits for it. */
static void settle(record *r, progress reached) {
  pthread_mutex_lock(&r->once->lock);
  r->progress = reached;
  pthread_cond_broadcast(&r->once->answered);
  pthread_mutex_unlock(&r->once->lock);
}

static progress wait_for(record *r) {
  pthread_mutex_lock(&r->once->lock);
  while (r->progress == RUNS) pthread_cond_wait(&r->once->answered, &r->once->lock);
  progress found = r->progress;
  pthread_mutex_unlock(&r->once->lock);
  return found;
}

/* -------------------------------------------------------------------------------------------------- answers ------- */

static void keep(record *r, const vestry_response *response) {
  vestry_once *once = r->once;
  size_t len = response->body_len;
  for (size_t i = 0; i < response->headers_count; i++)
    len += strlen(response->headers[i].name) + strlen(response->headers[i].value) + 2;
  if (len > once->options.max_answer_bytes) return;
  size_t held = atomic_fetch_add_explicit(&once->answers_bytes, len, memory_order_relaxed);
  char *answer = held + len > once->options.max_answers_bytes ? NULL : vsi_alloc(once->host, len ? len : 1);
  if (!answer) {
    atomic_fetch_sub_explicit(&once->answers_bytes, len, memory_order_relaxed);
    return;
  }
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

static void answered(vsi_watcher *watcher, const vestry_request *req, const vestry_response *response) {
  record *r = (record *)watcher;
  if (r->progress != RUNS) return; /* nobody else changes it */
  if (req->handled == VESTRY_LIMIT || req->handled == VESTRY_FULL) {
    vestry_store_remove_if(r->once->store, r->handle, VESTRY_CAUSE_REMOVED);
    settle(r, FORGOTTEN);
    return;
  }
  r->status = response->status;
  keep(r, response);
  settle(r, ANSWERED);
}

static void over(vsi_watcher *watcher) {
  record *r = (record *)watcher;
  if (r->progress == RUNS) settle(r, ANSWERED); /* by a stream, or by nothing at all */
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
  if (!type || strncasecmp(type, "multipart/", 10) != 0 || vsi_parts_init(&parts, type, vestry_request_body(req))) {
    add(sha, vestry_request_body(req));
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

static vestry_err create_record(vestry_once *once, const vestry_request *req, vsi_proof_place place,
                                record **ret_record) {
  record *made = vsi_calloc(once->host, 1, sizeof *made);
  if (!made) return VESTRY_NO_MEMORY;
  made->watcher = (vsi_watcher){answered, over};
  made->once = once;
  atomic_init(&made->refs, 1);
  digest_of(req, place, made->digest);
  *ret_record = made;
  return VESTRY_OK;
}

/* Put the record there, or find the one that is. ret_there: a reference; NULL: made is there. */
static vestry_err put_or_find(vestry_once *once, vestry_scope scope, const char *nonce, record *made,
                              record **ret_there) {
  vestry_err error = VESTRY_EXISTS;
  *ret_there = NULL;
  /* What is there may leave before it is looked up. */
  for (int tries = 0; error == VESTRY_EXISTS && !*ret_there && tries < TRIES; tries++) {
    vestry_put_result result = {0};
    error = vestry_store_put(once->store, scope, VESTRY_KEY(nonce), made, VESTRY_PUT_REUSE, 0, &result);
    made->handle = result.handle;
    if (error != VESTRY_EXISTS) continue;
    vestry_err of_look = vestry_store_with(once->store, scope, VESTRY_KEY(nonce), take, ret_there);
    if (of_look && of_look != VESTRY_NOT_FOUND) error = of_look;
  }
  if (*ret_there) return VESTRY_OK;
  return error == VESTRY_EXISTS ? VESTRY_LIMIT : error;
}

/* The request runs, or is answered as the one before it. */
static vestry_err run_or_repeat(vestry_once *once, vestry_request *req, vestry_reply *reply, const char *nonce,
                                vsi_proof_place place) {
  record *made, *there;
  vestry_err error = create_record(once, req, place, &made);
  if (error) return error;
  for (;;) {
    error = put_or_find(once, vestry_request_scope(req), nonce, made, &there);
    if (error || !there) break;
    if (wait_for(there) != FORGOTTEN) {
      bool is_it = memcmp(there->digest, made->digest, DIGEST_BYTES) == 0;
      error = is_it ? repeat(there, reply)
                    : vsi_refuse(req, reply, 409,
                                 "This form was sent already, and was done. Load it again to send another.");
      unref_record(there);
      break;
    }
    unref_record(there);
  }
  if (error || there) {
    unref_record(made);
    return error;
  }
  req->watcher = &made->watcher; /* has the reference */
  return VESTRY_OK;
}

vestry_err vestry_once_guard(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_once *once = app;
  const char *nonce;
  vsi_proof_place place;
  if (vsi_request_is_safe(req) || req->watcher) return VESTRY_OK; /* this one runs already: it was guarded twice */
  vestry_err error = vsi_proof_find(req, "X-Once", "once", &nonce, &place);
  if (error == VESTRY_NOT_FOUND && !once->options.required) return VESTRY_OK;
  if (error && error != VESTRY_NOT_FOUND) return error;
  if (error || !vsi_nonce_is_good(&req->v->seals, vestry_request_scope(req), nonce))
    return vsi_refuse(req, reply, 403,
                      "This page is out of date, so what it sent was not done. Load it again, and try once more.");
  return run_or_repeat(once, (vestry_request *)(uintptr_t)req, reply, nonce, place); /* what serves it made it */
}

vestry_err vestry_once_nonce(const vestry_request *req, char nonce[VESTRY_ONCE_NONCE_BYTES]) {
  return vsi_seal_make(&req->v->seals, req->v->host, VSI_SEAL_ONCE, vestry_request_scope(req), NULL, nonce);
}

/* --------------------------------------------------------------------------------------------------- making ------- */

static vestry_err make_store(vestry_once *once) {
  static const vestry_value_ops value = {.ref = ref_record, .unref = unref_record, .close = close_record};
  const vestry_once_options *o = &once->options;
  vestry_err error = vestry_store_create(NULL, "lru",
                                         &(vestry_store_options){.host = once->host,
                                                                 .value = &value,
                                                                 .max_count = o->max_count,
                                                                 .idle_ms = VESTRY_NEVER_MS,
                                                                 .lifetime_ms = o->lifetime_ms,
                                                                 .max_per_scope_count = o->max_per_scope_count},
                                         &once->store);
  return error ? error : vestry_store_driver_create(once->store, once->v->runtime, &once->driver);
}

vestry_err vestry_once_create(vestry *v, const vestry_once_options *given, vestry_once **ret_once) {
  vestry_once_options options;
  if (!v || !ret_once || VSI_OPTIONS_TAKE(options, given)) return VESTRY_INVALID;
  if (!options.lifetime_ms) options.lifetime_ms = LIFETIME_MS;
  if (!options.max_count) options.max_count = MAX_COUNT;
  if (!options.max_per_scope_count && (v->sessions || v->scope)) options.max_per_scope_count = MAX_PER_SCOPE;
  if (!options.max_answer_bytes) options.max_answer_bytes = MAX_ANSWER_BYTES;
  if (!options.max_answers_bytes) options.max_answers_bytes = MAX_ANSWERS_BYTES;
  vestry_once *once = vsi_calloc(v->host, 1, sizeof *once);
  if (!once) return VESTRY_NO_MEMORY;
  once->v = v;
  once->host = v->host;
  once->options = options;
  pthread_mutex_init(&once->lock, NULL);
  pthread_cond_init(&once->answered, NULL);
  vestry_err error = make_store(once);
  if (error)
    vestry_once_destroy(once);
  else
    *ret_once = once;
  return error;
}

void vestry_once_destroy(vestry_once *once) {
  if (!once) return;
  vestry_store_driver_destroy(once->driver);
  if (once->store) vestry_store_destroy(once->store);
  pthread_mutex_destroy(&once->lock);
  pthread_cond_destroy(&once->answered);
  vsi_free(once->host, once);
}
