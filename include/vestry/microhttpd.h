/* SPDX-License-Identifier: MIT */
/** The libmicrohttpd adapter: a server of vestry's own for many streams. Some threads serve all of them, and a
 *  client that has gone is seen at once. An idle stream costs vestry's own bytes, some hundred, and nothing of the
 *  server's, whose connection is given back when the head is out; with TLS it costs the connection and its session too,
 *  which is some ten kilobytes.
 *
 *      vestry_route(v, "PUT", "/", start, &app);
 *      vestry_microhttpd_create(v, &(vestry_microhttpd_options){.address = "127.0.0.1", .port = 8080}, &server);
 *      …
 *      vestry_server_stop(server, 1500);   // aborts the streams, so that the browsers come back
 *      vestry_server_destroy(server);
 *      vestry_destroy(v);
 *
 *  The server listens from create on, and serves the instance's routes (vestry/routes.h). Handlers run on its threads:
 *  one that blocks keeps the other connections of its thread waiting, so give it more threads if they do. Streams need
 *  none of these threads; the instance's runtime writes them, which must therefore have threads of its own.
 *
 *  Bodies are read whole before the handler is called, up to vestry_bounds.max_body_bytes; of a larger one up to 4 MiB
 *  more are passed over before it is answered 413. What heads and bodies hold counts: for each connection that is no
 *  stream max_head_bytes, and memory_bytes once it was answered and is kept; and a body as it grows. From seven eighths
 *  of vestry_bounds.max_request_bytes on, connections whose request is not complete are closed, those that hold most
 *  first, and of equals the one that waits longest; so bodies that are never finished keep no newcomer out. If that
 *  does not free memory soon enough, because threads are busy, a body is answered 503 with Retry-After, and a
 *  connection is closed. Each counts as BUDGET.
 *
 *  A process needs a descriptor for each connection: raise RLIMIT_NOFILE to max_connections and some more (a
 *  connection that becomes a stream has two for a moment; when there is no second one, that stream ends for ERROR).
 *  Where it is lower, create takes as many connections and streams as it allows, less an eighth (16 to 256) for the
 *  application, and logs that; vestry_server_room tells what came of it. When descriptors run out all the same,
 *  connections wait in the kernel, which is logged, and come in a tenth of a second after there are some again.
 *
 *  What can be read in two ways is answered 400, and the connection closes: heads with names that are no tokens, folded
 *  lines, lines that end with a bare LF, control characters, no Host or two, an unclear length of the body; targets
 *  whose path a proxy could tidy up: "//", segments that end with a dot (so ".." too), encoded slashes, backslashes,
 *  control bytes, broken escapes, no UTF-8, '#'. Targets of the form "http://host/path" are served, "*" is no path of a
 *  handler's. A connection is not kept after a chunked body, whose trailers cannot be looked at: the answer says so
 *  with Connection: close, and a stream's connection always closes. So does that of a 304 of a handler's own, since
 *  libmicrohttpd cannot be silent about a length and go on; those of vestry/app/files.h tell it. Folded
 *  lines, bare LFs and lines that begin with a colon are refused by libmicrohttpd 1.0 itself, and found by vestry with
 *  0.9.75; create asks the library which it is, and with one that does neither it logs a warning. What vestry
 *  refuses is counted in vestry_stats.refused_by_reason, what libmicrohttpd refuses is not.
 *
 *  The connection of a stream closes after it, and its head says so ("Connection: close"): a browser then closes it as
 *  soon as the tab is closed or shows another page, and does not wait for more of an answer first.
 *
 *  How soon a stream ends when its client has gone: one that closes, or whose machine resets the connection, is HANGUP
 *  at once. One that acknowledges nothing for lost_ms is LOST, at most a heartbeat and lost_ms after the cut; one that
 *  acknowledges but does not read for so long is STALLED. A client that shuts only its sending half is taken for one
 *  that closed; browsers do not do that. lost_ms is of streams alone: another answer waits timeout_s for a client that
 *  does not read, or is cut off. A request that breaks off is not answered: the connection closes, within a second when
 *  the client has closed, else after request_timeout_ms.
 *
 *  On a UNIX socket (unix_path) it listens for a proxy on the same machine. The socket of a server that is gone is
 *  replaced; one where a process listens, and a file that is no socket, are not touched: create fails with IO. destroy
 *  removes the file. vestry_request_peer is "", vestry_server.port 0. A peer that closes is HANGUP at once; lost_ms
 *  has no meaning there: one that does not read is noticed when its queue is full. An adapter listens in one place; one
 *  instance may have several adapters.
 *
 *  HTTP/1.1 and 1.0; a proxy in front gives HTTP/2. A stream to an HTTP/1.0 client lasts until the connection closes:
 *  that client cannot tell an end from an abort. */
#ifndef VESTRY_MICROHTTPD_H
#define VESTRY_MICROHTTPD_H

#include "vestry/server.h"

#ifdef __cplusplus
extern "C" {
#endif

struct MHD_Connection;
struct MHD_Daemon;

/** Zero is the default. */
typedef struct vestry_microhttpd_options {
  size_t size;              /**< sizeof(vestry_microhttpd_options), or 0 */
  const char *address;      /**< to listen on, a number; NULL: 0.0.0.0, which is every IPv4 address */
  uint16_t port;            /**< 0: a free one, see vestry_server.port */
  const char *unix_path;    /**< a UNIX socket to listen on, instead of address and port; NULL: none. See above */
  uint32_t unix_mode;       /**< which users may connect to it: the file's permissions, whatever the umask; 0: 0660 */
  uint32_t threads_count;   /**< that serve requests; 0: one a processor, at least 2; at most 256 */
  uint32_t max_streams;     /**< open at once; beyond it 503 with Retry-After. 0: 10,000; at most 1,000,000 */
  uint32_t max_connections; /**< at once, streams included: more than max_streams; beyond it nothing is accepted. 0:
                                 max_streams and a quarter more, at least 64 more. No thread serves more than an equal
                                 share, plain streams aside */
  uint32_t max_per_address; /**< connections of one IPv4 address, or of one IPv6 /64, at once, streams included; those
                                 beyond it are closed. 0: no limit, because a proxy, or all users of a NAT, are one
                                 address */
  uint32_t timeout_s;       /**< of silence, after which a connection that is no stream is closed; so long a client may
                                 pause in an answer. 0: 30 */
  uint64_t request_timeout_ms; /**< a request must be complete, head and body, so long after its connection was
                                    accepted, or its first line came on one that was kept; else it is closed. A TLS
                                    handshake counts. 0: 30,000; VESTRY_NEVER_MS: timeout_s of silence alone counts */
  uint64_t lost_ms;         /**< a peer that leaves sent bytes unacknowledged for so long is LOST; 0: a heartbeat of the
                                 instance, but at least 2,000 (30,000 if there are none); VESTRY_NEVER_MS: when the
                                 system thinks so, after a quarter of an hour */
  size_t memory_bytes;      /**< of a connection, for a request's head, a copy of its cookies, records of its headers
                                 and cookies, and the answer's head. libmicrohttpd writes to all of it when an answer
                                 is out: 10,000 kept connections would take 663 MB by default, but max_request_bytes
                                 bounds them to about 3,500. timeout_s, max_per_address and
                                 max_head_bytes make them fewer or smaller (docs/guide/deploying.md). 0: four times
                                 max_head_bytes, and no less is valid; from 1,024 to 16 MiB */
  size_t send_buffer_bytes; /**< what the kernel takes for a client that does not read, about (SO_SNDBUF); what is
                                 more waits in the stream's queue, under its bounds. It also bounds how much is under
                                 way to a client that does: less than a few times 16 KiB makes far ones slow.
                                 0: the system's, some MB (net.ipv4.tcp_wmem); from 4,096 to 64 MiB */
  const char *tls_key;      /**< the text in PEM, not a file's name; with key and certificate it serves HTTPS and
                                 nothing else. Borrowed for create */
  const char *tls_certificate; /**< PEM, then its chain if there is one */
  size_t max_head_bytes;       /**< of a request's head, with its target; a larger one is answered 431, or 414 if its
                                    target is more than half of the bound, and the connection closes. The signals of
                                    a GET are in its target. 0: 16,384, or a quarter of memory_bytes if that is given;
                                    at most 4 MiB */
} vestry_microhttpd_options;

/** A libmicrohttpd server by vestry/server.h. */
extern VESTRY_API const vestry_server_adapter vestry_server_microhttpd;

/** Start a server.
 *  v           borrowed; must outlive the server; its runtime must own threads
 *  options     NULL: the defaults; copied
 *  ret_server  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (an argument, or beyond its bounds; unix_path with an address or port, or too long for a
 *           socket's address, which has room for 107 bytes) | NO_MEMORY | UNSUPPORTED (TLS or epoll, which this
 *           libmicrohttpd was built without) | IO (the address or path is taken or not this machine's, a key or
 *           certificate is none, no thread or descriptor is left: the host's log says which)
 *  Threads  any; does not block, but for at most two seconds while another server comes to listen on a UNIX socket in
 *           the same folder */
VESTRY_API vestry_err vestry_microhttpd_create(vestry *v, const vestry_microhttpd_options *options,
                                               vestry_server **ret_server);

/** Inside a daemon of the application's own. Zero is the default. */
typedef struct vestry_microhttpd_attach_options {
  size_t size;           /**< sizeof(vestry_microhttpd_attach_options), or 0 */
  uint32_t max_streams;  /**< open at once; beyond it 503 with Retry-After. 0: 10,000; at most 1,000,000 */
  uint32_t max_requests; /**< that are read or served at once; beyond it the connection is closed, and BUDGET counted.
                                 0: 1,024; at most 1,048,576 */
  uint64_t request_timeout_ms; /**< a request's body must be there, whole, so long after its head; else the connection
                                    is shut down. 0: 30,000; VESTRY_NEVER_MS: the daemon's time-out alone counts */
  uint64_t lost_ms;            /**< as in vestry_microhttpd_options; of streams */
  size_t send_buffer_bytes;    /**< the same */
  bool is_strict;              /**< the daemon was started with MHD_OPTION_STRICT_FOR_CLIENT, 1 (in 1.0 the same:
                                    MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1 or more), which no function tells. See below */
} vestry_microhttpd_attach_options;

/** Serve an instance's routes inside a daemon of the application's own, whose access handler asks vestry first:
 *
 *      static enum MHD_Result access(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
 *                                    const char *version, const char *data, size_t *data_len, void **req_cls) {
 *        int result = vestry_microhttpd_serve(web, conn, url, method, version, data, data_len, req_cls);
 *        if (result != VESTRY_MICROHTTPD_NOT_MINE) return (enum MHD_Result)result;
 *        …                       // what it did before
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
 *      vestry_server_stop(web, 1500);  // before the daemon: with TLS it ends the process if streams are open
 *      MHD_stop_daemon(daemon);
 *      vestry_server_destroy(web);
 *      vestry_destroy(v);
 *
 *  The daemon needs MHD_ALLOW_SUSPEND_RESUME. It may have an internal thread, a pool of them, or none (MHD_run in the
 *  application's loop); select, poll or epoll; TLS or not. A daemon with MHD_USE_THREAD_PER_CONNECTION is refused: its
 *  threads wait for sockets that they have no more.
 *
 *  What is as in a daemon of vestry's: a stream's socket is handed over when its head is out, so it costs the daemon
 *  nothing any more and counts for none of its limits; peers that go are seen at once; handlers run on the daemon's
 *  threads, streams in the instance's runtime; heads and targets that can be read in two ways are 400 on paths with a
 *  route. Paths have to be sent as they are but for what must be encoded.
 *
 *  Start a daemon of libmicrohttpd 1.0 (Debian 13) with MHD_OPTION_STRICT_FOR_CLIENT, 1, and say so in is_strict. One
 *  that is not strict joins folded lines, ends lines at a bare LF, takes a tab for a blank of a request line, and
 *  answers further blanks in it with a redirect, before vestry sees any of it. Without is_strict attach logs a warning
 *  there, and vestry refuses what may have been a fold: values with two blanks in a row. A bare LF after a value that
 *  ends with a blank it cannot see. With 0.9.75 all of these are found, strict or not. A daemon with a negative level
 *  cannot keep the promise of one reading (docs/security.md).
 *
 *  What is not: until its answer a connection is the daemon's. How many there are, how long one may stay silent, and
 *  how much memory each has, say the daemon's options (MHD_OPTION_CONNECTION_LIMIT, _TIMEOUT, _MEMORY_LIMIT,
 *  _PER_IP_CONNECTION_LIMIT); a head that comes in drops lasts as long as its client likes, and with epoll
 *  libmicrohttpd notices a client that has gone in the middle of one by _TIMEOUT alone: set it. What heads hold is not
 *  counted in vestry_bounds.max_request_bytes; what bodies hold is. After its answer a connection is the daemon's:
 *  none is closed because answers hold too much (vestry_bounds.max_answer_bytes); further ones are 503 until _TIMEOUT
 *  has ended those that their clients do not read. Streams of one address have no bound of their own: bound them by
 *  scope or by store. With MHD_USE_ERROR_LOG the daemon logs a line for each stream that it has given away. An address
 *  in the form "http://host/path", and "*", are the application's.
 *
 *  v           borrowed; must outlive the server
 *  daemon      its flags are looked at; borrowed for the call. NULL: not started yet, and they are looked at with
 *              the first request, which is closed if they do not fit
 *  options     NULL: the defaults; copied
 *  ret_server  owned by the caller; untouched on failure. vestry_server_destroy closes its streams; the daemon must
 *              have ended before, or ask vestry no more
 *  Returns  OK | INVALID (an argument, or beyond its bounds) | NO_MEMORY | UNSUPPORTED (the daemon's flags; logged) |
 *           IO (no thread or descriptor is left, no randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_microhttpd_attach(vestry *v, struct MHD_Daemon *daemon,
                                               const vestry_microhttpd_attach_options *options,
                                               vestry_server **ret_server);

/** What vestry_microhttpd_serve returns for a request that no route is for. */
#define VESTRY_MICROHTTPD_NOT_MINE (-1)

/** Each time the application's access handler is called, with what it was called with; before it sets *req_cls. Several
 *  instances can be attached to one daemon: the handler asks one after the other, and the first that has a route for
 *  the path answers. That two have the same route is not noticed here, as it is in civetweb.
 *  server   attached; NULL: there is none yet, and nothing is vestry's
 *  req_cls  NULL in a request's first call, as without a MHD_OPTION_URI_LOG_CALLBACK; vestry's own while a request is
 *           vestry's, and NULL when that was answered
 *  Returns  VESTRY_MICROHTTPD_NOT_MINE: the application's; nothing was read, set or answered | MHD_YES, MHD_NO: to be
 *           returned
 *  Threads  the daemon's; blocks as handlers do */
VESTRY_API int vestry_microhttpd_serve(vestry_server *server, struct MHD_Connection *conn, const char *url,
                                       const char *method, const char *version, const char *data, size_t *data_len,
                                       void **req_cls);

/** Each time the daemon tells that a request is over (MHD_OPTION_NOTIFY_COMPLETED), which such a daemon must: otherwise
 *  requests that break off keep their memory, and their place among max_requests, until destroy; and when the time of
 *  one is over (request_timeout_ms), its descriptor is shut down, which may be another connection's by then.
 *  server   NULL is accepted
 *  Returns  true: it was vestry's | false: it is the application's, or was answered by vestry before, and *req_cls is
 *           NULL
 *  Threads  the daemon's; does not block */
VESTRY_API bool vestry_microhttpd_completed(vestry_server *server, void **req_cls);

/** libmicrohttpd's own object of a request, for what vestry does not ask it: the client's certificate, its address, a
 *  log-in of the program's own. In vestry_options.scope it decides whose request it is. It may not be answered,
 *  suspended or set.
 *  Returns  NULL: the request is no libmicrohttpd server's, or a copy, as pages and parts are rendered with. Valid
 *           until the handler, guard or scope function that asked has returned
 *  Threads  that of the request; does not block */
VESTRY_API struct MHD_Connection *vestry_microhttpd_connection_of(const vestry_request *req);

#ifdef __cplusplus
}
#endif
#endif
