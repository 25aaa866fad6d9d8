/* SPDX-License-Identifier: MIT */
/* The suites of the contract of adapters; each is a file. */
#ifndef VSI_TESTING_CONTRACT_SUITES_H
#define VSI_TESTING_CONTRACT_SUITES_H

#include "testing/contract/check.h"

extern const vsi_suite vsi_requests_suite;  /* what handlers and clients see of requests, responses and streams */
extern const vsi_suite vsi_wire_suite;      /* the wire format: methods, paths, framing, kept connections */
extern const vsi_suite vsi_hostile_suite;   /* requests that parsers could read in two ways */
extern const vsi_suite vsi_readings_suite;  /* generated requests, and the only valid reading of each */
extern const vsi_suite vsi_lifecycle_suite; /* places, stalled readers, the end of streams and of the server */
extern const vsi_suite vsi_peers_suite;     /* peers that are lost in different ways */
extern const vsi_suite vsi_watches_suite;   /* watches, and clients that are lost */
extern const vsi_suite vsi_answers_suite;   /* the memory of responses that clients do not read */
extern const vsi_suite vsi_uploads_suite;   /* bodies that arrive in pieces */
extern const vsi_suite vsi_resumed_suite;   /* uploads that outlive the process of their server */
extern const vsi_suite vsi_heads_suite;     /* heads of current browsers, at the limit and above */

#endif
