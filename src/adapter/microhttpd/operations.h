/* SPDX-License-Identifier: MIT */
/* The operations of vestry/adapter.h for requests of libmicrohttpd. */
#ifndef VSI_MICROHTTPD_OPERATIONS_H
#define VSI_MICROHTTPD_OPERATIONS_H

#include "vestry/adapter.h"

/* server_request is a vsi_microhttpd_request. */
extern const vestry_request_ops vsi_microhttpd_request_ops;

#endif
