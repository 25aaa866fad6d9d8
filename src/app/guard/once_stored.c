/* SPDX-License-Identifier: MIT */
#include "app/guard/once_stored.h"

#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/wait.h"

/* Before the packed answer: the seal, and the digest of the request. */
enum { DIGEST_AT = VSI_ONCE_SEAL_BYTES, ANSWER_AT = DIGEST_AT + VSI_ONCE_DIGEST_BYTES };

/* Pause longer each time, up to a fifth of a second. false: the time is over. */
static bool pause_until(uint64_t until_ns, unsigned tries) {
  const uint64_t ns = UINT64_C(5000000) << (tries < 5 ? tries : 5);
  if (vsi_monotonic_ns() >= until_ns) return false;
  nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
  return true;
}

static vestry_err refuse_answer(const vsi_once_storage *storage, const char *why) {
  vsi_log(storage->host, VESTRY_LOG_ERROR, "vestry_once_guard: an answer in the storage is not given again: %s", why);
  return VESTRY_FAILED;
}

static vestry_err read_answer(const vsi_once_storage *storage, const vsi_once_sealed *sealed, vsi_once_share *share,
                              unsigned char *bytes, size_t len, unsigned char digest[VSI_ONCE_DIGEST_BYTES],
                              vsi_once_answer *answer) {
  if (!vsi_once_open(sealed, bytes, len) || len < ANSWER_AT)
    return refuse_answer(storage, "it is not as it was sealed for this submission");
  if (vsi_once_answer_unpack(answer, share, bytes + ANSWER_AT, len - ANSWER_AT))
    return refuse_answer(storage, "another version of vestry has written it");
  memcpy(digest, bytes + DIGEST_AT, VSI_ONCE_DIGEST_BYTES);
  return VESTRY_OK;
}

vestry_err vsi_once_stored_begin(const vsi_once_storage *storage, const vsi_once_sealed *sealed, vsi_once_share *share,
                                 unsigned char digest[VSI_ONCE_DIGEST_BYTES], vsi_once_answer *answer,
                                 vestry_once_found *ret_found) {
  const size_t capacity = ANSWER_AT + vsi_once_answer_packed_len(&(vsi_once_answer){.len = storage->max_answer_bytes});
  const uint64_t until_ns = vsi_monotonic_in_ms(storage->wait_ms);
  const vestry_once_submission submission = vsi_once_sealed_press(sealed);
  unsigned char *bytes = vsi_alloc(storage->host, capacity);
  if (!bytes) return VESTRY_NO_MEMORY;
  vestry_err error;
  vestry_once_found found = VESTRY_ONCE_NEW;
  size_t len = 0;
  unsigned tries = 0;
  do {
    error = storage->ops->begin(storage->ctx, &submission, &found, bytes, capacity, &len);
  } while (!error && found == VESTRY_ONCE_RUNNING && pause_until(until_ns, tries++));
  if (!error && found == VESTRY_ONCE_RUNNING) error = VESTRY_LIMIT;
  if (!error && found == VESTRY_ONCE_DONE)
    error = len > capacity ? refuse_answer(storage, "another node keeps longer ones (max_answer_bytes)")
                           : read_answer(storage, sealed, share, bytes, len, digest, answer);
  vsi_free(storage->host, bytes);
  *ret_found = found;
  return error;
}

vestry_err vsi_once_stored_finish(const vsi_once_storage *storage, const vsi_once_sealed *sealed,
                                  const unsigned char digest[VSI_ONCE_DIGEST_BYTES], const vsi_once_answer *answer) {
  const vestry_once_submission submission = vsi_once_sealed_press(sealed);
  const size_t len = ANSWER_AT + vsi_once_answer_packed_len(answer);
  vestry_err error = VESTRY_NO_MEMORY;
  unsigned char *bytes = vsi_alloc(storage->host, len);
  if (bytes) {
    memcpy(bytes + DIGEST_AT, digest, VSI_ONCE_DIGEST_BYTES);
    vsi_once_answer_pack(answer, bytes + ANSWER_AT);
    vsi_once_seal(sealed, bytes, len - VSI_ONCE_SEAL_BYTES);
    error = storage->ops->finish(storage->ctx, &submission, bytes, len);
    vsi_free(storage->host, bytes);
  }
  if (error)
    vsi_log(storage->host, VESTRY_LOG_WARN,
            "vestry_once_guard: an answer was not stored, so other nodes do not know whether it was done; it is "
            "written later: %s",
            vestry_err_name(error));
  return error;
}

vestry_err vsi_once_stored_forget(const vsi_once_storage *storage, const vsi_once_sealed *sealed) {
  const vestry_once_submission submission = vsi_once_sealed_press(sealed);
  const vestry_err error = storage->ops->forget(storage->ctx, &submission);
  if (error)
    vsi_log(storage->host, VESTRY_LOG_WARN,
            "vestry_once_guard: an action that was refused stays in the storage as if it might be done, until that "
            "is written later: %s",
            vestry_err_name(error));
  return error;
}
