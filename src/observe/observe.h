/* SPDX-License-Identifier: MIT */
/* What looks into an instance: its parts, which the files of this room share. */
#ifndef VSI_OBSERVE_OBSERVE_H
#define VSI_OBSERVE_OBSERVE_H

#include "instance/instance.h"
#include "observe/probe.h"
#include "vestry/observe.h"

struct vestry_observe {
  vestry *v;
  vestry_observe_options options;
  vsi_probe *probe;
  char *path; /* the prefix where it is mounted, and room for a row's pattern after it; NULL: nowhere */
  size_t prefix_len;
};

#endif
