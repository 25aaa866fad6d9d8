/* SPDX-License-Identifier: MIT */
/* The behaviour of the libmicrohttpd at run time: how it reads heads, found by sending it some, once for each adapter.
 * A program built with one version may run with another, distributions patch libmicrohttpd, and no function reports
 * this behaviour. */
#ifndef VSI_MICROHTTPD_CAPABILITIES_H
#define VSI_MICROHTTPD_CAPABILITIES_H

#include <stdbool.h>

#include "vestry/host.h"

typedef struct vsi_microhttpd_capabilities {
  bool refuses_odd;   /* a strict daemon (MHD_OPTION_STRICT_FOR_CLIENT) refuses ambiguous heads by itself */
  bool keeps_heads;   /* heads stay in the memory where they were read, and can be checked (head.c) */
  bool finds_odd;     /* in that way all ambiguous heads are found in a daemon that is not strict */
  bool keeps_targets; /* the places of a path's parts show which bytes were encoded (target.c) */
} vsi_microhttpd_capabilities;

/* Probe libmicrohttpd. OK | IO (no descriptors or no memory: logged). Starts no thread; does not wait. */
vestry_err vsi_microhttpd_capabilities_find(const vestry_host *host, vsi_microhttpd_capabilities *ret_capabilities);

#endif
