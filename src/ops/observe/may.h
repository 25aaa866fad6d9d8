/* SPDX-License-Identifier: MIT */
/* Which requests may see what is mounted. */
#ifndef VSI_OBSERVE_MAY_H
#define VSI_OBSERVE_MAY_H

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

#endif
