/* SPDX-License-Identifier: MIT */
/* The person behind a request, for limits that apply to each person. A name that any client can invent does not count
 * as a person: the session of an anonymous user, or the scope without a name, which all such clients share. */
#ifndef VSI_GUARD_PERSON_H
#define VSI_GUARD_PERSON_H

#include "base/siphash.h"
#include "http/address.h"
#include "vestry/request.h"

typedef enum vsi_person_kind {
  VSI_PERSON_UNKNOWN, /* no limit for each person applies */
  VSI_PERSON_USER,    /* the user of the session; all sessions of that user count as one */
  VSI_PERSON_SCOPE,   /* of vestry_options.scope */
  VSI_PERSON_ADDRESS
} vsi_person_kind;

typedef struct vsi_person {
  vsi_person_kind kind;
  vestry_scope name;   /* for USER and SCOPE; borrowed from the request */
  vsi_address address; /* for ADDRESS */
} vsi_person;

/* Return the user, else the scope, else the address. A peer on this machine, or a request with a proxy's header,
 * belongs to a proxy, so the peer's address is not the client's. With is_behind_proxy of vestry_options, the client's
 * address is the one that the proxy sends. */
vsi_person vsi_person_of(const vestry_request *req);
/* Return the address as a person, or VSI_PERSON_UNKNOWN, by the same rules.
 * is_behind_proxy  true: as if it were set in vestry_options */
vsi_person vsi_person_by_address(const vestry_request *req, bool is_behind_proxy);
/* Return the user, in all sessions of that user, or else the request's scope. Borrowed from the request. */
vestry_scope vsi_person_scope(const vestry_request *req);
/* Return whether the instance has sessions or scopes, but the request has no user or scope. Such requests have limits
 * of their group. */
bool vsi_person_is_anonymous(const vestry_request *req);
/* Make the key of hashes that a database stores: of the instance's secret, so that all nodes have the same, or else
 * random. OK | IO (no randomness) */
vestry_err vsi_person_key_make(const vestry *v, vsi_siphash_key *ret_key);
/* Return a hash of the person; 0: unknown; otherwise odd. */
uint64_t vsi_person_hash(const vsi_siphash_key key, const vsi_person *person);

/* Return whether the request has a header that proxies add. A proxy need not add one. */
VESTRY_API bool vsi_person_is_passed_on(const vestry_request *req);

#endif
