/* SPDX-License-Identifier: MIT */
/* The guard: of several requests with one nonce the first runs, and the others get its response. The requests that this
 * process has seen are in a table (app/guard/once_table.h). Several nodes may share a storage. Then the first request
 * with a nonce in this process also queries the storage, because another node may have the submission. */
#include "app/guard/once_table.h"

#include <nettle/sha2.h>
#include <string.h>

#include "app/guard/person.h"
#include "app/guard/proof.h"
#include "app/session/session.h"
#include "base/ascii.h"
#include "base/log.h"
#include "base/memory.h"
#include "http/multipart.h"
#include "instance/instance.h"

static void add(struct sha256_ctx *sha, vestry_slice piece) {
  const unsigned char len[] = {(unsigned char)(piece.len >> 24), (unsigned char)(piece.len >> 16),
                               (unsigned char)(piece.len >> 8), (unsigned char)piece.len};
  sha256_update(sha, sizeof len, len);
  if (piece.len) sha256_update(sha, piece.len, piece.data);
}

static void add_text(struct sha256_ctx *sha, const char *text) {
  add(sha, (vestry_slice){text, strlen(text)});
}

/* Add the body to the digest, without the boundaries between its parts, because browsers choose a new boundary for each
 * request. */
static void add_body(struct sha256_ctx *sha, const vestry_request *req) {
  const char *type = vestry_request_header(req, "Content-Type");
  vsi_parts parts;
  vsi_part part;
  if (!type || vsi_strncasecmp(type, "multipart/", 10) != 0 || vsi_parts_init(&parts, type, req->body)) {
    add(sha, req->body);
    return;
  }
  while (!vsi_parts_next(&parts, &part)) {
    add(sha, part.name);
    add(sha, part.filename);
    add(sha, part.value);
  }
}

/* Compute the digest that distinguishes a repetition from another request with the same nonce. It covers method and
 * path, and more according to the place of the nonce:
 *
 *     header  nothing more, because the nonce belongs to one call of an action, and the client builds query and body of
 *             a repetition anew
 *     signal  the query, because the nonce belongs to the document; the signals of a repetition may differ
 *     field   the query for the same reason, and the submitted fields */
static void once_digest(const vestry_request *req, vsi_proof_place place, unsigned char digest[VSI_ONCE_DIGEST_BYTES]) {
  struct sha256_ctx sha;
  sha256_init(&sha);
  add_text(&sha, req->method);
  add_text(&sha, req->path);
  if (place != VSI_PROOF_HEADER) add_text(&sha, req->query);
  if (place == VSI_PROOF_FIELD) add_body(&sha, req);
  sha256_digest(&sha, VSI_ONCE_DIGEST_BYTES, digest);
}

enum {
  LIFETIME_MS = 600000,
  MAX_COUNT = 100000,
  MAX_PER_SCOPE = 1000,
  MAX_RESPONSE_BYTES = 4096,
  MAX_ALL_RESPONSES_BYTES = 16 << 20,
  RETRIES_MS = 300000,
  WAIT_MS = 1000,
  MAX_STORED_BYTES = 1 << 30
};

struct vestry_once {
  vestry *v;
  bool required;
  vsi_siphash_key key; /* for hashes of persons and submissions */
  vsi_once_table table;
  vsi_once_storage storage;
  bool (*is_marked)(const vsi_route *route); /* NULL: none is */
  uint64_t again_ms;
};

/* -------------------------------------------------------------------------------------- the request that runs ----- */

static void answered(vsi_watcher *watcher, const vestry_request *req, const vestry_response *response) {
  vsi_once_record *r = (vsi_once_record *)watcher;
  if (r->progress != VSI_ONCE_RUNS) return; /* no other thread changes it */
  const bool is_marked = r->is_marked;
  r->is_marked = false;
  if (req->own->handled == VESTRY_LIMIT || req->own->handled == VESTRY_FULL) {
    vsi_once_stored_end(&r->once->storage, r, true);
    vsi_once_record_remove(r);
    vsi_once_record_settle(r, VSI_ONCE_FORGOTTEN);
    return;
  }
  vsi_once_response_keep(&r->response, &r->places->responses, response);
  r->is_marked = is_marked && r->mark_hash == vsi_once_response_hash(&r->response, r->once->key);
  vsi_once_stored_end(&r->once->storage, r, false);
  vsi_once_record_settle(r, VSI_ONCE_ANSWERED);
}

static void over(vsi_watcher *watcher) {
  vsi_once_record *r = (vsi_once_record *)watcher;
  if (r->progress == VSI_ONCE_RUNS) { /* it opened a stream, or ended without a response */
    r->is_marked = false;
    vsi_once_stored_end(&r->once->storage, r, false);
    vsi_once_record_settle(r, VSI_ONCE_ANSWERED);
  }
  vsi_once_record_unref(r);
}

/* Return the scope under which a submission is stored and counted. All sessions of a user are counted together; the
 * nonce is bound to the session. A user who has been a guest keeps the place of the guest, so that a submission from
 * before the log-in, repeated after it, is found. */
static vestry_scope place_of(const vestry_request *req) {
  const vestry_scope sealed = vsi_seal_scope(req);
  return sealed.data == req->scope.data ? vsi_person_scope(req) : sealed;
}

void vsi_once_set_marked(vestry_once *once, bool (*is_marked)(const vsi_route *route), uint64_t again_ms) {
  once->is_marked = is_marked;
  once->again_ms = again_ms;
}

bool vsi_once_has_mark(const vestry_request *req) {
  const vsi_once_record *r = (vsi_once_record *)req->own->watcher;
  return r && r->watcher.answered == answered && r->sealed && r->sealed->again_ms;
}

vestry_err vsi_once_mark(const vestry_request *req, const vestry_response *response, vsi_once_mark_fn mark, void *ctx) {
  vsi_once_record *r = (vsi_once_record *)req->own->watcher;
  vsi_once_response kept = {.status = 0};
  vsi_once_response_keep(&kept, &r->places->responses, response);
  vestry_err error = vsi_once_stored_mark(r, &kept, mark, ctx);
  r->mark_hash = vsi_once_response_hash(&kept, r->once->key);
  vsi_once_response_drop(&kept, &r->places->responses);
  r->is_marked = !error;
  return error;
}

static vestry_err create_record(vestry_once *once, const vestry_request *req, const char *nonce, vsi_proof_place place,
                                vsi_once_record **ret_record) {
  const bool is_anonymous = vestry_session_is_anonymous(req);
  const vsi_person person = vsi_person_of(req);
  vsi_once_record *made =
      vsi_once_record_create(&once->table, is_anonymous ? &once->table.anonymous : &once->table.users);
  if (!made) return VESTRY_NO_MEMORY;
  made->watcher = (vsi_watcher){answered, over};
  made->person = vsi_person_hash(once->key, &person);
  made->once = once;
  once_digest(req, place, made->digest);
  vestry_err error = VESTRY_OK;
  if (once->storage.ops) {
    made->sealed = vsi_alloc(once->v->host, sizeof *made->sealed);
    error = made->sealed ? vsi_once_sealed_init(made->sealed, once->v->host, place_of(req), nonce) : VESTRY_NO_MEMORY;
    if (!error) made->owed.hash = vsi_siphash_1_3(once->key, made->sealed->hash, sizeof made->sealed->hash);
    if (!error && once->is_marked && req->own->visit && once->is_marked(req->own->visit->route))
      made->sealed->again_ms = once->again_ms;
  }
  if (error)
    vsi_once_record_unref(made);
  else
    *ret_record = made;
  return error;
}

/* ------------------------------------------------------------------------------------------------- the guard ------ */

/* Answer a repetition like the record's request, or with 409 if its digest differs. */
static vestry_err answer_again(vsi_once_record *there, const unsigned char digest[VSI_ONCE_DIGEST_BYTES],
                               const vestry_request *req, vestry_reply *reply) {
  if (memcmp(there->digest, digest, VSI_ONCE_DIGEST_BYTES) == 0)
    return vsi_once_response_repeat(&there->response, reply);
  return vsi_refuse_request(req, reply, 409, "This form was already submitted. Reload the page to submit another one.");
}

static vestry_err refuse_unknown(const vestry_request *req, vestry_reply *reply) {
  return vsi_refuse_request(
      req, reply, 409,
      "This request was started, but its result is unknown. Check the result before you send it again.");
}

/* Query the storage, because another node may have the submission. The record is in the table.
 *  ret_found  valid if OK is returned. NEW: this request runs; otherwise it has been answered
 * Unless the request runs, the record is settled, also after an error. */
static vestry_err run_there(vsi_once_record *made, vestry_request *req, vestry_reply *reply,
                            vestry_once_found *ret_found) {
  vsi_once_storage *storage = &made->once->storage;
  unsigned char digest[VSI_ONCE_DIGEST_BYTES];
  memcpy(digest, made->digest, sizeof digest);
  vsi_owed_pay(&storage->owed);
  vsi_once_stored_take_over(storage, made);
  vestry_err error =
      vsi_once_stored_begin(storage, made->sealed, &made->places->responses, made->digest, &made->response, ret_found);
  if (!error) vsi_owed_worked(&storage->owed);
  if (!error && *ret_found == VESTRY_ONCE_NEW) return VESTRY_OK;
  /* The storage may have stored the submission although its reply was lost. Then it must be deleted there later
   * (once_table.h). */
  if (error && *ret_found == VESTRY_ONCE_NEW) vsi_once_stored_doubt(storage, made, error);
  const bool is_done = !error && *ret_found == VESTRY_ONCE_DONE;
  if (!is_done) vsi_once_record_remove(made); /* the next request queries the storage again */
  made->error = error;
  vsi_once_record_settle(made, is_done ? VSI_ONCE_ANSWERED : error ? VSI_ONCE_FAILED : VSI_ONCE_FORGOTTEN);
  if (is_done) return answer_again(made, digest, req, reply);
  return error ? error : refuse_unknown(req, reply);
}

/* Let the request run, if the storage permits it. The record is in the table. Takes the caller's reference to it. */
static vestry_err run(vsi_once_record *made, vestry_request *req, vestry_reply *reply) {
  vestry_once_found found = VESTRY_ONCE_NEW;
  vestry_err error = made->sealed ? run_there(made, req, reply, &found) : VESTRY_OK;
  if (error || found != VESTRY_ONCE_NEW) {
    vsi_once_record_unref(made);
    return error;
  }
  req->own->watcher = &made->watcher; /* takes the reference */
  return VESTRY_OK;
}

/* Let the request run if it is the first; otherwise wait for the first and repeat its response. LIMIT also: the first
 * still runs. */
static vestry_err run_or_repeat(vestry_once *once, vestry_request *req, vestry_reply *reply, const char *nonce,
                                vsi_proof_place place) {
  vsi_once_record *made = NULL, *there = NULL;
  vestry_err error = create_record(once, req, nonce, place, &made);
  if (error) return error;
  for (;;) {
    error = vsi_once_table_put(&once->table, place_of(req), nonce, made, &there);
    if (!error && !there) return run(made, req, reply);
    if (error) break;
    const vsi_once_progress reached = vsi_once_record_wait(there);
    if (reached == VSI_ONCE_ANSWERED) error = answer_again(there, made->digest, req, reply);
    if (reached == VSI_ONCE_FAILED) error = there->error;
    if (reached == VSI_ONCE_RUNS) error = VESTRY_LIMIT;
    vsi_once_record_unref(there);
    if (reached != VSI_ONCE_FORGOTTEN) break;
  }
  vsi_once_record_unref(made);
  return error;
}

vestry_err vestry_once_guard(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_once *once = app;
  const char *nonce;
  vsi_proof_place place;
  if (vsi_request_is_safe(req) || req->own->watcher) return VESTRY_OK; /* watcher: an earlier vestry_once lets it run */
  if (req->own->visit && req->own->visit->route->receiver) return VESTRY_OK; /* its body has not arrived yet */
  vestry_err error = vsi_proof_find(req, "X-Once", "once", &nonce, &place);
  if (error == VESTRY_NOT_FOUND && !once->required) return VESTRY_OK;
  if (error && error != VESTRY_NOT_FOUND) return error;
  if (error || !vsi_nonce_is_good(vsi_seals_of(req->v), vsi_seal_scope(req), nonce))
    return vsi_refuse_request(req, reply, 403,
                              "This page is out of date, so its request was rejected. Reload it, and try again.");
  /* The cast is safe, because the server created the request, and it is not const. */
  return run_or_repeat(once, (vestry_request *)(uintptr_t)req, reply, nonce, place);
}

vestry_err vestry_once_nonce(const vestry_request *req, char nonce[VESTRY_ONCE_NONCE_BYTES]) {
  return vsi_nonce_make(req, "vestry_once_nonce", nonce);
}

/* -------------------------------------------------------------------------------------- create and destroy ------- */

static bool ops_are_whole(const vestry_once_storage_ops *ops) {
  return ops->begin && ops->finish && ops->forget;
}

static void set_defaults(vestry_once_options *o, const vestry *v, bool has_sessions) {
  if (!o->lifetime_ms) o->lifetime_ms = LIFETIME_MS;
  if (!o->max_count) o->max_count = MAX_COUNT;
  if (!o->max_per_scope_count && (has_sessions || v->scope)) o->max_per_scope_count = MAX_PER_SCOPE;
  if (!o->max_response_bytes) o->max_response_bytes = MAX_RESPONSE_BYTES;
  if (!o->max_all_responses_bytes) o->max_all_responses_bytes = MAX_ALL_RESPONSES_BYTES;
  if (!o->wait_ms) o->wait_ms = WAIT_MS;
  if (!o->retries_ms) o->retries_ms = RETRIES_MS;
  if (!o->max_anonymous_count) o->max_anonymous_count = o->max_count / 2;
  if (!has_sessions) o->max_anonymous_count = 0;
}

vestry_err vestry_once_create(vestry *v, const vestry_once_options *given, vestry_once **ret_once) {
  if (!v) return VESTRY_INVALID;
  if (!ret_once) return vsi_mistake(v->host, "vestry_once_create", "ret_once is NULL");
  vestry_once_options options = given ? *given : (vestry_once_options){0};
  if (options.storage && !ops_are_whole(options.storage))
    return vsi_mistake(v->host, "vestry_once_create", "a storage needs all three functions");
  bool has_sessions;
  vestry_err error = vsi_sessions_settle(v, &has_sessions);
  if (error) return error;
  set_defaults(&options, v, has_sessions);
  if (options.storage && options.max_response_bytes > MAX_STORED_BYTES)
    return vsi_mistake(v->host, "vestry_once_create", "max_response_bytes must be at most 1 GiB if a storage is set");
  if (options.max_anonymous_count > options.max_count)
    return vsi_mistake(v->host, "vestry_once_create", "max_anonymous_count is more than max_count");
  vestry_once *once = vsi_calloc(v->host, 1, sizeof *once);
  if (!once) return VESTRY_NO_MEMORY;
  once->v = v;
  once->required = options.required;
  once->storage = (vsi_once_storage){.host = v->host,
                                     .ops = options.storage,
                                     .ctx = options.storage_ctx,
                                     .wait_ms = options.wait_ms,
                                     .has_waiter = &once->table.has_waiter,
                                     .max_response_bytes = options.max_response_bytes};
  error = vsi_siphash_key_random(v->host, &once->key);
  if (error) {
    vsi_free(v->host, once);
    return error;
  }
  if (options.storage) error = vsi_once_storage_init(&once->storage, v->runtime);
  const vestry_err of_table = vsi_once_table_init(&once->table, v, &options);
  if (!error) error = of_table;
  if (error)
    vestry_once_destroy(once);
  else
    *ret_once = once;
  return error;
}

void vestry_once_destroy(vestry_once *once) {
  if (!once || vestry_is_forked(once->v)) return;
  if (once->storage.ops) vsi_owed_finish(&once->storage.owed);
  vsi_once_table_finish(&once->table);
  vsi_free(once->v->host, once);
}
