/* SPDX-License-Identifier: MIT */
/* A request of civetweb: its head, its body, and its response or stream. It lives on the stack of its worker. */
#ifndef VSI_CIVETWEB_REQUEST_H
#define VSI_CIVETWEB_REQUEST_H

#include "adapter/civetweb/adapter.h"
#include "vestry/adapter.h"

typedef struct vsi_civetweb_request {
  vsi_civetweb *adapter;
  struct mg_connection *conn;
  const struct mg_request_info *info;
  const char *path; /* NULL: refused */
  vsi_civetweb_peer peer;
  bool has_peer;
  bool is_head;                       /* the method is HEAD: responses have no body */
  bool is_http11;                     /* at least 1.1: responses can be chunked */
  bool wants_alive;                   /* the client would reuse the connection, and the server allows it */
  bool is_chunked;                    /* the body is chunked */
  bool expects;                       /* the client waits for "100 Continue" before it sends its body */
  bool must_close;                    /* the connection ends with the request */
  bool lingers;                       /* the rest of the body is read after the response */
  bool body_ended;                    /* no more of the body is to be read */
  bool holds_place;                   /* a place for a stream was taken */
  vsi_civetweb_deadline deadline;     /* of the body, then of the response, then of the lingering */
  bool is_received;                   /* the body is received in pieces */
  size_t held_bytes;                  /* bytes that a body in pieces holds */
  size_t piece_bytes;                 /* bytes of the current piece */
  size_t body_bytes;                  /* bytes read so far, of a body that is not in pieces */
  int64_t body_left;                  /* remaining bytes of Content-Length; 0 if chunked */
  int status;                         /* of the response or the stream's head, for the access log; 0: none */
  struct vsi_civetweb_stream *stream; /* created by open; invalid after vestry has released it */
} vsi_civetweb_request;

/* ---- the body: request.c ----------------------------------------------------------------------------------------- */

/* path: NULL: refused. */
void vsi_civetweb_request_init(vsi_civetweb_request *request, vsi_civetweb *adapter, struct mg_connection *conn,
                               const char *path);
/* Close the connection after the request, whatever was negotiated. */
void vsi_civetweb_request_close(vsi_civetweb_request *request);

/* Implement members of vestry_request_ops. */
vestry_err vsi_civetweb_request_read(void *request, void *buffer, size_t capacity, size_t *ret_len);
void vsi_civetweb_request_receives(void *request, size_t held_bytes);

/* Prepare a response: decide whether the connection ends with it, because much of the body is unread or the server
 * keeps no connections. response_bytes: if not 0, the response holds this memory, and may be cut while it is written */
void vsi_civetweb_request_answers(vsi_civetweb_request *request, size_t response_bytes);
/* Finish a request after its response: read the rest of its body, within bounds, so that the client gets to read the
 * response and civetweb has nothing left to wait for. */
void vsi_civetweb_request_finish(vsi_civetweb_request *request);

/* ---- the response: answer.c -------------------------------------------------------------------------------------- */

/* Format a head, as snprintf does: returns its length, and writes it if capacity is larger.
 * framing  the header that marks the end of the body, with its CR LF; "": none
 * unix_s   by the system clock, because the host's clock is monotonic */
size_t vsi_civetweb_head_format(char *buffer, size_t capacity, const vestry_response *response, const char *framing,
                                bool keep_alive, int64_t unix_s);

/* Implement members of vestry_request_ops. */
vestry_err vsi_civetweb_respond(void *request, const vestry_response *response);
vestry_err vsi_civetweb_respond_body(void *request, const vestry_response *response, vestry_body *body);

/* ---- the stream: stream.c ---------------------------------------------------------------------------------------- */

/* Implements vestry_request_ops.open. */
vestry_err vsi_civetweb_open(void *request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                             void **ret_transport);
/* Run the connection of request->stream to its end on the calling thread, which is the request's. */
void vsi_civetweb_park(vsi_civetweb_request *request, vestry_connection *connection);

#endif
