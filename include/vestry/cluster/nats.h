/* SPDX-License-Identifier: MIT */
/** A broker by NATS: nodes of a cluster hear each other through nats-server. A library of its own, vestry-nats.
 *
 *      vestry_broker broker;
 *      const char *servers[] = {"nats://10.0.0.1:4222", "nats://10.0.0.2:4222"};
 *      vestry_nats_create(&(vestry_nats_options){.servers = servers, .servers_count = 2, .name = "web-1"}, &broker);
 *
 *  What this does for the seam (vestry/cluster/broker.h) differs from what libnats does by itself:
 *  - Nothing is held back while it is down: publish fails, and what waited for a connection that has ended is dropped.
 *  - No timer gathers messages: they go to the socket with the flush, written by the thread that calls it, or by the
 *    broker's own along with all that has come together by then.
 *  - A broker that has stopped is noticed after ping_ms × (pings_out + 1), 3 s; until then publish is OK.
 *  - It connects for ever, whatever the server answers, also after refused credentials; libnats would give up.
 *  - The thread that reads calls on_message itself. So nothing waits in this process but what one read has brought.
 *    While a function is slow, messages wait in the server within its own bounds (max_pending and write_deadline of
 *    nats-server), and it ends the connection beyond them: DOWN. So this broker never says MAYBE_LOST.
 *
 *  Threads: one that reads and calls the events' functions, and one that connects and asks whether the server is there,
 *  which block all signals; and of libnats a few for the process. Their number does not grow with subjects. A handler
 *  of the application's that holds up libnats's threads holds up nothing here. libnats ignores SIGPIPE for the
 *  process, from create on.
 *
 *  stop and destroy wait for an attempt to connect that is under way: for connect_ms, and as long as it takes to
 *  find an address by its name. While this libnats (3.4) shakes hands for TLS it knows no limit.
 *
 *  Servers are found at the addresses that are given; what a server tells of others of its own cluster is not used. */
#ifndef VESTRY_NATS_H
#define VESTRY_NATS_H

#include "vestry/cluster/broker.h"
#include "vestry/ops/metrics.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Zero is the default. All texts are copied. Files are looked at when create runs, and read anew for each connection,
 *  so that they can be renewed. */
typedef struct vestry_nats_options {
  size_t size;                /**< sizeof(vestry_nats_options), or 0 */
  const vestry_host *host;    /**< borrowed, must outlive the broker; NULL: vestry_host_default() */
  const char *const *servers; /**< "nats://host:port", or "tls://host:port" for TLS; they are tried in random order */
  size_t servers_count;       /**< 0: "nats://127.0.0.1:4222" alone */
  const char *name;           /**< what the server's administrator sees; NULL: "vestry" */

  /* As which user it logs in: one of these, or none. */
  const char *user, *password;
  const char *token;
  const char *credentials_file;      /**< a user's JWT and NKey seed, as `nsc` writes them */
  const char *nkey, *nkey_seed_file; /**< the public key, and the file that has its seed */

  bool tls;                /**< the server must speak TLS; a tls:// address says so too */
  const char *tls_ca_file; /**< authorities to trust besides the system's, PEM; NULL: none. Implies tls */
  const char *tls_certificate_file, *tls_key_file; /**< its own, PEM; both or none. Imply tls */
  const char *tls_host; /**< the name that the server's certificate must have; NULL: the address's */

  uint64_t connect_ms;       /**< for one attempt; 0: 2,000 */
  uint64_t ping_ms;          /**< how often the server is asked whether it is there; 0: 1,000 */
  uint32_t pings_out;        /**< unanswered ones that are borne; 0: 2 */
  uint64_t write_ms;         /**< a socket that takes nothing for so long is given up; 0: 1,000 */
  uint64_t reconnect_ms;     /**< between rounds of attempts, at first; 0: 50. Each pause is a random part of it more */
  uint64_t reconnect_max_ms; /**< it doubles up to this; 0: 1,000 */

  size_t
      max_send_queue_bytes; /**< what waits to be written, with 128 bytes for each message; beyond it FULL. 0: 8 MiB */

  const char *
      reservations_bucket; /**< a key-value bucket of JetStream's for reservations, which the first reservation makes if
                                there
                                   is none: letters, digits, '-' and '_'. NULL: no reservations */
  uint32_t reservations_replicas; /**< of a bucket that is made; 0: 1 */
  uint64_t
      reservations_ms; /**< how long each request of a reservation waits for JetStream's answer, at most; 0: 1,000 */
} vestry_nats_options;

/** Make a broker; nothing is connected before its start.
 *  options     NULL: the defaults
 *  ret_broker  owned by the caller, which calls its destroy; untouched on failure
 *  Returns  OK | INVALID (an option) | NO_MEMORY | UNSUPPORTED (this libnats has no TLS) | IO (a file cannot be read or
 *           used; the host's log says which)
 *  Threads  any; reads files */
VESTRY_API vestry_err vestry_nats_create(const vestry_nats_options *options, vestry_broker *ret_broker);

/** What came of messages. */
typedef struct vestry_nats_stats {
  size_t size;                /**< sizeof(vestry_nats_stats), or 0 */
  uint64_t published_count;   /**< taken by publish = written_count + discarded_count + waiting ones */
  uint64_t written_count;     /**< that the socket has taken */
  uint64_t discarded_count;   /**< that waited when the connection ended */
  uint64_t received_count;    /**< from the server, for on_message */
  uint64_t connections_count; /**< how often it has come up */
  uint64_t attempts_count;    /**< how often it has tried */
  size_t send_queue_bytes;    /**< waiting now, as bounded */
} vestry_nats_stats;

/** A snapshot of a broker that vestry_nats_create made.
 *  Threads  any; takes locks briefly */
VESTRY_API void vestry_nats_stats_get(const vestry_broker *broker, vestry_nats_stats *ret_stats);

/** Add the counters to metrics, as vestry_nats_…: a vestry_metrics_fn, or for one of yours to call (observe.h). Of one
 *  broker only.
 *  broker   a vestry_broker that vestry_nats_create made
 *  Returns  OK | INVALID | the errors of vestry_metrics_add
 *  Threads  as vestry_nats_stats_get */
VESTRY_API vestry_err vestry_nats_metrics(vestry_metrics *metrics, void *broker);

#ifdef __cplusplus
}
#endif
#endif
