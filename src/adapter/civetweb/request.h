/* SPDX-License-Identifier: MIT */
/* One request of civetweb's, as vestry sees it. It lives on the serving thread's stack. */
#ifndef VSI_CIVETWEB_REQUEST_H
#define VSI_CIVETWEB_REQUEST_H

#include "adapter/civetweb/adapter.h"
#include "adapter/civetweb/deadline.h"

struct mg_connection;
struct mg_request_info;
struct vsi_civetweb_stream;

typedef struct vsi_civetweb vsi_civetweb;

typedef struct vsi_civetweb_request {
  vsi_civetweb *adapter;
  struct mg_connection *conn;
  const char *path; /* NULL: refused */
  const struct mg_request_info *info;
  bool is_head;     /* the method is HEAD: answers have no body */
  bool is_http11;   /* at least 1.1: answers can be chunked */
  bool wants_alive; /* the client would use the connection again, and the server lets it */
  bool is_chunked;  /* the body is */
  bool expects;     /* the client waits for "100 Continue" before it sends its body */
  bool must_close;  /* the connection does not outlive the request */
  bool lingers;     /* there is body to be taken after the answer */
  bool body_ended;  /* nothing more of the body is to be read */
  bool holds_place; /* a place for a stream was taken */
  vsi_civetweb_guest guest;
  vsi_civetweb_deadline deadline;     /* of the body, then of the answer, then of the linger */
  bool is_received;                   /* the body is, in pieces */
  size_t held_bytes;                  /* that are held of a body in pieces */
  size_t piece_bytes;                 /* of the piece that is being read */
  size_t body_bytes;                  /* read so far, of a body that is no such one */
  int64_t body_left;                  /* what Content-Length promised and read has not seen; 0 when chunked */
  int status;                         /* of the answer or of the stream's head, for the access log; 0: none */
  struct vsi_civetweb_stream *stream; /* what open made; gone when vestry has given it up */
} vsi_civetweb_request;

void vsi_civetweb_request_init(vsi_civetweb_request *request, vsi_civetweb *adapter, struct mg_connection *conn,
                               const struct mg_request_info *info);

/* Whether the headers say clearly where the body ends. If not, the next request on this connection could be one that
 * the client of another proxy hop smuggled in: answer 400 and close. */
bool vsi_civetweb_request_is_framed(const vsi_civetweb_request *request);

/* The connection does not outlive the request, whatever was negotiated. */
void vsi_civetweb_request_close(vsi_civetweb_request *request);

/* vestry_request_ops.read. */
vestry_err vsi_civetweb_request_read(void *request, void *buffer, size_t capacity, size_t *ret_len);

/* vestry_request_ops.receives. */
void vsi_civetweb_request_receives(void *request, size_t held_bytes);

/* Before an answer: when much of the body is unread, or the server keeps no connections, this one ends with it. */
void vsi_civetweb_request_answering(vsi_civetweb_request *request);
/* While an answer that holds so much is written, it can be cut. */
void vsi_civetweb_request_sends(vsi_civetweb_request *request, size_t bytes);
void vsi_civetweb_request_sent(vsi_civetweb_request *request);
/* After the answer: take what the client still sends of its body, within bounds, so that it gets to read the answer,
 * and civetweb has nothing left to wait for. */
void vsi_civetweb_request_finish(vsi_civetweb_request *request);

#endif
