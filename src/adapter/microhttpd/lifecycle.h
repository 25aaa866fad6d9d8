/* SPDX-License-Identifier: MIT */
/* The life of an adapter, with its own daemon or one of the application. vsi_microhttpd_lifecycle_destroy ends it. */
#ifndef VSI_MICROHTTPD_LIFECYCLE_H
#define VSI_MICROHTTPD_LIFECYCLE_H

#include "adapter/microhttpd/adapter.h"

/* Create an adapter that does nothing yet. NULL: no memory. */
vsi_microhttpd *vsi_microhttpd_lifecycle_create(vestry *v, uint32_t streams_count, size_t send_buffer_bytes);
/* Begin to accept streams and to track connections: OK | NO_MEMORY | CLOSED (the runtime) | IO */
vestry_err vsi_microhttpd_lifecycle_begin(vsi_microhttpd *adapter, const vsi_microhttpd_limits *limits);

void vsi_microhttpd_lifecycle_destroy(vestry_server *server);

#endif
