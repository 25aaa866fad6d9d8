/* SPDX-License-Identifier: MIT */
/* Whose a request is, where a bound is one person's. A name that a client can invent is none: the session of an
 * anonymous user, or the scope without a name, which is everybody's. */
#ifndef VSI_GUARD_PERSON_H
#define VSI_GUARD_PERSON_H

#include "base/siphash.h"
#include "http/address.h"
#include "vestry/request.h"

typedef enum vsi_person_kind {
  VSI_PERSON_NOBODY, /* not known: there is no bound of one person */
  VSI_PERSON_USER,   /* the session's, in all sessions of that user */
  VSI_PERSON_SCOPE,  /* of vestry_options.scope */
  VSI_PERSON_ADDRESS
} vsi_person_kind;

typedef struct vsi_person {
  vsi_person_kind kind;
  vestry_scope name;   /* of USER and SCOPE; borrowed from the request */
  vsi_address address; /* of ADDRESS */
} vsi_person;

/* The user, else the scope, else the address. A peer on this machine, or one that passes a request on, is a proxy, and
 * its address is not the client's; with is_behind_proxy of vestry_options the client's is what the proxy says. */
vsi_person vsi_person_of(const vestry_request *req);
/* Whether the instance has sessions or scopes, and the request is of no user or scope: those are bounded apart. */
bool vsi_person_is_anonymous(const vestry_request *req);
/* 0: not known; otherwise odd. */
uint64_t vsi_person_hash(const vsi_siphash_key key, const vsi_person *person);

/* Whether the request has a header that proxies add. A proxy need not add one. */
VESTRY_API bool vsi_person_is_passed_on(const vestry_request *req);
/* The client's address as X-Forwarded-For says it, if that is one address and is_behind_proxy; else the peer's. */
vsi_address vsi_person_address(const vestry_request *req, bool is_behind_proxy);

#endif
