/* SPDX-License-Identifier: MIT */
/* The operations of vestry/adapter.h for requests of libmicrohttpd. */
#ifndef VSI_MICROHTTPD_OPERATIONS_H
#define VSI_MICROHTTPD_OPERATIONS_H

#include "vestry/adapter.h"

/* server_request is a vsi_microhttpd_request. The second is for a request whose body may be read directly
 * (around.h). */
extern const vestry_request_ops vsi_microhttpd_request_ops, vsi_microhttpd_around_ops;

#endif
