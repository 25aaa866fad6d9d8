/* What a worker of civetweb's does for one request on a mounted path. */
#include <civetweb.h>
#include <string.h>

#include "adapter/civetweb/answer.h"
#include "adapter/civetweb/stream.h"
#include "adapter/web/policy.h"

static void serve_method(vsi_civetweb_request *request, const vsi_web_method *method) {
  vestry_connection *connection = NULL;
  vestry_err error =
      vestry_serve(request->adapter->v, &vsi_civetweb_request_ops, request, method->handler, method->app, &connection);
  if (error) vsi_civetweb_request_close(request); /* no answer was given: say so by closing */
  if (!connection) return;
  vsi_civetweb_park(request, connection);
  vestry_connection_unref(connection);
}

static void serve_route(vsi_civetweb_request *request, const vsi_web_route *route) {
  if (!vsi_civetweb_request_is_framed(request)) {
    request->body_ended = true; /* who knows where it does */
    vsi_civetweb_request_close(request);
    vsi_civetweb_refuse(request, 400, NULL, NULL);
    return;
  }
  const vsi_web_method *method = vsi_web_route_find(route, request->info->request_method);
  if (method) {
    serve_method(request, method);
    return;
  }
  char allow[256];
  vsi_web_route_allow(route, allow, sizeof allow);
  vsi_civetweb_refuse(request, 405, "Allow", allow);
}

int vsi_civetweb_serve(struct mg_connection *conn, void *mounted) {
  const vsi_web_route *route = mounted;
  const struct mg_request_info *info = mg_get_request_info(conn);
  /* civetweb matches without regard to case; such a path is not mounted, and is the server's own affair. */
  if (!info || !info->local_uri || strcmp(info->local_uri, route->path) != 0) return 0;
  vestry_civetweb *adapter = route->owner;
  vsi_civetweb_request request;
  vsi_civetweb_request_init(&request, adapter, conn, info);
  bool entered = vsi_web_gate_enter(&adapter->gate);
  if (entered) {
    serve_route(&request, route);
  } else {
    vsi_civetweb_request_close(&request); /* its worker is needed no more */
    vsi_civetweb_refuse(&request, 503, "Retry-After", VSI_WEB_RETRY_AFTER_S);
  }
  vsi_civetweb_request_finish(&request);
  int status = request.status ? request.status : 500; /* for civetweb's access log */
  if (request.holds_place) vsi_web_gate_give_place(&adapter->gate);
  if (entered) vsi_web_gate_leave(&adapter->gate);
  return status;
}
