/* SPDX-License-Identifier: MIT */
/* How the libmicrohttpd that is there at run time reads heads: it is asked, once for each adapter, with some of them.
 * A program that was built with one version may run with another; distributions patch them; and no function tells. */
#ifndef VSI_MICROHTTPD_HABITS_H
#define VSI_MICROHTTPD_HABITS_H

#include <stdbool.h>

#include "vestry/host.h"

typedef struct vsi_microhttpd_habits {
  bool refuses_odd;   /* a strict daemon (MHD_OPTION_STRICT_FOR_CLIENT) refuses heads with two readings by itself */
  bool keeps_heads;   /* heads stay where they were read, and can be measured (head.c) */
  bool finds_odd;     /* then each of those with two readings is found in a daemon that is not strict */
  bool keeps_targets; /* what was encoded of a path can be told from where its parts stand (target.c) */
} vsi_microhttpd_habits;

/* OK | IO (no descriptor is left, or no memory: logged). Starts no thread; does not wait. */
vestry_err vsi_microhttpd_habits_find(const vestry_host *host, vsi_microhttpd_habits *ret_habits);

#endif
