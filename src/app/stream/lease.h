/* SPDX-License-Identifier: MIT */
/* Leases of streams: a stream whose tab has renewed its lease once ends when the renewals stop. lease.c explains
 * why. */
#ifndef VSI_STREAM_LEASE_H
#define VSI_STREAM_LEASE_H

#include "http/reply.h"
#include "http/request.h"

typedef struct vsi_leases vsi_leases;

/* Header of a renewal, which is a POST: the lease. VSI_LEASE_RELEASED after it ends the lease, not the stream. */
#define VSI_LEASE_HEADER   "Vestry-Lease"
#define VSI_LEASE_RELEASED " released"
/* Value of VSI_SIGNS_HEADER if the element also requests a lease. */
#define VSI_LEASE_WANTED "lease"

enum { VSI_LEASE_BYTES = 16, VSI_ADDRESS_BYTES = 16 };

/* Get the leases of an instance; the first use creates them with the default length. OK | NO_MEMORY | CLOSED */
vestry_err vsi_leases_use(vestry *v, vsi_leases **ret_leases);

/* Renew a lease that was sent to another node. Returns whether the stream is on this node. Any thread. */
VESTRY_API bool vsi_leases_renew(vestry *v, const unsigned char id[VSI_LEASE_BYTES]);

/* Let all leases begin anew, because renewals may have been lost between nodes. Any thread. */
VESTRY_API void vsi_leases_restart(vestry *v);

/* Return the minimum time between two renewals of a page; 0: there are no leases. */
uint64_t vsi_leases_pause_ms(const vestry *v);

#endif
