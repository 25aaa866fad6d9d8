/* SPDX-License-Identifier: MIT */
/* A request of libmicrohttpd. It lives from the request line until libmicrohttpd has finished the request or closes the
 * connection, or until its stream has begun. Used only by the thread of the connection. */
#ifndef VSI_MICROHTTPD_REQUEST_H
#define VSI_MICROHTTPD_REQUEST_H

#include <arpa/inet.h>

#include "adapter/microhttpd/adapter.h"
#include "adapter/microhttpd/wire.h"
#include "adapter/web/repeated.h"

struct vsi_microhttpd_stream;

/* Number of bytes of an unwanted body that are discarded before the answer. If a socket is closed with unread bytes,
 * the connection is reset, and the client might lose the answer that explains why. After a direct answer, the same
 * number is discarded before the connection is closed. */
enum { VSI_MICROHTTPD_PASSED_BYTES = 4 * 1024 * 1024 };

/* An answer that vestry itself sends, instead of libmicrohttpd (direct_read.c). */
typedef struct vsi_microhttpd_direct {
  vsi_microhttpd_wire wire;
  char *head;                   /* owned */
  size_t head_len;              /* with a body that was only lent */
  vsi_microhttpd_sending *body; /* owned; NULL: none, or it was lent */
  uint64_t body_len;
  uint64_t sent;     /* bytes of both */
  uint64_t begun_ns; /* when it was made */
  bool is_made;
} vsi_microhttpd_direct;

typedef struct vsi_microhttpd_request {
  vsi_map_link in_slots; /* first member; attached: in the set of running requests */
  vsi_microhttpd *adapter;
  struct MHD_Connection *conn;
  vsi_microhttpd_socket *socket;        /* the owner of the request */
  const char *method;                   /* memory of libmicrohttpd */
  bool has_begun;                       /* its head was checked */
  bool is_head;                         /* the method is HEAD: answers have no body */
  bool is_http11;                       /* answers can be chunked */
  bool is_chunked;                      /* the body is chunked */
  int refused;                          /* status of the answer after the body was discarded; 0: serve it */
  bool is_routed;                       /* there was a route for it when its head was checked */
  struct vsi_microhttpd_stream *stream; /* created by open; invalid after vestry has released it */
  unsigned stream_status;

  uint64_t body_length; /* by Content-Length; 0 if chunked */
  char *body;           /* as far as received, at most one byte beyond the limit */
  size_t body_len, body_capacity, body_read;
  size_t max_body_bytes; /* for its path */
  uint64_t body_passed;  /* discarded bytes of an unwanted body */
  bool no_memory;        /* for the body */

  vestry_receiving *receiving;  /* of the body, if it is in pieces (streamed_body.c); NULL: none */
  bool reads;                   /* its pieces may be read directly (direct_read.c) */
  bool is_direct;               /* libmicrohttpd will not see the end of the body, because some pieces were read
                                   directly or an answer is due before it: vestry sends the answer */
  bool is_answered;             /* answered directly; bytes that still arrive are discarded */
  vsi_microhttpd_direct direct; /* that answer */
  uint64_t body_received;       /* of a body of known length */
  bool is_closed;               /* its writer is to end, or has ended */
  uint8_t step;                 /* the writer's current step (streamed_body.c) */
  bool is_suspended;            /* for that step */
  bool is_at_head;              /* it was suspended at its head, which will be passed once more */
  bool is_inside;               /* inside the gate, until it is answered */
  vestry_err why;               /* reason why the body was abandoned */
  vsi_microhttpd_errand errand; /* the task for which it is suspended, or the last one */

  vsi_web_joined *joined; /* headers with several lines */
  char peer[INET6_ADDRSTRLEN];
  size_t target_len; /* as it was sent */
  bool is_legal;     /* the target is valid and has a path */
  const char *query; /* in target; NULL: none */
  char *path;        /* decoded; in target, after the text as sent */
  char target[];     /* as sent; attached: the reassembled query */
} vsi_microhttpd_request;

/* Create a request, which the socket owns. target: copied. NULL: no memory. */
vsi_microhttpd_request *vsi_microhttpd_request_create(vsi_microhttpd *adapter, struct MHD_Connection *conn,
                                                      vsi_microhttpd_socket *socket, const char *target);
/* The same for a request of a daemon of the application, whose target was split already. path: decoded */
vsi_microhttpd_request *vsi_microhttpd_request_adopt(vsi_microhttpd *adapter, struct MHD_Connection *conn,
                                                     const char *path, const char *version);
/* Detach a request from its socket, and free its body, before it is freed or abandoned (streamed_body.h). Returns why
 * the body ends: IO | TIMEOUT */
vestry_err vsi_microhttpd_request_detach(vsi_microhttpd_request *request);

/* Check the head. */
void vsi_microhttpd_request_begin(vsi_microhttpd_request *request, const char *method, const char *path,
                                  const char *version);
/* Take bytes of a body that is not in pieces. false: too much was discarded; answer now. */
bool vsi_microhttpd_request_take(vsi_microhttpd_request *request, const char *data, size_t len);
/* Implements vestry_request_ops.read. */
vestry_err vsi_microhttpd_request_read(void *request, void *buffer, size_t capacity, size_t *ret_len);
/* Return whether to answer at once, because the client would otherwise be invited to send a body that is unwanted, or
 * too large to be discarded. */
bool vsi_microhttpd_request_is_hopeless(const vsi_microhttpd_request *request);

#endif
