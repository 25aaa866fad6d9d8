/* SPDX-License-Identifier: MIT */
/** The adapter seam: what a web server must offer so that vestry can serve with it. For those who write adapters;
 *  applications include the header of the adapter they use.
 *
 *  An adapter turns a server's request into a vestry_request_ops and hands it to vestry_serve on the thread that the
 *  server gave it. vestry_serve calls the application's handler and performs its reply: it answers through `respond`,
 *  or opens a stream through `open`. An opened stream is a transport: it takes bytes until it is ended.
 *
 *  The transport chooses which thread runs a connection: without `wake` the runtime's pool does, and `write` must not
 *  block; with `wake` a thread of the adapter's does (a parked one), by calling vestry_connection_run each time it was
 *  woken.
 */
#ifndef VESTRY_ADAPTER_H
#define VESTRY_ADAPTER_H

#include "vestry/routes.h"
#include "vestry/transport.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vestry_server; /* vestry/server.h */
struct vestry_server_options;

/** One HTTP header; borrowed, terminated, free of CR, LF and NUL. */
typedef struct vestry_header {
  const char *name, *value;
} vestry_header;

/** An answer, or the head of a stream's. Borrowed for the call. */
typedef struct vestry_response {
  int status;
  const vestry_header *headers; /**< all that is to be sent, but for those that frame the body (Content-Length,
                                     Transfer-Encoding, Connection, Date): these are the adapter's. But a 304 may
                                     have Content-Length here, which is that of a 200 */
  size_t headers_count;
  const void *body; /**< streams: NULL */
  size_t body_len;
} vestry_response;

/** A body that is the adapter's, until it destroys it: bytes, or a part of a file. To be read. */
typedef struct vestry_body {
  const void *bytes; /**< NULL: it is in a file */
  size_t held_bytes; /**< how much memory it holds; of a file this is a piece of it, VESTRY_BODY_PIECE_BYTES. Counted in
                          vestry_stats.answer_bytes, but for what is below a kilobyte, which is 0 */
} vestry_body;

/** Read from it, of either kind.
 *  at       below its length
 *  ret_len  at least 1, at most capacity
 *  Returns  OK | IO (its file has become shorter, or cannot be read: the connection is to be closed, as less than was
 *           announced was sent)
 *  Threads  any, one at a time; blocks on the file system */
VESTRY_API vestry_err vestry_body_read(vestry_body *body, uint64_t at, void *buffer, size_t capacity, size_t *ret_len);
/** What it held is given back. NULL is accepted. Before the instance is destroyed. Threads any; does not block. */
VESTRY_API void vestry_body_destroy(vestry_body *body);
/** Files are read in pieces of no more than so many bytes. */
#define VESTRY_BODY_PIECE_BYTES 16384

/** How much more than seven eighths of vestry_bounds.max_answer_bytes bodies hold now, or would with one that was just
 *  refused for want of room; 0: no more than that. Whenever it answers an adapter looks here, and closes the
 *  connections whose answers hold most until what they hold is as much; it counts each by vestry_answer_cut. Threads
 *  any; does not block. */
VESTRY_API uint64_t vestry_answer_bytes_excess(const vestry *v);
/** Count an answer that was cut: vestry_stats.answers_cut_count. Threads any; does not block. */
VESTRY_API void vestry_answer_cut(vestry *v);

/** A server's request. Called on the serving thread only, while vestry_serve runs. All but the last are mandatory. */
typedef struct vestry_request_ops {
  size_t size; /**< sizeof(vestry_request_ops), or 0 */
  /** "GET"…; the path, URL-decoded, without query; the query without '?', as sent, NULL: none. Valid while serving. */
  const char *(*method)(void *server_request);
  const char *(*path)(void *server_request);
  const char *(*query)(void *server_request);
  /** Value of a header, name in any case; NULL: not there. Of several the first. Valid while serving. */
  const char *(*header)(void *server_request, const char *name);
  /** The peer's address as text, for logs; "" when unknown. */
  const char *(*peer)(void *server_request);
  /** Length of the body by its Content-Length; -1: unknown (chunked). */
  int64_t (*body_length)(void *server_request);
  /** Read body bytes, blocking as the server does. *ret_len 0: the end. OK | IO (the peer broke off) | TIMEOUT |
   *  LIMIT (it held too much: 503). */
  vestry_err (*read)(void *server_request, void *buffer, size_t capacity, size_t *ret_len);
  /** Answer, whole. Called at most once, and not when a stream was opened for the request; but it is called after an
   *  open whose transport was ended again before its own open was called (the stream was given up: another one serves
   *  the key already, say). OK | IO (the peer is gone). */
  vestry_err (*respond)(void *server_request, const vestry_response *response);
  /** Prepare a stream whose answer has this head. Nothing is written before the transport's open. The head is copied.
   *  Called at most once. When vestry cannot use the transport it calls its end (not clean) before vestry_serve
   *  returns, and its release then or later.
   *  OK | LIMIT (no room for another stream: vestry answers 503) | NO_MEMORY | UNSUPPORTED. */
  vestry_err (*open)(void *server_request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                     void **ret_transport);
  /** As respond, with a body that the adapter takes, whatever it returns: it destroys the body when it is sent, or
   *  never will be. The response has no body, and its body_len is that of the whole. NULL: respond gets all bodies, in
   *  memory, and they are counted until it returns.
   *  body  NULL: no byte of it is wanted (HEAD), or there is none */
  vestry_err (*respond_body)(void *server_request, const vestry_response *response, vestry_body *body);
  /** The body is received in pieces (vestry/app/upload.h): before the first read, if there is a body. From here on each
   *  VESTRY_RECEIVE_BYTES of it have the time that the whole of another body has, and the request holds no more than
   *  held_bytes, which are counted already. NULL: the adapter has no deadline for bodies. */
  void (*receives)(void *server_request, size_t held_bytes);
  /** How many streams there are now, and how many there may be: pages that poll instead of having a stream
   *  (docs/guide/proxies.md) are not held while three quarters of them are taken. NULL: there is always room. Does not
   *  block. */
  void (*room)(void *server_request, uint32_t *ret_streams, uint32_t *ret_capacity);
} vestry_request_ops;

/** Bodies that are received in pieces come in pieces of no more than so many bytes, and this is what each holds. */
#define VESTRY_RECEIVE_BYTES 32768

/** Serve one request: read and check its body and signals, call the handler, perform its reply.
 *  Errors are answered with a line of text/plain: those of handlers as vestry_handler_fn says; from the client, a body
 *  that is too large 413, that came too slowly 408, that is broken 400; no room for a stream, or closing: 503 with
 *  Retry-After.
 *  ops, server_request  borrowed until it returns
 *  handler, app         the application's; NULL: by the instance's routes (vestry/routes.h), which is what servers want
 *  ret_connection       NULL when the request was answered; otherwise the stream that was opened for it, a reference of
 *                       the caller's: a parked adapter runs it to its end, others drop it
 *  Returns  OK (something was answered or opened, errors of the application and of the client included) | IO (no answer
 *           could be given) | INVALID (ops)
 *  Threads  any; blocks in read and respond only; runs the handler and effects on this thread */
VESTRY_API vestry_err vestry_serve(vestry *v, const vestry_request_ops *ops, void *server_request,
                                   vestry_handler_fn handler, void *app, vestry_connection **ret_connection);

/** The server_request that vestry_serve was given, for a function of the adapter's own that makes the server's object
 *  of it (vestry_civetweb_request_of, say). Valid while the request is served.
 *  ops      those that the adapter hands to vestry_serve: they say whose request it is
 *  Returns  NULL: the request is another adapter's, or a copy that pages and parts are rendered with
 *  Threads  that of the request; does not block */
VESTRY_API void *vestry_request_server(const vestry_request *req, const vestry_request_ops *ops);

/** A body that a server hands over as it comes: for adapters that are told of bytes and cannot wait for them. Others
 *  read all bodies through `read`, in vestry_serve. What calls the application, and so blocks as it does, is
 *  vestry_receive_open, _write, _close and _abandon: they may be called on another thread than the connection's, one
 *  after the other, so that this one can serve others meanwhile. */
typedef struct vestry_receiving vestry_receiving;

/** A request's head is there, and it has a body.
 *  ops, server_request  borrowed until it is ended or abandoned; `read` is not called
 *  ret_receiving        owned by the caller: to be ended or abandoned, once, before the instance is destroyed
 *  Returns  OK | NOT_FOUND (its route takes no pieces: gather the body, then vestry_serve) | NO_MEMORY
 *  Threads  the connection's; does not block */
VESTRY_API vestry_err vestry_receive_begin(vestry *v, const vestry_request_ops *ops, void *server_request,
                                           vestry_receiving **ret_receiving);
/** The guards look, and the writer begins: first, and once. Blocks as the application does. */
VESTRY_API void vestry_receive_open(vestry_receiving *receiving);
/** Whether more of the body is wanted. If not, the rest is to be passed over, and then it is closed. Does not block. */
VESTRY_API bool vestry_receive_wants(const vestry_receiving *receiving);
/** Where the next bytes of the body go, which are kept there until they are written.
 *  ret_len  how many have room; 0: it is full, with VESTRY_RECEIVE_BYTES, and to be written before it takes more
 *  Returns  NULL: no more of the body is wanted
 *  Threads  as those that block; does not block */
VESTRY_API char *vestry_receive_room(vestry_receiving *receiving, size_t *ret_len);
/** So many were put there. */
VESTRY_API void vestry_receive_put(vestry_receiving *receiving, size_t len);
/** Hand what is there to the application's writer. Blocks as it does. */
VESTRY_API void vestry_receive_write(vestry_receiving *receiving);
/** The body is whole, or no more of it is wanted: what is there is written, and the writer ends. Blocks as the
 *  application does. */
VESTRY_API void vestry_receive_close(vestry_receiving *receiving);
/** After that: the request is answered, as vestry_serve does it. receiving is freed.
 *  Returns  as vestry_serve
 *  Threads  the connection's */
VESTRY_API vestry_err vestry_receive_end(vestry_receiving *receiving, vestry_connection **ret_connection);
/** The peer broke off (IO), or was too slow (TIMEOUT): nothing is answered. receiving is freed; NULL is accepted. The
 *  server may have forgotten the request: no function of ops is called. Blocks as the application does. */
VESTRY_API void vestry_receive_abandon(vestry_receiving *receiving, vestry_err why);

/** What a look at the routes says to a request's head: 200, there is one; 204, it is answered by the method alone
 *  (OPTIONS); 404 or 405. For adapters that read bodies ahead: with another answer than 200 vestry_serve reads none.
 *  path      URL-decoded, without query
 *  Threads  any; does not block */
VESTRY_API int vestry_route_status(vestry *v, const char *method, const char *path);

/** A follower of an instance's routes: an adapter inside a server that has handlers of others too, and is to be given
 *  no paths but vestry's. Both are called in turn, never at once for one instance, and under a lock of its routes: they
 *  must neither mount nor unmount, nor wait for a thread that does. */
typedef struct vestry_route_follower {
  size_t size; /**< sizeof(vestry_route_follower), or 0 */
  /** A route is about to be mounted; method and pattern as vestry_route was given them, borrowed. OK | any other error:
   *  it is not mounted, and vestry_route returns that. */
  vestry_err (*mounts)(void *ctx, const char *method, const char *pattern);
  /** It is no route any more, or was refused after all; requests may still be in it. */
  void (*unmounted)(void *ctx, const char *method, const char *pattern);
} vestry_route_follower;

/** Be told of the routes that there are, and of each that comes and goes.
 *  follower, ctx  borrowed until ctx follows no more, which is so when the call with a follower of NULL returns: then
 *                 none of the follower's functions runs. ctx: one instance, one follower
 *  Returns  OK (of NULL also if ctx does not follow) | INVALID (an argument; ctx follows already) | NO_MEMORY | what
 *           mounts said to a route that was there: then unmounted was called for those before it, and ctx does not
 *           follow
 *  Threads  any, but not from inside a follower; blocks while another thread mounts */
VESTRY_API vestry_err vestry_routes_follow(vestry *v, const vestry_route_follower *follower, void *ctx);

/** A server of an adapter's, for vestry_server_create. All are mandatory. */
struct vestry_server_adapter {
  size_t size; /**< sizeof(vestry_server_adapter), or 0 */
  const char *name;
  /** Start to serve. options: whole and in order; a UNIX socket or an address is there. ret_server: owned by the
   *  caller, the first member of the adapter's own; size and port are set. As vestry_server_create. */
  vestry_err (*start)(vestry *v, const struct vestry_server_options *options, struct vestry_server **ret_server);
  vestry_err (*stop)(struct vestry_server *server, uint64_t timeout_ms);                     /**< vestry_server_stop */
  void (*destroy)(struct vestry_server *server);                                             /**< _destroy */
  void (*room)(struct vestry_server *server, uint32_t *ret_streams, uint32_t *ret_capacity); /**< _room */
};

/** Count a connection or request that the adapter refuses. What vestry_serve refuses it counts itself. NONE, and
 *  what is no refusal, is not counted. Threads any; does not block. */
VESTRY_API void vestry_turn_away(vestry *v, vestry_refusal refusal);

/** Take memory for a head, or for a body that is read ahead, out of vestry_bounds.max_request_bytes; what the body
 *  grows by is taken as it grows. Each byte is given back once, before the instance is destroyed.
 *  Returns  true | false (that would be more than the bound: nothing was taken. Answer 503 and count BUDGET)
 *  Threads  any; does not block */
VESTRY_API bool vestry_request_bytes_take(vestry *v, size_t bytes);
/** How much more than seven eighths of vestry_bounds.max_request_bytes is taken now; 0: no more than that. An adapter
 *  that reads ahead closes, from here on, the requests that hold most and are not complete, counts BUDGET for each, and
 *  leaves the last eighth to those that come meanwhile. Threads any; does not block */
VESTRY_API uint64_t vestry_request_bytes_excess(const vestry *v);
/** Give some back. Threads any; does not block. */
VESTRY_API void vestry_request_bytes_give(vestry *v, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
