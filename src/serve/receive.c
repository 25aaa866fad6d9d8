/* SPDX-License-Identifier: MIT */
/* Bodies in pieces. A server that lets its thread wait for bytes is asked for them, piece by piece (vsi_receive); one
 * that is told of bytes hands them over (vestry_receiving). Both do the same with a piece: what is refused once is not
 * written any more, and the answer is made of the first error. The next piece is taken when the writer has returned:
 * so a writer that is slow slows its client down, and no piece waits in memory. */
#include "serve/receive.h"

#include "base/memory.h"
#include "base/options.h"
#include "http/answer.h"
#include "instance/instance.h"

struct vestry_receiving {
  vsi_serving s;
  vsi_receipt receipt;
};

static const vsi_receiver *receiver_of(const vsi_serving *s) {
  return s->visit.route->receiver;
}

/* ---------------------------------------------------------------------------------------- a body, step by step ---- */

static void fail(vsi_serving *s, vsi_receipt *receipt, vestry_err error, bool is_guarded) {
  if (receipt->error) return;
  receipt->error = error;
  receipt->is_guarded = is_guarded;
  if (!receipt->is_open) return;
  receipt->is_open = false;
  receiver_of(s)->abort(receipt->state, error);
}

static vestry_err begin(vsi_serving *s, vsi_receipt *receipt) {
  vestry_request *req = &s->request;
  if (req->is_datastar && !(req->signals = json_object())) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_serving_find_scope(s);
  if (!error) error = receiver_of(s)->begin(s->visit.route->app, req, &s->reply, &receipt->state);
  receipt->is_open = !error;
  return error;
}

static void begin_receipt(vsi_serving *s, vsi_receipt *receipt) {
  int64_t announced = vsi_request_length(&s->request);
  *receipt = (vsi_receipt){.most = vestry_max_body_bytes_at(s->v, s->request.path)};
  if (vsi_instance_is_closing(s->v))
    fail(s, receipt, VESTRY_CLOSED, false);
  else if (announced > 0 && (uint64_t)announced > receipt->most)
    fail(s, receipt, VESTRY_TOO_LARGE, false);
  vestry_err error = receipt->error ? VESTRY_OK : begin(s, receipt);
  if (error) fail(s, receipt, error, true);
}

static void take(vsi_serving *s, vsi_receipt *receipt, const void *bytes, size_t len) {
  if (receipt->error || !len) return;
  receipt->len += len;
  if (receipt->len > receipt->most) {
    fail(s, receipt, VESTRY_TOO_LARGE, false);
    return;
  }
  vestry_err error = receiver_of(s)->write(receipt->state, &s->request, &s->reply, bytes, len);
  if (error) fail(s, receipt, error, true);
}

/* All of the body was taken, or no more of it is wanted. */
static vestry_err conclude(vsi_serving *s, vsi_receipt *receipt, vestry_connection **ret_connection) {
  if (receipt->error && !receipt->is_guarded) return vsi_serving_refuse_reading(s, receipt->error, NULL);
  if (receipt->error) return vsi_serving_conclude(s, receipt->error, true, ret_connection);
  receipt->is_open = false;
  vestry_err error = receiver_of(s)->end(receipt->state, &s->request, &s->reply);
  return vsi_serving_conclude(s, error, error != VESTRY_OK, ret_connection);
}

/* ------------------------------------------------------------------------------------- of a server that is asked -- */

/* Its room is of all requests' bytes. NULL: there is none, and the receipt has failed. */
static char *make_buffer(vsi_serving *s, vsi_receipt *receipt) {
  if (!vestry_request_bytes_take(s->v, VESTRY_RECEIVE_BYTES)) {
    vestry_turn_away(s->v, VESTRY_REFUSAL_BUDGET);
    fail(s, receipt, VESTRY_LIMIT, false);
    return NULL;
  }
  char *buffer = vsi_alloc(s->v->host, VESTRY_RECEIVE_BYTES);
  if (buffer) return buffer;
  vestry_request_bytes_give(s->v, VESTRY_RECEIVE_BYTES);
  fail(s, receipt, VESTRY_NO_MEMORY, false);
  return NULL;
}

static void read_all(vsi_serving *s, vsi_receipt *receipt, char *buffer) {
  const vestry_request_ops *ops = s->own_request.ops;
  int64_t announced = vsi_request_length(&s->request);
  if (VSI_OPS_HAVE(ops, vestry_request_ops, receives))
    ops->receives(s->own_request.server_request, VESTRY_RECEIVE_BYTES);
  for (size_t len = 1; len && !receipt->error && (announced < 0 || receipt->len < (uint64_t)announced);) {
    vestry_err error = ops->read(s->own_request.server_request, buffer, VESTRY_RECEIVE_BYTES, &len);
    if (!error && (len > VESTRY_RECEIVE_BYTES || (!len && announced >= 0))) error = VESTRY_IO;
    if (error)
      fail(s, receipt, error, false);
    else
      take(s, receipt, buffer, len);
  }
}

vestry_err vsi_receive(vsi_serving *s, vestry_connection **ret_connection) {
  vsi_receipt receipt;
  vsi_serving_begin_span(s);
  begin_receipt(s, &receipt);
  char *buffer = receipt.error || !vsi_request_length(&s->request) ? NULL : make_buffer(s, &receipt);
  if (buffer) {
    read_all(s, &receipt, buffer);
    vsi_free(s->v->host, buffer);
    vestry_request_bytes_give(s->v, VESTRY_RECEIVE_BYTES);
  }
  vestry_err error = conclude(s, &receipt, ret_connection);
  vsi_serving_end_span(s, error);
  vsi_serving_tell_watcher(s);
  return error;
}

/* ------------------------------------------------------------------------------------- of a server that tells ----- */

/* The thread serves others until the next piece is there. */
static void leave(vsi_serving *s) {
  vsi_span_leave(&s->span);
  vsi_visit_pause(&s->visit);
}
static void come_back(vsi_serving *s) {
  vsi_visit_go_on(&s->visit);
  vsi_span_come_back(&s->span);
}

vestry_err vestry_receive_begin(vestry *v, const vestry_request_ops *ops, void *server_request,
                                vestry_receiving **ret_receiving) {
  vestry_receiving *receiving = vsi_alloc(v->host, sizeof *receiving);
  if (!receiving) return VESTRY_NO_MEMORY;
  vsi_serving *s = &receiving->s;
  char allow[VSI_ALLOW_BYTES];
  vsi_serving_init(s, v, ops, server_request);
  bool is_routed = vsi_routes_enter(v->routes, s->request.method, s->request.path, &s->visit, allow);
  if (!is_routed || !s->visit.route->receiver) {
    if (is_routed) vsi_routes_leave(v->routes, &s->visit);
    vsi_serving_finish(s);
    vsi_free(v->host, receiving);
    return VESTRY_NOT_FOUND;
  }
  atomic_fetch_add_explicit(&v->requests, 1, memory_order_relaxed); /* a mere count */
  s->own_request.visit = &s->visit;
  vsi_serving_begin_span(s);
  begin_receipt(s, &receiving->receipt);
  leave(s);
  *ret_receiving = receiving;
  return VESTRY_OK;
}

bool vestry_receive_wants(const vestry_receiving *receiving) {
  return !receiving->receipt.error;
}

void vestry_receive_write(vestry_receiving *receiving, const void *bytes, size_t len) {
  vsi_serving *s = &receiving->s;
  come_back(s);
  take(s, &receiving->receipt, bytes, len);
  leave(s);
}

static void end(vestry_receiving *receiving, vestry_err error) {
  vsi_serving *s = &receiving->s;
  vestry *v = s->v;
  vsi_serving_end_span(s, error);
  vsi_serving_tell_watcher(s);
  vsi_routes_leave(v->routes, &s->visit);
  vsi_serving_finish(s);
  vsi_free(v->host, receiving);
}

vestry_err vestry_receive_end(vestry_receiving *receiving, vestry_connection **ret_connection) {
  vsi_serving *s = &receiving->s;
  *ret_connection = NULL;
  come_back(s);
  vestry_err error = conclude(s, &receiving->receipt, ret_connection);
  end(receiving, error);
  return error;
}

void vestry_receive_abandon(vestry_receiving *receiving, vestry_err why) {
  if (!receiving) return;
  come_back(&receiving->s);
  fail(&receiving->s, &receiving->receipt, why, false);
  end(receiving, why);
}
