/* SPDX-License-Identifier: MIT */
/* What vestry asks of a request: vestry/adapter.h's operations, by libmicrohttpd. */
#ifndef VSI_MICROHTTPD_OPERATIONS_H
#define VSI_MICROHTTPD_OPERATIONS_H

#include "vestry/adapter.h"

/* server_request is a vsi_microhttpd_request. Of one whose body may be read around libmicrohttpd: the second. */
extern const vestry_request_ops vsi_microhttpd_request_ops, vsi_microhttpd_around_ops;

#endif
