/* SPDX-License-Identifier: MIT */
/** A server for programs that have none: an adapter, the usual settings, signals, and an end in good order.
 *
 *      #include <vestry/microhttpd.h>
 *      #include <vestry/vestry.h>
 *
 *      int main(void) {
 *        vestry *v;
 *        if (vestry_create(NULL, &v)) return 1;
 *        vestry_route(v, "GET", "/", page, NULL);
 *        vestry_err err = vestry_server_run(v, &vestry_server_microhttpd, &(vestry_server_options){.port = 8080});
 *        vestry_destroy(v);
 *        return err ? 1 : 0;
 *      }
 *
 *  A program that has a server, or wants all of an adapter's settings, uses the adapter's own functions instead. */
#ifndef VESTRY_SERVER_H
#define VESTRY_SERVER_H

#include "vestry/routes.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Which server it is: vestry_server_microhttpd (vestry/microhttpd.h) or vestry_server_civetweb (vestry/civetweb.h).
 *  What is in it is for those who write adapters: see vestry/adapter.h. */
typedef struct vestry_server_adapter vestry_server_adapter;

/** A server that serves an instance: by vestry_server_create, by vestry_microhttpd_create or _attach, by
 *  vestry_civetweb_create. Its members are to be read; they do not change. */
typedef struct vestry_server {
  size_t size;                          /**< sizeof(vestry_server) of the adapter's library */
  const vestry_server_adapter *adapter; /**< whose it is */
  uint16_t port;                        /**< it listens on; 0: a UNIX socket, or the application's server */
  char url[160]; /**< where a server of vestry_server_create listens: a URL, or "unix:/run/app.sock"; else "" */
} vestry_server;

/** Zero is the default. What an adapter does not know is UNSUPPORTED. */
typedef struct vestry_server_options {
  size_t size;              /**< sizeof(vestry_server_options), or 0 */
  const char *address;      /**< to listen on, a number; NULL: 127.0.0.1, this machine alone. "0.0.0.0": everybody */
  uint16_t port;            /**< 0: a free one */
  const char *unix_path;    /**< a UNIX socket to listen on, instead of address and port; NULL: none. libmicrohttpd */
  uint32_t threads_count;   /**< of the server; 0: libmicrohttpd one a processor, civetweb what max_streams needs */
  uint32_t max_streams;     /**< open at once; 0: libmicrohttpd 10,000, civetweb what the threads allow, 116 */
  uint32_t max_per_address; /**< connections of one address at once; 0: no limit, as behind a proxy it must be */
  const char *tls_key, *tls_certificate; /**< the texts in PEM, not names of files; both or none. libmicrohttpd */

  /* Of vestry_server_run alone. */
  uint64_t drain_ms; /**< on the signal, streams are sent away evenly over so long (vestry/drain.h); 0: all at once */
  uint64_t stop_ms;  /**< so long after the drain the process ends in any case, by _exit(0), if something of the
                          application's or a client that does not read holds it up; 0: never */
  void (*on_ready)(vestry_server *server, void *ctx); /**< it listens: the place to print where. NULL: none */
  void *ctx;

  size_t max_head_bytes; /**< of a request's head, with its target and cookies; a larger one is answered 431 (414 if it
                              is the target), and the connection closes. 0: 16,384; from 1,024 to 4 MiB. Of
                              vestry_server_create, too */
} vestry_server_options;

/** Start one.
 *  v           borrowed; must outlive the server
 *  options     NULL: the defaults; borrowed for the call
 *  ret_server  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | UNSUPPORTED | LIMIT (descriptors or threads) | IO (the address is taken, say);
 *           the host's log says why
 *  Threads  any; may take some milliseconds */
VESTRY_API vestry_err vestry_server_create(vestry *v, const vestry_server_adapter *adapter,
                                           const vestry_server_options *options, vestry_server **ret_server);
/** Answer new requests 503, abort its streams for SHUTDOWN (browsers come back), wait until they have ended and no
 *  handler runs.
 *  Returns  OK | TIMEOUT (a handler, a hook or a write takes longer; call again)
 *  Threads  not from a handler or hook; blocks for timeout_ms at most */
VESTRY_API vestry_err vestry_server_stop(vestry_server *server, uint64_t timeout_ms);
/** Stop without a time limit, close the server and all connections, free. A server of the application's own stays: its
 *  adapter's header says what must have ended before. NULL is accepted. Threads: as vestry_server_stop; blocks. */
VESTRY_API void vestry_server_destroy(vestry_server *server);
/** How many streams are open now, and how many may be. NULL: not wanted. Threads any; takes a lock briefly. */
VESTRY_API void vestry_server_room(vestry_server *server, uint32_t *ret_streams, uint32_t *ret_capacity);

/** Start a server, serve until SIGINT or SIGTERM, drain, stop, destroy. A second signal ends the process at once.
 *  SIGPIPE is ignored meanwhile, if it has no handler. All is as before when it returns.
 *  Returns  OK (a signal ended it) | what vestry_server_create returns | EXISTS (it runs already in this process)
 *  Threads  any, such as main; blocks. It does not matter which thread gets the signal */
VESTRY_API vestry_err vestry_server_run(vestry *v, const vestry_server_adapter *adapter,
                                        const vestry_server_options *options);
/** As a signal would: vestry_server_run goes on to its end. Async-signal-safe. Threads any; does not block. */
VESTRY_API void vestry_server_end(void);

#ifdef __cplusplus
}
#endif
#endif
