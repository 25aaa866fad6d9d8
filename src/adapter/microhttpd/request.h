/* SPDX-License-Identifier: MIT */
/* One request of libmicrohttpd's, as vestry sees it. It lives from the request line until libmicrohttpd is done with
 * the request or closes the connection, or until its stream has begun. Used by one thread, that of the connection. */
#ifndef VSI_MICROHTTPD_REQUEST_H
#define VSI_MICROHTTPD_REQUEST_H

#include <arpa/inet.h>

#include "adapter/microhttpd/adapter.h"

struct vsi_microhttpd_stream;

/* So much of a body that is not wanted is taken before the answer: a socket that is closed with unread bytes resets the
 * connection, and the client might lose the answer that told it why. */
enum { VSI_MICROHTTPD_PASSED_BYTES = 4 * 1024 * 1024 };

typedef struct vsi_microhttpd_request {
  vsi_map_link in_slots; /* first; attached: among the requests that are under way */
  vsi_microhttpd *adapter;
  struct MHD_Connection *conn;
  vsi_microhttpd_socket *socket;        /* which has it */
  const char *method;                   /* libmicrohttpd's */
  bool has_begun;                       /* its head was looked at */
  bool is_head;                         /* the method is HEAD: answers have no body */
  bool is_http11;                       /* answers can be chunked */
  bool is_chunked;                      /* the body is */
  int refused;                          /* the status to answer with once the body was passed over; 0: serve it */
  bool is_routed;                       /* there was a route for it when its head was looked at */
  struct vsi_microhttpd_stream *stream; /* what open made; gone when vestry has given it up */
  unsigned stream_status;

  uint64_t body_length; /* by Content-Length; 0 when chunked */
  char *body;           /* as far as it came, at most one byte beyond the limit */
  size_t body_len, body_capacity, body_read;
  size_t max_body_bytes; /* of its path */
  uint64_t body_passed;  /* of a body that is not wanted: what was thrown away */
  bool no_memory;        /* for the body */

  vestry_receiving *receiving;  /* the body's, if it comes in pieces (pieces.c); NULL: none */
  bool reads;                   /* they may be read around libmicrohttpd (around.c) */
  bool is_around;               /* they have been: libmicrohttpd will not see its end */
  bool is_answered;             /* around it; what comes now is passed over */
  uint64_t body_received;       /* of one whose length is known */
  bool is_closed;               /* its writer is to end, or has ended */
  uint8_t step;                 /* what its writer does (pieces.c) */
  bool is_suspended;            /* for that */
  bool is_at_head;              /* it was suspended there, and is told of its head once more */
  bool is_inside;               /* of the gate, until it is answered */
  vestry_err why;               /* it is broken off */
  vsi_microhttpd_errand errand; /* what it is suspended for, or the last of it */

  char peer[INET6_ADDRSTRLEN];
  size_t target_len; /* as it was sent */
  bool is_legal;     /* the target is one that has a path */
  const char *query; /* in target; NULL: none */
  char *path;        /* decoded; in target, after what was sent */
  char target[];     /* as sent; attached: the query, put together again */
} vsi_microhttpd_request;

/* NULL: no memory. target: copied. The socket has it from here on. */
vsi_microhttpd_request *vsi_microhttpd_request_create(vsi_microhttpd *adapter, struct MHD_Connection *conn,
                                                      vsi_microhttpd_socket *socket, const char *target);
/* The same for a request of a daemon that is not vestry's, whose target was taken apart already. path: decoded */
vsi_microhttpd_request *vsi_microhttpd_request_adopt(vsi_microhttpd *adapter, struct MHD_Connection *conn,
                                                     const char *path, const char *version);
/* Its socket forgets it, and it has nothing of its body any more: to be freed, or to be broken off (pieces.h). Returns
 * why its body comes no further: IO | TIMEOUT */
vestry_err vsi_microhttpd_request_detach(vsi_microhttpd_request *request);

/* Look at its head. */
void vsi_microhttpd_request_begin(vsi_microhttpd_request *request, const char *method, const char *path,
                                  const char *version);
/* Take some of a body that does not come in pieces. false: enough is enough, the connection is to be closed. */
bool vsi_microhttpd_request_take(vsi_microhttpd_request *request, const char *data, size_t len);
/* vestry_request_ops.read. */
vestry_err vsi_microhttpd_request_read(void *request, void *buffer, size_t capacity, size_t *ret_len);
/* Whether the client would be told to go on with a body that is not wanted, or that is too large to be passed over: it
 * is to be answered now. */
bool vsi_microhttpd_request_is_hopeless(const vsi_microhttpd_request *request);

#endif
