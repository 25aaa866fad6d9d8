/* SPDX-License-Identifier: MIT */
/* essay: blocking writers on threads that must not block */
/* Bodies in pieces, which writers of the application take.
 *
 * A thread of libmicrohttpd serves many connections, but a writer of files may block, because it waits for a disk or a
 * database. Therefore the connection is suspended while its writer works on a thread of the writer pool
 * (writer_pool.c), and resumed afterwards. Until then libmicrohttpd does not touch the connection, and the request
 * belongs to that thread. To limit the cost, this is done once for each VESTRY_RECEIVE_BYTES and not for each read. A
 * step is the work during one suspension:
 *
 *   OPEN ──> WRITE or READ, for each piece ──┬─> CLOSE ──> libmicrohttpd sends the response (serve.c)
 *                                            └─> ANSWER: vestry sends it (direct_read.c), because the rest of
 *                                                the body is unwanted, or was read directly
 *
 * The next call of libmicrohttpd depends on the moment of the suspension:
 * - at the head: the head is passed once more;
 * - in the body: the remaining bytes are passed again;
 * - at the end: the end is reported again.
 * In one case libmicrohttpd (0.9.75) calls although the connection is suspended: if more chunks are in its memory. Then
 * the bytes are left there.
 *
 * Deadlines are for clients, and do not run while a writer works. A stop waits for the working writers, because
 * libmicrohttpd would end the process if it was stopped with a suspended connection. In a daemon of the application
 * that runs on the application's loop, no thread would look for resumed connections; there the writer works on the
 * loop's thread. */
#include "adapter/microhttpd/adapter.h"

enum { PASSED_BYTES = VSI_MICROHTTPD_PASSED_BYTES };

static vsi_microhttpd_request *request_of(vsi_microhttpd_errand *errand) {
  return (vsi_microhttpd_request *)(void *)((char *)errand - offsetof(vsi_microhttpd_request, errand));
}

/* ------------------------------------------------------------------------------------------------------ a step ---- */

enum { OPEN, WRITE, READ, CLOSE, ANSWER };

/* Return whether the rest of an unwanted body is longer than what is discarded before a response. The rest of a chunked
 * body is known only when it was discarded. */
static bool has_much_left(const vsi_microhttpd_request *request) {
  return !request->is_chunked && request->body_length - request->body_received > PASSED_BYTES;
}

/* Make the response before libmicrohttpd has seen the end of the body: end the writer, or serve a request without
 * one. */
static void make_answer(vsi_microhttpd_request *request) {
  vestry_connection *none;
  vestry_receiving *receiving = request->receiving;
  request->receiving = NULL;
  request->is_direct = request->is_answered = true;
  request->body_passed = 0;
  if (receiving) {
    vestry_receive_close(receiving);
    (void)vestry_receive_end(receiving, VESTRY_OK, &none);
  } else if (request->refused) {
    (void)vsi_microhttpd_refuse(request, request->refused);
  } else {
    (void)vsi_microhttpd_request_serve(request, &none);
  }
  vsi_microhttpd_socket_holds(request->socket, 0);
}

/* Answer. Returns whether to run this again, because a part of the response is left. */
static bool answer(vsi_microhttpd_request *request) {
  if (!request->is_answered) make_answer(request);
  return vsi_microhttpd_direct_send(request);
}

/* Run a step. Returns whether to run it again, because it has more to do and other errands need the thread. */
static bool step(vsi_microhttpd_request *request) {
  switch (request->step) {
  case OPEN: vestry_receive_open(request->receiving); return false;
  case CLOSE: vestry_receive_close(request->receiving); return false;
  case ANSWER: return answer(request);
  default: break;
  }
  bool has_more = false;
  if (request->step == WRITE)
    vestry_receive_write(request->receiving);
  else
    has_more = vsi_microhttpd_direct_read(request) && !vsi_web_gate_is_shut(&request->adapter->gate);
  const bool is_refused = !vestry_receive_wants(request->receiving) && has_much_left(request);
  if (!is_refused && !vsi_microhttpd_direct_is_over(request)) return has_more;
  request->step = ANSWER;
  return answer(request);
}

/* End a step. A closed body stays inside the gate until it is answered, so that a stop cannot come in between. After a
 * direct response, the connection is in time if its client closes it soon. */
static void step_is_done(vsi_microhttpd_request *request) {
  vsi_web_gate *gate = &request->adapter->gate;
  struct MHD_Connection *conn = request->conn;
  const bool stays = request->is_inside, is_suspended = request->is_suspended;
  if (request->is_answered) vsi_microhttpd_direct_end(request);
  if (!stays) vsi_microhttpd_socket_goes_on(request->socket);
  if (is_suspended) MHD_resume_connection(conn); /* the request may be freed from here on */
  if (!stays) vsi_web_gate_leave(gate);
}

static void run_step(vsi_microhttpd_errand *errand) {
  vsi_microhttpd_request *request = request_of(errand);
  if (step(request) && vsi_microhttpd_writer_pool_give(&request->adapter->writer_pool, errand, NULL)) return;
  step_is_done(request);
}

static vsi_microhttpd_turn make_step(vsi_microhttpd_request *request, int which) {
  vsi_microhttpd *adapter = request->adapter;
  if (!vsi_web_gate_enter(&adapter->gate)) return VSI_MICROHTTPD_BREAKS;
  vsi_microhttpd_socket_serves(request->socket);
  request->step = (uint8_t)which;
  request->is_inside = which == CLOSE;
  request->is_suspended = atomic_load_explicit(&adapter->attached.has_threads, memory_order_relaxed);
  if (!request->is_suspended) {
    step(request);
    step_is_done(request);
    return VSI_MICROHTTPD_GOES_ON;
  }
  request->errand.run = run_step;
  MHD_suspend_connection(request->conn);
  if (!vsi_microhttpd_writer_pool_give(&adapter->writer_pool, &request->errand, NULL)) run_step(&request->errand);
  return VSI_MICROHTTPD_WAITS;
}

/* ------------------------------------------------------------------------------------------------------ a body ---- */

vsi_microhttpd_turn vsi_microhttpd_streamed_body_begin(vsi_microhttpd_request *request) {
  request->reads = vsi_microhttpd_direct_fits(request);
  vestry_err error = vsi_microhttpd_request_receive(request);
  request->no_memory = error == VESTRY_NO_MEMORY;
  if (error) return VSI_MICROHTTPD_GOES_ON;
  vsi_microhttpd_socket_holds(request->socket, VESTRY_RECEIVE_BYTES);
  return make_step(request, OPEN);
}

vsi_microhttpd_turn vsi_microhttpd_streamed_body_answer(vsi_microhttpd_request *request) {
  return make_step(request, ANSWER);
}

static vsi_microhttpd_turn pass_over(vsi_microhttpd_request *request, size_t *len) {
  request->body_passed += *len;
  *len = 0;
  if (request->is_answered)
    return request->body_passed <= PASSED_BYTES ? VSI_MICROHTTPD_GOES_ON : VSI_MICROHTTPD_BREAKS;
  const bool is_enough = request->body_passed > PASSED_BYTES || has_much_left(request);
  return is_enough ? vsi_microhttpd_streamed_body_answer(request) : VSI_MICROHTTPD_GOES_ON;
}

static bool is_all_here(const vsi_microhttpd_request *request) {
  return request->is_direct && request->body_received == request->body_length;
}

/* Copy bytes of the body into the piece. If the body was read directly, more bytes than it has may come. Returns
 * whether the piece is full. */
static bool put(vsi_microhttpd_request *request, char *to, size_t room, const char **bytes, size_t *len) {
  const uint64_t left = request->body_length - request->body_received;
  size_t part = *len < room ? *len : room;
  if (request->is_direct && left < part) part = (size_t)left;
  memcpy(to, *bytes, part);
  vestry_receive_put(request->receiving, part);
  request->body_received += part;
  *bytes += part;
  *len -= part;
  return part == room;
}

vsi_microhttpd_turn vsi_microhttpd_streamed_body_take(vsi_microhttpd_request *request, const char *bytes, size_t *len) {
  size_t room;
  while (*len && !request->is_answered && !is_all_here(request)) {
    char *to = vestry_receive_room(request->receiving, &room);
    if (!to) return pass_over(request, len);
    if (!put(request, to, room, &bytes, len)) continue;
    vsi_microhttpd_turn turn = make_step(request, request->reads && !*len ? READ : WRITE);
    if (turn) return turn;
  }
  if (request->is_answered) return pass_over(request, len);
  /* The socket is read directly only if no bytes are left in libmicrohttpd's memory. */
  const bool reads = is_all_here(request) || (request->reads && vsi_microhttpd_direct_pays(request));
  return reads ? make_step(request, READ) : VSI_MICROHTTPD_GOES_ON;
}

vsi_microhttpd_turn vsi_microhttpd_streamed_body_close(vsi_microhttpd_request *request) {
  request->is_closed = true;
  return make_step(request, CLOSE);
}

vestry_err vsi_microhttpd_streamed_body_end(vsi_microhttpd_request *request, vestry_connection **ret_connection) {
  vestry_receiving *receiving = request->receiving;
  request->receiving = NULL;
  vestry_err error = vestry_receive_end(receiving, VESTRY_OK, ret_connection);
  vsi_microhttpd_socket_holds(request->socket, 0);
  return error;
}

/* ------------------------------------------------------------------------------------------- an abandoned body ---- */

static void abandon(vsi_microhttpd_errand *errand) {
  vsi_microhttpd_request *request = request_of(errand);
  vsi_microhttpd *adapter = request->adapter;
  const bool is_inside = request->is_inside;
  (void)vestry_receive_end(request->receiving, request->why, NULL);
  vsi_free(adapter->host, request);
  if (is_inside) vsi_web_gate_leave(&adapter->gate);
}

void vsi_microhttpd_request_destroy(vsi_microhttpd_request *request) {
  if (!request) return;
  vsi_microhttpd *adapter = request->adapter;
  request->why = vsi_microhttpd_request_detach(request);
  if (!request->receiving) {
    vsi_free(adapter->host, request);
    return;
  }
  request->errand.run = abandon;
  if (!request->is_inside) request->is_inside = vsi_web_gate_enter(&adapter->gate);
  if (!request->is_inside || !vsi_microhttpd_writer_pool_give(&adapter->writer_pool, &request->errand, NULL))
    abandon(&request->errand);
}
