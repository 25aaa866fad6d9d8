/* SPDX-License-Identifier: MIT */
/* The choice of a coding by Accept-Encoding (RFC 9110, section 12.5.3), and of a new stream's encoding: the profile
 * that the client prefers. */
#include "http/encoding.h"

#include <stdbool.h>
#include <string.h>

#include "base/ascii.h"
#include "instance/instance.h"

/* Weights in thousandths. */
enum { UNLISTED = -1, WHOLE = 1000 };

typedef struct weights {
  int of[VSI_ACCEPT_MAX], identity, any;
} weights;

static const char *skip_accept_space(const char *at) {
  return at + strspn(at, " \t");
}

/* Return the length of the token (RFC 9110, section 5.6.2) at `at`; 0: there is none. */
static size_t token_len(const char *at) {
  return strspn(at, "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
}

/* Read a qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ). NULL: there is none. */
static const char *read_weight(const char *at, int *ret_weight) {
  if (*at != '0' && *at != '1') return NULL;
  int weight = (*at++ - '0') * WHOLE;
  if (*at == '.') {
    at++;
    for (int place = WHOLE / 10; place && vsi_is_digit(*at); place /= 10) weight += (*at++ - '0') * place;
  }
  *ret_weight = weight;
  return weight <= WHOLE ? at : NULL;
}

/* Read one element of the list, up to its comma. NULL: malformed. */
static const char *read_element(const char *at, vestry_slice *ret_name, int *ret_weight) {
  *ret_name = (vestry_slice){at, token_len(at)};
  *ret_weight = WHOLE;
  if (!ret_name->len) return NULL;
  at = skip_accept_space(at + ret_name->len);
  if (*at == ';') {
    at = skip_accept_space(at + 1);
    if ((*at != 'q' && *at != 'Q') || at[1] != '=') return NULL;
    at = read_weight(at + 2, ret_weight);
    if (!at) return NULL;
    at = skip_accept_space(at);
  }
  return !*at || *at == ',' ? at : NULL;
}

static void set_once(int *weight, int to) {
  if (*weight == UNLISTED) *weight = to;
}

/* Read the weights of an Accept-Encoding (RFC 9110, section 12.5.3). Returns false if it is not well formed. */
static bool read_header(const char *header, const char *const *codings, size_t count, weights *ret_weights) {
  for (const char *at = header; *(at = skip_accept_space(at));) {
    if (*at == ',') { /* skip empty elements (section 5.6.1.2) */
      at++;
      continue;
    }
    vestry_slice name;
    int weight;
    at = read_element(at, &name, &weight);
    if (!at) return false;
    if (vsi_is_word(name, "x-gzip")) name = (vestry_slice){"gzip", 4}; /* the same (section 8.4.1.3) */
    if (vsi_is_word(name, "*")) set_once(&ret_weights->any, weight);
    if (vsi_is_word(name, "identity")) set_once(&ret_weights->identity, weight);
    for (size_t i = 0; i < count; i++)
      if (codings[i] && vsi_is_word(name, codings[i])) set_once(&ret_weights->of[i], weight);
  }
  return true;
}

vestry_err vsi_accept_choose(const char *header, const char *const *codings, size_t count, size_t *ret_index) {
  weights w = {.identity = UNLISTED, .any = UNLISTED};
  for (size_t i = 0; i < VSI_ACCEPT_MAX; i++) w.of[i] = UNLISTED;
  if (!header || count > VSI_ACCEPT_MAX || !read_header(header, codings, count, &w)) {
    *ret_index = count;
    return VESTRY_OK;
  }
  int identity = w.identity != UNLISTED ? w.identity : w.any, best = 0;
  size_t index = count;
  for (size_t i = 0; i < count; i++) {
    if (!codings[i]) continue;
    int weight = w.of[i] != UNLISTED ? w.of[i] : vsi_strcasecmp("identity", codings[i]) == 0 ? identity : w.any;
    if (weight <= best) continue; /* UNLISTED and 0: not acceptable */
    best = weight;
    index = i;
  }
  if (identity > best) index = count;
  if (index == count && identity == 0) return VESTRY_UNSUPPORTED;
  *ret_index = index;
  return VESTRY_OK;
}

/* Choose among profiles, of which there is at least one, by the request's Accept-Encoding. *ret_chosen NULL: identity.
 * OK | UNSUPPORTED */
static vestry_err choose_coding(const vestry_request *req, const vestry_profile *offered, size_t count,
                                const vestry_profile **ret_chosen) {
  const char *names[VESTRY_PROFILES_MAX];
  size_t index;
  for (size_t i = 0; i < count; i++) names[i] = offered[i].ops->coding;
  vestry_err error = vsi_accept_choose(vestry_request_header(req, "Accept-Encoding"), names, count, &index);
  const bool is_identity = error || index == count || offered[index].ops == &vestry_profile_identity;
  *ret_chosen = is_identity ? NULL : &offered[index];
  return error;
}

/* ------------------------------------------------------------------------------------------------- streams -------- */

vestry_err vsi_encoding_choose(const vestry_request *req, const vestry_reply *reply, vsi_encoding *ret_encoding) {
  const vestry *v = req->v;
  const vestry_profile *offered = reply->has_profiles ? reply->profiles : v->profiles;
  size_t count = reply->has_profiles
                     ? reply->profiles_count
                     : atomic_load_explicit(&v->profiles_count, memory_order_acquire); /* with vsi_profiles_offer */
  *ret_encoding = (vsi_encoding){.negotiated = count > 0};
  if (!count) return VESTRY_OK;
  const vestry_profile *chosen;
  vestry_err error = choose_coding(req, offered, count, &chosen);
  if (!chosen) return error;
  vsi_coding *coding = NULL;
  error = vsi_coding_find(vsi_group_codings(v->group), chosen, &coding);
  if (!error) error = vsi_coder_create(coding, &ret_encoding->coder);
  if (!error) ret_encoding->coding = chosen->ops->coding;
  return error;
}

/* ------------------------------------------------------------------------------------------------ documents ------- */

/* Replace the body by an encoded one. OK, also if it stays as it is | LIMIT | NO_MEMORY */
static vestry_err put_encoded(vestry_reply *reply, const vestry_profile *profile, vsi_codings *codings) {
  vsi_segment *segment;
  if (!vsi_codings_reserve(codings)) return VESTRY_OK;
  vestry_err error = vsi_encode_whole(profile, reply->host, (vestry_slice){reply->body, reply->body_len}, &segment);
  vsi_codings_unreserve(codings);
  if (error) return VESTRY_OK;
  vsi_buffer text;
  vsi_buffer_init(&text, reply->host);
  vsi_buffer_append(&text, segment->bytes, segment->len);
  vsi_segment_destroy(segment);
  error = vsi_reply_change_body(reply, &text);
  return error ? error : vestry_reply_header(reply, "Content-Encoding", profile->ops->coding);
}

vestry_err vsi_encoding_apply(const vestry_request *req, vestry_reply *reply) {
  const vestry *v = req->v;
  const vestry_profile *chosen;
  /* acquire: with vsi_profiles_offer */
  const size_t count = VSI_ENCODES ? atomic_load_explicit(&v->profiles_count, memory_order_acquire) : 0;
  const bool is_whole = reply->body_len && !req->own->watcher && !vsi_reply_header_find(reply, "ETag") &&
                        !vsi_reply_header_find(reply, "Content-Encoding");
  if (!count || !is_whole) return VESTRY_OK;
  vestry_err error = vsi_reply_load(reply);
  if (!error) error = vestry_reply_header(reply, "Vary", "Accept-Encoding");
  /* A client that accepts no coding at all gets the document as it is (RFC 9110, section 12.5.3 permits it). */
  if (error || choose_coding(req, v->profiles, count, &chosen) || !chosen) return error;
  return put_encoded(reply, chosen, vsi_group_codings(v->group));
}
