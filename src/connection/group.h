/* SPDX-License-Identifier: MIT */
/* A group of connections: all those of one instance. It numbers them, counts what became of them, and closes them
 * together. */
#ifndef VSI_CONNECTION_GROUP_H
#define VSI_CONNECTION_GROUP_H

#include "connection/connection.h"

typedef struct vsi_group vsi_group;

typedef struct vsi_group_stats {
  uint64_t opened, open, closed; /* opened = open + closed */
  uint64_t closed_by_cause[VESTRY_CAUSE_COUNT];
  uint64_t accepted, written, discarded, conflated, barriers, kept, forgotten, refused, heartbeats;
  uint64_t written_bytes, wire_bytes;
  uint64_t event_bytes_by[VSI_CODING_KINDS_COUNT], wire_bytes_by[VSI_CODING_KINDS_COUNT]; /* of the two above */
  uint64_t queued_bytes, queued_peak_bytes;                                               /* of the budget */
  uint64_t too_large, no_memory;                  /* events that were refused for another reason than a full queue */
  vsi_histogram_counts deliveries, changes, ages; /* of the tally; as many ages as closed */
} vsi_group_stats;

/* defaults: for connections created without options of their own; validated here. OK | INVALID | NO_MEMORY */
VESTRY_API vestry_err vsi_group_create(vestry_runtime *runtime, const vestry_connection_options *defaults,
                                       vsi_group **ret_group);

/* Refuse new connections and close all for SHUTDOWN. Idempotent, does not block. */
VESTRY_API void vsi_group_close(vsi_group *group);

/* Bound what all queues hold together; before the first connection. 0: the default. */
void vsi_group_limit(vsi_group *group, size_t max_queued_bytes);

/* Refuse new connections from here on. Returns how many there are: no more come. Idempotent, does not block. */
uint64_t vsi_group_refuse(vsi_group *group);

/* A walk through the connections in the order of their numbers. It keeps its place while they come and go. */
typedef struct vsi_group_walk {
  vestry_connection *next;      /* guarded by the group's lock; not met yet; NULL: all are */
  struct vsi_group_walk *other; /* likewise; of the group's walks */
  vsi_group_stats *sums;        /* of a walk that adds up; NULL: it does not */
  uint64_t last_id; /* constant: the newest connection's when it began; one that adds up meets none after it */
} vsi_group_walk;

/* Begin a walk at the first connection, and end it. Between the two the struct must stay at its address. Any thread. */
VESTRY_API void vsi_group_walk_begin(vsi_group *group, vsi_group_walk *walk);
VESTRY_API void vsi_group_walk_end(vsi_group *group, vsi_group_walk *walk);

/* References to the connections that a walk meets next, in order; limit: VSI_GROUP_CHUNK at most. Returns how many: if
 * they are fewer than limit, there is none left. */
enum { VSI_GROUP_CHUNK = 64 };
VESTRY_API size_t vsi_group_walk_next(vsi_group *group, vsi_group_walk *walk, size_t limit,
                                      vestry_connection *chunk[VSI_GROUP_CHUNK]);

/* A reference to the connection with this number; NULL: it has left, or there never was one. Any thread. */
VESTRY_API vestry_connection *vsi_group_find(vsi_group *group, uint64_t id);

/* Send off the connections that a walk meets next, limit at most. Each is given the hint that retry_ms returns for it,
 * its own. Returns how many were met: fewer than limit, there is none left. ret_sent_count: those that were not closing
 * already. */
size_t vsi_group_send_off(vsi_group *group, vsi_group_walk *walk, size_t limit, uint32_t (*retry_ms)(void *ctx),
                          void *ctx, size_t *ret_sent_count);

/* Wait until every connection has ended and its hooks have returned: OK | TIMEOUT. Steps a stepped runtime. */
VESTRY_API vestry_err vsi_group_wait(vsi_group *group, uint64_t timeout_ms);

/* Drop the creator's reference; connections hold one too, so references to them may outlive this call. NULL is
 * accepted. */
VESTRY_API void vsi_group_destroy(vsi_group *group);

/* What all connections of the group share. Any thread. */
VESTRY_API const vsi_environment *vsi_group_environment(const vsi_group *group);
/* The codings of its connections. */
VESTRY_API vsi_codings *vsi_group_codings(const vsi_group *group);
vsi_group *vsi_group_ref(vsi_group *group);
void vsi_group_unref(vsi_group *group);

/* The heartbeat of connections that have no options of their own. */
VESTRY_API uint64_t vsi_group_heartbeat_ms(const vsi_group *group);

/* Of the moment of the call, but for what connections count of events: each is looked at once from then on, no later
 * than it leaves. A thread that makes or ends a connection meanwhile waits for a walk through 64 of them at most. */
VESTRY_API void vsi_group_stats_get(vsi_group *group, vsi_group_stats *ret_stats);
/* Something observes the connections, or has ceased to: while it does, some events are timed. Any thread. */
VESTRY_API void vsi_group_observe(vsi_group *group, bool observes);
/* Any thread; relaxed: true soon after it has begun. */
static inline bool vsi_group_is_observed(const vsi_group *group) {
  return atomic_load_explicit(&vsi_group_environment(group)->observers_count, memory_order_relaxed) != 0;
}

/* Create a connection of the group: vsi_connection_create with the group's environment, numbered and counted.
 * options: NULL: the group's. OK | INVALID | NO_MEMORY | CLOSED (the group is): the transport is untouched */
VESTRY_API vestry_err vsi_group_connect(vsi_group *group, const vestry_transport_ops *ops, void *transport,
                                        const vestry_connection_options *options, const vsi_connection_hooks *hooks,
                                        void *hooks_ctx, vestry_connection **ret_connection);

#endif
