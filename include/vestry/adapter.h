/* SPDX-License-Identifier: MIT */
/** The adapter interface: the functions that a web server must provide to serve a vestry instance. For authors of
 *  adapters; applications include the header of the adapter they use.
 *
 *  An adapter describes a server's request by a vestry_request_ops and passes it to vestry_serve on the server's
 *  thread. vestry_serve calls the application's handler and performs its reply: it answers through `respond`, or opens
 *  a stream through `open`. An opened stream is a transport, which takes bytes until its end (vestry/transport.h).
 *
 *      vestry_connection *stream = NULL; // ops: the adapter's vestry_request_ops
 *      vestry_err error = vestry_serve(v, &ops, server_request, NULL, NULL, &stream);
 *      vestry_connection_unref(stream);  // NULL after a response; the pool runs a stream to its end
 *      return error; */
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

/** A response, or the head of a stream. Borrowed for the call. */
typedef struct vestry_response {
  int status;
  const vestry_header *headers; /**< all headers to send, except those that frame the body (Content-Length,
                                     Transfer-Encoding, Connection, Date), which the adapter adds. Exception: the
                                     headers of a 304 may contain a Content-Length, the one that the 200 would have */
  size_t headers_count;
  const void *body; /**< streams: NULL */
  size_t body_len;
} vestry_response;

/** A body that the adapter owns until it destroys it: bytes, or a part of a file. Read-only. */
typedef struct vestry_body {
  const void *bytes; /**< NULL: the body is in a file */
  size_t held_bytes; /**< memory of the body, part of vestry_stats.response_bytes; for a file, VESTRY_BODY_PIECE_BYTES.
                          0: the body is below a kilobyte and is not counted */
} vestry_body;

/** Read from a body of either kind.
 *  at       offset, below the length of the body
 *  ret_len  at least 1, at most capacity
 *  Returns  OK | IO (its file has become shorter, or cannot be read: close the connection, because fewer bytes were
 *           sent than the head announced)
 *  Threads  any, one at a time; blocks on the file system */
VESTRY_API vestry_err vestry_body_read(vestry_body *body, uint64_t at, void *buffer, size_t capacity, size_t *ret_len);
/** Free a body, and subtract its memory from vestry_stats.response_bytes. Call it before the instance is destroyed.
 *  NULL is accepted. Threads any; does not block. */
VESTRY_API void vestry_body_destroy(vestry_body *body);
/** Maximum size of a piece of a file that is read. */
#define VESTRY_BODY_PIECE_BYTES 16384

/** Return by how many bytes all bodies together exceed 7/8 of vestry_bounds.max_all_responses_bytes; 0 if they do not.
 *  A body that was just refused for lack of room is included. An adapter calls this with each response. If the result
 *  is not 0, the adapter closes the connections whose responses hold most memory, until these responses together hold
 *  at least the result. For each response that it aborts in this way, it calls vestry_response_cut. Threads any; does
 *  not block. */
VESTRY_API uint64_t vestry_response_bytes_excess(const vestry *v);
/** Count an aborted response in vestry_stats.responses_cut_count. Threads any; does not block. */
VESTRY_API void vestry_response_cut(vestry *v);

/** Functions on a server's request. Called on the serving thread only, while vestry_serve runs. All before respond_body
 *  are mandatory; respond_body and all after it may be NULL. */
typedef struct vestry_request_ops {
  /** method: "GET"…; path: URL-decoded, without query; query: without '?', as sent, NULL: none. Valid while serving. */
  const char *(*method)(void *server_request);
  const char *(*path)(void *server_request);
  const char *(*query)(void *server_request);
  /** Return the value of a header, whose name may be in any case, without the spaces and tabs around it; NULL: absent.
   *  If there are several lines with this name, return the first. Valid while serving. */
  const char *(*header)(void *server_request, const char *name);
  /** Return the peer's address as text, for logs; "" if unknown. */
  const char *(*peer)(void *server_request);
  /** Return the length of the body by its Content-Length; -1: unknown (chunked). */
  int64_t (*body_length)(void *server_request);
  /** Read bytes of the body; may block. *ret_len 0: the end of the body. OK | IO (the peer broke off) | TIMEOUT | LIMIT
   *  (the request held too much memory: 503). */
  vestry_err (*read)(void *server_request, void *buffer, size_t capacity, size_t *ret_len);
  /** Send a complete response. Called at most once. A request gets either a response or a stream. Exception: after
   *  `open` below, vestry may give the stream up, for example because another stream has the key. Then it calls the
   *  transport's `end` and this `respond`, and never the transport's `open`. OK | IO (the peer is gone). */
  vestry_err (*respond)(void *server_request, const vestry_response *response);
  /** Prepare a stream whose response has this head. Nothing is written before the transport's open. The head is copied.
   *  Called at most once. If vestry cannot use the transport, it calls the transport's end with clean = false before
   *  vestry_serve returns, and its release then or later.
   *  OK | LIMIT (the server has its maximum of streams: vestry answers 503) | NO_MEMORY | UNSUPPORTED. */
  vestry_err (*open)(void *server_request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                     void **ret_transport);
  /** As respond, but the adapter takes ownership of the body, also if this function fails. The adapter destroys the
   *  body when the body is sent or will never be sent. response->body is NULL, and body_len is the length of the whole
   *  body. NULL: `respond` gets all bodies, in memory, and they are counted until `respond` returns.
   *  body  NULL: the body must not be sent (HEAD), or there is none */
  vestry_err (*respond_body)(void *server_request, const vestry_response *response, vestry_body *body);
  /** Announce a body that is received in pieces (vestry/app/upload.h). Called before the first read, if there is a
   *  body. For this body, the adapter must restart its body timeout after every VESTRY_RECEIVE_BYTES received.
   *  held_bytes: maximum memory of the request, which vestry has already counted. The member `receives` is NULL if the
   *  adapter has no deadline for bodies. */
  void (*receives)(void *server_request, size_t held_bytes);
  /** Report the number of open streams and their maximum. A long poll is a request that a page repeats instead of a
   *  stream (docs/guide/proxies.md); it ends early while at least 3/4 of this maximum are in use. NULL: no maximum.
   *  Does not block. */
  void (*room)(void *server_request, uint32_t *ret_streams, uint32_t *ret_capacity);
  /** Call `line` once for each line of the head, in order, with the name and the value as `header` returns it. Both are
   *  terminated, and valid until this function returns. vestry_head_check requires this function. With it,
   *  vestry_request_header joins the lines of a header by which a proxy reports the client. NULL: `header` must join
   *  these lines, with ", ", because the first of two lines may come from the client. */
  void (*each_header)(void *server_request, void (*line)(void *ctx, const char *name, const char *value), void *ctx);
} vestry_request_ops;

/** Read a request target as the client sent it: check it, decode its path, and find its query. The forms of RFC 9112,
 *  section 3.2, are valid: "/path?query"; "http://host/path?query" (https, too), whose host is ignored, and which
 *  without a path means "/"; and "*", a path on which no route can be mounted. Each %xx of a path is decoded once. The
 *  function refuses targets from which a proxy, or a server that normalizes paths, could read another path:
 *  - empty segments, except the last one ("//"), and segments that end with a dot ("..", "%2e", "a.");
 *  - encoded slashes, and backslashes, encoded or not;
 *  - control characters and NUL, encoded or not; unencoded spaces and bytes above 126; '#'; a '%' without two
 *    hexadecimal digits; a path that is not UTF-8 after decoding;
 *  - in paths of several segments, encoded letters, digits and - . _ ~, and unencoded " < > ` { };
 *  - all other forms: "host:443", "ftp://host/", "http://user@host/", "path";
 *  - a query with spaces, control characters or '#'. A query is not decoded.
 *
 *      char *path = malloc(strlen(target) + 2);
 *      const char *query;
 *      int64_t body_length;
 *      if (vestry_target_read(target, path, &query) || vestry_head_check(&ops, request, is_http11, &body_length)) {
 *        vestry_reject(v, VESTRY_REFUSAL_AMBIGUOUS); // then answer 400, and close the connection
 *      }
 *
 *  target     terminated; borrowed
 *  path       room for strlen(target) + 2 bytes, owned by the caller; terminated if the target is valid
 *  ret_query  valid as long as target: the text after its '?'; NULL: there is none. Untouched on failure
 *  Returns    OK | MALFORMED (refused) | INVALID (an argument is NULL)
 *  Threads    any; does not block */
VESTRY_API vestry_err vestry_target_read(const char *target, char *path, const char **ret_query);

/** Check that a request's head has one reading, and get the length of its body. Otherwise a client of a proxy could
 *  hide a second request in the body of the first. An adapter calls this before it reads the body. The function refuses
 *  - a method, or the name of a header, that is not a token, and a value with a control character other than the tab;
 *  - a request of HTTP/1.1 without a Host, two Hosts, and a Host with spaces, commas or one of / \ ? # @;
 *  - a Content-Length that does not have 1 to 18 digits and nothing else, and two that differ;
 *  - a Transfer-Encoding other than "chunked", two of them, one beside a Content-Length, and one in HTTP/1.0.
 *  Folded lines, blanks before a colon and bare CRs must be refused by the server's parser, or passed on unchanged.
 *  ops, server_request  borrowed; `method` and `each_header` are called
 *  is_http11            true: HTTP/1.1; false: HTTP/1.0. Refuse other versions
 *  ret_body_length      -1: unknown (chunked); 0: no body. Untouched on failure. May be NULL
 *  Returns  OK | MALFORMED (refused) | INVALID (an argument is NULL, or ops has no each_header)
 *  Threads  that of the request; does not block */
VESTRY_API vestry_err vestry_head_check(const vestry_request_ops *ops, void *server_request, bool is_http11,
                                        int64_t *ret_body_length);

/** Maximum size of a piece of a body that is received in pieces, and the memory that each such body holds. */
#define VESTRY_RECEIVE_BYTES 32768

/** Serve one request: read and check its body and signals, call the handler, perform its reply (send the response, or
 *  dispatch the effects to streams: vestry/request.h). The response to an error is a line of text/plain:
 *  - error of a handler: see vestry_handler_fn
 *  - error of the client: 413 if the body is too large, 408 if it is too slow, 400 if it is malformed
 *  - no stream is available, or the instance is closing: 503 with Retry-After
 *  ops, server_request  borrowed until it returns
 *  handler, app         handler to call, and its argument; NULL: the instance's routes (vestry/routes.h), which is the
 *                       normal case
 *  ret_connection       untouched if INVALID. Otherwise NULL, or the stream that was opened for the request, as a
 *                       reference owned by the caller. An adapter with dedicated threads runs the stream to its end;
 *                       others drop the reference
 *  Returns  OK (a response was sent or a stream opened, also for errors of the application and of the client) | IO (no
 *           response could be sent) | CLOSED (vestry_is_forked: no response was sent) | INVALID (ops)
 *  Threads  any; blocks in read and respond only; runs the handler and effects on this thread */
VESTRY_API vestry_err vestry_serve(vestry *v, const vestry_request_ops *ops, void *server_request,
                                   vestry_handler_fn handler, void *app, vestry_connection **ret_connection);

/** Get the server_request that was passed to vestry_serve, for a function of the adapter that returns the server's
 *  object (vestry_civetweb_request_of, for example). Valid while the request is served.
 *  ops      the table that the adapter passes to vestry_serve; it identifies the adapter
 *  Returns  NULL: another adapter serves the request, or req is the copy with which vestry renders pages and parts
 *  Threads  that of the request; does not block */
VESTRY_API void *vestry_request_server(const vestry_request *req, const vestry_request_ops *ops);

/** A body that arrives piece by piece, for adapters that receive bytes by callback and cannot block for them. Other
 *  adapters let vestry_serve read all bodies through `read`.
 *
 *  vestry_receive_open, _write, _close and _end call the application, and block as it does. They may run on another
 *  thread than the connection's, one after the other, so that the connection's thread can serve others meanwhile. */
typedef struct vestry_receiving vestry_receiving;

/** Begin a request that has a body, when its head has arrived.
 *  ops, server_request  borrowed until vestry_receive_end; `read` is not called
 *  ret_receiving        owned by the caller, which must end it once, before the instance is destroyed
 *  Returns  OK | NOT_FOUND (its route does not take bodies in pieces: collect the body, then call vestry_serve) |
 *           NO_MEMORY
 *  Threads  the connection's; does not block */
VESTRY_API vestry_err vestry_receive_begin(vestry *v, const vestry_request_ops *ops, void *server_request,
                                           vestry_receiving **ret_receiving);
/** Call the guards (vestry/routes.h), and begin the application's writer (vestry/app/upload.h). Call this once, before
 *  the functions below. Blocks as the application does. */
VESTRY_API void vestry_receive_open(vestry_receiving *receiving);
/** Return whether more of the body is wanted. If not, discard the rest of it, then call vestry_receive_close. Does not
 *  block. */
VESTRY_API bool vestry_receive_wants(const vestry_receiving *receiving);
/** Get the buffer for the next bytes of the body. It is borrowed until vestry_receive_write.
 *  ret_len  free bytes; 0: the buffer is full, with VESTRY_RECEIVE_BYTES, and must be written first
 *  Returns  NULL: no more of the body is wanted
 *  Threads  any, but not while another function on this body runs; does not block */
VESTRY_API char *vestry_receive_room(vestry_receiving *receiving, size_t *ret_len);
/** Report that len bytes were put into the buffer. */
VESTRY_API void vestry_receive_put(vestry_receiving *receiving, size_t len);
/** Pass the buffered bytes to the application's writer. Blocks as the writer does. */
VESTRY_API void vestry_receive_write(vestry_receiving *receiving);
/** End the body, because it is complete or no more of it is wanted: write the buffered bytes, and end the writer.
 *  Blocks as the application does. */
VESTRY_API void vestry_receive_close(vestry_receiving *receiving);
/** End the request, and free receiving.
 *  why             OK: answer it after vestry_receive_close, as vestry_serve does. IO, TIMEOUT: abandon it without a
 *                  response, because the peer broke off or was too slow. This calls no function of ops, because the
 *                  server may have freed the request. Therefore buffered bytes are dropped, and no guard sees them; an
 *                  upload that can be resumed keeps them. Blocks as the application does
 *  ret_connection  as in vestry_serve; NULL unless why is OK
 *  Returns  as vestry_serve | why
 *  Threads  that of the connection, to answer */
VESTRY_API vestry_err vestry_receive_end(vestry_receiving *receiving, vestry_err why,
                                         vestry_connection **ret_connection);

/** Return the status of a request's head by the routes: 200, there is a route; 204, the method alone decides the
 *  response (OPTIONS); 404 or 405. For adapters that read a body before they call vestry_serve: with another status
 *  than 200, vestry_serve does not read the body.
 *  path                URL-decoded, without query
 *  ret_max_body_bytes  maximum size of a body for the path; a larger one gets 413. NULL: not wanted
 *  Threads  any; takes a lock briefly */
VESTRY_API int vestry_route_status(vestry *v, const char *method, const char *path, size_t *ret_max_body_bytes);

/** Functions of an adapter for vestry_server_create. All but the last are mandatory. */
struct vestry_server_adapter {
  const char *name;
  /** Start a server. vestry_server_create calls this, with the same arguments and results. options: already complete
   *  and checked; either unix_path or address is set. ret_server: the first member of a struct of the adapter, owned by
   *  the caller; the adapter sets size and port of ret_server. */
  vestry_err (*start)(vestry *v, const struct vestry_server_options *options, struct vestry_server **ret_server);
  vestry_err (*stop)(struct vestry_server *server, uint64_t timeout_ms); /**< vestry_server_stop */
  void (*destroy)(struct vestry_server *server);                         /**< vestry_server_destroy */
  void (*room)(struct vestry_server *server, uint32_t *ret_streams, uint32_t *ret_capacity); /**< vestry_server_room */
  vestry_err (*renew)(struct vestry_server *server, const char *const *pairs);               /**< vestry_server_renew */
};

/** Count a connection or request that the adapter refuses. vestry_serve counts the requests that it refuses itself.
 *  NONE and unknown values are not counted. Threads any; does not block. */
VESTRY_API void vestry_reject(vestry *v, vestry_refusal refusal);

/** Reserve memory for a head, or for a body that is read before vestry_serve, from vestry_bounds.max_request_bytes.
 *  Reserve the growth of a body as it grows. Give each byte back once, before the instance is destroyed.
 *  Returns  true | false (the bound would be exceeded: nothing was reserved. Answer 503, and call vestry_reject with
 *           VESTRY_REFUSAL_BUDGET)
 *  Threads  any; does not block */
VESTRY_API bool vestry_request_bytes_take(vestry *v, size_t bytes);
/** Return by how many bytes reservations exceed 7/8 of vestry_bounds.max_request_bytes; 0 if they do not. If they do,
 *  an adapter that reads bodies before vestry_serve closes connections that hold memory without a request, then the
 *  incomplete requests that hold most. It counts each by vestry_reject with VESTRY_REFUSAL_BUDGET. So the last
 *  eighth of the bound remains for new requests. Threads any; does not block. */
VESTRY_API uint64_t vestry_request_bytes_excess(const vestry *v);
/** Give reserved memory back. Threads any; does not block. */
VESTRY_API void vestry_request_bytes_give(vestry *v, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
