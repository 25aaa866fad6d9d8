/* SPDX-License-Identifier: MIT */
/* Channels: sets of connections that receive the same events. channels.h has the table of named channels. */
#ifndef VSI_CHANNEL_CHANNEL_H
#define VSI_CHANNEL_CHANNEL_H

#include <sys/queue.h>

#include "base/map.h"
#include "base/mutex.h"
#include "base/refs.h"
#include "coding/epoch.h"
#include "connection/close_node.h"
#include "connection/group.h"
#include "vestry/channel.h"

/* A set of connections of one group that receive the same events. A connection that ends leaves its channels. */
typedef struct vsi_channel vsi_channel;

/* One connection in one channel. */
typedef struct vsi_member {
  vsi_close_node at_close; /* first member: a node is its member */
  vsi_refs refs;
  bool in;              /* guarded by the channel's lock: in the list */
  bool is_fresh;        /* likewise: it has yet to receive the state; until then it gets events without their ids */
  vsi_channel *channel; /* a reference */
  vestry_connection *connection;   /* a reference */
  uint64_t number;                 /* ascending in the order of joining */
  TAILQ_ENTRY(vsi_member) in_list; /* guarded by the channel's lock */
} vsi_member;

/* All guarded by the channel's lock. */
typedef struct vsi_members {
  TAILQ_HEAD(, vsi_member) list; /* in the order of joining */
  vsi_member *cursor;            /* the next member of the running publish; NULL: none is left */
  uint64_t last_number;
  size_t count;
} vsi_members;

/* The name by which a channel is found. */
typedef struct vsi_channel_name {
  /* Drops a reference of a thread that has found the channel. Returns true if it was the last one: the channel is no
   * longer found, and the caller must free it. NULL: the channel has no name. */
  bool (*unref)(vsi_channel *channel);
  struct vsi_channels *channels; /* the table that contains it */
  vsi_map_link in;               /* guarded by the table's lock, except the hash */
  uint64_t number;               /* among the table's channels, from 1; set under the table's lock, before the channel
                                    can be found */
  const unsigned char *bytes;
  size_t len;
} vsi_channel_name;

/* Gives the events of a channel ids, and keeps them (app/history). Used while the channel's semaphore is held. */
typedef struct vsi_recording {
  /* Give the next event its id, and keep it. Returns a reference to the event that is sent to members; NULL: the event
   * is sent without an id. */
  vestry_event *(*take)(struct vsi_recording *recording, vestry_event *event, uint64_t now_ns);
  size_t kept_count, kept_bytes;
} vsi_recording;

/* Counters of a channel since the first join. For each shared encoding of its members (vestry/profile.h), a channel
 *  has one encoder, whose output refers back to earlier events of the current epoch. A member that has received every
 *  event of the epoch, and nothing else, is in sync, and receives this output. All other members receive an event in a
 *  standalone encoding, without reference to earlier events. docs/guide/channels.md#epochs has the rules, and the costs
 *  of a channel. */
typedef struct vsi_channel_stats {
  size_t members_count;      /* current members */
  uint64_t published_count;  /* events published to this channel */
  uint64_t accepted_count;   /* events accepted by the queues of members */
  uint64_t refused_count;    /* events that members could not accept: full, too large, out of memory */
  uint64_t epochs_count;     /* epochs begun, of all encodings */
  uint64_t standalone_count; /* standalone events written to shared streams that were out of sync with an epoch, of
                                epochs that have ended */
  uint64_t encodes_count;    /* for members in sync, one for each coding */
  uint64_t encoded_bytes, plain_bytes; /* size of the encoded events, encoded and plain */
  size_t kept_count, kept_bytes;       /* of its recording, as of the last release of the semaphore */
} vsi_channel_stats;

struct vsi_channel {
  vsi_group *group; /* a reference */
  const vestry_host *host;
  uint64_t epoch_max_bytes;
  vsi_refs refs; /* held by the owner, by members (joined or reserved) and, of a named channel, by threads that work
                    with it */
  vsi_channel_name name;
  vsi_mutex lock;                  /* see docs/locking.md; no callback is called while it is held */
  vsi_semaphore semaphore;         /* the semaphore of publishes; released under the lock */
  vsi_members members;             /* guarded by lock */
  vsi_channel_stats stats;         /* guarded by lock; members_count is computed */
  vsi_lane lanes[VSI_CODINGS_MAX]; /* by the coding's index; used while the semaphore is held */
  /* NULL: none. Set and used while the semaphore is held; other threads only compare it with NULL. */
  _Atomic(vsi_recording *) recording;
};
/* With its name, about the size that vestry/channel.h states. */
_Static_assert(sizeof(struct vsi_channel) <= 1176, "what a channel costs: vestry/channel.h");

/* Maximum number of bytes published in one epoch: the highest allowed value, and the default. */
#define VSI_EPOCH_MAX_BYTES_MOST    ((uint64_t)1 << 30)
#define VSI_EPOCH_MAX_BYTES_DEFAULT ((uint64_t)64 << 20)

/* Create a channel. epoch_max_bytes: at most VSI_EPOCH_MAX_BYTES_MOST; 0: the default. name: copied; NULL: none. OK |
 * NO_MEMORY */
VESTRY_API vestry_err vsi_channel_make(vsi_group *group, uint64_t epoch_max_bytes, const vsi_channel_name *name,
                                       vsi_channel **ret_channel);

static inline vestry_err vsi_channel_create(vsi_group *group, uint64_t epoch_max_bytes, vsi_channel **ret_channel) {
  return vsi_channel_make(group, epoch_max_bytes, NULL, ret_channel);
}
/* Remove all members (their streams stay open) and free the channel. Not while another thread is inside a function of
 * the channel, and not from a hook that its publish calls; streams may end meanwhile. NULL is accepted. */
VESTRY_API void vsi_channel_destroy(vsi_channel *channel);

/* Add a connection as a member: it receives the events published from now on. The channel holds a reference to it until
 * it has left. OK | EXISTS (it is a member) | CLOSED (the connection has ended) | INVALID (of another group) |
 * NO_MEMORY. Any thread, including hooks of connections; takes the channel's lock briefly */
VESTRY_API vestry_err vsi_channel_join(vsi_channel *channel, vestry_connection *connection);
/* Remove a member: after this returns, no event is put into its queue. Events that are in the queue are still written.
 * OK | NOT_FOUND (it is no member). As join */
VESTRY_API vestry_err vsi_channel_leave(vsi_channel *channel, vestry_connection *connection);
/* Publish an event to all connections that are members at the time of the call; a connection that joins or leaves
 * meanwhile may receive it. Results and threads as vestry_broadcast, but without members it returns OK instead of
 * NOT_FOUND. */
VESTRY_API vestry_err vsi_channel_publish(vsi_channel *channel, vestry_event *event, size_t *ret_sent_count);
/* Get the counters. Any thread; takes the channel's lock briefly. */
VESTRY_API void vsi_channel_stats_get(vsi_channel *channel, vsi_channel_stats *ret_stats);

static inline vsi_channel *vsi_channel_ref(vsi_channel *channel) {
  VSI_REFS_TAKE(&channel->refs);
  return channel;
}
VESTRY_API void vsi_channel_unref(vsi_channel *channel);

/* Create a member without a stream, so that the join needs no memory later. The member holds a reference to the
 * channel. OK | NO_MEMORY */
VESTRY_API vestry_err vsi_channel_reserve(vsi_channel *channel, vsi_member **ret_member);
/* Add a reserved member for a connection; takes the member in any case. As vsi_channel_join, but never NO_MEMORY. */
VESTRY_API vestry_err vsi_channel_admit(vsi_member *member, vestry_connection *connection);
/* Drop a reference to a member, or free a reserved one that will not join. */
VESTRY_API void vsi_member_unref(vsi_member *member);

/* Return whether a channel has a recording. Any thread. */
static inline bool vsi_channel_keeps(vsi_channel *channel) {
  return atomic_load_explicit(&channel->recording, memory_order_relaxed) != NULL;
}

/* Return whether a connection is a member. */
VESTRY_API bool vsi_channel_has(vsi_channel *channel, vestry_connection *connection);

/* Send events with their ids to a connection from now on, because it has received the state. */
VESTRY_API void vsi_channel_let_claim(vsi_channel *channel, vestry_connection *connection);

/* Take the channel's semaphore, and release it. BUSY: another thread holds it, and this thread must not wait, because
 * it already holds a semaphore. */
VESTRY_API vestry_err vsi_channel_go_in(vsi_channel *channel);
/* Take the semaphore without waiting. Returns whether this thread holds it now. */
VESTRY_API bool vsi_channel_try(vsi_channel *channel);
VESTRY_API void vsi_channel_come_out(vsi_channel *channel);

/* The streams that have an event of a publish to write; references. */
enum { VSI_FEW_STREAMS = 16 };
typedef struct vsi_few_streams {
  vestry_connection *streams[VSI_FEW_STREAMS];
  size_t count;
} vsi_few_streams;

/* Called for a member that could not take an event and stays open. Called during the publish, like hooks. */
typedef void (*vsi_refused_fn)(vestry_connection *connection, vestry_err error, void *ctx);
/* Publish as vsi_channel_publish. With `refused`, refusals of members are reported to it and are no errors of the
 * publish. changed_ns: time of the change that the event results from (connection/tally.h); 0: none.
 * ret_few: if the streams are few, the caller writes them itself (vsi_connections_posted_here), because waking another
 * thread costs more than some writes. NULL: their runners write. */
VESTRY_API vestry_err vsi_channel_publish_reporting(vsi_channel *channel, vestry_event *event, uint64_t changed_ns,
                                                    vsi_few_streams *ret_few, vsi_refused_fn refused, void *ctx,
                                                    size_t *ret_sent_count);

#endif
