/* SPDX-License-Identifier: MIT */
/* What vestry asks of a request: vestry/adapter.h's operations, by civetweb. */
#ifndef VSI_CIVETWEB_OPERATIONS_H
#define VSI_CIVETWEB_OPERATIONS_H

#include "vestry/adapter.h"

/* server_request is a vsi_civetweb_request. */
extern const vestry_request_ops vsi_civetweb_request_ops;

#endif
