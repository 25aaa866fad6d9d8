/* SPDX-License-Identifier: MIT */
/* The connections that libmicrohttpd has: what each of them holds, and how long it may wait for a request. */
#ifndef VSI_MICROHTTPD_SOCKET_H
#define VSI_MICROHTTPD_SOCKET_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "adapter/microhttpd/arrivals.h"
#include "adapter/microhttpd/sending.h"
#include "adapter/web/addresses.h"
#include "base/mutex.h"
#include "vestry/adapter.h"

struct vsi_microhttpd_request;

/* One connection, from its accept to its close: libmicrohttpd's socket_context. All that vestry allocates for a request
 * hangs on it, because libmicrohttpd does not tell of the end of every request, but of every close. */
typedef struct vsi_microhttpd_socket {
  struct vsi_microhttpd_sockets *all;
  TAILQ_ENTRY(vsi_microhttpd_socket) in; /* guarded by all->lock, like the next five; in all->waiting */
  vsi_load load;                         /* while it waits: by what it holds; of one that was cut, none */
  vsi_load_place place;
  uint64_t until_ns;
  bool is_waiting;   /* for a request, or the rest of it */
  bool is_first;     /* its first request is not complete: the time since the accept counts */
  uint64_t ended_ns; /* since when, as far as it was looked at, its peer has ended and nothing is unread; 0: not */
  int fd;            /* constant */
  size_t body_bytes; /* guarded by all->lock: what its request's body holds of the instance's request bytes */
  uint64_t going;    /* guarded by all->lock: what it held when it was cut */
  size_t own_bytes;  /* what the connection itself holds of them: its thread changes it, under all->lock; the rest is
                        the connection's thread's alone */
  vsi_address address;
  vsi_microhttpd_sending sending;         /* its answer */
  struct vsi_microhttpd_request *request; /* NULL: none */
  pthread_t thread;                       /* guarded by all->lock: that reads the request; if has_line */
  bool has_line;                          /* guarded by all->lock: a first line of a request came */
  bool is_spent;                          /* no request is taken from it any more */
  bool is_handed_over;                    /* it is counted until vsi_microhttpd_sockets_leave */
  _Atomic(bool) was_late;                 /* it was cut, because what it sent came too slowly */
} vsi_microhttpd_socket;

/* Zeroed to begin with. */
typedef struct vsi_microhttpd_sockets {
  vestry *v;
  const vestry_host *host;
  size_t head_bytes;            /* what a connection counts until its first answer is out, and what after it: */
  size_t memory_bytes;          /* libmicrohttpd touches all of its memory when it is made ready for another request */
  uint64_t request_ns, idle_ns; /* for a request from its first byte to its last; for the next one to come */
  vestry_timer *timer;          /* NULL: not begun */
  vsi_mutex lock;               /* innermost; no descriptor of a socket is closed while it is held */
  TAILQ_HEAD(, vsi_microhttpd_socket) waiting; /* guarded by lock, as the next */
  vsi_loads loads;
  pthread_cond_t fewer; /* one has left them, after is_shut */
  bool is_shut;         /* guarded by lock */
  uint64_t going;       /* guarded by lock: of all that were cut and are not closed yet */
  vsi_web_addresses addresses;
  _Atomic(uint32_t) count; /* that are open, those that are refused too; relaxed */
  vsi_microhttpd_arrivals arrivals;
  vsi_microhttpd_sendings sendings;
} vsi_microhttpd_sockets;

typedef struct vsi_microhttpd_limits {
  uint64_t request_ms, idle_ms;
  size_t head_bytes, memory_bytes;
  uint32_t per_address;
} vsi_microhttpd_limits;

/* OK | NO_MEMORY | CLOSED (the runtime) | IO (no randomness); finish it whatever is returned */
vestry_err vsi_microhttpd_sockets_begin(vsi_microhttpd_sockets *sockets, vestry *v,
                                        const vsi_microhttpd_limits *limits);
/* All that wait for a request are closed, those that come to it too; for a moment it is waited until they are. None is
 * accepted any more. */
void vsi_microhttpd_sockets_shut(vsi_microhttpd_sockets *sockets);
/* libmicrohttpd must have none any more. */
void vsi_microhttpd_sockets_finish(vsi_microhttpd_sockets *sockets);

/* All places are taken: look at once which clients have gone. Threads any. */
void vsi_microhttpd_sockets_look(vsi_microhttpd_sockets *sockets);
/* How many descriptors connections have, those that are on their way to their threads too. Threads any. */
uint32_t vsi_microhttpd_sockets_count(vsi_microhttpd_sockets *sockets);

/* All of these but vsi_microhttpd_sockets_leave are called on the connection's thread. */

/* A connection was accepted. NULL: it is refused, and its socket shut down. */
vsi_microhttpd_socket *vsi_microhttpd_socket_create(vsi_microhttpd_sockets *sockets, struct MHD_Connection *conn);
/* A stand-in for the connection of one request that another daemon serves: from the request's head on, until the
 * request is over. The daemon tells that before it closes the connection. NULL: no memory. */
vsi_microhttpd_socket *vsi_microhttpd_socket_adopt(vsi_microhttpd_sockets *sockets, struct MHD_Connection *conn);
void vsi_microhttpd_socket_release(vsi_microhttpd_socket *socket);
/* A connection will be closed: from here on it is not looked at, and not cut. Its request ends next. */
void vsi_microhttpd_socket_ends(vsi_microhttpd_socket *socket);
/* A connection has ended, and has no request. NULL: it was refused. */
void vsi_microhttpd_socket_destroy(vsi_microhttpd_sockets *sockets, vsi_microhttpd_socket *socket);
/* The body of its request holds so much. Where all hold too much, those that hold most are cut. */
void vsi_microhttpd_socket_holds(vsi_microhttpd_socket *socket, size_t body_bytes);
/* The first line of a request is there. */
void vsi_microhttpd_socket_begins(vsi_microhttpd_socket *socket);
/* A piece of its body is there, and the next one has as long. */
void vsi_microhttpd_socket_goes_on(vsi_microhttpd_socket *socket);
/* All of it is there, or no more of it is wanted: from here on it takes as long as it takes. */
void vsi_microhttpd_socket_serves(vsi_microhttpd_socket *socket);
/* Its answer has a body that holds so much. */
void vsi_microhttpd_socket_sends(vsi_microhttpd_socket *socket, size_t body_bytes);
/* Its answer is a stream, whose place counts instead of its memory. */
void vsi_microhttpd_socket_streams(vsi_microhttpd_socket *socket);
/* Its descriptor is libmicrohttpd's no more. Returns the address that is counted for it: from here on until
 * vsi_microhttpd_sockets_leave, which may be called on any thread. */
vsi_address vsi_microhttpd_socket_hand_over(vsi_microhttpd_socket *socket);
void vsi_microhttpd_sockets_leave(vsi_microhttpd_sockets *sockets, vsi_address address);
/* Its answer is out; another request may come. */
void vsi_microhttpd_socket_rests(vsi_microhttpd_socket *socket);
/* The socket of a connection; NULL: it was refused. */
vsi_microhttpd_socket *vsi_microhttpd_socket_of(struct MHD_Connection *conn);

#endif
