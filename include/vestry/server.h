/* SPDX-License-Identifier: MIT */
/** A server for programs that have none: an adapter with common settings, signal handling, and an orderly shutdown.
 *
 *      int main(void) {
 *        vestry *v;
 *        if (vestry_create(NULL, &v)) return 1;
 *        vestry_route(v, "GET", "/", page, NULL); // page: a vestry_handler_fn (vestry/request.h)
 *        vestry_err err = vestry_server_run(v, &vestry_server_microhttpd, &(vestry_server_options){.port = 8080});
 *        vestry_destroy(v);
 *        return err ? 1 : 0;
 *      }
 *
 *  The program includes vestry/vestry.h and vestry/microhttpd.h. A program that has a server, or needs all settings of
 *  an adapter, uses the adapter's own functions instead. */
#ifndef VESTRY_SERVER_H
#define VESTRY_SERVER_H

#include "vestry/routes.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Type of a server: vestry_server_microhttpd (vestry/microhttpd.h), vestry_server_h2 (vestry/h2.h) or
 *  vestry_server_civetweb (vestry/civetweb.h). Its members are for authors of adapters: see vestry/adapter.h. */
typedef struct vestry_server_adapter vestry_server_adapter;

/** A server of an instance, made by vestry_server_create or by a function of an adapter, such as
 *  vestry_microhttpd_create. Its members are read-only and do not change. */
typedef struct vestry_server {
  const vestry_server_adapter *adapter; /**< the adapter that made it */
  uint16_t port;                        /**< listening port; 0: a UNIX socket, or the application's server */
  char url[160]; /**< listening address, if vestry_server_create made the server: a URL, or "unix:/run/app.sock";
                      otherwise "" */
} vestry_server;

/** Options of a server. Zero is the default. An option that an adapter does not support is UNSUPPORTED. */
typedef struct vestry_server_options {
  const char *address;      /**< numeric address to listen on; NULL: 127.0.0.1, this machine only. "0.0.0.0": all IPv4
                                 interfaces */
  uint16_t port;            /**< 0: a free port */
  const char *unix_path;    /**< UNIX socket to listen on, instead of address and port; NULL: none. Not with civetweb */
  uint32_t threads_count;   /**< threads of the server. 0: one for each processor that the process may use, at least 2;
                                 civetweb has as many as max_streams requires, or if that is 0, 1,024, as far as the
                                 descriptors (ulimit -n) and the system permit, but at least 128 */
  uint32_t max_streams;     /**< maximum number of open streams; 0: 10,000; at most 1,000,000. With civetweb at most
                                 100,000, and a threads_count other than 0 overrides this, because each stream occupies
                                 a thread. civetweb reserves a tenth of its threads (2 to 32) for other requests, so
                                 1,024 threads serve 992 streams, and 128 serve 116 */
  uint32_t max_per_address; /**< maximum number of connections of one client address; with civetweb of running requests
                                 and streams. 0: no limit. Behind a proxy it must be 0, because all connections have the
                                 proxy's address */
  const char *tls_key, *tls_certificate; /**< texts in PEM, not file names; both or none. Not with civetweb */

  /* The next four members are for vestry_server_run only. */
  uint64_t drain_ms; /**< after SIGINT or SIGTERM, streams are closed evenly over this time (vestry/drain.h); 0: all at
                          once */
  uint64_t stop_ms;  /**< the process calls _exit(0) this long after the drain, even if the application or a client that
                          does not read delays the stop; 0: never */
  void (*on_ready)(vestry_server *server, void *ctx); /**< called when the server listens, for example to print its URL.
                                                           NULL: none */
  void *ctx;

  size_t max_head_bytes; /**< maximum size of a request's head, with its target and cookies; a larger one gets 431
                              (libmicrohttpd: 414 if more than half of this size is the target), and the connection
                              closes. 0: 16,384; from 1,024 to 4 MiB. Also for vestry_server_create */
  bool is_uncompressed;  /**< streams are not compressed. Otherwise an instance whose options name no profiles offers
                              brotli and gzip (vestry/profile.h), if the library was built with them, to all its streams
                              as soon as its first server is created. This takes 64 bytes for each compressed stream
                              beyond those of an uncompressed one, and up to 2.6 MB for the encoders of each of the two,
                              whatever the number of streams. docs/security.md has the risk of secrets beside text of
                              clients. Also for vestry_server_create */
} vestry_server_options;

/** Start a server.
 *  v           borrowed; must outlive the server
 *  options     NULL: the defaults; borrowed for the call
 *  ret_server  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | UNSUPPORTED | LIMIT (descriptors or threads) | IO (for example, the address is
 *           in use); the host's log has the reason
 *  Threads  any; may take some milliseconds */
VESTRY_API vestry_err vestry_server_create(vestry *v, const vestry_server_adapter *adapter,
                                           const vestry_server_options *options, vestry_server **ret_server);
/** Stop a server: answer new requests with 503, abort its streams with cause SHUTDOWN (browsers reconnect), and wait
 *  until the streams have ended and no handler runs.
 *  Returns  OK | TIMEOUT (a handler or hook takes longer; call again) | CLOSED (vestry_is_forked) | BUSY (called in a
 *           callback of the instance, or on a thread of its runtime; logged) | INVALID (server is NULL)
 *  Threads  any other, for a stepped runtime the one that steps it, which this call does; blocks for timeout_ms at most
 */
VESTRY_API vestry_err vestry_server_stop(vestry_server *server, uint64_t timeout_ms);
/** Stop a server without a time limit, close it and all its connections, and free it. A server that the application
 *  owns (vestry_microhttpd_attach, vestry_civetweb_create) remains; the adapter's header lists what must have ended
 *  before this call. NULL is accepted. Threads: as vestry_server_stop; where that is BUSY, nothing is done; blocks. */
VESTRY_API void vestry_server_destroy(vestry_server *server);
/** Get the number of open streams, and their maximum. Either pointer may be NULL. Threads any; takes a lock briefly. */
VESTRY_API void vestry_server_room(vestry_server *server, uint32_t *ret_streams, uint32_t *ret_capacity);

/** Replace the certificates of a running server, for example after their renewal. Connections that exist keep theirs.
 *  Former certificates stay in memory, some kilobytes, until the server is destroyed. If one pair cannot be used, all
 *  former pairs stay. A certificate that has expired, or is not valid yet, cannot be used if the former one of its
 *  place is valid; otherwise the log has a warning.
 *  server    of vestry_server_h2 or vestry_server_microhttpd
 *  pairs     as vestry_h2_options.tls_pairs; borrowed for the call. NULL: read tls_files again
 *  Returns   OK | INVALID (NULL; a server without TLS, one of vestry_microhttpd_attach, whose daemon has the
 *            certificates; no pair; NULL without tls_files) | UNSUPPORTED (civetweb) | NO_MEMORY | IO (a file cannot be
 *            read, or a pair cannot be used: the host's log names it and the reason)
 *  Threads   any, not after vestry_server_destroy has begun; reads files, and blocks for some milliseconds */
VESTRY_API vestry_err vestry_server_renew(vestry_server *server, const char *const *pairs);

/** Run a server: start it, serve until SIGINT or SIGTERM, drain, stop, destroy. The first signal restores the former
 *  handling of both signals, so by default a second signal ends the process at once. Meanwhile SIGPIPE is ignored,
 *  unless it has a handler; its former handling is restored on return.
 *  Returns  OK (ended by a signal or vestry_server_end) | the errors of vestry_server_create | EXISTS
 *           (vestry_server_run is already running in this process)
 *  Threads  any, such as main; blocks. The signal may arrive on any thread */
VESTRY_API vestry_err vestry_server_run(vestry *v, const vestry_server_adapter *adapter,
                                        const vestry_server_options *options);
/** End vestry_server_run, as a signal does. Without effect if vestry_server_run is not running. Async-signal-safe.
 *  Threads any; does not block. */
VESTRY_API void vestry_server_end(void);

#ifdef __cplusplus
}
#endif
#endif
