/* SPDX-License-Identifier: MIT */
/* The struct of an observer, and access checks. */
#ifndef VSI_OBSERVE_INSIDE_H
#define VSI_OBSERVE_INSIDE_H

#include "instance/instance.h"
#include "ops/observe/closes.h"
#include "ops/observe/probe.h"
#include "ops/observe/showings.h"
#include "vestry/ops/observe.h"

#define VSI_MAY_COOKIE "vestry-observe"
enum { VSI_MAY_TOKEN_LEAST = 16, VSI_MAY_TOKEN_MOST = 128 };

/* Check that a text can be a token. */
bool vsi_may_token_is_valid(const char *token);
/* Check whether the query has the token, which must then be stored in a cookie. */
bool vsi_may_query_has_token(const vestry_observe_options *options, const vestry_request *req);

/* Check whether the options admit a request: to everything except tails; and to tails, which show the content of
 * events. */
bool vsi_may_see(const vestry_observe_options *options, const vestry_request *req);
bool vsi_may_see_tails(const vestry_observe_options *options, const vestry_request *req);

struct vestry_observe {
  vestry *v;
  vestry_observe_options options; /* token points to the member below, or is NULL */
  char token[VSI_MAY_TOKEN_MOST + 1];
  vsi_probe *probe;
  vsi_showings showings;
  _Atomic(uint64_t) tails_count; /* relaxed: ids of tails */
  vsi_closes *closes;
  char *path; /* prefix where it is mounted, with room for the pattern of a row; NULL: not mounted */
  size_t prefix_len;
};

#endif
