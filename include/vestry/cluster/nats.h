/* SPDX-License-Identifier: MIT */
/** A broker that uses NATS: nodes of a cluster exchange messages through nats-server. In the library libvestry-nats.
 *
 *      vestry_broker broker;
 *      const char *servers[] = {"nats://10.0.0.1:4222", "nats://10.0.0.2:4222"};
 *      vestry_nats_create(&(vestry_nats_options){.servers = servers, .servers_count = 2, .name = "web-1"}, &broker);
 *
 *  The broker connects to the given addresses only, not to servers that a server announces. It retries without end,
 *  also if its credentials are rejected, if its user may not subscribe to a subject, or after the server has refused a
 *  message because its user may not publish it. While it is disconnected, publish fails; messages still in the send
 *  queue are dropped. A dead server is detected after ping_ms * 3, 3 s by default, and a network that transports data
 *  of the server only, after 10 to 11 * ping_ms; until then publish returns OK. A ping is a message of the broker to
 *  itself, to a subject below the first one of start. The state is never MAYBE_LOST: if a function of the events is
 *  slow, messages wait in the server, which disconnects beyond its bounds (max_pending, write_deadline), and the state
 *  is DOWN. docs/guide/cluster.md describes the threads. */
#ifndef VESTRY_NATS_H
#define VESTRY_NATS_H

#include "vestry/app/application.h"
#include "vestry/cluster/cluster.h"
#include "vestry/ops/metrics.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Options of a NATS broker. Zero is the default. Times are at most 600,000 ms. All texts are copied. Files are checked
 *  by vestry_nats_create and read again for each connection, so that they can be renewed.
 *  stop and destroy wait for a running attempt to connect, which takes at most 2 s and the time to resolve the
 *  name. The TLS handshake of libnats 3.4 has no time limit. libnats ignores SIGPIPE for the process, from create
 *  on. */
typedef struct vestry_nats_options {
  const vestry_host *host;    /**< borrowed, must outlive the broker; NULL: vestry_host_default() */
  const char *const *servers; /**< "nats://host:port", or "tls://host:port" for TLS, with "user:password@" or "token@"
                                     in front of the host if the server requires it; tried in turn, from a random one
                                     on */
  size_t servers_count;       /**< at most 1,000; 0: "nats://127.0.0.1:4222" alone */
  const char *name;           /**< name of the client in the server's monitoring; NULL: "vestry" */

  /* Log-in of the client: one of the following, or none. */
  const char *credentials_file;      /**< a user's JWT and NKey seed, as `nsc` writes them */
  const char *nkey, *nkey_seed_file; /**< the public key, and the file that contains its seed */

  bool tls;                                        /**< require TLS; a tls:// address implies it */
  const char *tls_ca_file;                         /**< PEM file of authorities to trust besides the system's; NULL:
                                                        none. Implies tls */
  const char *tls_certificate_file, *tls_key_file; /**< PEM files of the client's certificate and key; both or none.
                                                        Imply tls */

  uint64_t ping_ms;          /**< interval of pings; 0: 1,000 */
  uint64_t write_ms;         /**< a connection whose socket accepts no bytes for this time is closed; 0: 1,000 */
  uint64_t reconnect_max_ms; /**< maximum pause after all servers were tried. Pauses begin with 50 ms, double up to it,
                                  and are extended at random to at most twice their length; 0: 1,000 */

  size_t max_send_queue_bytes; /**< maximum size of unwritten messages, plus 128 bytes for each; beyond it publish
                                    returns FULL. 0: 8 MiB */
} vestry_nats_options;

/** Create a broker. It connects when it is started.
 *  options     NULL: the defaults
 *  ret_broker  owned by the caller, which calls its destroy; untouched on failure
 *  Returns  OK | INVALID (an option) | NO_MEMORY | UNSUPPORTED (this libnats has no TLS) | IO (a file cannot be read or
 *           used; the host's log names it)
 *  Threads  any; reads files */
VESTRY_API vestry_err vestry_nats_create(const vestry_nats_options *options, vestry_broker *ret_broker);

/** Add the counters of one broker to metrics, as vestry_nats_…. This is a vestry_metrics_fn; a function of yours can
 *  also call it (vestry/ops/observe.h).
 *  broker  a vestry_broker that vestry_nats_create made
 *  Returns  OK | INVALID | the errors of vestry_metrics_add
 *  Threads  any; takes locks briefly */
VESTRY_API vestry_err vestry_nats_metrics(vestry_metrics *metrics, void *broker);

/** A process of an application that runs on several machines: its name, and its membership in the cluster. */
typedef struct vestry_nats_node {
  const char *name;                    /**< vestry_cluster_options.node; NULL: the process is alone */
  const char *url;                     /**< the address of the broker; NULL: that of nats, or the default */
  const vestry_nats_options *nats;     /**< further options; NULL: the defaults */
  const vestry_cluster_options *other; /**< further options of the cluster; NULL: the defaults */
  vestry_broker broker;                /**< set by vestry_nats_join */
  vestry_cluster *cluster;             /**< set by vestry_nats_join; NULL: none */
} vestry_nats_node;

/** Join the cluster of an application: vestry_nats_create and vestry_cluster_create, with the pages of the application,
 *  and by default with a secret that is derived from that of its instance, which nodes with one PostgreSQL share.
 *
 *      static vestry_nats_node node;
 *      … VESTRY_NATS(&node),   // among the members of vestry_application_options
 *
 *  node     a vestry_nats_node, which must outlive the application
 *  Returns  OK, also without a name and while the broker is down | the errors of both functions
 *  Threads  as vestry_cluster_create */
VESTRY_API vestry_err vestry_nats_join(vestry_application *app, void *node);
/** Leave the cluster, as vestry_cluster_destroy, and destroy the broker. A node that has not joined is accepted.
 *  Threads  as vestry_cluster_destroy */
VESTRY_API void vestry_nats_leave(vestry_application *app, void *node);

/** Set join, leave and node of vestry_application_options, so that the application joins the cluster of a
 *  vestry_nats_node: VESTRY_NATS(&node). */
#define VESTRY_NATS(its_node) .join = vestry_nats_join, .leave = vestry_nats_leave, .node = (its_node)

#ifdef __cplusplus
}
#endif
#endif
