/* SPDX-License-Identifier: MIT */
/* The operations of vestry/adapter.h for requests of civetweb. */
#ifndef VSI_CIVETWEB_OPERATIONS_H
#define VSI_CIVETWEB_OPERATIONS_H

#include "vestry/adapter.h"

/* The functions' server_request is a vsi_civetweb_request. */
extern const vestry_request_ops vsi_civetweb_request_ops;

#endif
