/* What a worker of civetweb's does for one request on a mounted path. */
#include <civetweb.h>

#include "adapter/civetweb/answer.h"
#include "adapter/civetweb/stream.h"
#include "adapter/civetweb/target.h"
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

static void serve_route(vsi_civetweb_request *request, const vsi_web_route *route, bool is_clear) {
  if (!is_clear || !vsi_civetweb_request_is_framed(request)) {
    request->body_ended = true; /* who knows where it does */
    vsi_civetweb_request_close(request);
    vestry_turn_away(request->adapter->v, VESTRY_REFUSAL_AMBIGUOUS);
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
  vestry_civetweb *adapter = route->owner;
  if (!info) return 0;
  vsi_civetweb_target target = vsi_civetweb_target_judge(info, adapter->host, route->path, adapter->query_is_decoded);
  /* civetweb matches without regard to case; such a path is not mounted, and is the server's own affair. */
  if (target == VSI_CIVETWEB_TARGET_OTHER) return 0;
  vsi_civetweb_request request;
  vsi_civetweb_request_init(&request, adapter, conn, info);
  bool entered = vsi_web_gate_enter(&adapter->gate);
  vsi_web_address address = vsi_web_address_parse(info->remote_addr);
  vestry_err crowded = entered ? vsi_web_addresses_enter(&adapter->addresses, address) : VESTRY_CLOSED;
  if (crowded == VESTRY_LIMIT) vestry_turn_away(adapter->v, VESTRY_REFUSAL_ADDRESS);
  if (!crowded) {
    vsi_civetweb_peer peer;
    if (vsi_civetweb_peer_parse(info->remote_addr, info->remote_port, info->server_port, &peer))
      vsi_civetweb_crowd_enter(&adapter->crowd, &request.guest, &peer);
    serve_route(&request, route, target == VSI_CIVETWEB_TARGET_THIS);
  } else {
    request.body_ended = true; /* its worker is needed no more, or by others */
    vsi_civetweb_request_close(&request);
    vsi_civetweb_refuse(&request, 503, "Retry-After", VSI_WEB_RETRY_AFTER_S);
  }
  vsi_civetweb_request_finish(&request);
  vsi_civetweb_crowd_leave(&adapter->crowd, &request.guest);
  int status = request.status ? request.status : 500; /* for civetweb's access log */
  if (!crowded) vsi_web_addresses_leave(&adapter->addresses, address);
  if (request.holds_place) vsi_web_gate_give_place(&adapter->gate);
  if (entered) vsi_web_gate_leave(&adapter->gate);
  return status;
}
