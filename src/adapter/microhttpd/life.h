/* SPDX-License-Identifier: MIT */
/* An adapter's life, whether its daemon is its own or the application's. vsi_microhttpd_life_destroy ends it. */
#ifndef VSI_MICROHTTPD_LIFE_H
#define VSI_MICROHTTPD_LIFE_H

#include "adapter/microhttpd/adapter.h"

/* One that does nothing yet. NULL: no memory. */
vsi_microhttpd *vsi_microhttpd_life_create(vestry *v, uint32_t streams_count, size_t send_buffer_bytes);
/* From here on it takes streams and knows connections: OK | NO_MEMORY | CLOSED (the runtime) | IO */
vestry_err vsi_microhttpd_life_begin(vsi_microhttpd *adapter, const vsi_microhttpd_limits *limits);

void vsi_microhttpd_life_destroy(vestry_server *server);

#endif
