/* SPDX-License-Identifier: MIT */
/** The civetweb adapter: adds an instance's routes (vestry/routes.h) to a civetweb server that the application has
 *  configured and started.
 *
 *      vestry_route(v, "PUT", "/", start, &app);
 *      if (vestry_civetweb_check(settings, why, sizeof why)) fail(why);
 *      struct mg_context *context = mg_start(NULL, NULL, settings);
 *      vestry_civetweb_create(v, context, NULL, &server);
 *      …
 *      vestry_server_stop(server, 1500);      // aborts the streams, waits until no handler runs
 *      vestry_civetweb_stop_server(context);  // mg_stop, without its two seconds of waiting
 *      vestry_server_destroy(server);
 *      vestry_destroy(v);
 *
 *  Each stream occupies a worker thread of civetweb for its life; vestry_civetweb_create has the rules. */
#ifndef VESTRY_CIVETWEB_H
#define VESTRY_CIVETWEB_H

#include "vestry/server.h"

struct mg_connection;
struct mg_context;

#ifdef __cplusplus
extern "C" {
#endif

/** Options of the adapter. Zero is the default. */
typedef struct vestry_civetweb_options {
  uint32_t reserve_threads; /**< workers kept free of streams; 0: a tenth of num_threads, at least 2, at most 32 */
  uint64_t watch_ms;        /**< interval between checks of the sockets for peers that have gone (see
                                 vestry_civetweb_create); 0: a sixteenth of the instance's heartbeat, at least 10, at
                                 most 250; VESTRY_NEVER_MS: no checks */
  uint64_t lost_ms;         /**< a peer that leaves sent bytes unacknowledged for this time is LOST; 0: a heartbeat less
                                 2 × watch_ms, so that the stream ends within two heartbeats, but at least 2,000 (30,000
                                 if there are no heartbeats); VESTRY_NEVER_MS: never */
  uint64_t body_ms;         /**< time for a complete request body; 0: request_timeout_ms; VESTRY_NEVER_MS: civetweb's
                                 own limit, which is request_timeout_ms for each byte */
  uint64_t linger_ms;       /**< time for the rest of a body that was answered before it ended (413, 405); 0: 2,000, at
                                 most request_timeout_ms; VESTRY_NEVER_MS as above */
  uint32_t max_per_address; /**< maximum number of running requests and streams of one IPv4 address, or of one IPv6 /64.
                                 It applies to the whole server: of several instances in it the first sets it, the
                                 others leave it 0. A request beyond it gets 503, and the connection closes. civetweb
                                 reports a connection only with its first request. So connections that send none, or
                                 only a part of a head, do not count, and occupy workers until civetweb closes them
                                 after at most twice request_timeout_ms: use a proxy in front, or libmicrohttpd. 0: no
                                 limit, because a proxy, or all users of a NAT, are one address */
  bool answers_all;         /**< requests without a route get 404 by vestry (vestry_error_page) instead of going to the
                                 server */
} vestry_civetweb_options;

/** A civetweb server by vestry/server.h: 1,024 threads, or as many of them as vestry_server_options.threads_count
 *  describes, or as max_streams and the reserve need; tcp_nodelay; a client may stall for ten seconds; max_request_size
 *  is vestry_server_options.max_head_bytes. civetweb's own log goes to the host's log. */
extern VESTRY_API const vestry_server_adapter vestry_server_civetweb;

/** Check a server's settings before mg_start: names and values alternate, ended by NULL. Use it because mg_start does
 *  not report some failures:
 *  - If civetweb cannot create all its threads, it continues with fewer, or accepts no connection; mg_start reports
 *    nothing, and mg_stop may never return.
 *  - If descriptors run out, civetweb retries in a loop that occupies a processor. Its clients take at most num_threads
 *    + connection_queue + 1 descriptors, and this check adds 64 for the rest of the process. If the application opens
 *    more than that, raise RLIMIT_NOFILE by the difference.
 *  why      receives one terminated line on failure; may be NULL with capacity 0
 *  Returns  OK | UNSUPPORTED (a UNIX socket, "x/path", and this civetweb was built without them, as Debian's is; or a
 *           TLS port, and this civetweb cannot start TLS, as Debian's cannot: mg_start would crash. civetweb reports
 *           this only once in a process: do not ignore it, and do not initialise civetweb's TLS before) | INVALID (too
 *           few threads for a stream and the reserve, tcp_nodelay not 1) | LIMIT (RLIMIT_NOFILE is below num_threads +
 *           connection_queue + 65; or the system does not create num_threads + 1 threads, which this call tries; they
 *           end before it returns)
 *  Threads  any, but not while another one starts or stops a civetweb server; loads the TLS library for a TLS port.
 *           Takes some milliseconds for each thousand threads */
VESTRY_API vestry_err vestry_civetweb_check(const char *const *settings, char *why, size_t capacity);

/** Add vestry to a server that is running, or in its init_context.
 *  v           borrowed; must outlive ret_server
 *  context     borrowed; stop it after vestry_server_stop and before vestry_server_destroy
 *  options     NULL: the defaults; copied
 *  ret_server  owned by the caller; untouched on failure. vestry_server_stop returns TIMEOUT while a handler is stuck
 *              in a write to a stalled client, at most until request_timeout_ms, or until two seconds after mg_stop was
 *              called. vestry_server_destroy does not wait: first stop the server, and the context. vestry_server_room
 *              counts the open streams
 *  Returns  OK | INVALID (an argument; num_threads is too small for a stream; a max_per_address that differs from that
 *           of an existing instance) | EXISTS (another instance in this server has one of the routes: logged) |
 *           UNSUPPORTED (a route for QUERY, and this civetweb does not support it: logged) | LIMIT (RLIMIT_NOFILE, as
 *           in vestry_civetweb_check; the host's log has the numbers) | NO_MEMORY | CLOSED (the instance's runtime) |
 *           IO (no randomness for max_per_address)
 *  Threads  any; does not block. The watch runs on a timer of the instance's runtime, with two system calls for each
 *           stream
 *
 *  Settings. If all workers have streams, nothing else is served. Therefore, streams are admitted up to num_threads
 *  less the reserve; beyond it the response is 503 with Retry-After, and the log has a warning, once a minute.
 *  - num_threads: the wanted streams plus the reserve; connection_queue to match
 *  - listen_backlog: 4096, because a client that finds it full retries a second later
 *  - tcp_nodelay: 1, because small patches otherwise wait for 40 ms
 *  - decode_url: no, if parameters in paths may have any bytes, because civetweb's decoding loses how a path was sent
 *    (docs/security.md)
 *  - request_timeout_ms: how long a client may stall
 *
 *  Start. From mg_start until the adapter is added, civetweb answers requests with 404. When a server restarts, its
 *  pages reconnect at once, and a page whose stream gets 404 four times in a row reloads, and then shows the server's
 *  page for 404. Therefore, call this function in mg_callbacks.init_context, which mg_start calls before the first
 *  request (its argument is the server); clients wait for it.
 *
 *  End of a stream whose client has gone. civetweb itself notices this at the second write after it, which is the
 *  second heartbeat. The adapter also finds the sockets of its streams among the descriptors of this process, and reads
 *  their state every watch_ms:
 *  - HANGUP, within watch_ms: the client closes, or its machine resets the connection. A client that shuts down only
 *    its sending half counts as closed; browsers do not do that
 *  - LOST, at most heartbeat + lost_ms + 2 × watch_ms after the cut: the client acknowledges nothing for lost_ms. A
 *    blocked write of a worker cannot be interrupted: a stream that is lost during a write accepts nothing more from
 *    then on, but it ends, and frees its worker and memory, only when request_timeout_ms is over
 *  - STALLED: the client acknowledges but does not read, and a write made no progress for request_timeout_ms
 *
 *  Deadlines. civetweb itself requires the head of a request within twice request_timeout_ms. The complete body must
 *  arrive within body_ms, and the rest of one that was answered before its end (413, 405) within linger_ms. A timer of
 *  the runtime checks at intervals of a sixteenth of the shorter of the two (10 to 250 ms), and shuts the socket of a
 *  late client down for reading, at most 250 ms late. A late body gets 408. If bodies hold more than 7/8 of
 *  vestry_bounds.max_request_bytes, the incomplete ones that hold most are ended in the same way, with 503, and counted
 *  as BUDGET, so that new requests are served. On paths without a route, and for bodies that other handlers read,
 *  civetweb's own limits apply: the wait begins anew for each byte.
 *
 *  Connections. The head of each response announces whether the connection stays open. With enable_keep_alive it stays
 *  open if the client wants it, except after
 *  - streams, chunked bodies, and requests that the adapter itself refuses (400, 503);
 *  - bodies of which more than 64 KiB are unread, or which the client has not sent yet (Expect: 100-continue).
 *  If the unread rest of a shorter body does not arrive within linger_ms, the connection closes without announcement. A
 *  kept connection occupies a worker until keep_alive_timeout_ms (500 if unset) have passed without a request. A stream
 *  to an HTTP/1.0 client lasts until the connection closes: that client cannot distinguish an end from an abort.
 *
 *  Paths. civetweb normalizes paths before it looks for handlers. A request whose path, apart from percent-encoded
 *  bytes, differs from that of its route gets 400: "//", dots at the end of a segment, backslashes, %00, an encoded
 *  slash. With decode_url on, which is civetweb's default, a path of several segments must not encode bytes that do not
 *  need it, because civetweb does not report how the path was sent. libmicrohttpd has the same rule. With decode_url
 *  off, vestry decodes the path, and a request must not encode the literal segments of a route. A head that civetweb
 *  does not read to its end (folded lines, lines without a name, more than 64 headers) gets 400 on paths with a route,
 *  and the connection closes; on other paths civetweb decides, so take this into account in proxy rules for these
 *  paths.
 *
 *  Other handlers. Each route becomes a civetweb pattern when it is mounted. A request without a route goes unread to
 *  the application's handlers and to the server's files, in whatever order these were set. With answers_all, the
 *  adapter takes all requests instead. If a path has a route and a handler of the application, the handler has
 *  precedence if it is for exactly that path, or for one above it ("/api" is above "/api/events"), or is a pattern that
 *  was set before the route; it can pass a request on (vestry_civetweb_serve).
 *  - Routes are distinguished by path: if vestry has one for GET, a POST gets 405, and reaches no pattern that is set
 *    later.
 *  - civetweb's patterns ignore case, and '?', '*', '$' and '|' in a route match any character: a path that matches a
 *    route only in this way goes to the server's files.
 *  - Mount no route in an authorization handler (mg_set_auth_handler), nor after the server has ended, unless the
 *    adapter was stopped before.
 *  - An authorization handler, global_auth_file and the like apply to vestry's routes as to any other handler.
 *  - civetweb compares a path with its patterns one by one: 50 routes cost a request some 4 µs, 300 some 24 µs;
 *    answers_all is one pattern, and costs the same for any number.
 *
 *  Several instances in one server have an adapter each. A route that another of them has is EXISTS, here or when it is
 *  mounted; of two patterns that match one path, that of the older adapter applies. They share the workers: no adapter
 *  opens a stream while all of them together have as many as its own capacity. A stopped adapter has no routes, but
 *  answers 503 where no other adapter has one.
 *
 *  QUERY (RFC 10008). civetweb up to 1.17 answers this method with 400 before any handler. So a route for QUERY is
 *  UNSUPPORTED, here or when it is mounted, with the reason in the log; vestry_civetweb_http_error answers such a
 *  request with 501, which is logged once. Mount such a route for POST, or serve it by libmicrohttpd. */
VESTRY_API vestry_err vestry_civetweb_create(vestry *v, struct mg_context *context,
                                             const vestry_civetweb_options *options, vestry_server **ret_server);

/** Answer a request that civetweb refuses, as mg_callbacks.http_error: with the status and its words, then close; a
 *  QUERY with 501, a head larger than max_request_size with 431 (civetweb's own is 400). Without this callback, a
 *  request line that civetweb cannot read is repeated in the status line ("HTTP/b HTTP/1.1 400").
 *  vestry_server_civetweb sets it.
 *  Returns  0: answered
 *  Threads  civetweb's; blocks in writing */
VESTRY_API int vestry_civetweb_http_error(struct mg_connection *conn, int status, const char *message);

/** Serve a request inside a handler of the application that precedes vestry's routes (see vestry_civetweb_create), or
 *  inside its begin_request.
 *      static int own(struct mg_connection *conn, void *app) { // for "/api", and all below it
 *        int status = vestry_civetweb_serve(server, conn);
 *        return status ? status : …;
 *      }
 *  server   of vestry_civetweb_create
 *  conn     no byte of its body was read, and nothing was written
 *  Returns  0: no route has this path (and answers_all is not set); nothing was read, nothing written | the status: the
 *           request was answered, or was a stream that has ended
 *  Threads  the one that civetweb called the handler on; blocks for a stream's life, as civetweb's own do */
VESTRY_API int vestry_civetweb_serve(vestry_server *server, struct mg_connection *conn);

/** Get civetweb's object of a request, for data that vestry does not have: mg_get_request_info(conn)->remote_user and
 *  ->user_data, a cookie of the program's own log-in. vestry_options.scope can use it to identify the user. Do not
 *  write to it, and do not read its body.
 *  Returns  NULL: the request is not a civetweb server's, or is a copy that pages and parts are rendered with. Valid
 *           until the calling handler, guard or scope function has returned
 *  Threads  that of the request; does not block */
VESTRY_API struct mg_connection *vestry_civetweb_request_of(const vestry_request *req);

/** Stop a civetweb server promptly, and free it. civetweb's accept loop checks its stop flag only every two seconds or
 *  when a client connects, so this function calls mg_stop and connects. It still takes up to two seconds while a client
 *  holds a connection open without sending, because civetweb's workers check no more often. NULL is accepted.
 *  Threads  not from a handler; blocks until all workers have ended */
VESTRY_API void vestry_civetweb_stop_server(struct mg_context *context);

#ifdef __cplusplus
}
#endif
#endif
