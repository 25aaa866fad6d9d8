/* SPDX-License-Identifier: MIT */
#include "app/guard/person.h"

#include <string.h>

#include "app/session/seal.h"
#include "app/session/session.h"
#include "instance/instance.h"

bool vsi_person_is_passed_on(const vestry_request *req) {
  static const char *const names[] = {"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (vestry_request_header(req, names[i])) return true;
  return false;
}

static vsi_person address_or_unknown(vsi_address address) {
  return (vsi_person){.kind = address.family ? VSI_PERSON_ADDRESS : VSI_PERSON_UNKNOWN, .address = address};
}

vsi_person vsi_person_by_address(const vestry_request *req, bool is_behind_proxy) {
  if (is_behind_proxy || req->v->is_behind_proxy)
    return address_or_unknown(vsi_address_parse_reported(vestry_request_header(req, "X-Forwarded-For")));
  const vsi_address peer = vsi_address_parse(vestry_request_peer(req));
  return vsi_address_is_loopback(peer) || vsi_person_is_passed_on(req) ? (vsi_person){.kind = VSI_PERSON_UNKNOWN}
                                                                       : address_or_unknown(peer);
}

vsi_person vsi_person_of(const vestry_request *req) {
  const char *user = vsi_sessions_of(req->v) ? vestry_session_user(req) : NULL;
  if (user) return (vsi_person){.kind = VSI_PERSON_USER, .name = {user, strlen(user)}};
  if (!vsi_sessions_of(req->v) && req->scope.len) return (vsi_person){.kind = VSI_PERSON_SCOPE, .name = req->scope};
  return vsi_person_by_address(req, false);
}

vestry_scope vsi_person_scope(const vestry_request *req) {
  const vsi_person person = vsi_person_of(req);
  return person.name.len ? person.name : req->scope;
}

bool vsi_person_is_anonymous(const vestry_request *req) {
  return vestry_session_is_anonymous(req) || (req->v->scope && !req->scope.len);
}

vestry_err vsi_person_key_make(const vestry *v, vsi_siphash_key *ret_key) {
  unsigned char derived[32];
  if (!vsi_seals_derive(v, "vestry form addresses", derived)) return vsi_siphash_key_random(v->host, ret_key);
  memcpy(ret_key, derived, sizeof *ret_key);
  return VESTRY_OK;
}

uint64_t vsi_person_hash(const vsi_siphash_key key, const vsi_person *person) {
  const uint64_t words[] = {person->address.prefix, person->address.family};
  switch (person->kind) {
  case VSI_PERSON_USER:
  case VSI_PERSON_SCOPE: return vsi_siphash_1_3(key, person->name.data, person->name.len) | 1;
  case VSI_PERSON_ADDRESS: return vsi_siphash_1_3(key, words, sizeof words) | 1;
  default: return 0;
  }
}
