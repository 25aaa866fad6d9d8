/* SPDX-License-Identifier: MIT */
/* libnats's statuses as vestry's errors. */
#ifndef VSI_NATS_STATUS_H
#define VSI_NATS_STATUS_H

#include <nats/nats.h>

#include "vestry/error.h"

/* IO for all that says nothing more particular, such as a connection that has ended. */
vestry_err vsi_nats_error(natsStatus status);

#endif
