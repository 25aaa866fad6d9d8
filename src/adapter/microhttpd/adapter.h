/* SPDX-License-Identifier: MIT */
/* The structs of an adapter and of a request, and the functions that the files of this module share:
 *
 *   lifecycle.c, attached.c   an adapter: its options, its start and end; requests in a daemon of the application
 *   capabilities.c            how the installed libmicrohttpd reads heads
 *   acceptor.c, socket.c      accepting connections; their deadlines and memory
 *   tls.c                     certificates, their renewal, and session tickets
 *   serve.c, request.c        serving, libmicrohttpd's daemon; a request, its head (head.c) and its body
 *   streamed_body.c           bodies that the application takes in pieces, on threads of writer_pool.c
 *   answer.c, direct_read.c   responses that libmicrohttpd sends; bodies and responses that bypass it
 *   stream.c, watch.c         streams, which write to their sockets themselves (wire.c) */
#ifndef VSI_MICROHTTPD_ADAPTER_H
#define VSI_MICROHTTPD_ADAPTER_H

#include <sys/stat.h>

#include "adapter/microhttpd/socket.h"
#include "adapter/microhttpd/tls.h"
#include "adapter/microhttpd/watch.h"
#include "adapter/web/gate.h"
#include "adapter/web/policy.h"
#include "base/held_log.h"
#include "base/log.h"
#include "base/refs.h"
#include "vestry/microhttpd.h"

/* ------------------------------------------------------------------------------------------------ the acceptor ---- */

/* The file of a listening UNIX socket. */
typedef struct vsi_microhttpd_unix_socket {
  const vestry_host *host;
  char *path; /* NULL: there is no file */
  dev_t device;
  ino_t inode; /* of the file, because another file may replace it */
} vsi_microhttpd_unix_socket;

/* Listen at a path. A file left by a server that is gone is replaced; a socket with a listening process, and a file
 * that is no socket, are not touched.
 * function named in the log
 * mode     of the file, independent of the umask; no user can connect before it is set
 * ret_fd   owned by the caller; non-blocking
 * Returns  OK | NO_MEMORY | IO (the reason is logged)
 * Blocks for at most 2 s, while another server starts in the same folder. */
vestry_err vsi_microhttpd_unix_listen(vsi_microhttpd_unix_socket *socket, const vestry_host *host, const char *function,
                                      const char *path, mode_t mode, int backlog, int *ret_fd);

/* Remove the file, if it is still the one that was created. A struct that was only zeroed is accepted. */
void vsi_microhttpd_unix_finish(vsi_microhttpd_unix_socket *socket);

/* Another adapter that uses this one for HTTP/1.1 on its own port (adapter/h2): it gets every accepted connection, and
 * gives those of HTTP/1.1 back by vsi_microhttpd_give. */
typedef struct vsi_microhttpd_feeder {
  const char *function; /* of the API that creates the server; the log names it */
  /* Take an accepted connection, which is counted until vsi_microhttpd_sockets_leave, and own its descriptor. false:
   * no memory; the descriptor is still the caller's. Called on the acceptor's thread; must not block. */
  bool (*take)(void *ctx, int fd, const struct sockaddr *address);
  vsi_tls *tls; /* for connections of HTTP/1.1, too; borrowed; NULL: plain */
  void *ctx;
} vsi_microhttpd_feeder;

/* Zeroed at first. */
typedef struct vsi_microhttpd_acceptor {
  vestry *v; /* NULL: not created */
  const vestry_host *host;
  struct MHD_Daemon *daemon;
  vsi_microhttpd_feeder feeder; /* take NULL: none */
  uint32_t capacity;            /* maximum number of connections; constant */
  vsi_microhttpd_sockets *sockets;
  int listener, stop;              /* -1: none */
  vsi_microhttpd_unix_socket file; /* of the listener, if it is a UNIX socket */
  pthread_t thread;
  bool is_open;
  bool is_tls;            /* constant */
  atomic_bool is_closing; /* set, then signalled by `stop` */
  vsi_repeated_log repeated;
} vsi_microhttpd_acceptor;

/* Listen at the address, or the UNIX path, of the options, but accept no client yet.
 * function   named in the log
 * silent_ms  TCP_USER_TIMEOUT of its connections; 0: the system's
 * OK | INVALID (no address) | NO_MEMORY | IO (logged) */
vestry_err vsi_microhttpd_acceptor_make(vsi_microhttpd_acceptor *acceptor, vestry *v, const char *function,
                                        const vestry_microhttpd_options *options, bool is_tls, unsigned silent_ms);
/* Accept connections, at most `capacity` at once. sockets: counts them. OK | IO */
vestry_err vsi_microhttpd_acceptor_open(vsi_microhttpd_acceptor *acceptor, struct MHD_Daemon *daemon, uint32_t capacity,
                                        vsi_microhttpd_sockets *sockets);
/* Return the port; 0: not created, or a UNIX socket. */
uint16_t vsi_microhttpd_acceptor_port(const vsi_microhttpd_acceptor *acceptor);
/* Stop accepting and listening. May be called twice, and for an acceptor that was never created. */
VESTRY_API void vsi_microhttpd_acceptor_close(vsi_microhttpd_acceptor *acceptor);

/* --------------------------------------------------------------------------------------------- the writer pool ---- */

enum { VSI_MICROHTTPD_MAX_WRITERS = 8 };

/* A task for a thread. Part of the object that it works on, so that it needs no allocation. */
typedef struct vsi_microhttpd_errand {
  TAILQ_ENTRY(vsi_microhttpd_errand) in;
  uint64_t turn;                                     /* guarded by pool_lock: those of smaller ones run before it */
  void (*run)(struct vsi_microhttpd_errand *errand); /* may free it */
} vsi_microhttpd_errand;

typedef struct vsi_microhttpd_writer_pool {
  vsi_mutex pool_lock; /* innermost */
  pthread_cond_t more; /* signalled when there is an errand, or the pool ends */
  /* Guarded by pool_lock, as are all members below: by their turns. */
  TAILQ_HEAD(vsi_microhttpd_errands, vsi_microhttpd_errand) errands;
  uint64_t turn;                   /* of the errand that was taken last */
  _Atomic(unsigned) errands_count; /* written under pool_lock */
  unsigned idle_count, threads_count;
  bool is_over;
  pthread_t threads[VSI_MICROHTTPD_MAX_WRITERS];
} vsi_microhttpd_writer_pool;

/* Starts no thread until there is an errand. */
void vsi_microhttpd_writer_pool_init(vsi_microhttpd_writer_pool *pool);
/* Run all remaining errands and end the threads. No more errands may be given. */
void vsi_microhttpd_writer_pool_finish(vsi_microhttpd_writer_pool *pool);

/* Queue an errand. Owners of errands take turns, however many each of them has.
 *  last     the owner's last turn, at first 0, guarded by the pool's lock; NULL: the owner has no other errand
 *  Returns  false: there is no thread for it, and none can be started
 *  Threads  any */
VESTRY_API bool vsi_microhttpd_writer_pool_give(vsi_microhttpd_writer_pool *pool, vsi_microhttpd_errand *errand,
                                                uint64_t *last);

/* Return whether an errand waits for a thread; then an errand that takes long should give its thread up. Relaxed.
 * Threads any. */
static inline bool vsi_microhttpd_writer_pool_is_wanted(const vsi_microhttpd_writer_pool *pool) {
  return atomic_load_explicit(&pool->errands_count, memory_order_relaxed) != 0;
}

/* ------------------------------------------------------------------------------------------------- the adapter ---- */

/* The responses that are being sent and whose bodies hold memory. This struct outlives its adapter, because a daemon of
 * the application may still send responses after the adapter was destroyed. */
typedef struct vsi_microhttpd_sendings {
  vsi_refs refs; /* the adapter's, and one for each response */
  vestry *v;
  const vestry_host *host;
  vsi_mutex loads_lock;
  vsi_loads loads; /* guarded by loads_lock, as is the next member */
  uint64_t going;  /* bytes of responses that were cut and are not freed */
} vsi_microhttpd_sendings;

/* The part that is used if the adapter is attached to a daemon of the application. */
typedef struct vsi_microhttpd_attached {
  uint32_t requests_most;    /* constant; 0: not attached */
  vsi_mutex lock;            /* innermost */
  vsi_map requests;          /* guarded by lock: the running ones; has buckets for all */
  _Atomic(int) fits;         /* 1: the daemon's flags are suitable; -1: they are not; 0: unchecked. Relaxed */
  _Atomic(bool) has_threads; /* the daemon has its own threads. Relaxed */
  bool keeps_targets;        /* see head.h */
} vsi_microhttpd_attached;

typedef struct vsi_microhttpd {
  vestry_server base; /* the public part; first member */
  /* Constant. */
  vestry *v;
  const vestry_host *host;
  const char *function;  /* of the API that creates the server; lines about a failed start begin with it */
  int send_buffer_bytes; /* SO_SNDBUF; 0: the system's */
  unsigned lost_ms;      /* TCP_USER_TIMEOUT of streams; 0: the system's */
  size_t max_head_bytes; /* of a request; SIZE_MAX: limited only by the daemon */
  bool is_tls;
  vsi_tls *tls;        /* NULL: plain, or the TLS is that of a daemon of the application */
  bool is_strict;      /* a daemon of vestry is strict (MHD_OPTION_STRICT_FOR_CLIENT) */
  bool measures_heads; /* libmicrohttpd accepts malformed heads, but keeps them in memory for a check (head.c) */
  int placeholder;     /* a socket that takes the place of each socket that is handed over to vestry (stream.c); -1:
                          none */

  _Atomic(struct MHD_Daemon *) daemon; /* NULL, then set once during creation, when its handlers may run already */

  vsi_web_gate gate;
  vsi_microhttpd_watch watch;
  vsi_microhttpd_sockets sockets;
  vsi_microhttpd_acceptor acceptor;
  vsi_microhttpd_writer_pool writer_pool;
  vsi_microhttpd_sendings *sendings; /* a reference; NULL: none yet */
  struct MHD_Response *nothing;      /* of all responses without headers and content; NULL: none yet */
  vsi_microhttpd_attached attached;
  vsi_repeated_log repeated;
} vsi_microhttpd;

/* Return whether the daemon belongs to the application. */
static inline bool vsi_microhttpd_is_attached(const vsi_microhttpd *adapter) {
  return adapter->attached.requests_most != 0;
}

enum { VSI_MICROHTTPD_DEFAULT_STREAMS = 10000 };
enum { VSI_MICROHTTPD_DEFAULT_REQUEST_MS = 30000, VSI_MICROHTTPD_DEFAULT_TIMEOUT_S = 30 };
enum { VSI_MICROHTTPD_DEFAULT_HEAD_BYTES = 16384, VSI_MICROHTTPD_MAX_THREADS = 256 };

/* Return TCP_USER_TIMEOUT for an option; 0: the system's. */
VESTRY_API unsigned vsi_microhttpd_lost_ms(const vestry *v, uint64_t lost_ms);
/* Return the option send_buffer_bytes (SO_SNDBUF) with its range. */
static inline vsi_option_range vsi_microhttpd_send_buffer_option(size_t bytes) {
  return (vsi_option_range){"send_buffer_bytes", bytes, 4096, 64 << 20};
}

/* Create an adapter that does nothing yet. NULL: no memory. vsi_microhttpd_lifecycle_destroy ends it. function: see
 * vsi_microhttpd */
vsi_microhttpd *vsi_microhttpd_lifecycle_create(vestry *v, const char *function, uint32_t streams_count,
                                                size_t send_buffer_bytes);
/* Begin to accept streams and to track connections: OK | NO_MEMORY | CLOSED (the runtime) | IO */
vestry_err vsi_microhttpd_lifecycle_begin(vsi_microhttpd *adapter, const vsi_microhttpd_limits *limits);
void vsi_microhttpd_lifecycle_destroy(vestry_server *server);

/* Create an adapter as vestry_microhttpd_create does, but with a feeder. max_connections may be less than max_streams,
 * because other streams share connections; then descriptors limit only the connections. */
VESTRY_API vestry_err vsi_microhttpd_create_fed(vestry *v, const vestry_microhttpd_options *options,
                                                const vsi_microhttpd_feeder *feeder, vestry_server **ret_server);
/* Serve a connection that the feeder took, and that is no longer counted. fd: the callee's, which closes it on failure,
 * too. Threads any. */
VESTRY_API void vsi_microhttpd_give(vsi_microhttpd *adapter, int fd, const struct sockaddr *address, socklen_t len);

/* Return its TLS session; NULL: plain. */
static inline gnutls_session_t vsi_microhttpd_tls_of(struct MHD_Connection *conn) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  return info ? info->tls_session : NULL;
}

/* Return the size of the head of its request; 0: it is incomplete. */
static inline size_t vsi_microhttpd_head_size(struct MHD_Connection *conn) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  return info ? info->header_size : 0;
}

/* ------------------------------------------------------------------------------------------------------- heads ---- */

/* Determine how libmicrohttpd reads heads, and whether this adapter must check them.
 * is_strict  the daemon is strict, or will be if that helps (adapter->is_strict)
 * advice     the end of the warning that is logged if ambiguous heads are accepted
 * OK | IO (logged) */
vestry_err vsi_microhttpd_probe(vsi_microhttpd *adapter, bool is_strict, const char *advice);

/* --------------------------------------------------------------------------------------------------- a request ---- */

/* Number of bytes of an unwanted body that are discarded before the response. If a socket is closed with unread bytes,
 * the connection is reset, and the client might lose the response that explains why. After a direct response, the same
 * number is discarded before the connection is closed. */
enum { VSI_MICROHTTPD_PASSED_BYTES = 4 * 1024 * 1024 };

/* How a response ends that holds too much memory, if others use its connection, too (adapter/h2). */
typedef struct vsi_microhttpd_cut_ops {
  void (*hold)(void *owner); /* keep it until `cut`; called under loads_lock */
  void (*cut)(void *owner);  /* end the response; no lock is held */
} vsi_microhttpd_cut_ops;

/* A body that is being sent. It lasts until libmicrohttpd frees its response, and closes the descriptor afterwards. */
typedef struct vsi_microhttpd_sending {
  vsi_microhttpd_sendings *all; /* a reference */
  vestry_body *body;            /* owned */
  int fd; /* that of its connection; it is shut down if the response is cut, unless there are… */
  const vsi_microhttpd_cut_ops *ops; /* …of `owner`; NULL: none */
  void *owner;
  vsi_load load; /* guarded by all->loads_lock, as are the next two members: by the bytes that the body holds; not in
                    the list after it was cut */
  vsi_load_place place;
  bool is_cut;
} vsi_microhttpd_sending;

/* A response that vestry itself sends, instead of libmicrohttpd (direct_read.c). */
typedef struct vsi_microhttpd_direct {
  vsi_microhttpd_wire wire;
  char *head;                   /* owned; NULL: the response is not made */
  size_t head_len;              /* including a body that was only lent */
  vsi_microhttpd_sending *body; /* owned; NULL: none, or it was lent */
  uint64_t body_len;
  uint64_t sent;     /* bytes of both */
  uint64_t begun_ns; /* when it was made */
} vsi_microhttpd_direct;

/* A request of libmicrohttpd. It lives from the request line until libmicrohttpd has finished the request or closes the
 * connection, or until its stream has begun. Used only by the thread of the connection. */
typedef struct vsi_microhttpd_request {
  vsi_map_link in_requests;                      /* first member; attached: in the set of running requests */
  LIST_ENTRY(vsi_microhttpd_request) in_unshown; /* of its thread (answer.c); zeroes: it is not in that list */
  vsi_microhttpd *adapter;
  struct MHD_Connection *conn;
  vsi_microhttpd_socket *socket; /* the owner of the request */
  const char *method;            /* memory of libmicrohttpd */
  bool has_begun;                /* its head was received and checked */
  bool is_head;                  /* the method is HEAD: responses have no body */
  bool is_http11;                /* responses can be chunked */
  bool is_chunked;               /* the body is chunked */
  int refused;                   /* status of the response after the body was discarded; 0: serve it */
  bool is_routed;                /* there was a route for it when its head was checked */
  vsi_microhttpd_stream *stream; /* created by open; invalid after vestry has released it */
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
                                   directly or a response is due before it: vestry sends the response */
  bool is_answered;             /* answered directly; bytes that still arrive are discarded */
  vsi_microhttpd_direct direct; /* that response */
  uint64_t body_received;       /* of a body of known length */
  bool is_closed;               /* its writer is to end, or has ended */
  uint8_t step;                 /* the writer's current step (streamed_body.c) */
  bool is_suspended;            /* for that step */
  bool is_at_head;              /* it was suspended at its head, which will be passed once more */
  bool is_inside;               /* inside the gate, until it is answered */
  vestry_err why;               /* reason why the body was abandoned */
  vsi_microhttpd_errand errand; /* the task for which it is suspended, or the last one */

  char peer[INET6_ADDRSTRLEN];
  size_t target_len; /* as it was sent */
  bool is_legal;     /* the target is valid and has a path */
  const char *query; /* in target; NULL: none */
  char *path;        /* decoded; in target, after the text as sent */
  char target[];     /* as sent; attached: the reassembled query */
} vsi_microhttpd_request;

/* The next step of libmicrohttpd with a request. */
typedef enum vsi_microhttpd_turn {
  VSI_MICROHTTPD_GOES_ON,
  VSI_MICROHTTPD_WAITS,    /* the connection is suspended, and libmicrohttpd will call again */
  VSI_MICROHTTPD_ANSWERED, /* the request is over for vestry, as with BREAKS: it can be freed */
  VSI_MICROHTTPD_BREAKS    /* no response is possible, or too much was discarded after it: close the connection */
} vsi_microhttpd_turn;

static inline enum MHD_Result vsi_microhttpd_result_of(vsi_microhttpd_turn turn) {
  return turn == VSI_MICROHTTPD_BREAKS ? MHD_NO : MHD_YES;
}

/* request.c */

/* Create a request, which the socket owns. target: copied. NULL: no memory. */
vsi_microhttpd_request *vsi_microhttpd_request_create(vsi_microhttpd *adapter, struct MHD_Connection *conn,
                                                      vsi_microhttpd_socket *socket, const char *target);
/* The same for a request of a daemon of the application, whose target was split already. path: decoded */
vsi_microhttpd_request *vsi_microhttpd_request_adopt(vsi_microhttpd *adapter, struct MHD_Connection *conn,
                                                     const char *path, const char *version);
/* Detach a request from its socket, and free its body, before it is freed or abandoned (streamed_body.c). Returns why
 * the body ends: IO | TIMEOUT */
vestry_err vsi_microhttpd_request_detach(vsi_microhttpd_request *request);
/* Check the head. */
void vsi_microhttpd_request_begin(vsi_microhttpd_request *request, const char *method, const char *path,
                                  const char *version);
/* Take bytes of a body that is not in pieces. false: too much was discarded; answer now. */
bool vsi_microhttpd_request_take(vsi_microhttpd_request *request, const char *data, size_t len);
/* Return whether to answer at once, because the client would otherwise be invited to send a body that is unwanted, or
 * too large to be discarded. */
bool vsi_microhttpd_request_is_hopeless(const vsi_microhttpd_request *request);

/* Serve a request without a body in pieces, as vestry_serve. */
vestry_err vsi_microhttpd_request_serve(vsi_microhttpd_request *request, vestry_connection **ret_connection);
/* Begin to receive its body in pieces, as vestry_receive_begin. */
vestry_err vsi_microhttpd_request_receive(vsi_microhttpd_request *request);

/* ----------------------------------------------------------------------------------------------------- responses -- */

/* answer.c */

/* NULL: no memory. */
vsi_microhttpd_sendings *vsi_microhttpd_sendings_create(vestry *v);
/* NULL is accepted. */
void vsi_microhttpd_sendings_unref(vsi_microhttpd_sendings *all);
/* Cut the responses that hold most, if all together hold too much, before a response with a body. */
VESTRY_API void vsi_microhttpd_sendings_relieve(vsi_microhttpd_sendings *all, const vestry_response *response);
/* Begin to send a body, on a descriptor that stays open until the end; or with functions for its owner, which exists
 * until the end, and then fd is -1. Takes the body, also on failure. NULL: no memory. */
VESTRY_API vsi_microhttpd_sending *vsi_microhttpd_sending_begin(vsi_microhttpd_sendings *all, int fd,
                                                                const vsi_microhttpd_cut_ops *ops, void *owner,
                                                                vestry_body *body);
/* End a response that is sent, or whose connection will be closed: free it and its body. sending: such a struct; NULL
 * is accepted. */
VESTRY_API void vsi_microhttpd_sending_end(void *sending);

/* Add the headers of a response to a response of libmicrohttpd. OK | NO_MEMORY | INVALID (libmicrohttpd rejects
 * one). */
vestry_err vsi_microhttpd_add_headers(struct MHD_Response *to, const vestry_response *response);
/* Let libmicrohttpd send a response. body: taken. */
vestry_err vsi_microhttpd_respond(vsi_microhttpd_request *request, const vestry_response *response);
vestry_err vsi_microhttpd_respond_body(vsi_microhttpd_request *request, const vestry_response *response,
                                       vestry_body *body);

/* Note that the head of a request begins to arrive on this thread (awaits), and that vestry has received the head or
 * the request has ended (shown). */
void vsi_microhttpd_refused_awaits(vsi_microhttpd_request *request);
void vsi_microhttpd_refused_shown(vsi_microhttpd_request *request);
/* Note that this thread queues a response, whose head libmicrohttpd builds next. */
void vsi_microhttpd_refused_queues(const vsi_microhttpd_request *request);
/* Note that the connection is done with that response, or closes. */
void vsi_microhttpd_refused_forget(const struct MHD_Connection *conn);
/* Answer 414 if the target of a request, as it was sent, is too long or has too many parameters. Returns whether it was
 * refused. */
bool vsi_microhttpd_refused_line(const vsi_microhttpd *adapter, struct MHD_Connection *conn, const char *target);
/* Check a line that libmicrohttpd logs, on the thread of the connection concerned, before libmicrohttpd acts. If it
 * announces a refusal that would be broken, answer the connection here and shut it. */
void vsi_microhttpd_refused_look(vsi_microhttpd *adapter, const char *format, va_list arguments);

/* direct_read.c: called on a writer's thread, while the connection is suspended, unless stated otherwise. */

/* Return whether the body may be read directly. Its head is complete. */
bool vsi_microhttpd_direct_fits(const vsi_microhttpd_request *request);
/* Return whether direct reading is worthwhile now, because many bytes are there. On libmicrohttpd's thread. */
bool vsi_microhttpd_direct_pays(const vsi_microhttpd_request *request);
/* Read the available bytes and pass them to the application's writer, until another task (an errand)
 * needs the thread. Returns whether there may be more now. */
bool vsi_microhttpd_direct_read(vsi_microhttpd_request *request);
/* Return whether the body was read directly, and is complete or no longer wanted. */
bool vsi_microhttpd_direct_is_over(const vsi_microhttpd_request *request);
/* Implement vestry_request_ops.respond, .respond_body and .open for all requests, whether vestry sends the response or
 * libmicrohttpd does. */
vestry_err vsi_microhttpd_direct_respond(void *server_request, const vestry_response *response);
vestry_err vsi_microhttpd_direct_respond_body(void *server_request, const vestry_response *response, vestry_body *body);
vestry_err vsi_microhttpd_direct_open(void *server_request, const vestry_response *head,
                                      const vestry_transport_ops **ret_ops, void **ret_transport);
/* Answer by the adapter itself: a status, without a body. */
vestry_err vsi_microhttpd_refuse(vsi_microhttpd_request *request, int status);
/* Send the response that the functions above have made, if the request is_direct. Returns whether to call this again,
 * because a part of it is left and other errands need the thread. If the connection is not suspended, only as much is
 * sent as its socket takes. */
bool vsi_microhttpd_direct_send(vsi_microhttpd_request *request);
/* End such a response, whether it was sent or not: shut the socket, and free the response. */
void vsi_microhttpd_direct_end(vsi_microhttpd_request *request);

/* streamed_body.c: bodies in pieces. The functions that call the application run on a thread of the writer pool, while
 * the connection is suspended. */

/* Begin a request whose head is complete. If its route receives pieces, run its guards and begin its writer. */
vsi_microhttpd_turn vsi_microhttpd_streamed_body_begin(vsi_microhttpd_request *request);
/* Take bytes of the body. *len: the number that is left. */
vsi_microhttpd_turn vsi_microhttpd_streamed_body_take(vsi_microhttpd_request *request, const char *bytes, size_t *len);
/* Answer before the end of the body, in pieces or not, because too much of it is unwanted. */
vsi_microhttpd_turn vsi_microhttpd_streamed_body_answer(vsi_microhttpd_request *request);
/* End the writer after the complete body. Call once. */
vsi_microhttpd_turn vsi_microhttpd_streamed_body_close(vsi_microhttpd_request *request);
/* Answer the request, as vestry_serve. */
vestry_err vsi_microhttpd_streamed_body_end(vsi_microhttpd_request *request, vestry_connection **ret_connection);
/* Free a request that is over, and abandon its body if it was in pieces and is not answered. Its connection may be
 * closed already. NULL is accepted. */
void vsi_microhttpd_request_destroy(vsi_microhttpd_request *request);

/* ----------------------------------------------------------------------------------------------------- streams ---- */

/* stream.c */

/* Implements vsi_microhttpd_over_fn for the watch: a lingering stream is over, or is no longer waited for. */
void vsi_microhttpd_stream_over(vsi_microhttpd_stream *stream);

/* Implements vestry_request_ops.open. */
vestry_err vsi_microhttpd_stream_open(vsi_microhttpd_request *request, const vestry_response *head,
                                      const vestry_transport_ops **ret_ops, void **ret_transport);
/* Queue request->stream as the response of the request. connection: the stream's; the reference is taken in any case.
 * OK | IO: the connection closes */
vestry_err vsi_microhttpd_stream_begin(vsi_microhttpd_request *request, vestry_connection *connection);
/* Return whether libmicrohttpd is closing a connection on this thread because a stream has ended it. Its log lines
 * about that are not passed on. */
bool vsi_microhttpd_stream_is_closing(void);

/* ----------------------------------------------------------------------------------------------------- serving ---- */

/* serve.c */

/* Begin a request whose head is complete. */
vsi_microhttpd_turn vsi_microhttpd_begin(vsi_microhttpd_request *request, const char *method, const char *path,
                                         const char *version);
/* Continue a request at a further call of libmicrohttpd: with bytes of the body, without bytes at the end of the body,
 * or with the head once more after a suspension. */
vsi_microhttpd_turn vsi_microhttpd_continue(vsi_microhttpd_request *request, const char *upload, size_t *upload_len);

/* Start adapter->daemon, which serves the connections that it gets. OK | IO (logged) */
vestry_err vsi_microhttpd_daemon_start(vsi_microhttpd *adapter, const vestry_microhttpd_options *options);

#endif
