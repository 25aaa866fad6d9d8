/* SPDX-License-Identifier: MIT */
/* Leases of streams: a tab that has answered once goes on answering, or its stream ends. See lease.c for the essay. */
#ifndef VSI_STREAM_LEASE_H
#define VSI_STREAM_LEASE_H

#include "http/reply.h"
#include "http/request.h"

typedef struct vsi_leases vsi_leases;

/* The header of a renewal, a POST: the lease. */
#define VSI_LEASE_HEADER "Vestry-Lease"
/* The value of VSI_SIGNS_HEADER if the element asks for a lease as well. */
#define VSI_LEASE_WANTED "lease"

enum { VSI_LEASE_BYTES = 16, VSI_ADDRESS_BYTES = 16 };

/* A renewal that another node was asked for. Whether the stream is here. Any thread. */
VESTRY_API bool vsi_leases_renew(vestry *v, const unsigned char id[VSI_LEASE_BYTES]);

/* How long a page may leave what comes unanswered; 0: there are no leases. */
uint64_t vsi_leases_pause_ms(const vestry *v);

#endif
