/* SPDX-License-Identifier: MIT */
/* Identity: unencoded bytes. A stream of this profile has no coder. These functions exist so that identity can stand in
 * a list of profiles. They follow the same contract as the functions of other profiles. */
#include "base/memory.h"
#include "vestry/profile.h"

static vestry_err identity_resolve(vestry_profile *profile) {
  profile->stored_bytes = 0;
  return profile->level || profile->window_bits || profile->memory_level ? VESTRY_INVALID : VESTRY_OK;
}

static vestry_err identity_create(const vestry_profile *profile, const vestry_host *host, vestry_encoder_kind kind,
                                  void **ret_encoder) {
  static const char nothing = 0;
  (void)profile, (void)host, (void)kind;
  *ret_encoder = (void *)&nothing; /* no state; it is never written to */
  return VESTRY_OK;
}

static vestry_err identity_encode(void *encoder, const void *data, size_t len, vestry_sink *sink) {
  (void)encoder;
  return vestry_sink_put(sink, data, len);
}

static vestry_err identity_finish(void *encoder, vestry_sink *sink) {
  (void)encoder, (void)sink;
  return VESTRY_OK;
}

static void identity_destroy(void *encoder) {
  (void)encoder;
}

static vestry_err identity_primer(const vestry_profile *profile, const vestry_host *host, vestry_sink *sink) {
  (void)profile, (void)host, (void)sink;
  return VESTRY_OK;
}

static vestry_err identity_store(const vestry_profile *profile, const void *data, size_t len, vestry_sink *sink) {
  (void)profile;
  return vestry_sink_put(sink, data, len);
}

static vestry_err identity_end(const vestry_profile *profile, uint64_t check, vestry_sink *sink) {
  (void)profile, (void)check, (void)sink;
  return VESTRY_OK;
}

const vestry_profile_ops vestry_profile_identity = {
    .coding = "identity",
    .resolve = identity_resolve,
    .create = identity_create,
    .encode = identity_encode,
    .finish = identity_finish,
    .destroy = identity_destroy,
    .primer = identity_primer,
    .store = identity_store,
    .end = identity_end,
};
