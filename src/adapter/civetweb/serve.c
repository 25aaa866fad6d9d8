/* SPDX-License-Identifier: MIT */
/* Serving one request of civetweb from its head to the end of its answer or stream, on civetweb's worker. */
#include "adapter/civetweb/serve.h"

#include <civetweb.h>

#include "adapter/civetweb/answer.h"
#include "adapter/civetweb/operations.h"
#include "adapter/civetweb/stream.h"
#include "adapter/civetweb/target.h"
#include "adapter/web/policy.h"

static void serve(vsi_civetweb_request *request) {
  vestry_connection *connection = NULL;
  const vsi_civetweb *adapter = request->adapter;
  if (!request->path || !vsi_civetweb_request_is_framed(request)) {
    request->body_ended = true; /* its end is unknown */
    vsi_civetweb_request_close(request);
    vestry_turn_away(adapter->v, VESTRY_REFUSAL_AMBIGUOUS);
    vsi_civetweb_refuse(request, 400, NULL, NULL);
    return;
  }
  vestry_err error = vestry_serve(adapter->v, &vsi_civetweb_request_ops, request, NULL, NULL, &connection);
  if (error) vsi_civetweb_request_close(request); /* no answer was sent: close the connection instead */
  if (!connection) return;
  vsi_civetweb_park(request, connection);
  vestry_connection_unref(connection);
}

/* Refuse a request whose worker must leave, or is needed for others. */
static void turn_away(vsi_civetweb_request *request) {
  request->body_ended = true;
  vsi_civetweb_request_close(request);
  vsi_civetweb_refuse(request, 503, "Retry-After", VSI_WEB_RETRY_AFTER_S);
}

static int serve_by(vsi_civetweb *adapter, struct mg_connection *conn, const struct mg_request_info *info,
                    const vsi_civetweb_target *target) {
  vsi_civetweb_request request;
  vsi_civetweb_request_init(&request, adapter, conn, info);
  request.path = target->path;
  bool is_open = atomic_load_explicit(&adapter->neighbour.is_open, memory_order_acquire); /* pairs with create */
  bool entered = is_open && vsi_web_gate_enter(&adapter->gate);
  vsi_address address = vsi_address_parse(info->remote_addr);
  vestry_err crowded = entered ? vsi_web_addresses_enter(adapter->addresses, address) : VESTRY_CLOSED;
  if (crowded == VESTRY_LIMIT) vestry_turn_away(adapter->v, VESTRY_REFUSAL_ADDRESS);
  if (crowded)
    turn_away(&request);
  else
    serve(&request);
  vsi_civetweb_request_finish(&request);
  int status = request.status ? request.status : 500; /* for civetweb's access log */
  if (!crowded) vsi_web_addresses_leave(adapter->addresses, address);
  if (request.holds_place) vsi_web_gate_give_place(&adapter->gate);
  if (entered) vsi_web_gate_leave(&adapter->gate);
  return status;
}

/* Serve a request. by_mount: by any adapter of this server that has a route for it. Returns 0: the request is for the
 * server itself. */
static int serve_at(vsi_civetweb *adapter, struct mg_connection *conn, bool by_mount) {
  const struct mg_request_info *info = mg_get_request_info(conn);
  if (!info || !info->local_uri) return 0;
  vsi_civetweb_target target;
  vsi_civetweb_target_read(&target, adapter, info);
  /* A refused target is answered at the place where it would be mounted. */
  const char *method = info->request_method, *path = target.path ? target.path : info->local_uri;
  vsi_civetweb *by = adapter->answers_all ? adapter : NULL;
  if (by_mount) {
    const vsi_civetweb_neighbour *found = vsi_civetweb_neighbours_find(&adapter->neighbour, method, path);
    if (found) by = found->adapter;
  } else if (!by && vestry_route_status(adapter->v, method, path) != 404) {
    by = adapter;
  }
  int status = by ? serve_by(by, conn, info, &target) : 0;
  vsi_civetweb_target_finish(&target, adapter);
  return status;
}

static int refuse_for_now(vsi_civetweb *adapter, struct mg_connection *conn) {
  vsi_civetweb_request request;
  vsi_civetweb_request_init(&request, adapter, conn, mg_get_request_info(conn));
  turn_away(&request);
  return 503;
}

int vsi_civetweb_serve_mount(struct mg_connection *conn, void *data) {
  vsi_civetweb_mount *mount = data;
  atomic_fetch_add(&mount->running, 1);
  /* A mount that is being removed has no route. If it gets one again, a new mount will serve it in a moment. */
  int status =
      atomic_load(&mount->is_going) ? refuse_for_now(mount->adapter, conn) : serve_at(mount->adapter, conn, true);
  atomic_fetch_sub(&mount->running, 1);
  return status;
}

int vsi_civetweb_serve_asked(vsi_civetweb *adapter, struct mg_connection *conn) {
  return serve_at(adapter, conn, false);
}
