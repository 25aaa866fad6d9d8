/* SPDX-License-Identifier: MIT */
/* What looks into an instance: its parts, which the files of this module share. */
#ifndef VSI_OBSERVE_INSIDE_H
#define VSI_OBSERVE_INSIDE_H

#include "instance/instance.h"
#include "ops/observe/closes.h"
#include "ops/observe/probe.h"
#include "ops/observe/showings.h"
#include "vestry/ops/observe.h"

#define VSI_MAY_COOKIE "vestry-observe"
enum { VSI_MAY_TOKEN_LEAST = 16, VSI_MAY_TOKEN_MOST = 128 };

/* Whether it can be the options' token. */
bool vsi_may_token_is_valid(const char *token);
/* Whether the query has the token, which a cookie is to keep then. */
bool vsi_may_query_has_token(const vestry_observe_options *options, const vestry_request *req);

/* Whether the options let the request see what all see that may; and tails, which say more. */
bool vsi_may_see(const vestry_observe_options *options, const vestry_request *req);
bool vsi_may_see_tails(const vestry_observe_options *options, const vestry_request *req);

struct vestry_observe {
  vestry *v;
  vestry_observe_options options; /* its token is the one below, or NULL */
  char token[VSI_MAY_TOKEN_MOST + 1];
  vsi_probe *probe;
  vsi_showings showings;
  _Atomic(uint64_t) tails_count; /* relaxed: numbers of tails */
  vsi_closes *closes;
  char *path; /* the prefix where it is mounted, and room for a row's pattern after it; NULL: nowhere */
  size_t prefix_len;
};

#endif
