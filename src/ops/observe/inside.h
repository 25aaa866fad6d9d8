/* SPDX-License-Identifier: MIT */
/* What looks into an instance: its parts, which the files of this module share. */
#ifndef VSI_OBSERVE_INSIDE_H
#define VSI_OBSERVE_INSIDE_H

#include "instance/instance.h"
#include "ops/observe/closes.h"
#include "ops/observe/may.h"
#include "ops/observe/probe.h"
#include "ops/observe/showings.h"
#include "vestry/ops/observe.h"

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
