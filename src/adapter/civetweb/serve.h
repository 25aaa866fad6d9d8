/* SPDX-License-Identifier: MIT */
/* Serving one request on a path with a route, by a worker of civetweb. */
#ifndef VSI_CIVETWEB_SERVE_H
#define VSI_CIVETWEB_SERVE_H

#include "adapter/civetweb/adapter.h"

struct mg_connection;

/* civetweb's handler; its callback data is a mount. Returns the status; 0: the request is not for vestry. */
int vsi_civetweb_serve_mount(struct mg_connection *conn, void *mount);
/* Implements vestry_civetweb_serve. */
int vsi_civetweb_serve_asked(vsi_civetweb *adapter, struct mg_connection *conn);

#endif
