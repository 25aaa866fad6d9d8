/* SPDX-License-Identifier: MIT */
/** The libmicrohttpd adapter: a server for many streams. A few threads serve all of them, and a client that has gone is
 *  noticed at once.
 *
 *      vestry_route(v, "PUT", "/", start, &app);
 *      vestry_microhttpd_create(v, &(vestry_microhttpd_options){.address = "127.0.0.1", .port = 8080}, &server);
 *      …
 *      vestry_server_stop(server, 1500);   // aborts the streams, so that the browsers reconnect
 *      vestry_server_destroy(server);
 *      vestry_destroy(v);
 *
 *  An idle stream costs some hundred bytes in vestry and nothing in libmicrohttpd, whose connection is freed when the
 *  head is sent; with TLS it also costs the connection and its session, some ten kilobytes. HTTP/1.1 and 1.0; for
 *  HTTP/2 see vestry/h2.h, or use a proxy in front. vestry_microhttpd_create has the rules of a server,
 *  vestry_microhttpd_attach those of an existing daemon. */
#ifndef VESTRY_MICROHTTPD_H
#define VESTRY_MICROHTTPD_H

#include "vestry/server.h"

#ifdef __cplusplus
extern "C" {
#endif

struct MHD_Connection;
struct MHD_Daemon;

/** Options of a server. Zero is the default. */
typedef struct vestry_microhttpd_options {
  const char *address;      /**< numeric address to listen on; NULL: 0.0.0.0, every IPv4 address */
  uint16_t port;            /**< 0: a free port, see vestry_server.port */
  const char *unix_path;    /**< UNIX socket to listen on, instead of address and port; NULL: none. See
                                 vestry_microhttpd_create */
  uint32_t unix_mode;       /**< permissions of the socket's file, whatever the umask: which users may connect; 0:
                                 0660 */
  uint32_t threads_count;   /**< threads that serve requests; 0: one for each processor that the process may
                                 use, at least 2; at most 256 */
  uint32_t max_streams;     /**< maximum number of open streams; beyond it 503 with Retry-After. 0: 10,000; at most
                                 1,000,000 */
  uint32_t max_connections; /**< maximum number of connections, streams included; must exceed max_streams; beyond it no
                                 connection is accepted. 0: max_streams and a quarter more, at least 64 more, or
                                 threads_count if that is more. At most 2,000,000, and at least threads_count */
  uint32_t max_per_address; /**< maximum number of connections of one IPv4 address, or of one IPv6 /64, streams
                                 included; further ones are closed. 0: no limit, because a proxy, or all users of a NAT,
                                 are one address */
  uint32_t timeout_s;       /**< seconds of silence after which a connection that is no stream is closed, also while a
                                 client does not read a response. 0: 30 */
  uint64_t request_timeout_ms; /**< time for a complete request, head and body, after its connection was accepted, or
                                    after its first line on a kept connection; then the connection is closed. A TLS
                                    handshake counts. 0: 30,000; VESTRY_NEVER_MS: only timeout_s applies */
  uint64_t lost_ms;         /**< a peer that leaves sent bytes unacknowledged for this time is LOST; 0: a heartbeat of
                                 the instance, but at least 2,000 (30,000 if there are no heartbeats); VESTRY_NEVER_MS:
                                 the system's limit, a quarter of an hour */
  size_t memory_bytes;      /**< memory of a connection: a request's head, a copy of its cookies, records of its headers
                                 and cookies, and the response's head. libmicrohttpd writes to all of it when a response
                                 is sent: 10,000 kept connections would take 663 MB by default, but max_request_bytes
                                 bounds them to about 3,500. timeout_s, max_per_address and max_head_bytes reduce their
                                 number or size (docs/guide/deploying.md). 0: four times max_head_bytes, which is also
                                 the minimum; from 1,024 to 16 MiB */
  size_t send_buffer_bytes; /**< approximate bytes that the kernel buffers for a client that does not read (SO_SNDBUF);
                                 the rest waits in the stream's queue, under its bounds. It also bounds the bytes in
                                 flight: less than a few times 16 KiB slows distant clients. 0: the system's, some MB
                                 (net.ipv4.tcp_wmem), of which a stream uses only the bytes in flight and 128 KiB; from
                                 4,096 to 64 MiB */
  const char *tls_key;      /**< text in PEM, not a file name; with key and certificate the server accepts HTTPS only.
                                 Borrowed for create */
  const char *tls_certificate;  /**< PEM, followed by its chain if there is one */
  size_t max_head_bytes;        /**< of a request's head, with its target; a larger one gets 431, or 414 if its target
                                    exceeds half of the bound, and the connection closes. The signals of a GET are in
                                    its target. 0: 16,384, or a quarter of memory_bytes if that is set; at most 4 MiB */
  const char *const *tls_pairs; /**< instead of tls_key and tls_certificate: keys and certificates alternate, ended by
                                     NULL. A client gets the first pair whose certificate is for the name that it
                                     requests (SNI), or else the first. NULL: none */
  const char *const *tls_files; /**< instead of the members above: names of files in PEM, of keys and certificates in
                                     the order of tls_pairs, which vestry_server_renew reads again. NULL: none */
} vestry_microhttpd_options;

/** A libmicrohttpd server by vestry/server.h. */
extern VESTRY_API const vestry_server_adapter vestry_server_microhttpd;

/** Start a server.
 *  v           borrowed; must outlive the server; its runtime must own threads
 *  options     NULL: the defaults; copied
 *  ret_server  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (an argument, or beyond its bounds; unix_path with an address or port, or too long for a
 *           socket's address, which has 107 bytes) | NO_MEMORY | UNSUPPORTED (TLS or epoll, which this libmicrohttpd
 *           was built without) | CLOSED (the instance's runtime) | IO (the address or path is in use or not this
 *           machine's, an invalid key or certificate, no thread or descriptor is left: the host's log has the reason)
 *  Threads  any; does not block, except for at most two seconds while another server begins to listen on a UNIX socket
 *           in the same folder
 *
 *  Threads. The server listens from this call on. Handlers run on its threads: one that blocks delays the other
 *  connections of its thread, so set more threads if handlers block. Streams do not use them; the instance's
 *  runtime writes them, and must therefore own threads.
 *
 *  Bodies are read completely before the handler is called, up to vestry_bounds.max_body_bytes. Of an unwanted body,
 *  for example a larger one, up to 4 MiB are skipped before the response. If more is left, the response is sent before
 *  the end of the body, and the connection closes. vestry_bounds.max_request_bytes counts
 *  - max_head_bytes for each connection that is no stream, and memory_bytes after it was answered and is kept;
 *  - each body as it grows.
 *  From 7/8 on, connections with an incomplete request are closed, those that hold most first, and among equals the one
 *  that waits longest; so unfinished bodies do not exclude new requests. If that does not free memory soon enough,
 *  because threads are busy, a body gets 503 with Retry-After, and a connection is closed. Each counts as BUDGET.
 *
 *  Descriptors. Each connection needs a descriptor: raise RLIMIT_NOFILE to max_connections and some more. A connection
 *  that becomes a stream needs two for a moment; without a second one, that stream ends with cause ERROR. If the limit
 *  is lower, create reduces the number of connections and streams to what it allows, less an eighth (16 to 256) for the
 *  application, and logs that; vestry_server_room returns the result. If descriptors run out nevertheless, this is
 *  logged, and connections wait in the kernel until 100 ms after some are free.
 *
 *  Ambiguous requests get 400, and the connection closes:
 *  - heads with names that are no tokens, folded lines, lines that end with a bare LF, control characters, no Host or
 *    two, an ambiguous length of the body;
 *  - targets whose path a proxy could normalize: "//", segments that end with a dot (also ".."), encoded slashes,
 *    backslashes, control bytes, malformed escapes, invalid UTF-8, '#'.
 *  Targets of the form "http://host/path" are served; "*" matches no handler's path. libmicrohttpd 1.0 itself refuses
 *  folded lines, bare LFs and lines that begin with a colon; with 0.9.75 vestry finds them. create checks which of the
 *  two the library does, and logs a warning if it does neither. Refusals by vestry are counted in
 *  vestry_stats.refused_by_reason, those by libmicrohttpd are not.
 *
 *  TLS. The server accepts TLS 1.3, and 1.2 with the ciphers that HTTP/2 permits. A client whose ALPN offers neither
 *  http/1.1 nor http/1.0 is refused. Session tickets resume sessions for six hours; their keys change with time, and
 *  their secret each day. There are no client certificates, no OCSP stapling and no early data. The daemon uses poll
 *  instead of epoll, and a stream keeps its connection (above). At each event libmicrohttpd looks at all connections of
 *  the thread: 1,500 idle ones cost each request about 0.1 ms. vestry/h2.h does not.
 *
 *  Connections. With "Connection: close" in the head, the connection closes
 *  - after a stream, so that a browser closes it as soon as its tab is closed or shows another page;
 *  - after a chunked body, because its trailers cannot be checked.
 *  It also closes after a 304 of a handler, because libmicrohttpd cannot omit the length and keep the connection; the
 *  304 of vestry/app/files.h has a length. A stream to an HTTP/1.0 client lasts until the connection closes: that
 *  client cannot distinguish an end from an abort.
 *
 *  End of a stream whose client has gone:
 *  - HANGUP, at once: the client closes, or its machine resets the connection. A client that shuts down only its
 *    sending half counts as closed; browsers do not do that
 *  - LOST, at most a heartbeat and lost_ms after the cut: the client acknowledges nothing for lost_ms
 *  - STALLED: the client acknowledges, but does not read for lost_ms
 *  lost_ms applies to streams only: another response waits timeout_s for a client that does not read, or is cut off. A
 *  request that breaks off is not answered: the connection closes, within a second if the client has closed, else after
 *  request_timeout_ms.
 *
 *  UNIX sockets (unix_path) are for a proxy on the same machine. The socket file of a server that has ended is
 *  replaced; if a process listens on it, or the file is no socket, create fails with IO and does not change it. destroy
 *  removes the file. vestry_request_peer is "", vestry_server.port 0. A peer that closes is HANGUP at once; lost_ms
 *  does not apply, and a peer that does not read is noticed when its queue is full. An adapter listens in one place; an
 *  instance may have several adapters. */
VESTRY_API vestry_err vestry_microhttpd_create(vestry *v, const vestry_microhttpd_options *options,
                                               vestry_server **ret_server);

/** Options of an adapter in a daemon of the application. Zero is the default. */
typedef struct vestry_microhttpd_attach_options {
  uint32_t max_streams;  /**< maximum number of open streams; beyond it 503 with Retry-After. 0: 10,000; at most
                              1,000,000 */
  uint32_t max_requests; /**< maximum number of requests that are read or served; beyond it the connection is closed,
                              and BUDGET counted. 0: 1,024; at most 1,048,576 */
  uint64_t request_timeout_ms; /**< time for a complete request body after its head; then the connection is shut down.
                                    0: 30,000; VESTRY_NEVER_MS: only the daemon's time-out applies */
  uint64_t lost_ms;            /**< as in vestry_microhttpd_options; for streams */
  size_t send_buffer_bytes;    /**< as in vestry_microhttpd_options */
  bool is_strict;              /**< the daemon was started with MHD_OPTION_STRICT_FOR_CLIENT, 1 (in 1.0 equal to
                                    MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1 or more), which no function reports. See
                                    vestry_microhttpd_attach */
} vestry_microhttpd_attach_options;

/** Serve an instance's routes inside a daemon of the application, whose access handler calls vestry first:
 *
 *      static enum MHD_Result access(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
 *                                    const char *version, const char *data, size_t *data_len, void **req_cls) {
 *        int result = vestry_microhttpd_serve(web, conn, url, method, version, data, data_len, req_cls);
 *        if (result != VESTRY_MICROHTTPD_NOT_MINE) return (enum MHD_Result)result;
 *        …                       // as before
 *      }
 *      static void completed(void *cls, struct MHD_Connection *conn, void **req_cls,
 *                            enum MHD_RequestTerminationCode why) {
 *        if (vestry_microhttpd_completed(web, req_cls)) return;
 *        …
 *      }
 *      vestry_microhttpd_attach(v, NULL, &(vestry_microhttpd_attach_options){.is_strict = true}, &web);
 *      daemon = MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME, port, NULL,
 *                                NULL, access, &app, MHD_OPTION_NOTIFY_COMPLETED, completed, &app,
 *                                MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
 *      …
 *      vestry_server_stop(web, 1500);  // before the daemon, which with TLS ends the process if streams are open
 *      MHD_stop_daemon(daemon);
 *      vestry_server_destroy(web);
 *      vestry_destroy(v);
 *
 *  The daemon needs MHD_ALLOW_SUSPEND_RESUME. It may have an internal thread, a pool of them, or none (MHD_run in the
 *  application's loop); select, poll or epoll; TLS or not. A daemon with MHD_USE_THREAD_PER_CONNECTION is refused,
 *  because its threads would wait for sockets that were handed over.
 *
 *  As in a server of vestry_microhttpd_create: a stream's socket is handed over when its head is sent, so it costs the
 *  daemon nothing and does not count for its limits; peers that go are noticed at once; handlers run on the daemon's
 *  threads, streams in the instance's runtime; ambiguous heads and targets get 400 on paths with a route. Clients must
 *  send paths unencoded, except the bytes that must be encoded.
 *
 *  Start a daemon of libmicrohttpd 1.0 (Debian 13) with MHD_OPTION_STRICT_FOR_CLIENT, 1, and set is_strict. A daemon
 *  that is not strict joins folded lines, ends lines at a bare LF, accepts a tab for a blank in a request line, and
 *  answers further blanks in it with a redirect, all before vestry sees the request. Without is_strict, attach logs a
 *  warning for 1.0, and vestry refuses values with two blanks in a row, because they may have been folded lines. vestry
 *  cannot see a bare LF after a value that ends with a blank. With 0.9.75 vestry finds all such heads, strict or not.
 *  With a negative level a daemon may read a request differently than a proxy does (docs/security.md).
 *
 *  Different from such a server: a connection belongs to the daemon until it becomes a stream.
 *  - The daemon's options set the number of connections, their time of silence and their memory:
 *    MHD_OPTION_CONNECTION_LIMIT, _TIMEOUT, _MEMORY_LIMIT, _PER_IP_CONNECTION_LIMIT. Set _TIMEOUT: a head that arrives
 *    slowly is otherwise unlimited, and with epoll libmicrohttpd notices a client that has gone in the middle of a head
 *    by _TIMEOUT only.
 *  - Heads are not counted in vestry_bounds.max_request_bytes; bodies are.
 *  - Descriptors: if RLIMIT_NOFILE is lower than max_streams, attach reduces max_streams and logs that. An eighth of
 *    the limit (16 to 256) is kept for the program: a stream that would use such a descriptor gets 503, and the
 *    log has a line. Connections that are no streams are the daemon's: set MHD_OPTION_CONNECTION_LIMIT.
 *  - Streams of one address have no bound: limit them by scope or by the store.
 *  - With MHD_USE_ERROR_LOG the daemon logs a line for each stream that it has handed over.
 *  - Targets of the form "http://host/path", and "*", go to the application.
 *
 *  v           borrowed; must outlive the server
 *  daemon      its flags are checked; borrowed for the call. NULL: not started yet; the flags are checked with the
 *              first request, which is closed if they do not fit
 *  options     NULL: the defaults; copied
 *  ret_server  owned by the caller; untouched on failure. vestry_server_destroy closes its streams; before it, the
 *              daemon must have ended, or no longer call vestry
 *  Returns  OK | INVALID (an argument, or beyond its bounds) | NO_MEMORY | UNSUPPORTED (the daemon's flags; logged) |
 *           CLOSED (the instance's runtime) | IO (no thread or descriptor is left, no randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_microhttpd_attach(vestry *v, struct MHD_Daemon *daemon,
                                               const vestry_microhttpd_attach_options *options,
                                               vestry_server **ret_server);

/** Result of vestry_microhttpd_serve for a request without a route. */
#define VESTRY_MICROHTTPD_NOT_MINE (-1)

/** Serve a request: call it each time the application's access handler is called, with the same arguments, before the
 *  handler sets *req_cls. If several instances are attached to one daemon, the handler calls this for one after the
 *  other, and the first that has a route for the path answers. Unlike with civetweb, equal routes of two instances are
 *  not detected.
 *  server   attached; NULL: none yet, and every request is the application's
 *  req_cls  NULL in the first call for a request, as without a MHD_OPTION_URI_LOG_CALLBACK; vestry's own while vestry
 *           serves the request, and NULL after the response
 *  Returns  VESTRY_MICROHTTPD_NOT_MINE: the application's; nothing was read, set or answered | MHD_YES, MHD_NO: return
 *           this
 *  Threads  the daemon's; blocks as handlers do */
VESTRY_API int vestry_microhttpd_serve(vestry_server *server, struct MHD_Connection *conn, const char *url,
                                       const char *method, const char *version, const char *data, size_t *data_len,
                                       void **req_cls);

/** End a request: call it each time the daemon reports the end of a request. The daemon must have
 *  MHD_OPTION_NOTIFY_COMPLETED. Otherwise, a request that breaks off keeps its memory and its place among max_requests
 *  until destroy. In addition, vestry shuts its descriptor down after request_timeout_ms, and by then the descriptor
 *  may belong to another connection.
 *  server   NULL is accepted
 *  Returns  true: the request was vestry's | false: it is the application's, or vestry has answered it before, and
 *           *req_cls is NULL
 *  Threads  the daemon's; does not block */
VESTRY_API bool vestry_microhttpd_completed(vestry_server *server, void **req_cls);

/** Get libmicrohttpd's object of a request, for data that vestry does not have: the client's certificate, its address,
 *  a log-in of the program. vestry_options.scope can use it to identify the user. Do not answer, suspend or change it.
 *  Returns  NULL: the request is not a libmicrohttpd server's, or is a copy that pages and parts are rendered with.
 *           Valid until the calling handler, guard or scope function has returned
 *  Threads  that of the request; does not block */
VESTRY_API struct MHD_Connection *vestry_microhttpd_connection_of(const vestry_request *req);

#ifdef __cplusplus
}
#endif
#endif
