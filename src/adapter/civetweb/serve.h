/* SPDX-License-Identifier: MIT */
/* What a worker of civetweb's does for one request on a path with a route. */
#ifndef VSI_CIVETWEB_SERVE_H
#define VSI_CIVETWEB_SERVE_H

#include "adapter/civetweb/adapter.h"

struct mg_connection;

/* civetweb's handler of a mount, which is its callback data. Returns the status, or 0: the request is not vestry's. */
int vsi_civetweb_serve_mount(struct mg_connection *conn, void *mount);
/* vestry_civetweb_serve. */
int vsi_civetweb_serve_asked(vsi_civetweb *adapter, struct mg_connection *conn);

#endif
