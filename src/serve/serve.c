/* SPDX-License-Identifier: MIT */
/* Serves a request from a web server: finds its route, reads the request, calls the handler, and answers or opens a
 * stream. */
#include <stdio.h>

#include "base/log.h"
#include "http/answer.h"
#include "serve/inside.h"

typedef vsi_serving serving;

/* To how many streams the thread of a request may write itself: a user's pages. */
enum { WRITES_MOST = 4 };

static vestry_err refuse_fields(serving *s) {
  char text[80];
  snprintf(text, sizeof text, "the form has more than %zu values", s->v->max_values_count);
  return vsi_answer_status(&s->request, 413, text);
}

/* Serve a request whose body is read before its handler runs. */
static vestry_err serve(serving *s, vestry_handler_fn handler, void *app, vestry_connection **ret_connection) {
  vestry_signals_error why;
  vsi_serving_begin_span(s);
  const bool is_closing = vsi_instance_is_closing(s->v);
  vestry_err error = is_closing ? VESTRY_CLOSED : vsi_request_read(&s->request, &why), done;
  if (error) {
    done = is_closing ? vsi_answer_error(&s->request, error) : vsi_serving_refuse_reading(s, error, &why);
  } else if (vsi_request_has_too_many_fields && vsi_request_has_too_many_fields(&s->request)) {
    done = refuse_fields(s);
  } else {
    error = vsi_serving_find_scope(s);
    const vsi_visit *visit = s->own_request.visit;
    if (!error && visit && !visit->route->is_open) error = vsi_routes_guard(s->v->routes, &s->request, &s->reply);
    const bool is_guarded = error != VESTRY_OK;
    if (!error) error = handler(&s->request, &s->reply, app);
    done = vsi_serving_conclude(s, error, is_guarded, ret_connection);
  }
  vsi_serving_end_span(s, done);
  return done;
}

static vestry_err serve_route(serving *s, vestry_connection **ret_connection) {
  vestry_request *req = &s->request;
  char allow[VSI_ALLOW_BYTES];
  if (!vsi_routes_find(s->v->routes, req->method, req->path, &s->visit, allow)) return vsi_answer_unrouted(req, allow);
  req->own->visit = &s->visit;
  vestry_err error = s->visit.route->receiver ? vsi_receive(s, ret_connection)
                                              : serve(s, s->visit.route->handler, s->visit.route->app, ret_connection);
  req->own->visit = NULL;
  return error;
}

/* Return the status with which an extension answers the request; 0: none does. */
static int status_of_extension(const vestry_request *req) {
  VSI_EXTENSIONS_EACH(at, &req->v->extensions, answers) {
    const int status = at->kind->answers(at->state, req);
    if (status) return status;
  }
  return 0;
}

vestry_err vestry_serve(vestry *v, const vestry_request_ops *ops, void *server_request, vestry_handler_fn handler,
                        void *app, vestry_connection **ret_connection) {
  if (!v) return VESTRY_INVALID;
  if (!ret_connection || !ops || !ops->method || !ops->path || !ops->query || !ops->header || !ops->peer ||
      !ops->body_length || !ops->read || !ops->respond || !ops->open)
    return vsi_mistake(v->host, "vestry_serve",
                       "ops or ret_connection is NULL, or ops lacks a function before respond_body");
  *ret_connection = NULL;
  if (vsi_instance_is_forked(v)) return VESTRY_CLOSED;              /* the routes' lock may be held for ever */
  atomic_fetch_add_explicit(&v->requests, 1, memory_order_relaxed); /* relaxed: a counter */
  serving s;
  vsi_inside inside;
  vsi_inside_begin(&inside, v);
  inside.writes_left = WRITES_MOST;
  inside.is_request = true;
  vsi_serving_init(&s, v, ops, server_request);
  vestry_err error;
  const int status = vsi_instance_is_closing(v) ? 0 : status_of_extension(&s.request);
  if (status)
    error = status == 204 ? vsi_answer_nothing(&s.request) : vsi_answer_status(&s.request, status, NULL);
  else
    error = handler ? serve(&s, handler, app, ret_connection) : serve_route(&s, ret_connection);
  vsi_inside_end_request(&inside);
  vsi_serving_finish(&s);
  vsi_inside_end(&inside);
  return error;
}
