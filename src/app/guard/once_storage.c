/* SPDX-License-Identifier: MIT */
/* A storage receives a hash of the nonce and a hash of the owner. Neither the nonce nor the key that encrypts the
 * response can be computed from them: a nonce has 128 random bits, and the key is a hash of the nonce for another
 * purpose, which the storage does not receive. The response is sealed with ChaCha20-Poly1305 (RFC 8439). */
#include "app/guard/once_table.h"

#include <nettle/chacha-poly1305.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <string.h>
#include <time.h>

#include "base/hex.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/wait.h"
#include "instance/instance.h"

enum { NUMBER_BYTES = CHACHA_POLY1305_NONCE_SIZE, TAG_BYTES = CHACHA_POLY1305_DIGEST_SIZE, HASH_LEN = 64 };
enum { RUN_BYTES = 16 };

static void hash_of(const char *purpose, vestry_scope owner, const char *nonce, unsigned char hash[32]) {
  struct sha256_ctx sha;
  const unsigned char len[] = {(unsigned char)(owner.len >> 8), (unsigned char)owner.len};
  sha256_init(&sha);
  sha256_update(&sha, strlen(purpose) + 1, (const uint8_t *)purpose);
  sha256_update(&sha, sizeof len, len);
  if (owner.len) sha256_update(&sha, owner.len, owner.data);
  sha256_update(&sha, strlen(nonce), (const uint8_t *)nonce);
  sha256_digest(&sha, 32, hash);
}

vestry_err vsi_once_sealed_init(vsi_once_sealed *sealed, const vestry_host *host, vestry_scope owner,
                                const char *nonce) {
  unsigned char hash[32], run[RUN_BYTES];
  vestry_err error = host->random(host->ctx, run, sizeof run);
  if (error) return error;
  vsi_hex_write(sealed->run, run, sizeof run);
  memcpy(sealed->number, run, NUMBER_BYTES);
  sealed->again_ms = 0;
  hash_of("vestry once hash", owner, nonce, hash);
  vsi_hex_write(sealed->hash, hash, sizeof hash);
  hash_of("vestry once owner", owner, "", hash);
  vsi_hex_write(sealed->owner, hash, sizeof hash);
  if (!owner.len) sealed->owner[0] = '\0';
  hash_of("vestry once key", owner, nonce, sealed->key);
  return VESTRY_OK;
}

/* Return the submission as the storage receives it. Valid as long as sealed is. */
static vestry_once_submission submission_of(const vsi_once_sealed *sealed) {
  return (vestry_once_submission){sealed->hash, sealed->owner, sealed->run, sealed->again_ms};
}

static void start(struct chacha_poly1305_ctx *chacha, const vsi_once_sealed *sealed, const unsigned char *number) {
  chacha_poly1305_set_key(chacha, sealed->key);
  chacha_poly1305_set_nonce(chacha, number);
  chacha_poly1305_update(chacha, HASH_LEN, (const uint8_t *)sealed->hash);
}

void vsi_once_seal(const vsi_once_sealed *sealed, unsigned char *bytes, size_t len) {
  struct chacha_poly1305_ctx chacha;
  memcpy(bytes, sealed->number, NUMBER_BYTES);
  start(&chacha, sealed, bytes);
  chacha_poly1305_encrypt(&chacha, len, bytes + VSI_ONCE_SEAL_BYTES, bytes + VSI_ONCE_SEAL_BYTES);
  chacha_poly1305_digest(&chacha, TAG_BYTES, bytes + NUMBER_BYTES);
}

bool vsi_once_open(const vsi_once_sealed *sealed, unsigned char *bytes, size_t len) {
  struct chacha_poly1305_ctx chacha;
  unsigned char tag[TAG_BYTES];
  if (len < VSI_ONCE_SEAL_BYTES) return false;
  start(&chacha, sealed, bytes);
  chacha_poly1305_decrypt(&chacha, len - VSI_ONCE_SEAL_BYTES, bytes + VSI_ONCE_SEAL_BYTES, bytes + VSI_ONCE_SEAL_BYTES);
  chacha_poly1305_digest(&chacha, TAG_BYTES, tag);
  return memeql_sec(tag, bytes + NUMBER_BYTES, TAG_BYTES);
}

/* ---- submissions in the storage ---------------------------------------------------------------------------------- */

/* Layout of the stored bytes: seal, digest of the request, packed response. */
enum { DIGEST_AT = VSI_ONCE_SEAL_BYTES, RESPONSE_AT = DIGEST_AT + VSI_ONCE_DIGEST_BYTES };

/* Return whether this thread may wait: no other one does. */
static bool can_wait(const vsi_once_storage *storage, bool *waits) {
  if (!*waits) *waits = !atomic_exchange(storage->has_waiter, true);
  return *waits;
}

/* Sleep before the next poll: 5 ms at first, doubled each time, at most 160 ms. false: the time is over. */
static bool pause_until(uint64_t until_ns, unsigned tries) {
  const uint64_t ns = UINT64_C(5000000) << (tries < 5 ? tries : 5);
  if (vsi_monotonic_ns() >= until_ns) return false;
  nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
  return true;
}

static vestry_err refuse_response(vsi_once_storage *storage, const char *why) {
  vsi_log_repeated(storage->host, &storage->failures, 0, VESTRY_LOG_ERROR,
                   "vestry_once_guard: cannot repeat a stored response: %s", why);
  return VESTRY_FAILED;
}

static vestry_err read_response(vsi_once_storage *storage, const vsi_once_sealed *sealed, vsi_once_share *share,
                                unsigned char *bytes, size_t len, unsigned char digest[VSI_ONCE_DIGEST_BYTES],
                                vsi_once_response *stored) {
  if (!vsi_once_open(sealed, bytes, len) || len < RESPONSE_AT)
    return refuse_response(storage, "its seal does not match this submission");
  if (vsi_once_response_unpack(stored, share, bytes + RESPONSE_AT, len - RESPONSE_AT))
    return refuse_response(storage, "it was written by another version of vestry");
  memcpy(digest, bytes + DIGEST_AT, VSI_ONCE_DIGEST_BYTES);
  return VESTRY_OK;
}

/* Memory for a response of the storage. Most submissions are new, and most stored responses are short. */
typedef struct room {
  unsigned char *bytes;
  size_t capacity, len; /* len: of the response, which may exceed capacity */
} room;

enum { ROOM_BYTES = 512 };

static size_t longest(const vsi_once_storage *storage) {
  return RESPONSE_AT + vsi_once_response_packed_len(&(vsi_once_response){.len = storage->max_response_bytes});
}

/* Query the storage once; again if the response needs more memory, up to the longest that this node accepts. */
static vestry_err query(const vsi_once_storage *storage, const vestry_once_submission *submission, room *into,
                        vestry_once_found *ret_found) {
  for (;;) {
    vestry_err error =
        storage->ops->begin(storage->ctx, submission, ret_found, into->bytes, into->capacity, &into->len);
    if (error || *ret_found != VESTRY_ONCE_DONE || into->len <= into->capacity || into->len > longest(storage))
      return error;
    unsigned char *more = vsi_realloc(storage->host, into->bytes, into->len);
    if (!more) return VESTRY_NO_MEMORY;
    into->bytes = more;
    into->capacity = into->len;
  }
}

vestry_err vsi_once_stored_begin(vsi_once_storage *storage, const vsi_once_sealed *sealed, vsi_once_share *share,
                                 unsigned char digest[VSI_ONCE_DIGEST_BYTES], vsi_once_response *stored,
                                 vestry_once_found *ret_found) {
  const uint64_t until_ns = vsi_monotonic_in_ms(storage->wait_ms);
  const vestry_once_submission submission = submission_of(sealed);
  room into = {.bytes = vsi_alloc(storage->host, ROOM_BYTES), .capacity = ROOM_BYTES};
  *ret_found = VESTRY_ONCE_NEW; /* the storage may have the submission, from a run that this one continues */
  if (!into.bytes) return VESTRY_NO_MEMORY;
  vestry_err error;
  vestry_once_found found = VESTRY_ONCE_NEW;
  unsigned tries = 0;
  bool waits = false;
  do {
    error = query(storage, &submission, &into, &found);
  } while (!error && found == VESTRY_ONCE_RUNNING && can_wait(storage, &waits) && pause_until(until_ns, tries++));
  if (waits) atomic_store(storage->has_waiter, false);
  if (error)
    found = VESTRY_ONCE_NEW; /* the storage may have stored the submission, whatever it has found before */
  else if (found == VESTRY_ONCE_RUNNING)
    error = VESTRY_LIMIT;
  else if (found == VESTRY_ONCE_DONE)
    error =
        into.len > longest(storage)
            ? refuse_response(storage, "it exceeds max_response_bytes of this node; set the same value on all nodes")
            : read_response(storage, sealed, share, into.bytes, into.len, digest, stored);
  vsi_free(storage->host, into.bytes);
  *ret_found = found;
  return error;
}

/* Seal a response to the request of a record, and pass it to a function. */
static vestry_err send_sealed(const vsi_once_record *record, const vsi_once_sealed *sealed,
                              const vsi_once_response *response, vsi_once_mark_fn fn, void *ctx) {
  const vestry_once_submission submission = submission_of(sealed);
  const size_t len = RESPONSE_AT + vsi_once_response_packed_len(response);
  unsigned char *bytes = vsi_alloc(record->table->host, len);
  if (!bytes) return VESTRY_NO_MEMORY;
  memcpy(bytes + DIGEST_AT, record->digest, VSI_ONCE_DIGEST_BYTES);
  vsi_once_response_pack(response, bytes + RESPONSE_AT);
  vsi_once_seal(sealed, bytes, len - VSI_ONCE_SEAL_BYTES);
  vestry_err error = fn(ctx, &submission, bytes, len);
  vsi_free(record->table->host, bytes);
  return error;
}

/* The cipher's nonce is a new one in each transaction, because the response that is stored later has the run's. */
vestry_err vsi_once_stored_mark(const vsi_once_record *record, const vsi_once_response *response, vsi_once_mark_fn mark,
                                void *ctx) {
  const vestry_host *host = record->table->host;
  vsi_once_sealed sealed = *record->sealed;
  vestry_err error = host->random(host->ctx, sealed.number, sizeof sealed.number);
  return error ? error : send_sealed(record, &sealed, response, mark, ctx);
}

static vestry_err finish(vsi_once_storage *storage, const vsi_once_record *record) {
  vestry_err error = send_sealed(record, record->sealed, &record->response, storage->ops->finish, storage->ctx);
  if (error == VESTRY_NOT_FOUND)
    vsi_log_repeated(
        storage->host, &storage->failures, 0, VESTRY_LOG_WARN,
        "vestry_once_guard: a response was not stored, because the action took longer than the storage holds a "
        "submission, and its submission was deleted or runs again; raise the lease and the lifetime of the "
        "storage");
  return error;
}

static vestry_err forget(const vsi_once_storage *storage, const vsi_once_record *record) {
  const vestry_once_submission submission = submission_of(record->sealed);
  return storage->ops->forget(storage->ctx, &submission);
}

/* Pending ends. The end of a run must reach the storage: the response, or, if the action was refused for now or did not
 * begin, the deletion of the submission, which is then free for the next request. If the storage is unreachable at that
 * moment, it still counts the submission as running, and after the lease a repetition would get "not known". Therefore
 * the record is kept, and its end is reported later (app/session/owed.h): by requests that query the storage for their
 * own submissions, by a timer, and when the table is destroyed. A request for the same submission waits meanwhile. */

enum { OWED_MOST = 1000 };

static vsi_once_record *record_of(const vsi_owed_call *call) {
  return VSI_OWED_OWNER(call, vsi_once_record, owed);
}

static vestry_err make_end(void *ctx, const vsi_owed_call *call) {
  const vsi_once_record *record = record_of(call);
  vestry_err error = record->is_undone ? forget(ctx, record) : finish(ctx, record);
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : error; /* the storage has no such run: there is nothing to report */
}

static void drop_end(void *ctx, vsi_owed_call *call) {
  (void)ctx;
  vsi_once_record_unref(record_of(call));
}

static bool is_undone_of(const vsi_owed_call *call, const void *hash) {
  const vsi_once_record *record = record_of(call);
  return record->is_undone && strcmp(record->sealed->hash, hash) == 0;
}

static const vsi_owed_ops ends = {.make = make_end,
                                  .drop = drop_end,
                                  .who = "vestry_once_guard",
                                  .what = "recording submissions",
                                  .lost = "the storage does not know the results of these actions"};

vestry_err vsi_once_storage_init(vsi_once_storage *storage, vestry_runtime *runtime) {
  return vsi_owed_init(&storage->owed, storage->host, runtime, &ends, storage, OWED_MOST);
}

static void keep_end(vsi_once_storage *storage, vsi_once_record *record, vestry_err why) {
  vsi_once_record_ref(record);
  vsi_owed_add(&storage->owed, &record->owed, why);
}

void vsi_once_stored_end(vsi_once_storage *storage, vsi_once_record *record, bool is_undone) {
  if (!record->sealed || record->is_marked) return;
  record->is_undone = is_undone;
  const vestry_err error = make_end(storage, &record->owed);
  if (error)
    keep_end(storage, record, error);
  else
    vsi_owed_worked(&storage->owed);
}

void vsi_once_stored_doubt(vsi_once_storage *storage, vsi_once_record *record, vestry_err why) {
  record->is_undone = true;
  keep_end(storage, record, why);
}

void vsi_once_stored_take_over(vsi_once_storage *storage, const vsi_once_record *record) {
  vsi_once_sealed *run = record->sealed;
  vsi_owed_call *call = vsi_owed_take(&storage->owed, &(vsi_owed_key){record->owed.hash, is_undone_of, run->hash});
  if (!call) return;
  vsi_once_record *former = record_of(call);
  memcpy(run->run, former->sealed->run, sizeof run->run);
  memcpy(run->number, former->sealed->number, sizeof run->number); /* that run sealed no response, so the number has not
                                                                      been used */
  vsi_once_record_unref(former);
}
