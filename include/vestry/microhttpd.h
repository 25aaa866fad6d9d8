/** The libmicrohttpd adapter: a server of vestry's own for many streams. Some threads serve all of them, a stream costs
 *  some kilobytes, and a client that has gone is seen at once.
 *
 *      vestry_microhttpd_create(v, &(vestry_microhttpd_options){.address = "127.0.0.1", .port = 8080}, &adapter);
 *      vestry_microhttpd_handle(adapter, "PUT", "/", start, &app);
 *      …
 *      vestry_microhttpd_stop(adapter, 1500);   // aborts the streams, so that the browsers come back
 *      vestry_microhttpd_destroy(adapter);
 *      vestry_destroy(v);
 *
 *  The server listens from create on; what is mounted later answers 404 until then. When a server comes back, pages
 *  come back in the same moment, and those that get a 404 do not try again: so mount what they ask for in
 *  vestry_microhttpd_options.mount, before the first request. Handlers run on its threads: one
 *  that blocks keeps the other connections of its thread waiting, so give it more threads if they do. Streams need none
 *  of these threads; the instance's runtime writes them, which must therefore have threads of its own.
 *
 *  Bodies are read whole before the handler is called, up to vestry_options.max_body_bytes; of a larger one up to 4 MiB
 *  more are passed over before it is answered 413.
 *
 *  A process needs a descriptor for each connection: raise RLIMIT_NOFILE to max_connections and some more.
 *
 *  How soon a stream ends when its client has gone: one that closes, or whose machine resets the connection, is HANGUP
 *  at once. One that acknowledges nothing for lost_ms is LOST, at most a heartbeat and lost_ms after the cut; one that
 *  acknowledges but does not read for so long is STALLED. A client that shuts only its sending half is taken for one
 *  that closed; browsers do not do that. A request whose body breaks off is not answered: the connection closes, after
 *  timeout_s at the latest.
 *
 *  HTTP/1.1 and 1.0; a proxy in front gives HTTP/2. A stream to an HTTP/1.0 client lasts until the connection closes:
 *  that client cannot tell an end from an abort. */
#ifndef VESTRY_MICROHTTPD_H
#define VESTRY_MICROHTTPD_H

#include "vestry/adapter.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A libmicrohttpd server with vestry's handlers. */
typedef struct vestry_microhttpd vestry_microhttpd;

/** Zero is the default. */
typedef struct vestry_microhttpd_options {
  size_t size;              /**< sizeof(vestry_microhttpd_options), or 0 */
  const char *address;      /**< to listen on, a number; NULL: 0.0.0.0, which is every IPv4 address */
  uint16_t port;            /**< 0: a free one, see vestry_microhttpd_port */
  uint32_t threads_count;   /**< that serve requests; 0: one a processor, at least 2; at most 256 */
  uint32_t max_streams;     /**< open at once; beyond it 503 with Retry-After. 0: 10,000; at most 1,000,000 */
  uint32_t max_connections; /**< more than max_streams; beyond it nothing is accepted. 0: max_streams and a quarter
                                 more, at least 64 more. Each thread has an equal share of them */
  uint32_t timeout_s;       /**< of silence, after which a connection that is no stream is closed; 0: 30 */
  uint64_t lost_ms;         /**< a peer that leaves sent bytes unacknowledged for so long is LOST; 0: a heartbeat of the
                                 instance (30,000 if there are none); VESTRY_NEVER_MS: when the system thinks so, after
                                 a quarter of an hour */
  size_t memory_bytes;      /**< of a connection: a request's head and that of its answer must both fit. 0: 4,096; from
                                 1,024 to 16 MiB. The signals of a GET are in its head */
  const char *tls_key;      /**< PEM; with key and certificate it serves HTTPS and nothing else. Borrowed for create */
  const char *tls_certificate;                                /**< PEM, the chain behind it if there is one */
  vestry_err (*mount)(vestry_microhttpd *adapter, void *app); /**< called by create before the server listens: mount
                                     handlers here. An error becomes that of create, and nothing listens. NULL: none */
  void *mount_app;                                            /**< handed to mount */
} vestry_microhttpd_options;

/** Start a server.
 *  v            borrowed; must outlive the adapter; its runtime must own threads
 *  options      NULL: the defaults; copied
 *  ret_adapter  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (an argument, or beyond its bounds) | NO_MEMORY | UNSUPPORTED (TLS or epoll, which this
 *           libmicrohttpd was built without) | IO (the address is taken or not this machine's, a key or certificate is
 *           none, no thread or descriptor is left: the host's log says which) | what options->mount returns
 *  Threads  any; does not block, but in mount, which runs on the calling thread */
VESTRY_API vestry_err vestry_microhttpd_create(vestry *v, const vestry_microhttpd_options *options,
                                               vestry_microhttpd **ret_adapter);

/** The port it listens on; 0 in options->mount, and perhaps in a handler that runs before create has returned. Threads
 *  any. */
VESTRY_API uint16_t vestry_microhttpd_port(const vestry_microhttpd *adapter);

/** Mount a handler for a method and one exact path. Other methods on a mounted path are answered 405 with Allow (HEAD
 *  is served by GET's handler without the body, as an ordinary request); paths that are not mounted 404.
 *  method, path  copied; the path as it is after URL-decoding, without query
 *  handler, app  app is borrowed until the adapter is destroyed
 *  Returns  OK | EXISTS | INVALID (no method token; a path without its '/'; no handler) | NO_MEMORY | CLOSED (it was
 *           stopped)
 *  Threads  one at a time; requests may be under way. May be called from options->mount */
VESTRY_API vestry_err vestry_microhttpd_handle(vestry_microhttpd *adapter, const char *method, const char *path,
                                               vestry_handler_fn handler, void *app);

/** Refuse new requests (503), abort this adapter's streams for SHUTDOWN, wait until they have ended and no handler
 *  runs.
 *  Returns  OK | TIMEOUT (a handler or hook takes longer; call again)
 *  Threads  not from a handler or hook; blocks for timeout_ms at most */
VESTRY_API vestry_err vestry_microhttpd_stop(vestry_microhttpd *adapter, uint64_t timeout_ms);

/** Stop without a time limit, close the server and all connections, free. NULL is accepted.
 *  Threads  as vestry_microhttpd_stop */
VESTRY_API void vestry_microhttpd_destroy(vestry_microhttpd *adapter);

/** How many streams are open now, and how many may be. Threads any. */
VESTRY_API void vestry_microhttpd_room(vestry_microhttpd *adapter, uint32_t *ret_streams, uint32_t *ret_capacity);

#ifdef __cplusplus
}
#endif
#endif
