/* SPDX-License-Identifier: MIT */
/* A request of civetweb. It lives on the stack of its worker. */
#ifndef VSI_CIVETWEB_REQUEST_H
#define VSI_CIVETWEB_REQUEST_H

#include "adapter/civetweb/adapter.h"
#include "adapter/civetweb/deadline.h"
#include "adapter/web/repeated.h"

struct mg_connection;
struct mg_request_info;
struct vsi_civetweb_stream;

typedef struct vsi_civetweb vsi_civetweb;

typedef struct vsi_civetweb_request {
  vsi_civetweb *adapter;
  struct mg_connection *conn;
  const char *path; /* NULL: refused */
  const struct mg_request_info *info;
  bool is_head;                       /* the method is HEAD: answers have no body */
  bool is_http11;                     /* at least 1.1: answers can be chunked */
  bool wants_alive;                   /* the client would reuse the connection, and the server allows it */
  bool is_chunked;                    /* the body is chunked */
  bool expects;                       /* the client waits for "100 Continue" before it sends its body */
  bool must_close;                    /* the connection ends with the request */
  bool lingers;                       /* the rest of the body is read after the answer */
  bool body_ended;                    /* no more of the body is to be read */
  bool holds_place;                   /* a place for a stream was taken */
  vsi_civetweb_deadline deadline;     /* of the body, then of the answer, then of the lingering */
  bool is_received;                   /* the body is received in pieces */
  size_t held_bytes;                  /* bytes that a body in pieces holds */
  size_t piece_bytes;                 /* bytes of the current piece */
  size_t body_bytes;                  /* bytes read so far, of a body that is not in pieces */
  int64_t body_left;                  /* remaining bytes of Content-Length; 0 if chunked */
  vsi_web_joined *joined;             /* headers with several lines */
  int status;                         /* of the answer or the stream's head, for the access log; 0: none */
  struct vsi_civetweb_stream *stream; /* created by open; invalid after vestry has released it */
} vsi_civetweb_request;

void vsi_civetweb_request_init(vsi_civetweb_request *request, vsi_civetweb *adapter, struct mg_connection *conn,
                               const struct mg_request_info *info);

/* Return whether the headers define the end of the body unambiguously. If not, the next request on this connection
 * could be smuggled in by a client of an upstream proxy: answer 400 and close. */
bool vsi_civetweb_request_is_framed(const vsi_civetweb_request *request);

/* Close the connection after the request, whatever was negotiated. */
void vsi_civetweb_request_close(vsi_civetweb_request *request);

/* Implements vestry_request_ops.read. */
vestry_err vsi_civetweb_request_read(void *request, void *buffer, size_t capacity, size_t *ret_len);

/* Implements vestry_request_ops.receives. */
void vsi_civetweb_request_receives(void *request, size_t held_bytes);

/* Prepare an answer: decide whether the connection ends with it, because much of the body is unread or the server keeps
 * no connections. */
void vsi_civetweb_request_answering(vsi_civetweb_request *request);
/* Allow an answer that holds this many bytes to be cut while it is written (sends); disallow it after the write
 * (sent). */
void vsi_civetweb_request_sends(vsi_civetweb_request *request, size_t bytes);
void vsi_civetweb_request_sent(vsi_civetweb_request *request);
/* Finish a request after its answer: read the rest of its body, within bounds, so that the client gets to read the
 * answer and civetweb has nothing left to wait for. */
void vsi_civetweb_request_finish(vsi_civetweb_request *request);

#endif
