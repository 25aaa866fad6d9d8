/* SPDX-License-Identifier: MIT */
/* Bodies in pieces. There are two kinds of servers. If a server's thread may wait for bytes, vestry reads them piece by
 * piece (vsi_receive). If a server reports bytes when they arrive, it passes them to vestry (vestry_receiving). Both
 * handle a piece in the same way: after the first error nothing more is written to the receiver, and the response is
 * made from that error. The next piece is taken when the writer has returned. So a slow writer slows its client down,
 * and at most one piece waits in memory.
 *
 * A server that reports bytes does so on a thread that other requests need. Therefore the functions that call the
 * application (open, write, close, end) are separate from the others, and may be called on another thread. */
#include <string.h>

#include "base/memory.h"
#include "serve/inside.h"

/* A body that is being passed to its route's receiver. */
typedef struct receipt {
  void *state;        /* of the receiver, while it has one */
  bool is_open;       /* begin returned OK, and neither end nor abort was called */
  bool is_guarded;    /* the error comes from the receiver, and is answered like that of a guard */
  vestry_err error;   /* if set, the rest of the body is ignored */
  uint64_t len, most; /* bytes so far, and their maximum */
} receipt;

struct vestry_receiving {
  vsi_serving s;
  receipt receipt;
  char *piece; /* VESTRY_RECEIVE_BYTES; NULL: no bytes have arrived yet */
  size_t piece_len;
  vestry_err lacks; /* error of allocating the piece: the rest of the body is ignored */
  char text[];      /* the request's method and path, because they must outlive the server's request */
};

static const vsi_receiver *receiver_of(const vsi_serving *s) {
  return s->visit.route->receiver;
}

/* ---------------------------------------------------------------------------------------- a body, step by step ---- */

static void fail(vsi_serving *s, receipt *to, vestry_err error, bool is_guarded) {
  if (to->error) return;
  to->error = error;
  to->is_guarded = is_guarded;
  if (!to->is_open) return;
  to->is_open = false;
  receiver_of(s)->abort(to->state, error);
}

static vestry_err begin_receiver(vsi_serving *s, receipt *to) {
  vestry_request *req = &s->request;
  if (req->is_datastar && !(req->signals = json_object())) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_serving_find_scope(s);
  if (!error) error = receiver_of(s)->begin(s->visit.route->app, req, &s->reply, &to->state);
  to->is_open = !error;
  return error;
}

static void begin_receipt(vsi_serving *s, receipt *to) {
  int64_t announced = vsi_request_length(&s->request);
  to->most = vsi_max_body_bytes_at(s->v, s->request.path);
  if (vsi_instance_is_closing(s->v))
    fail(s, to, VESTRY_CLOSED, false);
  else if (announced > 0 && (uint64_t)announced > to->most)
    fail(s, to, VESTRY_TOO_LARGE, false);
  vestry_err error = to->error ? VESTRY_OK : begin_receiver(s, to);
  if (error) fail(s, to, error, true);
}

static void take_piece(vsi_serving *s, receipt *to, const void *bytes, size_t len) {
  if (to->error || !len) return;
  to->len += len;
  if (to->len > to->most) {
    fail(s, to, VESTRY_TOO_LARGE, false);
    return;
  }
  vestry_err error = receiver_of(s)->write(to->state, &s->request, &s->reply, bytes, len);
  if (error) fail(s, to, error, true);
}

/* End the receiver after the complete body. After an error do nothing, because fail has aborted the receiver
 * already. */
static void close_receipt(vsi_serving *s, receipt *to) {
  if (to->error) return;
  to->is_open = false;
  to->error = receiver_of(s)->end(to->state, &s->request, &s->reply);
  to->is_guarded = to->error != VESTRY_OK;
}

static vestry_err conclude(vsi_serving *s, const receipt *to, vestry_connection **ret_connection) {
  if (to->error && !to->is_guarded) return vsi_serving_refuse_reading(s, to->error, NULL);
  return vsi_serving_conclude(s, to->error, to->is_guarded, ret_connection);
}

/* Allocate a piece, counted in the budget of all requests. OK | LIMIT | NO_MEMORY */
static vestry_err make_piece(vestry *v, char **ret_piece) {
  if (!vestry_request_bytes_take(v, VESTRY_RECEIVE_BYTES)) {
    vestry_reject(v, VESTRY_REFUSAL_BUDGET);
    return VESTRY_LIMIT;
  }
  *ret_piece = vsi_alloc(v->host, VESTRY_RECEIVE_BYTES);
  if (*ret_piece) return VESTRY_OK;
  vestry_request_bytes_give(v, VESTRY_RECEIVE_BYTES);
  return VESTRY_NO_MEMORY;
}

static void free_piece(vestry *v, char *piece) {
  if (!piece) return;
  vsi_free(v->host, piece);
  vestry_request_bytes_give(v, VESTRY_RECEIVE_BYTES);
}

/* -------------------------------------------------------------------------------- of a server that vestry reads -- */

static void read_all(vsi_serving *s, receipt *to, char *buffer) {
  const vestry_request_ops *ops = s->own_request.ops;
  int64_t announced = vsi_request_length(&s->request);
  if (ops->receives) ops->receives(s->own_request.server_request, VESTRY_RECEIVE_BYTES);
  for (size_t len = 1; len && !to->error && (announced < 0 || to->len < (uint64_t)announced);) {
    vestry_err error = ops->read(s->own_request.server_request, buffer, VESTRY_RECEIVE_BYTES, &len);
    if (!error && (len > VESTRY_RECEIVE_BYTES || (!len && announced >= 0))) error = VESTRY_IO;
    if (error)
      fail(s, to, error, false);
    else
      take_piece(s, to, buffer, len);
  }
}

vestry_err vsi_receive(vsi_serving *s, vestry_connection **ret_connection) {
  receipt to = {0};
  char *piece = NULL;
  vsi_serving_begin_span(s);
  begin_receipt(s, &to);
  if (!to.error && vsi_request_length(&s->request)) {
    vestry_err lacks = make_piece(s->v, &piece);
    if (lacks)
      fail(s, &to, lacks, false);
    else
      read_all(s, &to, piece);
  }
  free_piece(s->v, piece);
  close_receipt(s, &to);
  vestry_err error = conclude(s, &to, ret_connection);
  vsi_serving_end_span(s, error);
  return error;
}

/* -------------------------------------------------------------------------------- of a server that reports bytes -- */

/* Every function below that calls the application begins with come_back, and ends with leave, or with the request's
 * end. After leave, the thread serves other requests until the next piece arrives. */
static void leave_request(vsi_serving *s, const vsi_inside *inside) {
  vsi_span_leave(&s->span);
  vsi_inside_end(inside);
}
static void come_back(vsi_serving *s, vsi_inside *inside) {
  vsi_inside_begin(inside, s->v);
  vsi_span_come_back(&s->span);
}

static vestry_receiving *make_receiving(vestry *v, const vestry_request_ops *ops, void *server_request) {
  const char *method = ops->method(server_request), *path = ops->path(server_request);
  const size_t method_room = strlen(method) + 1, path_room = strlen(path) + 1;
  vestry_receiving *receiving = vsi_alloc(v->host, sizeof *receiving + method_room + path_room);
  if (!receiving) return NULL;
  receiving->receipt = (receipt){0};
  receiving->piece = NULL;
  receiving->piece_len = 0;
  receiving->lacks = VESTRY_OK;
  vsi_serving_init(&receiving->s, v, ops, server_request);
  receiving->s.request.method = memcpy(receiving->text, method, method_room);
  receiving->s.request.path = memcpy(receiving->text + method_room, path, path_room);
  return receiving;
}

vestry_err vestry_receive_begin(vestry *v, const vestry_request_ops *ops, void *server_request,
                                vestry_receiving **ret_receiving) {
  /* Nearly every body is of another route, so look before anything is allocated. */
  vsi_visit first;
  char allow[VSI_ALLOW_BYTES];
  const bool is_routed =
      vsi_routes_find(v->routes, ops->method(server_request), ops->path(server_request), &first, allow);
  if (!is_routed || !first.route->receiver) return VESTRY_NOT_FOUND;
  vestry_receiving *receiving = make_receiving(v, ops, server_request);
  if (!receiving) return VESTRY_NO_MEMORY;
  vsi_serving *s = &receiving->s;
  (void)vsi_routes_find(v->routes, s->request.method, s->request.path, &s->visit, allow); /* in the copy of the path */
  s->visit.route = first.route;
  atomic_fetch_add_explicit(&v->requests, 1, memory_order_relaxed); /* relaxed: a counter */
  s->own_request.visit = &s->visit;
  vsi_inside inside;
  vsi_inside_begin(&inside, v);
  vsi_serving_begin_span(s);
  leave_request(s, &inside);
  *ret_receiving = receiving;
  return VESTRY_OK;
}

void vestry_receive_open(vestry_receiving *receiving) {
  vsi_serving *s = &receiving->s;
  vsi_inside inside;
  come_back(s, &inside);
  begin_receipt(s, &receiving->receipt);
  leave_request(s, &inside);
}

bool vestry_receive_wants(const vestry_receiving *receiving) {
  return !receiving->receipt.error && !receiving->lacks;
}

char *vestry_receive_room(vestry_receiving *receiving, size_t *ret_len) {
  *ret_len = 0;
  if (!receiving->piece && vestry_receive_wants(receiving))
    receiving->lacks = make_piece(receiving->s.v, &receiving->piece);
  if (!vestry_receive_wants(receiving)) return NULL;
  *ret_len = VESTRY_RECEIVE_BYTES - receiving->piece_len;
  return receiving->piece + receiving->piece_len;
}

void vestry_receive_put(vestry_receiving *receiving, size_t len) {
  receiving->piece_len += len;
}

static void write_piece(vestry_receiving *receiving, bool is_last) {
  vsi_serving *s = &receiving->s;
  const size_t len = receiving->piece_len;
  vsi_inside inside;
  come_back(s, &inside);
  receiving->piece_len = 0;
  if (receiving->lacks) fail(s, &receiving->receipt, receiving->lacks, false);
  take_piece(s, &receiving->receipt, receiving->piece, len);
  if (is_last) close_receipt(s, &receiving->receipt);
  leave_request(s, &inside);
}

void vestry_receive_write(vestry_receiving *receiving) {
  write_piece(receiving, false);
}

void vestry_receive_close(vestry_receiving *receiving) {
  write_piece(receiving, true);
}

/* End the request instead of leaving it. */
static void end_receiving(vestry_receiving *receiving, const vsi_inside *inside, vestry_err error) {
  vsi_serving *s = &receiving->s;
  vestry *v = s->v;
  vsi_serving_end_span(s, error);
  vsi_serving_finish(s);
  free_piece(v, receiving->piece);
  vsi_free(v->host, receiving);
  vsi_inside_end(inside);
}

/* Pass the buffered bytes to a receiver that keeps them without its request: an upload that can be resumed continues
 * after them. Nothing else may see them, because the parser of a form could find a file in them and call the guards,
 * which read headers that the server has freed. */
static void keep_piece(vestry_receiving *receiving) {
  receipt *to = &receiving->receipt;
  const vsi_receiver *receiver = receiver_of(&receiving->s);
  const size_t len = receiving->piece_len;
  if (!to->is_open || !receiver->keep || !len || len > to->most - to->len) return;
  to->len += len;
  receiver->keep(to->state, receiving->piece, len);
}

vestry_err vestry_receive_end(vestry_receiving *receiving, vestry_err why, vestry_connection **ret_connection) {
  vsi_serving *s = &receiving->s;
  vsi_inside inside;
  come_back(s, &inside);
  if (why) {
    vsi_request_detach(&s->request);
    keep_piece(receiving);
    fail(s, &receiving->receipt, why, false);
  } else {
    *ret_connection = NULL;
    why = conclude(s, &receiving->receipt, ret_connection);
  }
  end_receiving(receiving, &inside, why);
  return why;
}
