/* SPDX-License-Identifier: MIT */
/* The connections of libmicrohttpd: the memory that each of them holds, and the time that it may wait for a request.
 *
 * A connection waits for a request (is_waiting) from its accept on. Its states and the functions that report them:
 * - the first line of a request has arrived: begins;
 * - a piece of the body has arrived: goes_on;
 * - the request is complete, and is served: serves;
 * - its response is a stream: give_bytes, then is_handed_over;
 * - its response was sent, and it waits for the next request: rests;
 * - libmicrohttpd will close it: ends.
 *
 * To cut a connection is to shut its socket down. Its bytes count as `going` until its thread has closed it.
 * Connections between the acceptor and their thread are `arrivals`. `load` files a connection by its bytes
 * (base/load.h). */
#ifndef VSI_MICROHTTPD_SOCKET_H
#define VSI_MICROHTTPD_SOCKET_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "adapter/web/addresses.h"
#include "base/load.h"
#include "vestry/adapter.h"

static inline int vsi_microhttpd_fd_of(struct MHD_Connection *conn) {
  return MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

/* The connections on their way from the acceptor to the threads of libmicrohttpd. */
typedef struct vsi_microhttpd_arrivals {
  const vestry_host *host;
  vsi_mutex on_way_lock;    /* innermost; guards all members below */
  unsigned char *is_on_way; /* by descriptor */
  size_t room;              /* size of is_on_way */
  _Atomic(uint32_t) on_way; /* written under the lock */
  bool is_awaited;          /* a thread waits for `fewer`, which is signalled when on_way decreases */
  pthread_cond_t fewer;
} vsi_microhttpd_arrivals;

void vsi_microhttpd_arrivals_init(vsi_microhttpd_arrivals *arrivals, const vestry_host *host);
void vsi_microhttpd_arrivals_finish(vsi_microhttpd_arrivals *arrivals);

/* Add an accepted descriptor that is about to be given to libmicrohttpd. OK | NO_MEMORY (one byte for each descriptor).
 * Threads any, as for all functions below. */
vestry_err vsi_microhttpd_arrivals_enter(vsi_microhttpd_arrivals *arrivals, int fd);
/* Remove a descriptor, because its thread has it or it was closed. */
void vsi_microhttpd_arrivals_leave(vsi_microhttpd_arrivals *arrivals, int fd);
uint32_t vsi_microhttpd_arrivals_count(const vsi_microhttpd_arrivals *arrivals);
/* Wait while at least `most` descriptors are on their way, for at most most_ms. */
void vsi_microhttpd_arrivals_wait(vsi_microhttpd_arrivals *arrivals, uint32_t most, uint64_t most_ms);
/* Remove the descriptors that were closed on their way. */
void vsi_microhttpd_arrivals_sweep(vsi_microhttpd_arrivals *arrivals);

struct vsi_microhttpd_request;

/* A connection from its accept to its close; libmicrohttpd's socket_context. It owns everything that vestry allocates
 * for a request, because libmicrohttpd reports every close, but not the end of every request. */
typedef struct vsi_microhttpd_socket {
  struct vsi_microhttpd_sockets *all;
  TAILQ_ENTRY(vsi_microhttpd_socket) in; /* in all->waiting; guarded by all->lock, as are the next six members */
  vsi_load load; /* filed by its bytes while it waits; a connection without a request comes before all others. Not
                    filed after it was cut */
  vsi_load_place place;
  uint64_t until_ns;
  bool is_waiting;   /* for a request, or the rest of one */
  bool is_first;     /* its first request is incomplete: the time since the accept counts */
  uint64_t ended_ns; /* time of the first check that found that its peer had closed and no byte was unread; 0: none */
  int fd;            /* constant */
  size_t body_bytes; /* guarded by all->lock: bytes that the body of its request holds of the instance's budget for
                        requests */
  uint64_t going;    /* guarded by all->lock: bytes that it held when it was cut */
  size_t own_bytes;  /* bytes of that budget that the connection itself holds: for its head and libmicrohttpd's memory.
                        Changed by its thread under all->lock. The members below, unless stated otherwise, are used by
                        that thread only */
  vsi_address address;
  struct vsi_microhttpd_request *request; /* NULL: none */
  bool has_line;                          /* guarded by all->lock: it has a request, whose first line has arrived */
  bool is_spent;                          /* no more requests are accepted from it */
  bool is_handed_over;                    /* its descriptor is no longer libmicrohttpd's; it is counted until
                                             vsi_microhttpd_sockets_leave */
  _Atomic(bool) was_late;                 /* it was cut because its bytes came too slowly */
} vsi_microhttpd_socket;

typedef struct vsi_microhttpd_limits {
  uint64_t request_ms, idle_ms; /* for a request from its first byte to its last; for the next request to begin */
  size_t head_bytes;            /* counted for a connection until its first response is sent */
  size_t memory_bytes;          /* counted afterwards, because libmicrohttpd touches all of its memory to prepare for
                                   another request */
  uint32_t per_address;
} vsi_microhttpd_limits;

/* A connection whose last bytes are sent, and whose client has not closed it yet (socket.c). */
typedef struct vsi_microhttpd_lingering {
  int fd;
  int unacked_bytes; /* that its client had not acknowledged at the last look */
  vsi_address address;
  uint64_t until_ns, most_ns;
} vsi_microhttpd_lingering;

/* Zeroed at first. */
typedef struct vsi_microhttpd_sockets {
  vestry *v;
  const vestry_host *host;
  vsi_microhttpd_limits limits;
  vestry_timer *timer;                         /* NULL: not begun */
  vsi_mutex lock;                              /* innermost; no descriptor of a socket is closed while it is held */
  TAILQ_HEAD(, vsi_microhttpd_socket) waiting; /* guarded by lock, as is the next member */
  vsi_loads loads;
  pthread_cond_t fewer;                /* signalled when one leaves `waiting` after is_shut */
  bool is_shut;                        /* guarded by lock */
  uint64_t going;                      /* guarded by lock: bytes of all that were cut and are not closed yet */
  vsi_microhttpd_lingering *lingering; /* guarded by lock, as are the next members */
  size_t lingering_count, lingering_capacity;
  vsi_web_addresses addresses;
  _Atomic(uint32_t) count; /* number of open connections, including refused ones; relaxed */
  vsi_microhttpd_arrivals arrivals;
} vsi_microhttpd_sockets;

/* OK | NO_MEMORY | CLOSED (the runtime) | IO (no randomness). Call finish in any case. */
vestry_err vsi_microhttpd_sockets_begin(vsi_microhttpd_sockets *sockets, vestry *v,
                                        const vsi_microhttpd_limits *limits);
/* Close all connections that wait for a request or begin to, and wait for a moment until they are closed. No more
 * connections are accepted. */
void vsi_microhttpd_sockets_shut(vsi_microhttpd_sockets *sockets);
/* libmicrohttpd must have no connections any more. */
void vsi_microhttpd_sockets_finish(vsi_microhttpd_sockets *sockets);

/* Look at once for clients that are gone, because all places are taken. Threads any. */
void vsi_microhttpd_sockets_look(vsi_microhttpd_sockets *sockets);
/* Return the number of descriptors of connections, including those on their way to their threads. Threads any. */
uint32_t vsi_microhttpd_sockets_count(vsi_microhttpd_sockets *sockets);

/* The functions below are called on the connection's thread, except vsi_microhttpd_sockets_leave. */

/* Create the socket of an accepted connection. NULL: it is refused, and its socket shut down. */
vsi_microhttpd_socket *vsi_microhttpd_socket_create(vsi_microhttpd_sockets *sockets, struct MHD_Connection *conn);
/* Create a substitute for the connection of one request in a daemon of the application, from the request's head to its
 * end. The daemon reports the end before it closes the connection. NULL: no memory. */
vsi_microhttpd_socket *vsi_microhttpd_socket_adopt(vsi_microhttpd_sockets *sockets, struct MHD_Connection *conn);
void vsi_microhttpd_socket_release(vsi_microhttpd_socket *socket);
/* Note that a connection will be closed: it is no longer checked or cut. Its request ends next. */
void vsi_microhttpd_socket_ends(vsi_microhttpd_socket *socket);
/* Free a connection that has ended and has no request. NULL: it was refused. */
void vsi_microhttpd_socket_destroy(vsi_microhttpd_sockets *sockets, vsi_microhttpd_socket *socket);
/* Set the bytes that the body of its request holds. If all requests hold too much, the largest are cut. */
void vsi_microhttpd_socket_holds(vsi_microhttpd_socket *socket, size_t body_bytes);
/* If all requests hold too much, cut the largest. */
void vsi_microhttpd_sockets_relieve(vsi_microhttpd_sockets *sockets);
/* Note that the first line of a request has arrived. */
void vsi_microhttpd_socket_begins(vsi_microhttpd_socket *socket);
/* Note that it waits for a request, or for the rest of one, and restart its deadline: the connection is new, or a piece
 * of the body has arrived. */
void vsi_microhttpd_socket_goes_on(vsi_microhttpd_socket *socket);
/* Note that the request is complete or its rest is unwanted; it has no deadline any more. */
void vsi_microhttpd_socket_serves(vsi_microhttpd_socket *socket);
/* Give the connection's own bytes back, because its response is a stream, which is counted by its place. */
void vsi_microhttpd_socket_give_bytes(vsi_microhttpd_socket *socket);
/* Stop counting a connection whose socket was handed over. address: that of its peer */
VESTRY_API void vsi_microhttpd_sockets_leave(vsi_microhttpd_sockets *sockets, vsi_address address);
/* Discard the bytes that a client has sent. Returns whether it has closed, or is gone. Threads any. */
bool vsi_microhttpd_has_left(int fd);
/* Close a descriptor, which is taken, when its client has got the last bytes and has closed, or some seconds are over.
 * Until then its connection is counted. address: that of its peer. Threads any. */
VESTRY_API void vsi_microhttpd_sockets_linger(vsi_microhttpd_sockets *sockets, int fd, vsi_address address);
/* Note that its response is sent, and another request may come. */
void vsi_microhttpd_socket_rests(vsi_microhttpd_socket *socket);
/* Return the socket of a connection; NULL: it was refused. */
vsi_microhttpd_socket *vsi_microhttpd_socket_of(struct MHD_Connection *conn);

enum { VSI_MICROHTTPD_MAX_STREAMS = 1000000, VSI_MICROHTTPD_MAX_CONNECTIONS = 2 * VSI_MICROHTTPD_MAX_STREAMS };
/* Get RLIMIT_NOFILE, and how many descriptors connections must leave to the program and to an adapter with these
 * threads. false: there are more than connections can use. */
bool vsi_microhttpd_descriptors(uint32_t threads_count, uint32_t *ret_all, uint32_t *ret_reserve);
/* Return how many of the lowest descriptors connections of an attached adapter may have, so that the program keeps some
 * for its other clients and files; 0: any. */
uint32_t vsi_microhttpd_descriptors_most(void);

#endif
