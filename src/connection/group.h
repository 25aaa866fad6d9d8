/* SPDX-License-Identifier: MIT */
/* A group: all connections of one instance. It numbers them, counts their outcomes, and closes them together. */
#ifndef VSI_CONNECTION_GROUP_H
#define VSI_CONNECTION_GROUP_H

#include "connection/connection.h"

typedef struct vsi_group vsi_group;

/* Fill in defaults and check bounds. Returns OK | INVALID. */
vestry_err vsi_connection_options_resolve(const vestry_connection_options *options,
                                          const vestry_connection_options *defaults,
                                          vestry_connection_options *ret_options);

typedef struct vsi_group_stats {
  uint64_t opened, open, closed; /* opened = open + closed */
  uint64_t closed_by_cause[VESTRY_CAUSE_COUNT];
  uint64_t accepted, written, discarded, conflated, refused, heartbeats;
  uint64_t written_bytes, wire_bytes;
  uint64_t event_bytes_by[VSI_CODING_KINDS_COUNT], wire_bytes_by[VSI_CODING_KINDS_COUNT]; /* parts of the two above */
  uint64_t queued_bytes, queued_peak_bytes;                                               /* of the budget's use */
  uint64_t too_large, no_memory;                  /* events refused for another reason than a full queue */
  vsi_histogram_counts deliveries, changes, ages; /* of the tally; ages has one entry for each closed connection */
} vsi_group_stats;

/* Create a group. defaults: for connections that are created without options; validated here. OK | INVALID |
 * NO_MEMORY */
VESTRY_API vestry_err vsi_group_create(vestry_runtime *runtime, const vestry_connection_options *defaults,
                                       vsi_group **ret_group);

/* Refuse new connections and close all with cause SHUTDOWN. Idempotent, does not block. */
VESTRY_API void vsi_group_close(vsi_group *group);

/* Set vsi_environment.owner; before the first connection. */
void vsi_group_own(vsi_group *group, void *owner);
/* Bound the bytes that all queues hold together; before the first connection. 0: the default. */
void vsi_group_limit(vsi_group *group, size_t max_queued_bytes);

/* Refuse new connections from now on. Returns the number of open connections, which can only fall. Idempotent, does not
 * block. */
uint64_t vsi_group_refuse(vsi_group *group);

/* Let vsi_group_wait wait for this thread, which is about to call the application for the sake of connections, until it
 * calls vsi_group_release. Returns false after vsi_group_close: then it must not call it. Any thread. */
VESTRY_API bool vsi_group_hold(vsi_group *group);
VESTRY_API void vsi_group_release(vsi_group *group);

/* A walk through the connections in the order of their ids. It keeps its place while connections come and go. */
typedef struct vsi_group_walk {
  vestry_connection *next;      /* guarded by the group's lock; the next connection; NULL: at the end */
  struct vsi_group_walk *other; /* likewise; next in the group's list of walks */
  vsi_group_stats *sums;        /* of a walk that adds up counters; otherwise NULL */
  uint64_t last_id; /* constant: id of the newest connection at the beginning; a walk that adds up stops there */
} vsi_group_walk;

/* Begin a walk at the first connection, and end it. In between, the struct must stay at its address. Any thread. */
VESTRY_API void vsi_group_walk_begin(vsi_group *group, vsi_group_walk *walk);
VESTRY_API void vsi_group_walk_end(vsi_group *group, vsi_group_walk *walk);

/* Get references to the next connections of a walk, in order; limit: at most VSI_GROUP_CHUNK. Returns their number;
 * fewer than limit: the walk is at the end. */
enum { VSI_GROUP_CHUNK = 64 };
VESTRY_API size_t vsi_group_walk_next(vsi_group *group, vsi_group_walk *walk, size_t limit,
                                      vestry_connection *chunk[VSI_GROUP_CHUNK]);

/* Get a reference to the connection with this id. NULL: it has left or never existed. Any thread. A walk finds it, so
 * the time grows with the number of connections; a thread that creates or ends one waits for 64 of them at most. */
VESTRY_API vestry_connection *vsi_group_find(vsi_group *group, uint64_t id);

/* Visit the next connections of a walk, at most limit. No lock is held during a visit. Returns the number of
 * connections met; fewer than limit: the walk is at the end. */
typedef void (*vsi_group_visit_fn)(vestry_connection *connection, void *ctx);
size_t vsi_group_walk_on(vsi_group *group, vsi_group_walk *walk, size_t limit, vsi_group_visit_fn visit, void *ctx);
/* Visit each connection that is in the group now, and stays until its visit. */
void vsi_group_each(vsi_group *group, vsi_group_visit_fn visit, void *ctx);

/* Wait until every connection has ended, its hooks have returned, and no thread holds the group: OK | TIMEOUT. Steps a
 * stepped runtime itself. */
VESTRY_API vestry_err vsi_group_wait(vsi_group *group, uint64_t timeout_ms);

#define VSI_DEFAULT_QUEUED_BYTES ((size_t)1 << 20) /* of one connection's queue */

/* Get the environment that all connections of the group share. Any thread. */
VESTRY_API const vsi_environment *vsi_group_environment(const vsi_group *group);
/* Return whether a connection is one of the group. Any thread; the connection may have outlived its group. */
VESTRY_API bool vsi_group_has(const vsi_group *group, const vestry_connection *connection);
/* Get the codings of its connections. */
VESTRY_API vsi_codings *vsi_group_codings(const vsi_group *group);
/* Take a reference, and drop one. The creator has one, and each connection holds one. NULL is accepted for the drop. */
vsi_group *vsi_group_ref(vsi_group *group);
VESTRY_API void vsi_group_unref(vsi_group *group);

/* Return the heartbeat interval of connections that are created without options. */
VESTRY_API uint64_t vsi_group_heartbeat_ms(const vsi_group *group);

/* Get the counters at the moment of the call. Counters of events are added up connection by connection after it, each
 * connection once, at the latest when it leaves. Meanwhile, a thread that creates or ends a connection waits for a walk
 * through at most 64 of them. */
VESTRY_API void vsi_group_stats_get(vsi_group *group, vsi_group_stats *ret_stats);
/* Begin or end observing the connections. While they are observed, some events are timed. Any thread. */
VESTRY_API void vsi_group_observe(vsi_group *group, bool observes);
/* Return whether the connections are observed. Any thread; relaxed: true soon after it has begun. */
static inline bool vsi_group_is_observed(const vsi_group *group) {
  return atomic_load_explicit(&vsi_group_environment(group)->observers_count, memory_order_relaxed) != 0;
}

/* Create a connection of the group over a transport; it gets an id and is counted. Nothing is written before
 * vsi_connection_start.
 * options         NULL: the group's
 * hooks           NULL, or borrowed until the connection is freed; they get `given`, or the context made of it
 * ret_connection  one reference, owned by the caller
 * Returns  OK | INVALID | NO_MEMORY | CLOSED (the group). On failure the caller keeps the transport,
 *          which is untouched */
VESTRY_API vestry_err vsi_group_connect(vsi_group *group, const vestry_transport_ops *ops, void *transport,
                                        const vestry_connection_options *options, const vsi_connection_hooks *hooks,
                                        void *given, vestry_connection **ret_connection);

#endif
