/* SPDX-License-Identifier: MIT */
/** The civetweb adapter: adds an instance's routes (vestry/routes.h) to a civetweb server that the application has
 *  configured and started.
 *
 *      vestry_route(v, "PUT", "/", start, &app);
 *      if (vestry_civetweb_check(settings, why, sizeof why)) fail(why);
 *      struct mg_context *context = mg_start(NULL, NULL, settings);
 *      vestry_civetweb_create(v, context, NULL, &server);
 *      …
 *      vestry_server_stop(server, 1500);      // aborts the streams, waits until no handler is parked
 *      vestry_civetweb_stop_server(context);  // mg_stop, without its two seconds of waiting
 *      vestry_server_destroy(server);
 *      vestry_destroy(v);
 *
 *  civetweb gives each stream a worker thread for its life. When all are parked nothing else is served, so streams are
 *  admitted up to num_threads less a reserve; beyond it the answer is 503 with Retry-After. Set num_threads to the
 *  streams you want plus the reserve, connection_queue to match, listen_backlog to 4096 (a client that finds it full
 *  comes back a second later), tcp_nodelay to 1 (otherwise small patches wait for 40 ms), decode_url to no if
 *  parameters in paths may hold anything (docs/security.md: it forgets how a path was sent), and request_timeout_ms to
 *  how long a client may stall.
 *
 *  How soon a stream ends when its client has gone: civetweb itself sees it at the second write after it, which is the
 *  second heartbeat. But on Linux the kernel is asked every watch_ms which sockets the server's ports have
 *  (NETLINK_SOCK_DIAG, no privilege needed). A client that closes, or whose machine resets the connection, is HANGUP
 *  within that time; one that acknowledges nothing for lost_ms is LOST, at most heartbeat + lost_ms + 2 × watch_ms
 *  after the cut. (A worker cannot be got out of a write: a stream that is lost in the middle of one takes nothing more
 *  from then on, but ends, and gives its worker and memory back, when request_timeout_ms is over too.) A client that
 *  acknowledges but does not read is neither; it is STALLED when a write to it got nowhere for
 *  request_timeout_ms. A client that shuts only its sending half is taken for one that closed; browsers do not do
 *  that.
 *
 *  What civetweb cannot do is foreseen instead: vestry_civetweb_check. When it cannot make all its threads it goes on
 *  with fewer, or accepts no connection, and mg_start says nothing (and mg_stop may never return). When descriptors run
 *  out it asks for one again and again, which takes a processor; its own clients take num_threads + connection_queue +
 *  1 at most, and 64 more are reckoned for all else: if the application opens more than that, raise RLIMIT_NOFILE by
 *  them.
 *
 *  How long a client may hold a worker: the head of a request must be there within twice request_timeout_ms, by
 *  civetweb itself. The body, whole, within body_ms; what is left of one that was answered before its end (413, 405)
 *  within linger_ms. A timer of the runtime looks a sixteenth of the shorter of the two apart (10 to 250 ms), and shuts
 *  the socket of a client that is overdue for reading: so all is over at most 250 ms later. A body that is late is
 *  answered 408. When bodies hold more than seven eighths of vestry_bounds.max_request_bytes, those that hold most and
 *  are not complete are ended likewise, answered 503 and counted as BUDGET, so that newcomers get in.
 *  Paths that have no route, and what other handlers read, are civetweb's affair, which waits anew for each
 *  byte.
 *
 *  Each head says whether the connection goes on. It does with enable_keep_alive if the client wants it, and after all
 *  answers but streams, refused bodies and broken requests. A connection that is kept holds a worker until
 *  keep_alive_timeout_ms (500 if it is not set) have passed without a request. A chunked body with trailers that no
 *  header Trailer announced is the one end that is not announced.
 *
 *  civetweb tidies paths up before it looks for handlers. A request whose path is not that of its route as it stands,
 *  but for bytes that are percent-encoded, is answered 400: "//", dots at the end of a segment, backslashes, %00, an
 *  encoded slash. In paths of several segments nothing may be percent-encoded that need not be, on this adapter and on
 *  libmicrohttpd's, since civetweb does not tell what it was. decode_url must be left on. A head that civetweb does not
 *  read to its end (folded lines, lines without a name, more than 64 headers) is answered 400 on paths with a route,
 *  and the connection closes; what such a head does on other paths is civetweb's affair. Leave paths without a route to
 *  rules that know this.
 *
 *  In a server that has handlers of its own, each route becomes a pattern of civetweb's when it is mounted. What has
 *  no route goes on to the application's handlers and to the server's files, unread, in whatever order these were set;
 *  unless answers_all is set, which takes all. Where both have a path, the application's handler goes first if it is
 *  for exactly that path, or for one above it ("/api" is above "/api/events"), or a pattern that was set before the
 *  route; such a handler can hand a request on (vestry_civetweb_serve). Routes are told apart by path: where vestry
 *  has one for GET, a POST is 405, and reaches no pattern that is set later. civetweb's patterns know no case, and
 *  '?', '*', '$' and '|' in a route are any one character to them: a path that is a route's but for these, and is
 *  none, is left to the server's files. A route that is unmounted leaves its path to the server within a fifth of a
 *  second after its last stream there has ended. Neither mount nor unmount from an authorization handler
 *  (mg_set_auth_handler), nor when the server has ended, unless the adapter was stopped before. An authorization
 *  handler, global_auth_file and the like are asked before vestry's routes as before any other handler. civetweb
 *  compares a path with its patterns one after the other: 50 routes cost a request some 4 µs, 300 some 24;
 *  answers_all, one pattern for all, costs the same for any number.
 *
 *  Several instances can be in one server, each with an adapter. Their routes are the server's together: one that
 *  another of them has is EXISTS, at create or when it is mounted; of two patterns that match one path the older
 *  adapter's has it. They park the same workers: no adapter opens a stream while all of them together have as many as
 *  its own capacity. An adapter that has stopped has no routes any more, but answers 503 where no other adapter has
 *  one.
 *
 *  civetweb up to 1.17 does not know the method QUERY (RFC 10008), and answers it 400 before anybody sees it. So a
 *  route for QUERY is UNSUPPORTED here, at create or when it is mounted, and the log says why; a request with it is
 *  answered 501 by vestry_civetweb_http_error, which is logged once. Mount such a route for POST, or serve it by
 *  libmicrohttpd.
 *
 *  civetweb answers from mg_start on, 404 while the adapter is not there. When a server comes back, pages come back in
 *  the same moment, and those that get a 404 do not try again. So call create in mg_callbacks.init_context, which
 *  mg_start calls before the first request (its argument is the server): clients wait that long.
 *
 *  A stream to an HTTP/1.0 client lasts until the connection closes: that client cannot tell an end from an abort. */
#ifndef VESTRY_CIVETWEB_H
#define VESTRY_CIVETWEB_H

#include "vestry/server.h"

struct mg_connection;
struct mg_context;

#ifdef __cplusplus
extern "C" {
#endif

/** Zero is the default. */
typedef struct vestry_civetweb_options {
  size_t size;              /**< sizeof(vestry_civetweb_options), or 0 */
  uint32_t reserve_threads; /**< workers kept free of streams; 0: a tenth of num_threads, at least 2, at most 32 */
  uint64_t watch_ms;        /**< how often the kernel is asked which peers have gone; 0: a sixteenth of the
                                 instance's heartbeat, at least 10, at most 250; VESTRY_NEVER_MS: never */
  uint64_t lost_ms;         /**< a peer that leaves sent bytes unacknowledged for so long is LOST; 0: a heartbeat less
                                 2 × watch_ms, so that one is gone within two heartbeats, but at least 2,000 (30,000
                                 if there are none); VESTRY_NEVER_MS: never */
  uint64_t body_ms;         /**< in which a request's body must be there, whole; 0: request_timeout_ms; VESTRY_NEVER_MS:
                                 so long as civetweb waits, which is request_timeout_ms for each byte anew */
  uint64_t linger_ms;       /**< in which the rest of a body must be there that was answered before it ended (413, 405);
                                 0: 2,000, at most request_timeout_ms; VESTRY_NEVER_MS as above */
  uint32_t max_per_address; /**< the server's: of several instances in it the first says it, the others leave it 0.
                                 Connections of one IPv4 address, or of one IPv6 /64, at once. A request beyond it is
                                 answered 503 and closed. Ten times a second this process's descriptors are looked
                                 through: of an address that has too many, those that are in no request are shut, the
                                 longest silent first (needs /proc). Those that civetweb has not accepted yet are not
                                 seen. 0: no limit, because a proxy, or all users of a NAT, are one address */
  bool answers_all; /**< what has no route is answered 404 by vestry (vestry_error_page), not left to the server */
} vestry_civetweb_options;

/** A civetweb server by vestry/server.h: 128 threads, or as many as max_streams and the reserve are; tcp_nodelay; a
 *  client may stall for ten seconds; max_request_size is vestry_server_options.max_head_bytes. What civetweb itself
 *  logs goes to the host's log. */
extern VESTRY_API const vestry_server_adapter vestry_server_civetweb;

/** Look at a server's settings before mg_start: names and values in turn, ended by NULL.
 *  why      receives one terminated line on failure; may be NULL with capacity 0
 *  Returns  OK | UNSUPPORTED (a UNIX socket, "x/path", and this civetweb was built without them, as Debian's is; or a
 *           TLS port, and this civetweb cannot start TLS, as Debian's cannot: mg_start would crash.
 *           civetweb says so only once in a process: heed it, and do not initialise its TLS before) | INVALID (too few
 *           threads for a stream and the reserve, tcp_nodelay not 1) | LIMIT (RLIMIT_NOFILE is below num_threads +
 *           connection_queue + 65; or the system does not make num_threads + 1 threads: that is tried, and they end
 *           again before it returns)
 *  Threads  any, but not while another one starts or stops a civetweb server; loads the TLS library for a TLS port.
 *           Takes some milliseconds for each thousand threads */
VESTRY_API vestry_err vestry_civetweb_check(const char *const *settings, char *why, size_t capacity);

/** Add vestry to a server, running or in its init_context.
 *  v, context  borrowed; both must outlive ret_server, but the context may be stopped before
 *  options     NULL: the defaults; copied
 *  ret_server  owned by the caller; untouched on failure. vestry_server_stop returns TIMEOUT while a handler is stuck
 *              in a write to a stalled client, at most until request_timeout_ms, or until two seconds after mg_stop was
 *              called. vestry_server_destroy waits for nothing: first stop it, and the context. vestry_server_room
 *              counts the streams that are parked
 *  Returns  OK (also when the kernel does not tell about sockets: that is logged, and heartbeats find the peers that
 *           have gone) | INVALID (an argument; num_threads leaves no room for a stream; a max_per_address that is not
 *           that of the instance which is there) | EXISTS (another instance in this server has one of the routes:
 *           logged) | UNSUPPORTED (a route for QUERY, and this civetweb does not take it: logged) | LIMIT
 *           (RLIMIT_NOFILE, as check says; the host's log has the numbers) | NO_MEMORY | CLOSED (the instance's
 *           runtime) | IO (no randomness)
 *  Threads  any; does not block. The watch runs on a timer of the instance's runtime, 2 to 4 ms each time */
VESTRY_API vestry_err vestry_civetweb_create(vestry *v, struct mg_context *context,
                                             const vestry_civetweb_options *options, vestry_server **ret_server);

/** For mg_callbacks.http_error: answers what civetweb refuses by itself with the status and its words, and closes; a
 *  QUERY with 501, a head that is larger than max_request_size with 431 (civetweb's own is 400).
 *  Without it a request line that civetweb cannot read comes back in the status line ("HTTP/b HTTP/1.1 400").
 *  vestry_server_civetweb has it.
 *  Returns  0: answered
 *  Threads  civetweb's; blocks in writing */
VESTRY_API int vestry_civetweb_http_error(struct mg_connection *conn, int status, const char *message);

/** Serve a request from inside a handler of the application's own, or from its begin_request: one that goes before
 *  vestry's routes, see above.
 *      static int own(struct mg_connection *conn, void *app) { // for "/api", and all below it
 *        int status = vestry_civetweb_serve(server, conn);
 *        return status ? status : …;
 *      }
 *  server   of vestry_civetweb_create
 *  conn     nothing of its body was read, and nothing written
 *  Returns  0: no route has this path (and answers_all is not set); nothing was read, nothing written | the status: it
 *           was answered, or was a stream that has ended
 *  Threads  the one that civetweb called the handler on; blocks for a stream's life, as civetweb's own do */
VESTRY_API int vestry_civetweb_serve(vestry_server *server, struct mg_connection *conn);

/** civetweb's own object of a request, for what vestry does not ask it: mg_get_request_info(conn)->remote_user and
 *  ->user_data, a cookie by the program's own log-in. In vestry_options.scope it decides whose request it is. Nothing
 *  may be written to it, and of a body nothing read.
 *  Returns  NULL: the request is no civetweb server's, or a copy, as pages and parts are rendered with. Valid until the
 *           handler, guard or scope function that asked has returned
 *  Threads  that of the request; does not block */
VESTRY_API struct mg_connection *vestry_civetweb_request_of(const vestry_request *req);

/** mg_stop, but prompt: civetweb's accept loop looks at its stop flag every two seconds or when a client connects, so
 *  vestry connects. The server is gone afterwards. It still takes up to two seconds while a client holds a connection
 *  open on which it sends nothing: civetweb's workers look no more often. NULL is accepted.
 *  Threads  not from a handler; blocks until all workers have ended */
VESTRY_API void vestry_civetweb_stop_server(struct mg_context *context);

#ifdef __cplusplus
}
#endif
#endif
