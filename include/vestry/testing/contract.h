/* SPDX-License-Identifier: MIT */
/** The contract of adapters as a suite of tests. For authors of adapters: the suite sends requests over sockets to a
 *  server that uses the adapter, and checks responses, streams, limits, and the end. The adapters for civetweb and
 *  libmicrohttpd pass the same cases.
 *
 *      static const vestry_contract_adapter mine = {
 *          .name = "mine", .start = start, .stop = stop, .destroy = destroy, .has_one_loop = true};
 *      int main(void) { return vestry_contract_run(&mine, NULL) ? 1 : 0; }
 *
 *  Each case runs in a child process, and the report names each case with its result. docs/guide/adapters.md contains a
 *  complete adapter with its test, and lists all rules that the cases check. */
#ifndef VESTRY_CONTRACT_H
#define VESTRY_CONTRACT_H

#include "vestry/adapter.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Settings of a server that a case starts. Zero is the server's default. */
typedef struct vestry_contract_settings {
  uint32_t max_streams; /**< maximum number of open streams: `open` of vestry_request_ops returns LIMIT beyond it; 0: at
                                least 32 */
  uint64_t silent_ms;   /**< time for a head or body to arrive; 0: at least ten minutes */
  uint64_t stalled_ms;  /**< time for which the peer of a stream may read nothing, from the first byte that waits;
                                0: at least 30 seconds */
  uint64_t lost_ms;     /**< time after which the peer of a stream is LOST, if the adapter detects this */
  uint64_t watch_ms;    /**< interval of looking for lost peers, if the adapter polls for them */
  size_t max_head_bytes; /**< maximum size of a request's head, if it can be set; 0: at least 16,384 */
  size_t max_body_bytes; /**< maximum size of a body, if the server has its own maximum; 0: the server has none, because
                               vestry checks its own (vestry_bounds.max_body_bytes, vestry_body_limit), also above
                               1 MiB */
  bool keeps_connections; /**< connections stay open after a response, if this can be set */
} vestry_contract_settings;

/** A case that an adapter does not pass, for example because its server reads heads in its own way. */
typedef struct vestry_contract_exception {
  const char *name;   /**< "suite/case", or "suite" for all its cases */
  const char *reason; /**< shown in the report */
} vestry_contract_exception;

/** An adapter, its server, and what the server does differently from the strictest one. Zero is strict. The suite
 *  detects which optional members of vestry_request_ops and vestry_transport_ops are NULL. */
typedef struct vestry_contract_adapter {
  const char *name; /**< for the report */
  /** Start a server on a free port of 127.0.0.1 that serves v; its handlers are mounted already. *ret_server: passed to
   *  the functions below. OK | any error, which fails the case. */
  vestry_err (*start)(vestry *v, const vestry_contract_settings *settings, void **ret_server, uint16_t *ret_port);
  /** Stop serving, as vestry_server_stop: answer new requests with 503 and "Connection: close", abort all streams with
   *  cause SHUTDOWN, and wait until none is open and no handler runs. The server still listens. Called again after
   *  TIMEOUT or OK. In a child process of fork, return CLOSED. OK | TIMEOUT | CLOSED */
  vestry_err (*stop)(void *server, uint64_t timeout_ms);
  /** Close the server, whether it was stopped or not, and free it. The suite destroys the instance after it;
   *  connections may be released later. In a child process of fork, change no socket that the parent uses. */
  void (*destroy)(void *server);
  /** Get the number of open streams, and their maximum; either pointer may be NULL. NULL: the number is that of
   *  vestry_stats, and the maximum is not checked. */
  void (*room)(void *server, uint32_t *ret_streams, uint32_t *ret_capacity);
  const vestry_contract_exception *exceptions; /**< ended by a name NULL; NULL: none */
  uint32_t patience_s; /**< time that a check waits before it fails; 0: 60 seconds. A case may take ten times as long */
  uint32_t stop_ms; /**< time within which a stop with open streams and the end of the server must succeed; 0: 5,000 */

  bool has_one_loop;      /**< one loop of the server serves all requests, and steps the instance's runtime: the suite
                               creates the instance with VESTRY_THREADS_NONE */
  bool waits_in_handlers; /**< a handler or writer that blocks delays other requests; has_one_loop implies it */
  bool always_keeps;      /**< connections stay open after a response, whatever keeps_connections is */
  bool closes_streams;    /**< the connection of a stream always closes after it, as its head announces */
  bool waits_for_none;    /**< neither clients that do not read, nor silent ones, delay a stop */
  bool closes_broken;     /**< a request whose body breaks off gets no response: the server closes the connection */
  bool has_own_paths;     /**< the server itself answers requests that have no route: 404 */
  bool has_own_targets;   /**< as has_own_paths, also for targets with spaces and connections without a head; and it
                               rebuilds queries */
  bool decodes_paths;     /**< the adapter sees only decoded paths, so vestry_target_read cannot check all of them */
  bool breaks_queries;    /**< the server drops a query with an invalid escape, so the request is refused */
  bool takes_feeds;       /**< a bare LF ends a line, as RFC 9112, section 2.2, permits */
  bool joins_folds;       /**< the server joins folded lines, as RFC 9112, section 5.2, permits */
  bool cuts_at_nul;       /**< a NUL ends the value of a header, without a trace */
  bool refuses_itself;    /**< the server's parser refuses some heads first, with a status of its choice (413 for an
                               invalid length), and the head of this response may come twice */
  bool refuses_most;      /**< the server's parser refuses most ambiguous heads, so few are counted as AMBIGUOUS */
  bool redirects_blanks;  /**< the server redirects targets that contain spaces, and reads tabs as spaces */
  bool no_peer_address;   /**< the address of a peer is "" */
  /** Return whether the server reads this text, which is not terminated, differently without a trace. NULL: never. */
  bool (*is_blind_to)(const char *text, size_t len);
} vestry_contract_adapter;

/** Run suites against an adapter. Each case creates an instance, starts a server, and stops both; it fails at a wrong
 *  answer, at a wait without result, at a crash, and if an allocation of vestry was not freed. For each case, the
 *  function prints its name and result to stdout, for a failed case also its rule and the flags that change it, and the
 *  failed check with its place to stderr.
 *  suites   names separated by commas: requests, wire, hostile, readings, lifecycle, peers, watches, answers, uploads,
 *           resumed, heads. NULL: all. The environment variable VESTRY_CONTRACT_CASE, "suite/case", selects a single
 *           case, which runs in the calling process, for a debugger
 *  Returns  the number of failed cases; an unknown suite, and an adapter without one of its first members, up to
 *           `destroy`, count as one
 *  Threads  the calling process must have no other threads, because of fork; blocks, possibly for minutes */
VESTRY_API unsigned vestry_contract_run(const vestry_contract_adapter *adapter, const char *suites);

#ifdef __cplusplus
}
#endif
#endif
