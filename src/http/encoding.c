/* SPDX-License-Identifier: MIT */
/* The choice of a new stream's encoding: the profile that the client prefers, and whether the stream gets a private
 * encoder. */
#include "http/encoding.h"

#include "http/accept.h"
#include "instance/instance.h"

/* Reserve a private encoder, if the profile wants one. If none is free, the stream shares the encoding, if the profile
 * supports that. false: neither is possible. */
static bool find_place(vsi_codings *codings, const vestry_profile *profile, vestry_profile_mode *ret_mode) {
  *ret_mode = VESTRY_PROFILE_SHARED;
  if (profile->mode == VESTRY_PROFILE_SHARED) return true;
  if (vsi_codings_reserve(codings, VESTRY_PROFILE_PRIVATE)) {
    *ret_mode = VESTRY_PROFILE_PRIVATE;
    return true;
  }
  return profile->ops->primer != NULL;
}

static vestry_err make_coder(vsi_codings *codings, const vestry_profile *profile, vestry_profile_mode mode,
                             vsi_encoding *encoding) {
  vsi_coding *coding = NULL;
  vestry_err error = vsi_coding_find(codings, profile, &coding);
  if (!error) error = vsi_coder_create(coding, mode, &encoding->coder);
  if (error && mode == VESTRY_PROFILE_PRIVATE) vsi_codings_unreserve(codings, mode);
  if (!error) encoding->coding = profile->ops->coding;
  return error;
}

vestry_err vsi_encoding_choose(const vestry_request *req, const vestry_reply *reply, vsi_encoding *ret_encoding) {
  const vestry *v = req->v;
  const vestry_profile *offered = reply->has_profiles ? reply->profiles : v->profiles;
  size_t count = reply->has_profiles ? reply->profiles_count : v->profiles_count;
  vsi_codings *codings = vsi_group_codings(v->group);
  *ret_encoding = (vsi_encoding){.negotiated = count > 0};
  if (!count) return VESTRY_OK;
  const char *header = vestry_request_header(req, "Accept-Encoding"), *names[VESTRY_PROFILES_MAX];
  for (size_t i = 0; i < count; i++) names[i] = offered[i].ops->coding;
  for (;;) {
    size_t index;
    vestry_profile_mode mode;
    vestry_err error = vsi_accept_choose(header, names, count, &index);
    if (error) return error;
    if (index == count || offered[index].ops == &vestry_profile_identity) return VESTRY_OK;
    if (find_place(codings, &offered[index], &mode)) return make_coder(codings, &offered[index], mode, ret_encoding);
    names[index] = NULL; /* not available now: try the next best coding */
  }
}
