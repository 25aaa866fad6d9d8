/* SPDX-License-Identifier: MIT */
/* Leases of streams: a tab that has answered once goes on answering, or its stream ends. See lease.c for the essay. */
#ifndef VSI_HTTP_LEASE_H
#define VSI_HTTP_LEASE_H

#include "http/reply.h"
#include "http/request.h"

typedef struct vsi_leases vsi_leases;

/* The header of a renewal, a POST: the lease. */
#define VSI_LEASE_HEADER "Vestry-Lease"
/* The header of a request for a stream by which an element asks for heartbeats that the client tells of; and its value
 * if it asks for a lease as well. */
#define VSI_SIGNS_HEADER "Vestry-Signs"
#define VSI_LEASE_WANTED "lease"

enum { VSI_LEASE_BYTES = 16, VSI_ADDRESS_BYTES = 16 };

/* lease_ms: 0: the default; VESTRY_NEVER_MS, and by default where there are no heartbeats: none are given, and
 * ret_leases is NULL. OK | INVALID (it is not longer than a heartbeat) | NO_MEMORY | CLOSED */
vestry_err vsi_leases_create(vestry *v, uint64_t lease_ms, vsi_leases **ret_leases);
/* All streams have ended. NULL is accepted. */
void vsi_leases_destroy(vsi_leases *leases);

/* Give the stream of a request a lease, if it asks for one: it begins with an event that says which, and is a sign.
 * OK, also if there are none | NO_MEMORY | IO (no randomness) */
vestry_err vsi_lease_attach(const vestry_request *req, vestry_reply *reply, bool *ret_has);
/* Whether a request is a renewal: then it has been done, here or at the node of the stream. */
bool vsi_lease_is_renewed(const vestry_request *req);
/* A renewal that another node was asked for. Whether the stream is here. Any thread. */
bool vsi_leases_renew(vestry *v, const unsigned char id[VSI_LEASE_BYTES]);

/* How long a page may leave what comes unanswered; 0: there are no leases. */
uint64_t vsi_leases_pause_ms(const vestry *v);
void vsi_leases_stats(vestry *v, vestry_stats *stats);

#endif
